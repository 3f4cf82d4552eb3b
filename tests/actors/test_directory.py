"""The directory: ids and runs; started once, found again, told of their ends."""

from __future__ import annotations

from typing import Any

import pytest

from tempolite.actors.directory import RECOVERED_PER_ROUND
from tempolite.actors.messages import AwaitIdle, ChildEnded, Deliver, FunctionRegistered, Recover, RunEnded
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId
from tempolite.errors import EngineClosed, WorkflowAlreadyExists
from tests.actors.directory_bench import DirectoryBench, start_of
from tests.actors.scripted_run import BUSY, FAIL, FINISH, IDLE, Store, poke

CHILD = start_of("w", parent="p", parent_step="s")
SEEDS = pytest.mark.parametrize("seed", range(8))


def ended(workflow: str, status: str = "COMPLETED") -> RunEnded:
    return RunEnded(WorkflowId(workflow), status, b"1" if status == "COMPLETED" else None)


# ── starting ────────────────────────────────────────────────────────────────────────────────────────────


@SEEDS
def test_a_start_is_answered_when_the_run_is_durable(seed: int) -> None:
    """With its id; before the commit there is neither answer nor row (P2)."""
    bench = DirectoryBench(seed)
    bench.ledger.is_holding = True
    started = bench.start("w")
    bench.settle()
    assert (started.is_set, bench.store.find(WorkflowId("w"))) == (False, None)

    bench.ledger.settle(bench.ledger.held.pop())
    bench.settle()

    assert started.get(timeout=0) == "w"
    assert bench.store.find(WorkflowId("w")) is not None


def test_streams_are_never_used_twice() -> None:
    """They go on after the highest one in the file, also after a run that could not be created."""
    bench = DirectoryBench(prepare=lambda store: [store.finished(name) for name in "abc"])
    bench.ledger.failures = 1
    for name in ("x", "y", "z"):
        bench.start(name)
    bench.settle()

    assert sorted(each.stream for each in bench.store.executions) == [StreamId(n) for n in (4, 5, 6)]


def test_the_same_id_and_function_is_the_run_that_exists() -> None:
    """Live, finished, or put away: nothing is started twice."""

    def prepare(store: Store) -> None:
        store.finished("finished")
        store.put("put away")

    bench = DirectoryBench(prepare=prepare)
    bench.start("live")
    bench.settle()
    for name in ("live", "finished", "put away"):
        again = bench.start(name)
        bench.settle()
        assert again.get(timeout=0) == name

    assert [bench.lives_of(name) for name in ("live", "finished", "put away")] == [1, 0, 0]


@pytest.mark.parametrize("name", ["live", "finished", "put away"])
@pytest.mark.parametrize("fields", [{"function": "g"}, {"must_be_new": True}])
def test_an_id_that_is_taken_is_refused(name: str, fields: dict[str, Any]) -> None:
    """By another function, or for whoever needs a new one; the run itself is left alone."""

    def prepare(store: Store) -> None:
        store.finished("finished")
        store.put("put away")

    bench = DirectoryBench(prepare=prepare)
    bench.start("live")
    bench.settle()
    lives = bench.lives_of(name)

    refused = bench.start(name, **fields)
    bench.settle()

    with pytest.raises(WorkflowAlreadyExists, match=f"{name}.*of function f"):
        refused.get(timeout=0)
    assert bench.lives_of(name) == lives


@SEEDS
def test_a_second_start_is_not_answered_before_the_first_is_durable(seed: int) -> None:
    """Two callers of the same id at once: neither has a run that a power loss could still undo (P2)."""
    bench = DirectoryBench(seed)
    bench.ledger.is_holding = True
    first, second = bench.start("w"), bench.start("w")
    bench.settle()
    early = (first.is_set, second.is_set)

    bench.ledger.settle(bench.ledger.held.pop())
    bench.settle()

    assert early == (False, False)
    assert (first.get(timeout=0), second.get(timeout=0)) == ("w", "w")
    assert bench.lives_of("w") == 1


@SEEDS
def test_a_run_that_could_not_be_created_can_be_asked_for_again(seed: int) -> None:
    """Its first caller has the error, its id is free."""
    bench = DirectoryBench(seed)
    bench.ledger.failures = 1
    first = bench.start("w")
    bench.settle()
    second = bench.start("w")
    bench.settle()

    with pytest.raises(Exception, match="no space"):
        first.get(timeout=0)
    assert second.get(timeout=0) == "w"


# ── children ────────────────────────────────────────────────────────────────────────────────────────────


def child_of(bench: DirectoryBench, **fields: Any) -> list[Any]:
    """Lets a parent ask for its child; gives what the parent was told."""
    bench.start("parent")
    bench.settle()
    bench.directory.actor_ref.tell(start_of("child", parent="parent", parent_step="c", **fields))
    bench.settle()
    return [word for turn in bench.run_of("parent").turns for word in turn if word != "Begin"]


def test_a_child_is_started_like_any_run() -> None:
    """Its parent is told of its end, not of its start."""
    bench = DirectoryBench()

    assert child_of(bench) == []
    assert bench.lives_of("child") == 1


def test_a_parent_that_asks_again_is_told_what_became_of_its_child() -> None:
    """It ended while the parent was not there, or before the parent could record it."""
    bench = DirectoryBench(
        prepare=lambda store: store.finished("child", parent=WorkflowId("parent"), parent_step=StepKey("c"))
    )

    assert child_of(bench) == ["ChildEnded"]
    assert bench.lives_of("child") == 0


def test_a_parent_that_asks_again_wakes_its_child() -> None:
    """Put away or stuck: an outcome will come, now is none."""

    def prepare(store: Store) -> None:
        store.put("child", parent=WorkflowId("parent"), parent_step=StepKey("c"))

    bench = DirectoryBench(prepare=prepare)

    assert child_of(bench) == []
    assert bench.lives_of("child") == 1


@pytest.mark.parametrize("status", ["STUCK", "STRANDED"])
def test_a_child_that_needs_help_is_no_outcome_for_its_parent(status: str) -> None:
    """It has neither value nor failure; the parent goes on waiting."""

    def prepare(store: Store) -> None:
        store.finished("child", status, parent=WorkflowId("parent"), parent_step=StepKey("c"))

    assert child_of(DirectoryBench(prepare=prepare)) == []


@pytest.mark.parametrize("is_live", [True, False])
def test_a_child_s_id_that_belongs_to_somebody_else_fails_the_step(is_live: bool) -> None:
    """The parent would wait for ever: that run tells another one, or nobody."""
    bench = DirectoryBench(prepare=lambda store: None if is_live else store.finished("child"))
    if is_live:
        bench.start("child")
        bench.settle()

    assert child_of(bench) == ["ChildEnded"]


# ── mail ────────────────────────────────────────────────────────────────────────────────────────────────


@SEEDS
def test_mail_reaches_a_run_in_order(seed: int) -> None:
    """Whether it is live, or has to be brought to life for it."""
    bench = DirectoryBench(seed, prepare=lambda store: store.put("put away"))
    bench.start("live")
    for name in ("live", "put away"):
        bench.deliver(name, *"abcde")
    bench.settle()

    for name in ("live", "put away"):
        assert bench.words_of(name) == list("abcde")
        assert bench.run_of(name).turns[0][0] == "Begin"
        assert bench.lives_of(name) == 1


def test_mail_for_a_finished_or_unknown_run_means_nothing() -> None:
    """Nobody is brought to life for it."""
    bench = DirectoryBench(prepare=lambda store: store.finished("finished"))

    bench.deliver("finished", "a")
    bench.deliver("unknown", "a")
    bench.settle()

    assert bench.store.executions == []


@SEEDS
def test_mail_that_meets_a_run_at_its_end_hurts_nobody(seed: int) -> None:
    """The run is finished and its actor gone, which the directory has not heard yet."""
    bench = DirectoryBench(seed)
    bench.start("w")
    bench.deliver("w", FINISH, *"abcdefgh")
    bench.settle()

    assert bench.store.runs[WorkflowId("w")].status == "COMPLETED"
    assert bench.lives_of("w") == 1


# ── outcomes ────────────────────────────────────────────────────────────────────────────────────────────


@SEEDS
def test_everybody_who_waits_is_told_the_outcome(seed: int) -> None:
    """Once it is durable; who comes later is told at once."""
    bench = DirectoryBench(seed)
    bench.start("w")
    waiting = [bench.outcome("w") for _ in range(3)]
    bench.settle()
    assert not any(reply.is_set for reply in waiting)

    bench.ledger.is_holding = True
    bench.deliver("w", FINISH)
    bench.settle()
    assert not any(reply.is_set for reply in waiting)
    bench.ledger.settle(bench.ledger.held.pop())
    bench.settle()
    late = bench.outcome("w")
    bench.settle()

    assert [reply.get(timeout=0) for reply in [*waiting, late]] == [ended("w")] * 4


def test_who_waits_is_told_that_a_run_is_stuck() -> None:
    """With the problem: nothing will come without a person."""
    bench = DirectoryBench()
    bench.start("w")
    waiting = bench.outcome("w")
    bench.deliver("w", FAIL)
    bench.settle()

    assert waiting.get(timeout=0) == RunEnded(WorkflowId("w"), "STUCK", problem="told to be")


def test_who_waits_is_told_that_a_run_is_stranded() -> None:
    """When something tries to bring it to life and its function is not known."""

    def prepare(store: Store) -> None:
        store.put("w")
        store.unknown.add("w")

    bench = DirectoryBench(prepare=prepare)
    waiting = bench.outcome("w")
    bench.ask(Recover())
    bench.settle()

    assert waiting.get(timeout=0).status == "STRANDED"


def test_waiting_for_one_run_does_not_wake_with_another() -> None:
    """Each has its own waiters."""
    bench = DirectoryBench()
    for name in ("a", "b"):
        bench.start(name)
    of_a, of_b = bench.outcome("a"), bench.outcome("b")
    bench.deliver("a", FINISH)
    bench.settle()

    assert (of_a.is_set, of_b.is_set) == (True, False)


# ── idle ────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_engine_without_runs_is_idle() -> None:
    """Nothing to wait for."""
    bench = DirectoryBench()
    idle = bench.ask(AwaitIdle())
    bench.settle()

    assert idle.is_set


@SEEDS
def test_idle_means_that_no_run_goes_on_by_itself(seed: int) -> None:
    """Finished, or waiting for something from outside; never told early."""
    bench = DirectoryBench(seed)
    for name in ("a", "b", "c"):
        bench.start(name)
    bench.settle()
    idle = bench.ask(AwaitIdle())
    seen = []
    for name, word in (("a", FINISH), ("b", IDLE), ("c", FAIL)):
        bench.settle()
        seen.append(idle.is_set)
        bench.deliver(name, word)
    bench.settle()

    assert seen == [False, False, False]
    assert idle.is_set


@SEEDS
def test_mail_makes_an_idle_run_busy_again(seed: int) -> None:
    """From the moment that it is on its way."""
    bench = DirectoryBench(seed)
    bench.start("a")
    bench.deliver("a", IDLE)
    bench.settle()

    bench.deliver("a", BUSY)
    idle = bench.ask(AwaitIdle())
    bench.settle()
    assert not idle.is_set
    bench.deliver("a", IDLE)
    bench.settle()

    assert idle.is_set


# ── recovery ────────────────────────────────────────────────────────────────────────────────────────────


@SEEDS
def test_at_start_everything_with_work_comes_to_life(seed: int) -> None:
    """A part at a time, so that others get their turn in between; each once."""
    count = 2 * RECOVERED_PER_ROUND + 10
    bench = DirectoryBench(seed, prepare=lambda store: [store.put(f"w{n}") for n in range(count)])
    bench.ask(Recover())
    started = bench.start("new")
    bench.settle()

    assert started.get(timeout=0) == "new"
    assert sorted(each.workflow for each in bench.store.executions) == sorted(
        ["new", *(f"w{n}" for n in range(count))]
    )


def test_an_engine_that_recovers_is_not_idle_yet() -> None:
    """Not before the last run was looked at."""
    bench = DirectoryBench(prepare=lambda store: [store.put(f"w{n}") for n in range(RECOVERED_PER_ROUND + 1)])
    recovered, idle = bench.ask(Recover()), bench.ask(AwaitIdle())
    bench.settle()

    assert (recovered.is_set, idle.is_set) == (True, False)


def test_a_child_that_owes_its_parent_the_outcome_pays_at_start() -> None:
    """Its end is durable, the parent's record of it was not."""

    def prepare(store: Store) -> None:
        store.put("parent")
        store.finished("child", parent=WorkflowId("parent"), parent_step=StepKey("c"))

    bench = DirectoryBench(prepare=prepare)
    bench.ask(Recover())
    bench.settle()

    assert bench.words_of("parent") == ["ChildEnded"]
    assert bench.lives_of("child") == 0


def test_the_parent_is_told_how_its_child_ended() -> None:
    """Value or cancellation, with the step that asked."""
    seen: list[ChildEnded] = []

    def prepare(store: Store) -> None:
        store.finished("child", "CANCELLED", parent=WorkflowId("parent"), parent_step=StepKey("c"))

    bench = DirectoryBench(prepare=prepare)
    bench.start("parent")
    bench.settle()
    bench.run_of("parent").on_turn = lambda mail, now_us: seen.extend(mail)
    bench.ask(Recover())
    bench.settle()

    assert seen == [ChildEnded(StepKey("c"), WorkflowId("child"), None, None, cancelled=True)]


def test_a_stranded_run_goes_on_when_its_function_becomes_known() -> None:
    """And others of the same function with it."""

    def prepare(store: Store) -> None:
        for name in ("a", "b"):
            store.put(name, "late:f")
            store.unknown.add(name)

    bench = DirectoryBench(prepare=prepare)
    bench.ask(Recover())
    bench.settle()
    assert bench.store.executions == []

    bench.store.unknown.clear()
    bench.directory.actor_ref.tell(FunctionRegistered(("late:f",)))
    bench.settle()

    assert sorted(each.workflow for each in bench.store.executions) == ["a", "b"]


# ── closing ─────────────────────────────────────────────────────────────────────────────────────────────


def test_closing_ends_every_run_and_every_wait() -> None:
    """Nothing is recorded by it; who waits is told why."""
    bench = DirectoryBench()
    for name in ("a", "b"):
        bench.start(name)
    waits = [bench.outcome("a"), bench.ask(AwaitIdle())]
    bench.settle()
    rows = dict(bench.store.runs)

    bench.directory.close()
    late = [bench.start("c"), bench.outcome("a")]
    bench.settle()

    for reply in [*waits, *late]:
        with pytest.raises(EngineClosed):
            reply.get(timeout=0)
    assert [each.discards for each in bench.store.executions] == [1, 1]
    assert bench.store.runs == rows


def test_closing_answers_who_waits_for_the_commit_of_a_start() -> None:
    """The run may be durable or not; the caller is not left waiting."""
    bench = DirectoryBench()
    bench.ledger.is_holding = True
    started = bench.start("w")
    bench.settle()

    bench.directory.close()
    bench.settle()

    assert started.is_set
    with pytest.raises(EngineClosed):
        started.get(timeout=0)


LATE = [Deliver(WorkflowId("stored"), poke("a")), Recover(), FunctionRegistered(("f",)), CHILD]


@pytest.mark.parametrize("message", LATE, ids=lambda message: type(message).__name__)
def test_a_closed_directory_brings_nobody_to_life(message: Any) -> None:
    """While workers end there is still mail: nothing runs, is recorded or fails by it."""
    bench = DirectoryBench(prepare=lambda store: store.put("stored"))
    bench.directory.close()

    bench.directory.actor_ref.tell(message)
    bench.settle()

    assert bench.store.executions == []
