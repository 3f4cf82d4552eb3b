"""The activity pool: what a worker's death costs, and whom."""

from __future__ import annotations

import pytest

from tempolite import errors
from tempolite.actors import frames
from tempolite.actors.crew import START_FAILURES_MAX
from tempolite.core.retry import type_name
from tests.actors.scripted_worker import PoolBench, ScriptedWorker


def last(bench: PoolBench) -> ScriptedWorker:
    return bench.workers[-1]


# ── whose fault ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cause", ["SIGKILL", "SIGSEGV", "exit code 3"])
def test_who_was_alone_in_a_dead_worker_is_charged(cause: str) -> None:
    """Its run is told, with the cause, and decides what follows (P7)."""
    bench = PoolBench()
    bench.give("charge")

    bench.worker.die(cause)
    bench.settle()

    assert bench.told == [("charge", f"lost: {cause}")]
    assert bench.pool.workers_lost == 1


def test_a_dead_worker_is_replaced() -> None:
    """By the next work that comes, or that waits."""
    bench = PoolBench()
    bench.give("charge", "next")

    bench.worker.die()
    bench.settle()

    assert bench.given() == [[], ["next"]]


def test_what_had_not_begun_is_given_to_others_uncharged() -> None:
    """Whatever the dead worker was given beyond what it ran; first of all, in its order."""
    bench = PoolBench()
    bench.know_as_short()
    bench.give("guilty", "b", "c")
    bench.give("later", alone=True)

    bench.worker.die()
    bench.settle()

    assert bench.told == [("guilty", "lost: SIGKILL")]
    assert bench.given() == [[], ["b", "c"]]


def test_of_several_in_a_dead_worker_none_is_charged() -> None:
    """Each runs again by itself, so that the guilty one shows (P7)."""
    bench = PoolBench(slots=3)
    bench.give("a", "b", "c")

    bench.worker.die()
    bench.settle()

    assert bench.told == []
    assert bench.given() == [[], ["a"]]
    for step in ("a", "b", "c"):
        assert bench.given()[1] == [step]
        last(bench).done(step)
        bench.settle()
    assert bench.told == [("a", "result"), ("b", "result"), ("c", "result")]


def test_the_guilty_one_shows_when_it_is_alone() -> None:
    """The second death charges it, and it alone."""
    bench = PoolBench(slots=2)
    bench.give("innocent", "guilty")
    bench.worker.die()
    bench.settle()

    last(bench).done("innocent")
    bench.settle()
    last(bench).die("SIGSEGV")
    bench.settle()

    assert bench.told == [("innocent", "result"), ("guilty", "lost: SIGSEGV")]
    assert bench.pool.workers_lost == 2


def test_results_that_came_before_the_death_count() -> None:
    """Everything that it sent is read first."""
    bench = PoolBench(slots=2)
    bench.give("a", "b")

    bench.worker.done("a")
    bench.worker.die()
    bench.settle()

    assert bench.told == [("a", "result"), ("b", "lost: SIGKILL")]


def test_a_worker_that_dies_idle_costs_nobody_anything() -> None:
    """It is counted, and replaced when there is work."""
    bench = PoolBench()
    bench.give("a")
    bench.worker.done("a")
    bench.worker.die()
    bench.settle()

    bench.give("b")

    assert bench.told == [("a", "result")]
    assert bench.given() == [[], ["b"]]
    assert bench.pool.workers_lost == 1


def test_what_a_dead_worker_still_says_is_not_heard() -> None:
    """Its attempts have new owners by then."""
    bench = PoolBench(slots=2)
    bench.give("a", "b")
    numbers = dict(bench.worker.jobs)

    bench.worker.die()
    bench.settle()
    bench.workers[0].say(frames.Done(numbers["a"], b'"late"'))
    bench.settle()

    assert bench.told == []
    assert bench.given()[1] == ["a"]


def test_a_death_that_is_reported_twice_counts_once() -> None:
    """Nobody is charged again for it."""
    bench = PoolBench()
    bench.give("a")

    bench.worker.die()
    bench.worker.die()
    bench.settle()

    assert (bench.told, bench.pool.workers_lost) == ([("a", "lost: SIGKILL")], 1)


def test_priority_stays_with_what_runs_again() -> None:
    """A more important one goes first, though it never had a worker."""
    bench = PoolBench(slots=2)
    bench.give("a", "b")
    bench.give("urgent", priority=9)

    bench.worker.die()
    bench.settle()

    assert bench.given() == [[], ["urgent"]]


# ── deaths before it is ready ───────────────────────────────────────────────────────────────────────────


def test_a_worker_that_dies_before_it_is_ready_charges_nobody() -> None:
    """Its work has not begun."""
    bench = PoolBench(are_ready=False)
    bench.give("a")

    bench.worker.die("exit code 1")
    bench.settle()

    assert bench.told == []
    assert bench.given() == [[], ["a"]]


def test_workers_that_never_become_ready_fail_their_work() -> None:
    """After a few in a row: a queue that can't start anything must not hang for ever."""
    bench = PoolBench(are_ready=False)
    bench.give("a", "b")

    for _ in range(START_FAILURES_MAX):
        last(bench).die("exit code 1")
        bench.settle()

    assert bench.told == [("a", "tempolite.errors:WorkerLost"), ("b", "tempolite.errors:WorkerLost")]
    assert bench.given()[-1] == []


def test_a_worker_that_becomes_ready_forgives_the_ones_before() -> None:
    """What counts is failures one after another."""
    bench = PoolBench(are_ready=False)
    for step in ("a", "b"):
        bench.give(step)
        for _ in range(START_FAILURES_MAX - 1):
            last(bench).die("exit code 1")
            bench.settle()
        last(bench).say(frames.Ready())
        last(bench).done(step)
        last(bench).die("SIGKILL")
        bench.settle()

    assert bench.told == [("a", "result"), ("b", "result")]


def test_the_time_of_an_activity_begins_when_its_worker_begins_it() -> None:
    """Starting a process is not the activity's time, also where it says both in one breath (P8)."""
    bench = PoolBench(are_ready=False)
    bench.give("a", timeout_s=1.0)

    bench.pass_time(5.0)
    assert "terminate" not in bench.worker.log
    bench.worker.say(frames.Ready(), frames.Started(bench.worker.jobs["a"]))
    bench.pass_time(0.9)
    assert "terminate" not in bench.worker.log
    bench.pass_time(0.2)

    assert "terminate" in bench.worker.log


# ── what the pool says of itself ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [errors.WorkerLost, errors.ActivityTimeout])
def test_a_failure_that_the_pool_found_has_the_descent_of_its_class(kind: type[Exception]) -> None:
    """``retry_on=TimeoutError`` means time-outs, and not lost workers."""
    bench = PoolBench(are_ready=kind is errors.ActivityTimeout)
    bench.give("a", timeout_s=1.0)
    if kind is errors.ActivityTimeout:
        bench.worker.begins("a")
        bench.pass_time(1.1)
        bench.worker.die()
    else:
        for _ in range(START_FAILURES_MAX):
            last(bench).die()
            bench.settle()
    bench.settle()

    failure = bench.run.log[0].failure

    assert failure.type_name == type_name(kind)
    assert set(failure.lineage) == {type_name(base) for base in kind.__mro__ if base is not object}
