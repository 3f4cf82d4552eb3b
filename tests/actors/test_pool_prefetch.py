"""The activity pool: a worker is given more than it can run, while all of it is short."""

from __future__ import annotations

import pytest

from tempolite.actors import frames
from tempolite.actors.attempts_under_way import LOADING_S
from tempolite.actors.crew import PREFETCH_MAX
from tempolite.actors.stall_watch import STALL_S
from tests.actors.scripted_worker import SHORT_S, Call, PoolBench


def prefetching(*steps: str, **settings: object) -> PoolBench:
    """One worker that was given these steps, all known to be short."""
    bench = PoolBench(**settings)  # type: ignore[arg-type]
    bench.know_as_short()
    bench.give(*steps)
    return bench


# ── when ────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_nobody_knows_is_not_prefetched() -> None:
    """It may be long: who comes after it goes to another worker, or waits."""
    bench = PoolBench()

    bench.give("a", "b")

    assert bench.given() == [["a"]]


def test_short_activities_are_prefetched_up_to_a_bound() -> None:
    """So that the worker's socket is never idle."""
    bench = PoolBench()
    bench.know_as_short()
    steps = [f"s{number}" for number in range(PREFETCH_MAX + 10)]

    bench.give(*steps)

    assert bench.given() == [steps[: 1 + PREFETCH_MAX]]
    assert bench.pool.counts() == (1, 1, PREFETCH_MAX + 9)


def test_prefetched_work_is_spread_over_all_workers() -> None:
    """A second worker is started before the first one gets a second activity."""
    bench = prefetching("a", "b", "c", "d", workers=2)

    assert bench.given() == [["a", "c"], ["b", "d"]]


def test_an_activity_that_is_known_to_be_long_is_not_prefetched() -> None:
    """By the average of how long it ran."""
    bench = PoolBench()
    bench.know_as_short()
    bench.give("slow one", call=Call("m:slow"))
    bench.worker.done("slow one", took_s=0.5)
    bench.settle()

    bench.give("short")
    bench.give("slow again", call=Call("m:slow"))

    assert bench.given() == [["short"]]


def test_nothing_is_prefetched_behind_a_long_one() -> None:
    """A short one doesn't wait where a long one runs."""
    bench = PoolBench()
    bench.know_as_short()
    bench.give("new to us", call=Call("m:new"))

    bench.give("short")

    assert bench.given() == [["new to us"]]


def test_an_activity_that_becomes_long_is_prefetched_no_more() -> None:
    """Averages move."""
    bench = prefetching("a", "b")
    assert bench.given() == [["a", "b"]]
    for step in ("a", "b"):
        bench.worker.done(step, took_s=0.1)
        bench.settle()

    bench.give("c", "d")

    assert bench.given() == [["c"]]


def test_a_worker_that_is_a_thread_is_given_only_what_it_runs() -> None:
    """There is no socket between that could be idle."""
    bench = PoolBench(is_thread=True)
    bench.know_as_short()

    bench.give("a", "b")

    assert bench.given() == [["a"]]


# ── stalls ──────────────────────────────────────────────────────────────────────────────────────────────


def test_what_waits_behind_a_stall_is_taken_back() -> None:
    """An activity turned out long after all: nobody waits for it."""
    bench = prefetching("long", "b", "c")

    bench.pass_time(STALL_S * 1.1)

    assert bench.worker.log[-2:] == ["revoke b", "revoke c"]


def test_what_was_taken_back_runs_elsewhere_in_its_order() -> None:
    """Before those that never had a worker, and nobody is charged."""
    bench = prefetching("long", "b", "c", workers=1)
    bench.give("after", call=Call("m:other"))
    bench.pass_time(STALL_S * 1.1)
    bench.worker.revoked("b", "c")
    bench.settle()
    assert bench.given() == [["long"]]

    for step in ("long", "b", "c", "after"):
        assert bench.given()[0][0] == step
        bench.worker.done(step, took_s=1.0)
        bench.settle()

    assert bench.told == [(step, "result") for step in ("long", "b", "c", "after")]


def test_short_ones_that_go_on_are_not_taken_back() -> None:
    """The clock is the oldest one's, which changes all the time."""
    bench = prefetching(*(f"s{number}" for number in range(20)))

    for number in range(10):
        bench.pass_time(STALL_S / 4)
        bench.worker.done(f"s{number}", took_s=SHORT_S)
        bench.settle()

    assert not [line for line in bench.worker.log if line.startswith("revoke")]


def test_a_result_that_was_only_not_read_yet_is_no_stall() -> None:
    """Where the engine's own thread is late, its workers are not: they are looked at twice."""
    bench = prefetching("a", "b", "c")

    bench.pass_time(STALL_S)
    bench.worker.done("a", took_s=SHORT_S)
    bench.settle()
    bench.pass_time(STALL_S / 2)

    assert not [line for line in bench.worker.log if line.startswith("revoke")]


def test_a_revoke_that_comes_too_late_changes_nothing() -> None:
    """The worker had begun: its result is the answer, once."""
    bench = prefetching("long", "b")
    bench.pass_time(STALL_S * 1.1)

    bench.worker.done("long", "b")
    bench.settle()
    bench.pass_time(60.0)

    assert bench.told == [("long", "result"), ("b", "result")]
    assert bench.given() == [[]]


def test_nobody_is_asked_back_twice() -> None:
    """However long the stall lasts."""
    bench = prefetching("long", "b")

    bench.pass_time(STALL_S * 20)

    assert bench.worker.log.count("revoke b") == 1


def test_a_stall_teaches_that_the_activity_is_long() -> None:
    """While it still runs: nothing is put behind its like in another worker."""
    bench = prefetching("long", "b", workers=1)
    bench.pass_time(STALL_S * 1.1)
    bench.worker.revoked("b")
    bench.settle()

    bench.give("c", "d")

    assert bench.given() == [["long"]]


# ── clocks ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("at_once", [True, False], ids=["in one breath", "one after the other"])
def test_a_time_out_counts_from_the_start_not_from_the_prefetch(at_once: bool) -> None:
    """What waits in a worker has not begun; its time begins when the worker begins it (P8)."""
    bench = PoolBench()
    bench.know_as_short()
    bench.give("a")
    bench.give("b", timeout_s=1.0)
    ended = frames.Done(bench.worker.jobs["a"], b"1", SHORT_S)
    begun = frames.Started(bench.worker.jobs["b"])

    bench.pass_time(1.5)
    assert "terminate" not in bench.worker.log
    for said in [(ended, begun)] if at_once else [(ended,), (begun,)]:
        bench.worker.say(*said)
        bench.settle()
    bench.pass_time(0.9)
    assert "terminate" not in bench.worker.log
    bench.pass_time(0.2)

    assert "terminate" in bench.worker.log


def test_the_clock_of_what_was_taken_back_begins_anew() -> None:
    """It seemed to be next when it was given back; an alarm of then must not ring now (P8)."""
    bench = prefetching("long")
    bench.give("b", timeout_s=10.0)
    bench.pass_time(STALL_S * 1.1)
    bench.worker.done("long")
    bench.settle()
    bench.worker.revoked("b")
    bench.settle()

    assert_ten_seconds_from_its_beginning(bench, "b")


def test_the_clock_of_what_is_shipped_again_begins_anew() -> None:
    """The worker could not load it: its time begins where it can (P8)."""
    bench = PoolBench()
    bench.give("a", timeout_s=10.0)
    bench.worker.unknown("a")
    bench.settle()

    assert_ten_seconds_from_its_beginning(bench, "a")


def assert_ten_seconds_from_its_beginning(bench: PoolBench, step: str) -> None:
    """The step has been given to the worker again; it takes long to load, and then has all its time."""
    assert bench.given() == [[step]]
    bench.pass_time(LOADING_S + 9.0)
    bench.worker.begins(step)
    bench.pass_time(9.0)
    assert "terminate" not in bench.worker.log
    bench.pass_time(1.1)
    assert bench.worker.log[-1] == "terminate"
