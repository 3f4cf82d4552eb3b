"""A pool whose number of workers changes while it works."""

from __future__ import annotations

import pytest

from tempolite.actors.crew import HANG_UP_S
from tempolite.actors.messages import Scale
from tests.actors.scripted_worker import PoolBench


def scale(bench: PoolBench, workers: int) -> int:
    """Changes the number; how many it had before."""
    reply = bench.pool.actor_ref.ask(Scale(workers), block=False)
    bench.settle()
    before: int = reply.get(timeout=0)
    return before


def test_more_workers_take_what_waits() -> None:
    """At once, without waiting for those who are busy."""
    bench = PoolBench()
    bench.give("a", "b", "c")
    assert bench.given() == [["a"]]

    assert scale(bench, 3) == 1

    assert bench.given() == [["a"], ["b"], ["c"]]
    assert bench.pool.counts() == (3, 3, 0)


def test_idle_workers_leave_at_once() -> None:
    """They are hung up on; nobody counts them as lost."""
    bench = PoolBench(workers=3)
    bench.give("a", "b", "c")
    for worker, step in zip(bench.workers, "abc", strict=True):
        worker.done(step)
    bench.settle()

    scale(bench, 1)
    assert [worker.log[-1] for worker in bench.workers].count("hang up") == 2
    for worker in bench.workers:
        if worker.log[-1] == "hang up":
            worker.die("exit code 0")
    bench.settle()
    bench.give("d", "e")

    assert bench.pool.workers_lost == 0
    assert len(bench.workers) == 3
    assert sorted(step for steps in bench.given() for step in steps) == ["d"]


def test_busy_workers_leave_after_their_work() -> None:
    """Their results count, and they get nothing more."""
    bench = PoolBench(workers=2)
    bench.give("a", "b")

    scale(bench, 1)
    bench.give("c")
    assert all("hang up" not in worker.log for worker in bench.workers)
    for worker, step in zip(bench.workers, "ab", strict=True):
        worker.done(step)
        bench.settle()

    assert bench.told == [("a", "result"), ("b", "result")]
    assert sorted("hang up" in worker.log for worker in bench.workers) == [False, True]
    assert [step for steps in bench.given() for step in steps] == ["c"]


def test_scaled_to_none_it_holds_what_comes() -> None:
    """And goes on when there are workers again."""
    bench = PoolBench()
    bench.give("a")
    scale(bench, 0)
    bench.give("b")
    bench.worker.done("a")
    bench.settle()
    assert bench.worker.log == ["run a", "hang up"]
    bench.worker.die("exit code 0")
    bench.pass_time(60.0)
    assert bench.pool.counts() == (0, 0, 1)

    assert scale(bench, 1) == 0

    assert bench.given() == [[], ["b"]]


def test_who_was_to_leave_stays_when_there_is_room_again() -> None:
    """A busy worker is not replaced by a new one."""
    bench = PoolBench()
    bench.give("a")
    scale(bench, 0)

    scale(bench, 1)
    bench.worker.done("a")
    bench.settle()
    bench.give("b")

    assert bench.worker.log == ["run a", "run b"]


def test_what_a_leaving_worker_was_given_in_advance_is_taken_back() -> None:
    """It runs elsewhere, or later."""
    bench = PoolBench()
    bench.know_as_short()
    bench.give("a", "b")
    assert bench.given() == [["a", "b"]]

    scale(bench, 0)

    assert bench.worker.log == ["run a", "run b", "revoke b"]


def test_a_worker_that_does_not_leave_is_killed() -> None:
    """An idle worker whose connection is closed has nothing to wait for."""
    bench = PoolBench()
    bench.give("a")
    bench.worker.done("a")
    scale(bench, 0)

    bench.pass_time(HANG_UP_S + 0.1)

    assert bench.worker.log[-2:] == ["hang up", "kill"]


@pytest.mark.parametrize("busy", [True, False])
def test_threads_leave_as_well(busy: bool) -> None:
    """After what they do; a thread can't be killed."""
    bench = PoolBench(is_thread=True)
    bench.give("a")
    if not busy:
        bench.worker.done("a")

    scale(bench, 0)
    if busy:
        assert bench.worker.log == ["run a"]
        bench.worker.done("a")
        bench.settle()

    assert bench.told == [("a", "result")]
    assert bench.worker.log == ["run a", "hang up"]
    scale(bench, 1)
    bench.give("b")
    assert bench.given() == [[], ["b"]]
