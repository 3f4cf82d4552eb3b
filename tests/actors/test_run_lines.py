"""Root runs of a queue with ``max_runs``: who begins, who waits in line, and who is next."""

from __future__ import annotations

import logging

import pytest

from tempolite.actors.controls import Cancel, Enqueue, Pause, Resume
from tempolite.actors.messages import Recover
from tempolite.actors.run_store import Asker
from tempolite.core.identifiers import StepKey, WorkflowId
from tests.actors.directory_bench import DirectoryBench, start_of
from tests.actors.scripted_run import BUSY, CONTINUE, EXPLODE, FAIL, FINISH, IDLE, Store

SEEDS = pytest.mark.parametrize("seed", range(12))
ONE = {"default": 1}


def statuses(bench: DirectoryBench) -> dict[str, str]:
    """Status of each run, as committed."""
    return {workflow: run.status for workflow, run in bench.store.runs.items()}


def active(bench: DirectoryBench) -> list[str]:
    """Runs that are running, as committed."""
    return [workflow for workflow, status in statuses(bench).items() if status == "RUNNING"]


def started(bench: DirectoryBench, *names: str) -> None:
    """Starts runs, one after another."""
    for name in names:
        bench.start(name)
        bench.settle()


# ── starting ────────────────────────────────────────────────────────────────────────────────────────────


@SEEDS
def test_no_more_runs_begin_than_the_queue_allows(seed: int) -> None:
    """The others are durable and pending; whoever started them is answered all the same."""
    bench = DirectoryBench(seed, max_runs={"default": 2})
    replies = [bench.start(f"w{number}") for number in range(5)]
    bench.settle()

    assert [reply.get(timeout=0) for reply in replies] == [f"w{number}" for number in range(5)]
    assert active(bench) == ["w0", "w1"]
    assert sorted(statuses(bench).values()) == ["PENDING"] * 3 + ["RUNNING"] * 2


@SEEDS
def test_each_run_that_ends_lets_the_next_one_begin(seed: int) -> None:
    """In the order in which they were started, and to the last."""
    bench = DirectoryBench(seed, max_runs=ONE)
    names = [f"w{number}" for number in range(5)]
    for name in names:
        bench.start(name)
    bench.settle()
    seen = []
    for _ in names:
        (name,) = active(bench)
        seen.append(name)
        bench.deliver(name, FINISH)
        bench.settle()

    assert seen == names
    assert set(statuses(bench).values()) == {"COMPLETED"}


def test_a_higher_priority_begins_first() -> None:
    """Among those that wait."""
    bench = DirectoryBench(max_runs=ONE)
    started(bench, "first")
    for name, priority in (("low", -1), ("normal", 0), ("high", 5)):
        bench.start(name, priority=priority)
        bench.settle()
    bench.deliver("first", FINISH)
    bench.settle()

    assert active(bench) == ["high"]


def test_children_and_other_queues_are_not_held() -> None:
    """A parent that waits for its child would wait for ever."""
    bench = DirectoryBench(max_runs=ONE)
    started(bench, "parent")
    bench.directory.actor_ref.tell(start_of("child", parent="parent", parent_step="c"))
    bench.start("elsewhere", queue="other")
    bench.settle()

    assert sorted(active(bench)) == ["child", "elsewhere", "parent"]


def test_a_run_that_continues_as_new_keeps_its_place() -> None:
    """It does not go to the end of the line, nor does anybody begin beside it."""
    bench = DirectoryBench(max_runs=ONE)
    started(bench, "a", "b")
    bench.deliver("a", CONTINUE)
    bench.settle()

    assert statuses(bench) == {"a": "RUNNING", "b": "PENDING"}


def test_a_deferred_run_stands_in_line_once_it_is_enqueued() -> None:
    """Not before: nobody may ever enqueue it."""
    bench = DirectoryBench(max_runs=ONE)
    bench.start("deferred", deferred=True)
    started(bench, "a", "b")
    bench.request("deferred", Enqueue())
    bench.settle()
    before = statuses(bench)
    for name in ("a", "b"):
        bench.deliver(name, FINISH)
        bench.settle()

    assert before == {"deferred": "PENDING", "a": "RUNNING", "b": "PENDING"}
    assert active(bench) == ["deferred"]


# ── leaving ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", [FINISH, FAIL])
def test_a_run_that_can_not_go_on_makes_room(how: str) -> None:
    """Finished, or stuck until a person acts."""
    bench = DirectoryBench(max_runs=ONE)
    started(bench, "a", "b")
    bench.deliver("a", how)
    bench.settle()

    assert active(bench) == ["b"]


def test_a_run_that_ends_in_line_is_not_admitted() -> None:
    """It was cancelled while it waited; the one behind it is next."""
    bench = DirectoryBench(max_runs=ONE)
    started(bench, "a", "b", "c")
    bench.deliver("b", FINISH)
    bench.settle()
    bench.deliver("a", FINISH)
    bench.settle()

    assert statuses(bench) == {"a": "COMPLETED", "b": "COMPLETED", "c": "RUNNING"}


@SEEDS
def test_a_run_that_could_not_be_created_holds_no_place(seed: int) -> None:
    """Its start failed: there is nobody who could ever end."""
    bench = DirectoryBench(seed, max_runs=ONE)
    bench.ledger.failures = 1
    failed = bench.start("never")
    bench.settle()
    started(bench, "a")

    assert failed.is_set
    assert active(bench) == ["a"]


def test_a_run_that_could_not_be_created_does_not_stand_in_line() -> None:
    """Else the place it is given would be lost."""
    bench = DirectoryBench(max_runs=ONE)
    started(bench, "a")
    bench.ledger.failures = 1
    bench.start("never")
    bench.settle()
    started(bench, "b")
    bench.deliver("a", FINISH)
    bench.settle()

    assert active(bench) == ["b"]


def test_a_run_that_is_given_up_makes_room(caplog: pytest.LogCaptureFixture) -> None:
    """Its actor failed again and again."""
    caplog.set_level(logging.CRITICAL + 1, "tempolite")
    bench = DirectoryBench(max_runs=ONE)
    started(bench, "a", "b")
    bench.store.faults = [EXPLODE] * 100
    bench.deliver("a", EXPLODE)
    bench.settle()

    assert statuses(bench)["b"] == "RUNNING"


# ── pause and resume ────────────────────────────────────────────────────────────────────────────────────


@SEEDS
def test_a_paused_run_lends_its_place_and_stands_in_line_when_resumed(seed: int) -> None:
    """The next one begins meanwhile; the resumed one is pending until that has ended."""
    bench = DirectoryBench(seed, max_runs=ONE)
    started(bench, "a", "b")
    bench.request("a", Pause())
    bench.settle()
    paused = statuses(bench)
    bench.request("a", Resume())
    bench.settle()
    resumed = statuses(bench)
    bench.deliver("b", FINISH)
    bench.settle()

    assert paused == {"a": "PAUSED", "b": "RUNNING"}
    assert resumed == {"a": "PENDING", "b": "RUNNING"}
    assert active(bench) == ["a"]


def test_a_paused_run_that_is_resumed_goes_on_at_once_where_there_is_room() -> None:
    """Nobody else wanted its place."""
    bench = DirectoryBench(max_runs=ONE)
    started(bench, "a")
    for message in (Pause(), Resume()):
        bench.request("a", message)
        bench.settle()

    assert active(bench) == ["a"]


def test_a_resumed_run_stands_in_line_by_its_priority() -> None:
    """As at its start."""
    bench = DirectoryBench(max_runs=ONE)
    bench.start("high", priority=5)
    started(bench, "a", "b")
    bench.request("high", Pause())
    bench.settle()
    bench.request("high", Resume())
    bench.settle()
    bench.deliver("a", FINISH)
    bench.settle()

    assert statuses(bench) == {"high": "RUNNING", "a": "COMPLETED", "b": "PENDING"}


@SEEDS
def test_pausing_and_resuming_in_any_order_never_exceeds_the_limit(seed: int) -> None:
    """Also while what runs say of themselves is still on its way; and in the end everybody has had a turn."""
    bench = DirectoryBench(seed, max_runs={"default": 2}, residents_max=2)
    names = [f"w{number}" for number in range(6)]
    most = 0
    for name in names:
        bench.start(name)
    for _ in range(60):
        message = bench.random.choice([Pause(), Resume(), Resume(), IDLE, BUSY, "word"])
        bench.request(bench.random.choice(names), message)
        bench.some_steps()
        most = max(most, len(active(bench)))
    bench.settle()
    for _ in range(4 * len(names)):
        for name in [each for each, status in statuses(bench).items() if status == "PAUSED"]:
            bench.request(name, Resume())
        for name in active(bench):
            bench.deliver(name, FINISH)
        bench.settle()

    assert most <= 2
    assert set(statuses(bench).values()) == {"COMPLETED"}


# ── recovery ────────────────────────────────────────────────────────────────────────────────────────────


def recovered(*runs: tuple[str, str, int], max_runs: int = 1) -> DirectoryBench:
    """A bench that begins with these runs in its file: name, status, priority."""

    def prepare(store: Store) -> None:
        for name, status, priority in runs:
            store.put(name, status=status, queue="q", priority=priority)

    bench = DirectoryBench(prepare=prepare, max_runs={"q": max_runs})
    bench.ask(Recover())
    bench.settle()
    return bench


def test_runs_that_were_active_before_keep_their_places() -> None:
    """Even where one that waited was started before them."""
    bench = recovered(("old", "PENDING", 0), ("a", "RUNNING", 0))

    assert statuses(bench) == {"old": "PENDING", "a": "RUNNING"}
    bench.deliver("a", FINISH)
    bench.settle()
    assert active(bench) == ["old"]


def test_places_that_a_crash_left_free_are_taken_at_start_in_order() -> None:
    """The end of a run was durable, the next one's admission not; the higher priority is first."""
    bench = recovered(("low", "PENDING", 0), ("high", "PENDING", 5), ("higher", "PENDING", 9), max_runs=2)

    assert statuses(bench) == {"low": "PENDING", "high": "RUNNING", "higher": "RUNNING"}


def test_a_lower_limit_than_before_ends_nobody() -> None:
    """Those that were active go on, one too many; nobody begins until there is room."""
    bench = recovered(("a", "RUNNING", 0), ("b", "RUNNING", 0), ("c", "PENDING", 0))
    seen = []
    for name in ("a", "b"):
        bench.deliver(name, FINISH)
        bench.settle()
        seen.append(statuses(bench)["c"])

    assert seen == ["PENDING", "RUNNING"]


def test_runs_in_line_begin_when_their_queue_has_no_limit_any_more() -> None:
    """They would wait for an end that frees nothing."""
    bench = DirectoryBench(prepare=lambda store: [store.put(name, status="PENDING") for name in "ab"])
    bench.ask(Recover())
    bench.settle()

    assert active(bench) == ["a", "b"]


def test_children_that_do_not_follow_their_parent_are_told_at_start() -> None:
    """A crash came between the parent's commit and theirs."""

    def prepare(store: Store) -> None:
        for name in ("cancelled", "paused"):
            store.put(name, asker=Asker(WorkflowId("p"), StepKey("s")))
        store.behind = [(WorkflowId("cancelled"), "cancel"), (WorkflowId("paused"), "pause")]

    bench = DirectoryBench(prepare=prepare)
    bench.ask(Recover())
    bench.settle()

    assert bench.words_of("cancelled") == [Cancel.__name__]
    assert bench.words_of("paused") == [Pause.__name__]
