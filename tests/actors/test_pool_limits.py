"""Deadlines, heartbeats and at-most-once attempts, as the pool sees them."""

from __future__ import annotations

from typing import Any

import pytest

from tempolite.actors import frames
from tempolite.actors.clearances import CLEARANCE_S
from tempolite.actors.messages import ActivityEnded, ActivityNext
from tempolite.core.identifiers import StepKey, WorkflowId
from tests.actors.scripted_worker import FAILURE, PoolBench

DEADLINE = "tempolite.errors:DeadlineExceeded"
HEARTBEAT = "tempolite.errors:HeartbeatTimeout"
TIMEOUT = "tempolite.errors:ActivityTimeout"


def beat(bench: PoolBench, step: str, details: bytes = b"", progress: Any = None) -> None:
    bench.worker.say(frames.Beat(bench.worker.jobs[step], details, progress))
    bench.settle()


def killed(bench: PoolBench) -> list[tuple[str, str]]:
    """What was told after the worker had died of what the pool asked for."""
    assert "terminate" in bench.worker.log
    bench.worker.die()
    bench.settle()
    return bench.told


# ── heartbeats ──────────────────────────────────────────────────────────────────────────────────────────


def test_an_attempt_without_heartbeats_is_stopped() -> None:
    """``HeartbeatTimeout`` once the time between two of them is over, counted from its start."""
    bench = PoolBench()
    bench.give("a", heartbeat_timeout_s=2.0)
    bench.pass_time(1.0)
    bench.worker.begins("a")

    bench.pass_time(1.9)
    assert "terminate" not in bench.worker.log
    bench.pass_time(0.2)

    assert killed(bench) == [("a", HEARTBEAT)]


def test_each_heartbeat_gives_it_the_time_anew() -> None:
    """However long it takes in all."""
    bench = PoolBench()
    bench.start("a", heartbeat_timeout_s=2.0)

    for _ in range(5):
        bench.pass_time(1.5)
        beat(bench, "a")
    assert "terminate" not in bench.worker.log
    bench.pass_time(2.1)

    assert killed(bench) == [("a", HEARTBEAT)]


def test_the_details_of_the_last_heartbeat_travel_with_the_failure() -> None:
    """A heartbeat without details does not wipe out those before; progress stands beside them."""
    bench = PoolBench()
    bench.start("a")
    beat(bench, "a", b"1")
    beat(bench, "a", b"2")
    beat(bench, "a", progress=(3, 4))

    assert bench.pool.progress_of(WorkflowId("w")) == {"a": (3, 4)}
    bench.worker.failed("a")
    bench.settle()

    (ended,) = bench.run.log
    assert (ended.failure, ended.heartbeat) == (FAILURE, b"2")


def test_the_details_travel_with_a_loss_and_a_time_out_too() -> None:
    """Whatever ends the attempt, the next one knows how far it was."""
    bench = PoolBench()
    bench.start("a")
    beat(bench, "a", b"1")
    bench.worker.die()
    bench.settle()
    assert bench.run.log[-1].heartbeat == b"1"

    bench.give("b", timeout_s=1.0)
    worker = bench.workers[-1]
    worker.begins("b")
    worker.say(frames.Beat(worker.jobs["b"], b"2"))
    bench.pass_time(1.1)
    worker.die()
    bench.settle()

    assert bench.run.log[-1].heartbeat == b"2"


# ── deadlines ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_deadline_of_a_first_attempt_counts_from_its_start() -> None:
    """Not from its queueing; its run learns when that was, for the attempts that follow."""
    bench = PoolBench()
    bench.give("a", deadline_s=2.0)
    bench.pass_time(5.0)
    bench.worker.begins("a")
    bench.settle()
    began_at = bench.clock.now_us()

    bench.pass_time(1.9)
    assert "terminate" not in bench.worker.log
    bench.pass_time(0.2)

    assert killed(bench) == [("a", DEADLINE)]
    (ended,) = bench.run.log
    assert isinstance(ended, ActivityEnded)
    assert ended.began_at == began_at
    assert ended.failure is not None
    assert not ended.failure.retryable


def test_a_known_deadline_ends_an_attempt_whenever_it_began() -> None:
    """All attempts share it."""
    bench = PoolBench()
    bench.start("a", deadline_s=9.0, deadline_at=bench.clock.now_us() + 2_000_000, timeout_s=5.0)

    bench.pass_time(2.1)

    assert killed(bench) == [("a", DEADLINE)]


def test_a_deadline_can_pass_in_the_queue() -> None:
    """A later attempt that finds no worker in time is not started."""
    bench = PoolBench()
    bench.start("busy")
    bench.give("a", deadline_at=bench.clock.now_us() + 1_000_000)

    bench.pass_time(1.1)
    assert bench.told == [("a", DEADLINE)]
    bench.worker.done("busy")
    bench.settle()

    assert "run a" not in bench.worker.log


def test_the_shorter_limit_gives_the_name() -> None:
    """A time-out before the deadline may be tried again."""
    bench = PoolBench()
    bench.start("a", deadline_s=5.0, timeout_s=1.0)

    bench.pass_time(1.1)

    assert killed(bench) == [("a", TIMEOUT)]
    assert bench.run.log[0].failure.retryable


# ── at most once ────────────────────────────────────────────────────────────────────────────────────────


def clear(bench: PoolBench, *steps: str) -> None:
    """The run has recorded that these start."""
    bench.give(*steps, once=True, is_cleared=True, alone=True)


def test_an_at_most_once_attempt_begins_when_its_start_is_recorded() -> None:
    """The pool tells the run that it is next, and waits until the run asks again."""
    bench = PoolBench()
    bench.give("a", once=True, alone=True)
    assert bench.run.log == [ActivityNext(StepKey("a"), 7, 1)]
    assert all("run a" not in worker.log for worker in bench.workers)

    clear(bench, "a")

    assert bench.worker.log == ["run a"]


def test_no_more_are_announced_than_can_start() -> None:
    """What is recorded as started and interrupted then has an unknown outcome, so it must not wait long."""
    bench = PoolBench(workers=2)
    bench.give("a", "b", "c", once=True, alone=True)
    assert [message.step for message in bench.run.log] == ["a", "b"]

    clear(bench, "a", "b")
    assert len(bench.run.log) == 2
    bench.workers[0].done("a")
    bench.settle()

    assert [message.step for message in bench.run.log if isinstance(message, ActivityNext)] == ["a", "b", "c"]


def test_a_cleared_attempt_goes_before_others() -> None:
    """It is recorded as started."""
    bench = PoolBench()
    bench.give("a", once=True, alone=True)
    bench.give("b", "c")

    clear(bench, "a")
    bench.worker.done("b")
    bench.settle()

    assert bench.worker.log == ["run b", "run a"]


def test_a_run_that_never_answers_holds_no_place() -> None:
    """It may be gone, or stuck: others are announced in its stead."""
    bench = PoolBench()
    bench.give("a", "b", once=True, alone=True)
    assert len(bench.run.log) == 1

    bench.pass_time(CLEARANCE_S + 0.1)

    assert [message.step for message in bench.run.log] == ["a", "b"]


@pytest.mark.parametrize(
    "limits", [{}, {"timeout_s": 1.0}, {"deadline_s": 1.0}, {"heartbeat_timeout_s": 1.0}]
)
def test_only_attempts_with_limits_say_when_they_begin(limits: dict[str, float]) -> None:
    """It costs a frame, which others save."""
    bench = PoolBench()

    bench.give("a", **limits)

    assert bench.worker.asked["a"].terms.tells_start is bool(limits)
