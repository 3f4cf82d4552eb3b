"""Limits of activities: deadline, memory, and at most once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    ActivityTimeout,
    DeadlineExceeded,
    InvalidArguments,
    Queue,
    RetryPolicy,
    UnknownOutcome,
    WorkerLost,
    WorkflowContext,
    activity,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate
from tests.engine.limited_activities import MIB, allocate, cope, die_once, fail, note_and_hold, raise_once

PROCESS = [Queue("default", workers=1)]
THREAD = [Queue("default", kind="thread", workers=1)]
FOR_EVER = RetryPolicy(max_attempts=None, initial_interval=0.02, backoff=1, jitter=False)


def step_of(fn: Any, *args: Any) -> Any:
    def flow(ctx: WorkflowContext) -> Any:
        return ctx.activity("step", fn, *args).get()

    return flow


# ── deadline ────────────────────────────────────────────────────────────────────────────────────────────


def test_no_attempt_begins_after_the_deadline(make_engine: EngineMaker, effects: Effects) -> None:
    """``DeadlineExceeded``, a ``TimeoutError``, with the last failure as its cause; whatever the policy."""
    engine = make_engine(queues=THREAD)
    step = activity(fail, deadline=0.3, retry=FOR_EVER)

    with pytest.raises(DeadlineExceeded) as caught:
        engine.execute("a", step_of(step, effects.path)).get(timeout=20)

    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value.__cause__, ValueError)
    assert len(effects.lines()) > 1


def test_the_deadline_stops_an_attempt(make_engine: EngineMaker, gate: Gate) -> None:
    """It is not tried again, though its policy allows it."""
    engine = make_engine(queues=PROCESS)
    step = activity(pass_gate, deadline=0.3, grace=0.1, retry=FOR_EVER)

    with pytest.raises(DeadlineExceeded):
        engine.execute("a", step_of(step, gate.path)).get(timeout=20)

    assert engine.execute("b", step_of(len, "abc")).get(timeout=20) == 3


def test_a_crash_does_not_renew_the_deadline(make_engine: EngineMaker, path: Path, effects: Effects) -> None:
    """When the first attempt began stands in the record of its failure."""
    policy = RetryPolicy(max_attempts=None, initial_interval=0.2, backoff=1, jitter=False)
    flow = step_of(activity(fail, deadline=0.3, retry=policy), effects.path)
    first = make_engine(path, queues=THREAD)
    info = first.execute("a", flow)
    with pytest.raises(TimeoutError):
        info.get(timeout=0.1)
    first._crash()

    with pytest.raises(DeadlineExceeded):
        make_engine(path, queues=THREAD, workflows=[flow]).get("a").get(timeout=20)


# ── memory ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_activity_over_its_memory_limit_is_lost(make_engine: EngineMaker, effects: Effects) -> None:
    """P7: it costs only itself, runs again in a new worker, and the third time fails with ``WorkerLost``."""
    engine = make_engine(queues=PROCESS)
    step = activity(allocate, memory_limit=64 * MIB)

    with pytest.raises(WorkerLost) as caught:
        engine.execute("a", step_of(step, 512, effects.path)).get(timeout=20)

    assert "memory limit" in caught.value.cause
    assert len(set(effects.lines())) == 3
    assert engine.execute("b", step_of(allocate, 512)).get(timeout=20) == 512 * MIB


def test_an_activity_within_its_memory_limit_knows_nothing_of_it(make_engine: EngineMaker) -> None:
    """The limit is what it may use itself, beyond what a worker needs."""
    engine = make_engine(queues=PROCESS)
    step = activity(allocate, memory_limit=64 * MIB)

    assert engine.execute("a", step_of(step, 32)).get(timeout=20) == 32 * MIB
    assert engine.execute("b", step_of(allocate, 512)).get(timeout=20) == 512 * MIB


def test_code_that_copes_with_too_little_memory_may(make_engine: EngineMaker) -> None:
    """It gets a ``MemoryError`` like everywhere."""
    engine = make_engine(queues=PROCESS)
    step = activity(cope, memory_limit=64 * MIB)

    assert engine.execute("a", step_of(step, 512)).get(timeout=20) == "coped"


@pytest.mark.parametrize("limit", [0, -1, 1.5, "1g", True])
def test_a_memory_limit_that_means_nothing_is_refused(limit: Any) -> None:
    """``InvalidArguments`` where it is given."""
    with pytest.raises(InvalidArguments, match="memory_limit"):
        activity(allocate, memory_limit=limit)


# ── at most once ────────────────────────────────────────────────────────────────────────────────────────


def test_an_at_most_once_activity_runs_like_any_other(make_engine: EngineMaker) -> None:
    """Its start is on record before its end."""
    engine = make_engine(queues=PROCESS)

    info = engine.execute("a", step_of(activity(len, once=True), "abc"))

    assert info.get(timeout=20) == 3
    types = [event.type for event in info.history()]
    assert types.index("ActivityAttemptStarted") < types.index("ActivityCompleted")


@pytest.mark.parametrize("queues", [PROCESS, THREAD], ids=["process", "thread"])
def test_one_that_the_engine_died_under_is_not_run_again(
    make_engine: EngineMaker, path: Path, gate: Gate, effects: Effects, queues: list[Queue]
) -> None:
    """``UnknownOutcome``: it may have had its effect."""
    flow = step_of(activity(note_and_hold, once=True), effects.path, gate.path)
    first = make_engine(path, queues=queues)
    first.execute("a", flow)
    gate.wait_until_reached()
    first._crash()

    with pytest.raises(UnknownOutcome):
        make_engine(path, queues=queues, workflows=[flow]).get("a").get(timeout=20)

    assert effects.lines() == ["ran"]


def test_one_that_never_began_is_run_after_a_crash(
    make_engine: EngineMaker, path: Path, gate: Gate, effects: Effects
) -> None:
    """It waited in the queue behind another: nothing is unknown."""

    def flow(ctx: WorkflowContext) -> str:
        first = ctx.activity("first", pass_gate, gate.path)
        second = ctx.activity("second", activity(note, once=True), effects.path, "once")
        return first.get() + second.get()

    before = make_engine(path, queues=THREAD)
    before.execute("a", flow)
    gate.wait_until_reached()
    before._crash()

    after = make_engine(path, queues=THREAD, workflows=[flow])
    gate.wait_until_reached()
    gate.release(2)

    assert after.get("a").get(timeout=20) == "passedonce"
    assert effects.lines() == ["once"]


def test_one_whose_worker_died_is_not_run_again(make_engine: EngineMaker, effects: Effects) -> None:
    """``UnknownOutcome`` at the first loss."""
    engine = make_engine(queues=PROCESS)
    step = activity(die_once, once=True, retry=FOR_EVER)

    with pytest.raises(UnknownOutcome, match="SIGKILL"):
        engine.execute("a", step_of(step, effects.path)).get(timeout=20)

    assert effects.lines() == ["ran"]


def test_one_that_had_to_be_stopped_is_not_run_again(make_engine: EngineMaker, gate: Gate) -> None:
    """``UnknownOutcome``, whose cause is the time-out."""
    engine = make_engine(queues=PROCESS)
    step = activity(pass_gate, once=True, timeout=0.2, grace=0.1, retry=FOR_EVER)

    with pytest.raises(UnknownOutcome) as caught:
        engine.execute("a", step_of(step, gate.path)).get(timeout=20)

    assert isinstance(caught.value.__cause__, ActivityTimeout)


def test_one_that_raised_has_an_outcome(make_engine: EngineMaker, effects: Effects) -> None:
    """It failed, and is tried again if its policy says so."""
    engine = make_engine(queues=PROCESS)
    step = activity(raise_once, once=True, retry=RetryPolicy(max_attempts=2, initial_interval=0.01))

    assert engine.execute("a", step_of(step, effects.path)).get(timeout=20) == 2
    assert effects.lines() == ["ran", "ran"]


def test_many_at_most_once_activities_run_once_each(make_engine: EngineMaker, effects: Effects) -> None:
    """More than there are workers, and others between them."""

    def flow(ctx: WorkflowContext) -> list[str]:
        infos = [
            ctx.activity("step", activity(note, once=number % 2 == 0), effects.path, f"{number}")
            for number in range(40)
        ]
        return [info.get() for info in infos]

    engine = make_engine(queues=[Queue("default", workers=2)])

    assert engine.execute("a", flow).get(timeout=20) == [f"{number}" for number in range(40)]
    assert sorted(map(int, effects.lines())) == list(range(40))
