"""The directory: messages find their run, and who waits for an outcome is told."""

from __future__ import annotations

import pytest

from tempolite.actors.messages import Recover, RunEnded
from tempolite.core.identifiers import WorkflowId
from tests.actors.directory_bench import DirectoryBench
from tests.actors.scripted_run import FAIL, FINISH, Store

SEEDS = pytest.mark.parametrize("seed", range(8))


def ended(workflow: str, status: str = "COMPLETED") -> RunEnded:
    return RunEnded(WorkflowId(workflow), status, b"1" if status == "COMPLETED" else None)


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
