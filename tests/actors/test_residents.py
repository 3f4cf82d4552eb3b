"""Who is in memory: beyond the limit the longest idle leaves, and whoever has work stays."""

from __future__ import annotations

import pytest

from tempolite.actors.controls import Pause, QueryArrived, Resume
from tempolite.actors.messages import PutAway
from tempolite.actors.run_store import Asker
from tempolite.actors.workflow import Activeness
from tempolite.core.identifiers import StepKey, WorkflowId
from tests.actors.directory_bench import DirectoryBench, start_of
from tests.actors.scripted_run import BUSY, FINISH, IDLE, SLEEP, Store

SEEDS = pytest.mark.parametrize("seed", range(8))


def idle_runs(bench: DirectoryBench, *names: str, word: str = IDLE) -> None:
    """Starts runs that wait, one after another."""
    for name in names:
        bench.start(name)
        bench.deliver(name, word)
        bench.settle(advance_time=False)


def test_runs_stay_in_memory_up_to_the_limit() -> None:
    """Nobody leaves before it must: coming back costs a replay."""
    bench = DirectoryBench(residents_max=3)
    idle_runs(bench, "a", "b", "c")

    assert bench.residents == ["a", "b", "c"]


@SEEDS
def test_beyond_the_limit_the_longest_idle_leaves(seed: int) -> None:
    """Its code is fenced, nothing is recorded, nothing is lost."""
    bench = DirectoryBench(seed, residents_max=3)
    idle_runs(bench, "a", "b", "c", "d", "e")

    assert bench.residents == ["c", "d", "e"]
    assert [bench.run_of(name).discards for name in "abcde"] == [1, 1, 0, 0, 0]
    assert bench.words_of("a") == [IDLE]


def test_a_message_makes_a_run_the_last_to_leave() -> None:
    """It was needed just now."""
    bench = DirectoryBench(residents_max=3)
    idle_runs(bench, "a", "b", "c")
    bench.deliver("a", "word")
    bench.settle()
    idle_runs(bench, "d")

    assert bench.residents == ["a", "c", "d"]


@SEEDS
def test_runs_with_work_never_leave(seed: int) -> None:
    """However many they are: an outcome is on its way to them."""
    bench = DirectoryBench(seed, residents_max=2)
    names = [f"w{number}" for number in range(6)]
    for name in names:
        bench.start(name)
    bench.settle()
    idle_runs(bench, "idle")

    assert bench.residents == names


@SEEDS
def test_the_directory_asks_nobody_to_leave_who_has_work(seed: int) -> None:
    """A run says so after the turn that began the work; it is no candidate until it says otherwise."""
    bench = DirectoryBench(seed)
    idle_runs(bench, "w")
    residents = bench.directory._residents
    residents.limit = 0

    residents.note(Activeness(WorkflowId("w"), can_go_on=True, has_work=True, is_active=True))
    with_work = residents.surplus()
    residents.note(Activeness(WorkflowId("w"), can_go_on=True, has_work=False, is_active=True))

    assert with_work == []
    assert residents.surplus() == [residents.live[WorkflowId("w")]]


@SEEDS
def test_a_run_whose_work_is_done_leaves_at_once_where_there_are_too_many(seed: int) -> None:
    """The limit holds again as soon as it can."""
    bench = DirectoryBench(seed, residents_max=1)
    for name in ("a", "b", "c"):
        bench.start(name)
    bench.settle()
    for name in ("b", "a"):
        bench.deliver(name, IDLE)
        bench.settle()

    assert bench.residents == ["c"]


def test_a_run_that_is_asked_to_leave_and_has_work_by_then_stays() -> None:
    """The directory asked in good faith; mail was faster."""
    bench = DirectoryBench()
    idle_runs(bench, "a")
    bench.deliver("a", BUSY)
    bench.settle()
    bench.put_away("a")
    bench.settle()

    assert bench.residents == ["a"]
    assert bench.lives_of("a") == 1


@pytest.mark.parametrize("seed", range(51))
def test_a_run_that_leaves_and_its_mail_never_miss_each_other(seed: int) -> None:
    """Every message is recorded once, in order, however many lives that takes."""
    bench = DirectoryBench(seed, residents_max=0)
    bench.start("w")
    words = [IDLE, *"abcdefgh"]
    for word in words:
        bench.deliver("w", word)
        bench.some_steps(8)
    bench.settle()

    assert bench.words_of("w") == words
    assert bench.residents == []


def test_paused_and_sleeping_runs_leave_as_well() -> None:
    """A timer is a row, and a pause is one, too."""
    bench = DirectoryBench(residents_max=0)
    idle_runs(bench, "asleep", word=SLEEP)
    bench.start("paused")
    bench.settle()
    bench.request("paused", Pause())
    bench.settle()
    before = bench.residents
    resumed = bench.request("paused", Resume())
    bench.settle()

    assert (before, bench.residents) == ([], ["paused"])
    assert resumed.get(timeout=0) == "Resume"


def test_a_run_that_left_is_found_by_whoever_starts_it_again() -> None:
    """It exists, whether in memory or not; nothing is started for it."""
    bench = DirectoryBench(residents_max=0)
    idle_runs(bench, "w")
    again = bench.start("w")
    bench.settle()

    assert again.get(timeout=0) == "w"
    assert bench.lives_of("w") == 1


def test_put_aways_that_cross_do_no_harm() -> None:
    """The second finds nobody there, or a run that is going already."""
    bench = DirectoryBench()
    idle_runs(bench, "w")
    ref = bench.directory._residents.live[WorkflowId("w")].actor.actor_ref
    for _ in range(3):
        ref.tell(PutAway())
    bench.settle()
    bench.deliver("w", FINISH)
    bench.settle()

    assert bench.store.runs[WorkflowId("w")].status == "COMPLETED"


# ── a parent, and a child that is only looked at ────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(51))
@pytest.mark.parametrize(("status", "times"), [("FAILED", 1), ("COMPLETED", 0), ("CANCELLED", 1)])
def test_a_parent_is_heard_by_a_finished_child_that_somebody_looks_at(
    status: str, times: int, seed: int
) -> None:
    """A query brought it to life for a moment: the parent's wish is not taken for one to a live run."""

    def prepare(store: Store) -> None:
        store.finished("child", status, asker=Asker(WorkflowId("parent"), StepKey("c")))

    bench = DirectoryBench(seed, prepare=prepare)
    bench.start("parent")
    bench.settle()
    again = start_of("child", parent="parent", parent_step="c", times=times)
    for _ in range(2):
        bench.request("child", QueryArrived("how far", b""))
        bench.some_steps(2)
    bench.directory.actor_ref.tell(again)
    bench.request("child", QueryArrived("how far", b""))
    bench.settle()

    if times:
        assert bench.words_of("child") == ["TryAgain"]
    else:
        assert bench.words_of("parent") == ["ChildEnded"]
