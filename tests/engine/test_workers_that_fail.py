"""P7 and P8 beside others: what dies or does not end costs only itself, also across a crash of the engine.

Each way to die or to hang is in ``tests/workers``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tempolite import ActivityContext, Queue, RetryPolicy, Tempolite, WorkerLost, WorkflowContext, activity
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate
from tests.workers.activities import kill_itself

PROCESS = [Queue("default", workers=1)]


def step_of(fn: Any, *args: Any) -> Callable[[WorkflowContext], Any]:
    def flow(ctx: WorkflowContext) -> Any:
        return ctx.activity("step", fn, *args).get()

    return flow


def test_a_dying_worker_costs_only_its_own_activity(make_engine: EngineMaker, effects: Effects) -> None:
    """Others on the same queue run once each."""
    engine = make_engine(queues=[Queue("default", workers=2)])
    killer = engine.execute("killer", step_of(kill_itself))

    others = [engine.execute(f"r{n}", step_of(note, effects.path, f"{n}")) for n in range(20)]

    assert [other.get(timeout=20) for other in others] == [f"{n}" for n in range(20)]
    with pytest.raises(WorkerLost):
        killer.get(timeout=20)


def test_a_thread_activity_past_its_time_is_not_overlapped(make_engine: EngineMaker, gate: Gate) -> None:
    """It can't be killed, so it is tried again only after it has returned; its late result is dropped."""
    engine = make_engine(queues=[Queue("default", kind="thread", workers=4)])
    policy = RetryPolicy(max_attempts=2, initial_interval=0.001)

    def held(ctx: ActivityContext, path: str) -> int:
        pass_gate(path)
        return ctx.attempt

    info = engine.execute("a", step_of(activity(held, timeout=0.1, retry=policy), gate.path))
    gate.wait_until_reached()
    assert not gate.is_reached_within(0.5)
    gate.release(2)

    assert info.get(timeout=10) == 2


def test_a_worker_of_a_crashed_engine_does_not_overlap_the_next(
    make_engine: EngineMaker, path: Path, gate: Gate
) -> None:
    """P8: it is gone before its activity is run again."""

    def pid_at_the_gate(path: str) -> int:
        pass_gate(path)
        return os.getpid()

    flow = step_of(pid_at_the_gate, gate.path)
    engine: Tempolite = make_engine(path, queues=PROCESS)
    engine.execute("a", flow)
    gate.wait_until_reached()
    engine._crash()

    reopened = make_engine(path, queues=PROCESS, workflows=[flow])
    gate.wait_until_reached()
    gate.release()
    reopened.get("a").get(timeout=10)

    assert not gate.is_reached_within(0)
