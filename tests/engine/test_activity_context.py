"""What an activity learns and tells while it runs: heartbeats, progress, cancellation."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tempolite import (
    ActivityContext,
    ActivityTimeout,
    HeartbeatTimeout,
    InvalidArguments,
    NotStorable,
    Queue,
    RetryPolicy,
    WorkflowContext,
    activity,
)
from tempolite.actors.messages import CancelActivities
from tempolite.core.identifiers import WorkflowId
from tests.engine.attentive_activities import (
    asked_once,
    beat_with_a_lock,
    die_after_heartbeat,
    fail_after_heartbeats,
    many_heartbeats,
    never_looks,
    silent,
    until_cancelled,
    until_cancelled_async,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, pass_gate
from tests.workers.processes import wait_for

KINDS = ["process", "thread", "inline"]
TWICE = RetryPolicy(max_attempts=2, initial_interval=0.001)


def queue_of(kind: Any, **settings: Any) -> list[Queue]:
    return [Queue("default", kind=kind, workers=1, **settings)]


def step_of(fn: Any, *args: Any) -> Any:
    def flow(ctx: WorkflowContext) -> Any:
        return ctx.activity("step", fn, *args).get()

    return flow


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_attempt_knows_the_last_heartbeat(make_engine: EngineMaker, kind: str) -> None:
    """The details come back equal, and of the same types; they stand in the record of the failure."""
    engine = make_engine(queues=queue_of(kind))

    info = engine.execute("a", step_of(activity(fail_after_heartbeats, retry=TWICE)))

    assert info.get(timeout=20) == (2, {"page": 2, "at": (2, b"x")})
    (failed,) = (event for event in info.history() if event.type == "ActivityAttemptFailed")
    assert failed.payload["heartbeat"]["page"] == 2


def test_the_last_heartbeat_survives_the_worker(make_engine: EngineMaker) -> None:
    """A worker that was lost leaves it to the one that runs the attempt again."""
    engine = make_engine(queues=queue_of("process"))

    assert engine.execute("a", step_of(die_after_heartbeat)).get(timeout=20) == "so far"


@pytest.mark.parametrize("kind", KINDS)
def test_a_flood_of_heartbeats_keeps_the_latest(make_engine: EngineMaker, kind: str) -> None:
    """Not each of them goes out, but the last one does."""
    engine = make_engine(queues=queue_of(kind))

    info = engine.execute("a", step_of(activity(many_heartbeats, retry=TWICE)))

    assert info.get(timeout=30) == 99_999


def test_details_that_cannot_be_stored_are_refused(make_engine: EngineMaker) -> None:
    """Where they are given."""
    engine = make_engine(queues=queue_of("process"))

    with pytest.raises(NotStorable, match="heartbeat"):
        engine.execute("a", step_of(beat_with_a_lock)).get(timeout=20)


@pytest.mark.parametrize("kind", ["process", "thread"])
def test_an_attempt_that_falls_silent_is_given_up(make_engine: EngineMaker, gate: Gate, kind: str) -> None:
    """``HeartbeatTimeout``, an ``ActivityTimeout``: tried again by its policy, with what it had told."""
    engine = make_engine(queues=queue_of(kind))
    step = activity(silent, heartbeat_timeout=0.3, grace=0.1, retry=TWICE)

    info = engine.execute("a", step_of(step, gate.path))
    gate.wait_until_reached()
    # A thread can't be stopped: the next attempt begins when it has come back.
    wait_for("the time-out", lambda: "ActivityAttemptFailed" in {event.type for event in info.history()})
    gate.release()

    assert info.get(timeout=20) == 1


def test_a_heartbeat_timeout_is_a_time_out(make_engine: EngineMaker, gate: Gate) -> None:
    """Whoever catches ``TimeoutError`` gets it."""
    engine = make_engine(queues=queue_of("process"))
    step = activity(silent, heartbeat_timeout=0.2, grace=0.1)

    with pytest.raises(HeartbeatTimeout) as caught:
        engine.execute("a", step_of(step, gate.path)).get(timeout=20)

    assert isinstance(caught.value, ActivityTimeout)
    assert isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize(
    "queues",
    [queue_of("process"), queue_of("process", slots=3), queue_of("thread")],
    ids=["process", "process with slots", "thread"],
)
@pytest.mark.parametrize("fn", [until_cancelled, until_cancelled_async])
@pytest.mark.parametrize("by", ["time-out", "cancellation"])
def test_an_activity_that_looks_ends_by_itself(
    make_engine: EngineMaker, gate: Gate, effects: Effects, queues: list[Queue], fn: Any, by: str
) -> None:
    """``ctx.cancelled`` turns true; what follows in the code still runs."""
    engine = make_engine(queues=queues)
    timeout = 0.3 if by == "time-out" else None

    info = engine.execute("a", step_of(activity(fn, timeout=timeout, grace=30), gate.path, effects.path))
    gate.wait_until_reached()
    if by == "cancellation":
        engine._system.pool_of("default").tell(CancelActivities(WorkflowId("a")))
    else:
        with pytest.raises(ActivityTimeout):
            info.get(timeout=20)

    assert engine.execute("b", step_of(len, "abc")).get(timeout=20) == 3
    engine.close(timeout=20)
    assert effects.lines() == ["cancelled"]


def test_who_never_looks_is_interrupted(make_engine: EngineMaker, effects: Effects) -> None:
    """Long before its grace is over."""
    engine = make_engine(queues=queue_of("process"))
    step = activity(never_looks, timeout=0.2, grace=15)

    with pytest.raises(ActivityTimeout):
        engine.execute("a", step_of(step, effects.path)).get(timeout=7)

    assert effects.lines() == ["cleaned up"]


def test_who_looked_once_and_goes_on_is_interrupted(make_engine: EngineMaker, effects: Effects) -> None:
    """By a second TERM in the middle of its grace: its ``finally`` blocks run."""
    engine = make_engine(queues=queue_of("process"))
    step = activity(asked_once, timeout=0.2, grace=3)

    with pytest.raises(ActivityTimeout):
        engine.execute("a", step_of(step, effects.path)).get(timeout=20)

    assert effects.lines() == ["cleaned up, True"]


def test_progress_of_a_run_can_be_seen(make_engine: EngineMaker, gate: Gate) -> None:
    """While the activity runs; afterwards there is none."""

    def tells(ctx: ActivityContext, gate: str) -> None:
        ctx.progress(3, 10)
        pass_gate(gate)

    engine = make_engine(queues=queue_of("thread"))
    info = engine.execute("a", step_of(tells, gate.path))
    gate.wait_until_reached()
    assert info.progress == 0.3
    gate.release()
    info.get(timeout=20)

    assert info.progress is None


def test_progress_of_several_activities_is_taken_together(
    make_engine: EngineMaker, make_gate: Callable[[str], Gate]
) -> None:
    """Of those that run, and say of how much; what the workflow itself says comes first."""

    def tells(ctx: ActivityContext, gate: str, done: float, total: float | None) -> None:
        ctx.progress(done, total)
        pass_gate(gate)

    def parallel(ctx: WorkflowContext, *gates: str) -> None:
        told = zip(gates, [(3, 10), (1, 30), (5, None)], strict=True)
        ctx.wait_all(*[ctx.activity("part", tells, gate, *how_far) for gate, how_far in told])
        ctx.set_status("parts are done", progress=50)
        ctx.activity("last", tells, gates[0], 1, 2).get()

    gates = [make_gate(name) for name in "abc"]
    engine = make_engine(queues=[Queue("default", kind="thread", workers=3)])
    info = engine.execute("a", parallel, *[gate.path for gate in gates])
    for gate in gates:
        gate.wait_until_reached()
    assert info.progress == 0.1
    for gate in gates:
        gate.release()
    gates[0].wait_until_reached()

    assert info.progress == 50
    gates[0].release()
    info.get(timeout=20)
    assert info.progress == 50


def test_a_context_can_be_made_by_hand(caplog: pytest.LogCaptureFixture) -> None:
    """For whoever calls an activity in a test of their own: nobody listens, nothing fails."""
    ctx = ActivityContext("w", "step", 1, "key")

    with caplog.at_level(logging.INFO, "tempolite.activity"):
        ctx.logger.info("here")
    ctx.heartbeat(object())
    ctx.progress(1)
    with pytest.raises(InvalidArguments, match="'3 of 4'"):
        ctx.progress("3 of 4")  # type: ignore[arg-type]

    assert (ctx.last_heartbeat, ctx.cancelled) == (None, False)
    assert caplog.records[0].step == "step"  # type: ignore[attr-defined]
