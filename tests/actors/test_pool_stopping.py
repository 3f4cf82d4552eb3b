"""The activity pool: time-outs, cancellation, draining and the end."""

from __future__ import annotations

from typing import Any

import pytest

from tempolite.actors.attempts_under_way import LOADING_S, LOOK_S
from tempolite.actors.crew import HANG_UP_S
from tempolite.actors.futures import Reply
from tempolite.actors.messages import Drain, ShutDown
from tests.actors.scripted_worker import PoolBench

TIMEOUT = "tempolite.errors:ActivityTimeout"


def asked(bench: PoolBench, message: Drain | ShutDown) -> Reply[None]:
    reply: Any = bench.pool.actor_ref.ask(message, block=False)
    bench.settle()
    assert isinstance(reply, Reply)
    return reply


# ── time-outs ───────────────────────────────────────────────────────────────────────────────────────────


def test_an_activity_past_its_time_is_stopped_for_good() -> None:
    """TERM at its time, KILL after its grace, and its run is told when it is gone (P8)."""
    bench = PoolBench()
    bench.start("a", timeout_s=2.0, grace_s=5.0)

    bench.pass_time(1.9)
    assert bench.worker.log == ["run a"]
    bench.pass_time(0.2)
    assert bench.worker.log == ["run a", "terminate"]
    bench.pass_time(LOOK_S)
    assert bench.worker.log == ["run a", *["terminate"] * 2], "again, for who does not look at `cancelled`"
    bench.pass_time(2.0)
    assert bench.worker.log == ["run a", *["terminate"] * 3], "and for who looks and goes on"
    bench.pass_time(2.2)
    assert "kill" not in bench.worker.log
    bench.pass_time(0.3)
    assert bench.worker.log[-1] == "kill"
    assert bench.told == []

    bench.worker.die()
    bench.settle()

    assert bench.told == [("a", TIMEOUT)]
    assert bench.pool.workers_lost == 0


def test_time_in_the_queue_is_not_the_activity_s() -> None:
    """A time-out counts from the start (P8)."""
    bench = PoolBench()
    bench.give("first")
    bench.give("second", timeout_s=1.0)
    bench.pass_time(10.0)

    bench.worker.done("first")
    bench.settle()
    bench.worker.begins("second")
    bench.pass_time(0.9)
    assert "terminate" not in bench.worker.log
    bench.pass_time(0.2)

    assert "terminate" in bench.worker.log


def test_an_activity_that_ends_in_time_is_not_stopped() -> None:
    """Nor is who comes after it in the same worker."""
    bench = PoolBench()
    bench.start("a", timeout_s=1.0)
    bench.pass_time(0.9)
    bench.worker.done("a")
    bench.settle()
    bench.give("b")

    bench.pass_time(10.0)

    assert bench.worker.log == ["run a", "run b"]
    assert bench.told == [("a", "result")]


@pytest.mark.parametrize("ending", ["done", "failed"])
def test_a_result_after_the_time_is_a_time_out_once(ending: str) -> None:
    """It is dropped and counted; the run is told one thing only."""
    bench = PoolBench()
    bench.start("a", timeout_s=1.0)
    bench.pass_time(1.1)

    getattr(bench.worker, ending)("a")
    bench.worker.die("exit code 143")
    bench.settle()

    assert bench.told == [("a", TIMEOUT)]
    assert bench.pool.results_dropped == 1


def test_others_in_the_worker_of_an_expired_one_run_again_uncharged() -> None:
    """They had to go with it, which is not their fault."""
    bench = PoolBench(slots=2)
    bench.start("a", timeout_s=1.0)
    bench.give("b")
    bench.pass_time(1.1)

    bench.worker.die("SIGTERM")
    bench.settle()

    assert bench.told == [("a", TIMEOUT)]
    assert bench.given() == [[], ["b"]]
    assert bench.pool.workers_lost == 0


def test_a_worker_that_is_being_stopped_gets_nothing_more() -> None:
    """It will be gone; work waits for the next one."""
    bench = PoolBench(slots=2)
    bench.start("a", timeout_s=1.0)
    bench.pass_time(1.1)

    bench.give("b")

    assert bench.given() == [["a"]]


def test_loading_an_activity_s_code_is_not_its_time() -> None:
    """Imports can take seconds; the clock begins when the worker says so (P8)."""
    bench = PoolBench()
    bench.give("a", timeout_s=1.0)

    bench.pass_time(LOADING_S / 2)
    bench.worker.begins("a")
    bench.pass_time(0.9)
    assert "terminate" not in bench.worker.log
    bench.pass_time(0.2)

    assert "terminate" in bench.worker.log


def test_a_worker_that_never_gets_to_the_activity_is_stopped_as_well() -> None:
    """Loading has a bound of its own: code that hangs while it is imported hangs for ever."""
    bench = PoolBench()
    bench.give("a", timeout_s=1.0)

    bench.pass_time(LOADING_S + 0.9)
    assert "terminate" not in bench.worker.log
    bench.pass_time(0.2)

    assert "terminate" in bench.worker.log


# ── threads ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_thread_past_its_time_is_not_run_twice_at_once() -> None:
    """Its run is told at once, but the step's next attempt waits until the thread is back (P8)."""
    bench = PoolBench(is_thread=True, workers=2)
    bench.give("a", timeout_s=1.0)
    bench.pass_time(1.1)
    assert bench.told == [("a", TIMEOUT)]

    bench.give("a", attempt=2)
    bench.give("b")
    assert bench.given() == [["a"], ["b"]]
    first = bench.workers[0].jobs["a"]
    bench.workers[0].done("a")
    bench.settle()

    assert [list(jobs) for jobs in bench.given()] == [["a"], ["b"]]
    assert bench.workers[0].jobs["a"] != first
    assert bench.pool.results_dropped == 1
    assert bench.told == [("a", TIMEOUT)]


def test_a_cancelled_thread_is_waited_for_too() -> None:
    """The same step of the same run does not overlap with itself."""
    bench = PoolBench(is_thread=True, workers=2)
    bench.give("a")
    bench.cancel("a")

    bench.give("a")
    assert bench.given() == [["a"]]
    bench.workers[0].done("a")
    bench.settle()

    assert bench.workers[0].log == ["run a", "cancel a", "run a"]
    assert bench.told == []


# ── the end ─────────────────────────────────────────────────────────────────────────────────────────────


def test_draining_lets_what_runs_end_and_starts_nothing() -> None:
    """What waits stays recorded and runs after the next start; the answer comes with the last one."""
    bench = PoolBench(workers=2)
    bench.give("a", "b", "waiting")

    drained = asked(bench, Drain())
    bench.workers[0].done("a")
    bench.settle()
    is_early = drained.is_set
    bench.give("new")
    bench.workers[1].failed("b")
    bench.settle()

    assert (is_early, drained.is_set) == (False, True)
    assert [step for step, _ in bench.told] == ["a", "b"]
    assert bench.given() == [[], []]


def test_draining_takes_back_what_was_prefetched() -> None:
    """It has not begun, and does not hold the end up."""
    bench = PoolBench()
    bench.know_as_short()
    bench.give("a", "b", "c")

    drained = asked(bench, Drain())
    assert bench.worker.log[-2:] == ["revoke b", "revoke c"]
    bench.worker.revoked("b", "c")
    bench.worker.done("a")
    bench.settle()

    assert drained.is_set
    assert bench.told == [("a", "result")]


def test_draining_an_idle_pool_is_answered_at_once() -> None:
    """There is nothing to wait for."""
    assert asked(PoolBench(), Drain()).is_set


def test_a_death_ends_a_drain_too() -> None:
    """What the worker ran is not started again."""
    bench = PoolBench(slots=2)
    bench.give("a", "b")
    drained = asked(bench, Drain())

    bench.worker.die()
    bench.settle()

    assert drained.is_set
    assert len(bench.workers) == 1


def test_shutting_down_kills_what_runs_and_hangs_up_on_the_idle() -> None:
    """Nobody is told or charged; the answer comes when the last worker is gone."""
    bench = PoolBench(workers=2)
    bench.give("a", "b")
    bench.workers[0].done("a")
    bench.settle()

    gone = asked(bench, ShutDown())

    assert [worker.log[-1] for worker in bench.workers] == ["hang up", "kill"]
    seen = []
    for worker in bench.workers:
        worker.die("SIGKILL")
        bench.settle()
        seen.append(gone.is_set)
    assert seen == [False, True]
    assert bench.told == [("a", "result")]
    assert bench.pool.workers_lost == 0


def test_an_idle_worker_that_does_not_end_is_killed() -> None:
    """A while after its socket was closed."""
    bench = PoolBench()
    bench.give("a")
    bench.worker.done("a")
    bench.settle()
    gone = asked(bench, ShutDown())

    bench.pass_time(HANG_UP_S * 1.1)

    assert bench.worker.log == ["run a", "hang up", "kill"]
    bench.worker.die()
    bench.settle()
    assert gone.is_set


def test_shutting_down_does_not_wait_for_threads() -> None:
    """They can't be killed, and end after what they are doing."""
    bench = PoolBench(is_thread=True)
    bench.give("a")

    assert asked(bench, ShutDown()).is_set


def test_a_pool_that_never_had_work_is_gone_at_once() -> None:
    """No worker, nothing to end."""
    assert asked(PoolBench(), ShutDown()).is_set
