"""The activity pool: who gets a worker, when, and which one."""

from __future__ import annotations

import pytest

from tempolite.actors.messages import ActivityEnded
from tempolite.core.identifiers import StepKey
from tests.actors.scripted_worker import FAILURE, Call, PoolBench

# ── order ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(5))
def test_the_highest_priority_is_next(seed: int) -> None:
    """Equal ones in the order in which they came."""
    bench = PoolBench(seed)
    bench.give("first")
    for step, priority in (("c", 0), ("a", 5), ("e", -1), ("b", 5), ("d", 0)):
        bench.give(step, priority=priority)

    for step in ("first", "a", "b", "c", "d", "e"):
        assert bench.given() == [[step]]
        bench.worker.done(step)
        bench.settle()

    assert [step for step, _ in bench.told] == ["first", "a", "b", "c", "d", "e"]


def test_a_result_reaches_the_run_with_what_it_belongs_to() -> None:
    """Step, scheduling and attempt, so that late ones can be told from others."""
    bench = PoolBench()
    bench.give("charge", attempt=3)

    bench.worker.done("charge", result=b'"ok"')
    bench.settle()

    assert bench.run.log == [ActivityEnded(StepKey("charge"), 7, 3, b'"ok"')]


def test_a_failure_reaches_the_run_as_data() -> None:
    """As the worker took it apart; the worker is used again."""
    bench = PoolBench()
    bench.give("charge")

    bench.worker.failed("charge")
    bench.settle()
    bench.give("next")

    assert bench.run.log == [ActivityEnded(StepKey("charge"), 7, 1, None, FAILURE)]
    assert bench.given() == [["next"]]


# ── workers and slots ───────────────────────────────────────────────────────────────────────────────────


def test_workers_are_started_when_there_is_work_for_them() -> None:
    """None at first, one for each activity, and no more than the queue allows."""
    bench = PoolBench(workers=3)
    assert bench.workers == []

    bench.give("a", "b", "c", "d")

    assert bench.given() == [["a"], ["b"], ["c"]]


def test_an_idle_worker_is_used_before_a_new_one_is_started() -> None:
    """A queue with little to do stays with one."""
    bench = PoolBench(workers=3)
    for step in ("a", "b", "c"):
        bench.give(step)
        bench.worker.done(step)
        bench.settle()

    assert len(bench.workers) == 1


def test_work_is_spread_before_slots_are_filled() -> None:
    """Each worker gets one before any gets a second; then the emptiest is next."""
    bench = PoolBench(workers=2, slots=2)

    bench.give("a", "b", "c", "d", "e")
    assert bench.given() == [["a", "c"], ["b", "d"]]

    bench.workers[1].done("b")
    bench.settle()
    assert bench.given() == [["a", "c"], ["d", "e"]]


@pytest.mark.parametrize("slots", [1, 3])
def test_a_worker_runs_as_many_as_it_has_slots(slots: int) -> None:
    """As long as nobody knows that they are short."""
    bench = PoolBench(slots=slots)

    bench.give("a", "b", "c", "d")

    assert len(bench.given()[0]) == slots
    assert bench.pool.counts() == (1, slots, 4 - slots)


def test_a_queue_without_workers_holds_everything() -> None:
    """It accepts, and starts nothing."""
    bench = PoolBench(workers=0)

    bench.give("a", "b")

    assert bench.workers == []
    assert bench.pool.counts() == (0, 0, 2)


@pytest.mark.parametrize("first_alone", [True, False])
def test_an_activity_that_wants_to_be_alone_is(first_alone: bool) -> None:
    """Nothing joins it in its worker, and it joins nobody, whatever the slots."""
    bench = PoolBench(slots=4)
    bench.give("first", alone=first_alone)

    bench.give("second", alone=not first_alone)
    assert bench.given() == [["first"]]

    bench.worker.done("first")
    bench.settle()
    assert bench.given() == [["second"]]


def test_who_wants_to_be_alone_is_not_overtaken_for_ever() -> None:
    """It keeps its place while a worker empties."""
    bench = PoolBench(slots=2)
    bench.give("a", "b")
    bench.give("alone", alone=True)
    bench.give("c", "d")

    for step in ("a", "b"):
        bench.worker.done(step)
        bench.settle()

    assert bench.given() == [["alone"]]


# ── rates ───────────────────────────────────────────────────────────────────────────────────────────────


def test_starts_are_spread_as_the_rate_says() -> None:
    """A burst of one second, then one start after the other."""
    bench = PoolBench(workers=10, rate="2/s")
    starts: list[tuple[int, float]] = []
    bench.schedule(*(f"s{number}" for number in range(7)))

    for _ in range(30):
        bench.pass_time(0.1)
        starts.append((sum(len(steps) for steps in bench.given()), round(bench.clock.monotonic_s(), 2)))

    seen = {count: next(at for started, at in starts if started >= count) for count in range(2, 8)}
    assert seen == {2: 0.1, 3: 0.5, 4: 1.0, 5: 1.5, 6: 2.0, 7: 2.5}


@pytest.mark.parametrize("seed", range(3))
def test_no_second_has_more_starts_than_rate_and_burst(seed: int) -> None:
    """However fast workers are done, and retries count like any other start."""
    bench, starts = PoolBench(seed, workers=1, rate="10/s"), 0
    bench.schedule(*(f"s{number}" for number in range(60)), attempt=2)

    for tenth in range(1, 31):
        bench.pass_time(0.1)
        while bench.workers and bench.worker.jobs:
            starts += 1
            bench.worker.done(next(iter(bench.worker.jobs)))
            bench.settle()
        assert starts <= 10 + tenth

    assert starts == 40


def test_a_rate_without_a_free_worker_uses_no_tokens_up() -> None:
    """Who waits for a worker has not started."""
    bench = PoolBench(workers=1, rate="1/m")
    bench.give("a", "b")
    bench.pass_time(61.0)

    bench.worker.done("a")
    bench.settle()

    assert bench.given() == [["b"]]


# ── what can't be started ───────────────────────────────────────────────────────────────────────────────


def test_a_callable_that_can_not_be_shipped_fails_its_own_activity() -> None:
    """With the error that says why; the worker goes on with others."""
    bench = PoolBench()
    bench.give("warm up")
    bench.worker.done("warm up")
    bench.settle()
    bench.worker.refuses = TypeError("a lock can't be shipped")

    bench.give("bad", "good")

    assert bench.told[1:] == [("bad", "builtins:TypeError")]
    assert bench.given() == [["good"]]


def test_a_callable_that_no_name_leads_to_is_shipped_by_value() -> None:
    """And runs again, which is no attempt more."""
    bench, call = PoolBench(), Call("m:f")
    bench.give("charge", call=call)

    bench.worker.unknown("charge", "no module named 'shop'")
    bench.settle()
    bench.worker.done("charge")
    bench.settle()

    assert call.reasons == ["no module named 'shop'"]
    assert bench.run.log == [ActivityEnded(StepKey("charge"), 7, 1, b"1")]


def test_a_callable_that_can_not_go_by_value_either_fails_its_activity() -> None:
    """Once, with the reason; it is not tried for ever."""
    bench = PoolBench()
    bench.give("charge", call=Call("m:f", by_value_error=ImportError("neither by name nor by value")))

    bench.worker.unknown("charge")
    bench.settle()

    assert bench.told == [("charge", "builtins:ImportError")]
    assert bench.given() == [[]]


def test_a_worker_that_can_not_be_started_now_is_started_later() -> None:
    """The system has no room for a process; the work waits, and nothing fails."""
    bench = PoolBench()
    bench.hire_errors = [OSError("too many open files")] * 2
    bench.give("charge")
    assert bench.workers == []

    bench.pass_time(5.0)

    assert bench.given() == [["charge"]]
    assert bench.told == []
