"""Runs that want nothing of an activity any more, and results that nobody waits for."""

from __future__ import annotations

from tempolite.actors import frames
from tests.actors.scripted_worker import PoolBench

# ── cancellation ────────────────────────────────────────────────────────────────────────────────────────


def test_a_cancelled_activity_that_waits_is_forgotten() -> None:
    """It never begins, and nobody is told."""
    bench = PoolBench()
    bench.give("running", "a", "b")

    bench.cancel("a")
    bench.worker.done("running")
    bench.settle()

    assert bench.given() == [["b"]]
    assert bench.told == [("running", "result")]


def test_a_cancelled_activity_that_runs_is_stopped() -> None:
    """TERM, grace, KILL; nobody is told of its end (P8)."""
    bench = PoolBench()
    bench.give("a", grace_s=3.0)

    bench.cancel("a")
    assert bench.worker.log == ["run a", "terminate"]
    bench.pass_time(3.1)
    assert bench.worker.log == ["run a", *["terminate"] * 3, "kill"]
    bench.worker.die()
    bench.settle()
    bench.pass_time(60.0)

    assert bench.told == []
    assert bench.given() == [[]]
    assert bench.pool.workers_lost == 0


def test_cancelling_a_run_stops_all_of_it_and_nothing_else() -> None:
    """Another run's step of the same name goes on."""
    bench = PoolBench(workers=3)
    bench.give("a", "b", workflow="cancelled")
    bench.give("c", workflow="other")
    bench.give("a", workflow="cancelled")
    bench.give("a", workflow="other")

    bench.cancel(workflow="cancelled")

    assert [worker.log[-1] for worker in bench.workers] == ["terminate", "terminate", "run c"]
    bench.workers[2].done("c")
    bench.settle()
    assert bench.given()[2] == ["a"]


def test_the_result_of_a_cancelled_activity_is_dropped_and_counted() -> None:
    """It came all the same."""
    bench = PoolBench()
    bench.give("a")
    bench.cancel("a")

    bench.worker.done("a")
    bench.settle()

    assert bench.told == []
    assert bench.pool.results_dropped == 1


def test_others_in_the_worker_of_a_cancelled_one_run_again() -> None:
    """Uncharged: running or not begun."""
    bench = PoolBench(slots=2)
    bench.give("a", "b")

    bench.cancel("a")
    bench.worker.die("SIGTERM")
    bench.settle()

    assert bench.told == []
    assert bench.given() == [[], ["b"]]


def test_a_cancelled_activity_that_was_prefetched_is_asked_back() -> None:
    """The worker goes on with the others, and nobody is told."""
    bench = PoolBench()
    bench.know_as_short()
    bench.give("a", "b", "c")

    bench.cancel("b")
    assert bench.worker.log[-1] == "revoke b"
    bench.worker.revoked("b")
    bench.worker.done("a", "c")
    bench.settle()

    assert bench.told == [("a", "result"), ("c", "result")]
    assert "terminate" not in bench.worker.log


def test_a_cancelled_activity_that_begins_all_the_same_is_stopped() -> None:
    """The worker had begun it when it was asked back: it runs, so it is stopped like any other (P8)."""
    bench = PoolBench()
    bench.know_as_short()
    bench.give("a", "b", grace_s=1.0)
    bench.cancel("b")

    bench.worker.done("a")
    bench.settle()
    bench.pass_time(5.0)

    assert bench.worker.log[-2:] == ["terminate", "kill"]


# ── results that nobody waits for ───────────────────────────────────────────────────────────────────────


def test_a_result_of_an_attempt_that_nobody_knows_is_dropped_and_counted() -> None:
    """A late result of a superseded attempt changes nothing (P6)."""
    bench = PoolBench()
    bench.give("a")

    bench.worker.say(frames.Done(4_711, b'"who?"'))
    bench.settle()

    assert bench.told == []
    assert bench.pool.results_dropped == 1
    assert bench.given() == [["a"]]


def test_a_run_that_is_gone_is_not_told() -> None:
    """The worker is free all the same."""
    bench = PoolBench()
    bench.give("a")
    bench.run.stop_now()

    bench.worker.done("a")
    bench.settle()

    assert bench.pool.counts() == (1, 0, 0)
