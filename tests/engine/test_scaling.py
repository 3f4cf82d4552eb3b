"""Queues that come, grow and shrink while the engine runs."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tempolite import InvalidArguments, Queue, QueueExists, QueueNotFound, WorkflowContext, activity
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Gate, pass_gate
from tests.workers.processes import children_of, wait_for

KINDS = ["process", "thread", "inline"]


def step_of(fn: Any, *args: Any) -> Any:
    def flow(ctx: WorkflowContext) -> Any:
        return ctx.activity("step", fn, *args).get()

    return flow


@pytest.mark.parametrize("kind", KINDS)
def test_a_queue_without_workers_gets_some(make_engine: EngineMaker, kind: Any) -> None:
    """What it held is run."""
    engine = make_engine(queues=[Queue("default", kind=kind, workers=0)])
    info = engine.execute("a", step_of(len, "abc"))
    with pytest.raises(TimeoutError):
        info.get(timeout=0.05)

    assert engine._system.scale("default", 1) == 0

    assert info.get(timeout=20) == 3
    assert engine.queue("default").workers == 1


@pytest.mark.parametrize("kind", ["process", "thread"])
def test_a_queue_shrinks_to_nothing_and_back(make_engine: EngineMaker, gate: Gate, kind: Any) -> None:
    """Who is busy finishes; nothing of a worker is left; what comes meanwhile waits."""
    engine = make_engine(queues=[Queue("default", kind=kind, workers=2)])
    before = children_of(os.getpid())
    held = engine.execute("held", step_of(pass_gate, gate.path))
    gate.wait_until_reached()

    engine._system.scale("default", 0)
    waiting = engine.execute("waiting", step_of(len, "abc"))
    gate.release()
    assert held.get(timeout=20) == "passed"
    wait_for("the workers to leave", lambda: children_of(os.getpid()) == before)
    assert engine.queue("default").waiting == 1

    engine._system.scale("default", 2)
    assert waiting.get(timeout=20) == 3
    assert engine._system.loss_counts() == (0, 0)


def test_more_workers_run_more_at_once(make_engine: EngineMaker, gate: Gate) -> None:
    """Those that wait begin at once."""
    engine = make_engine(queues=[Queue("default", workers=1)])
    infos = [engine.execute(f"{number}", step_of(pass_gate, gate.path)) for number in range(3)]
    gate.wait_until_reached()
    assert not gate.is_reached_within(0.1)

    engine._system.scale("default", 3)

    gate.wait_until_reached(2)
    gate.release(3)
    assert [info.get(timeout=20) for info in infos] == ["passed"] * 3


def test_a_queue_can_be_made_while_the_engine_runs(make_engine: EngineMaker) -> None:
    """Once; its pool runs what is sent there."""
    engine = make_engine()
    queue = Queue("late", kind="thread", workers=1)

    engine._system.create_queue(queue)
    engine._queues["late"] = queue

    assert engine.execute("a", step_of(activity(len, queue="late"), "abc")).get(timeout=20) == 3
    with pytest.raises(QueueExists, match="late"):
        engine._system.create_queue(queue)


@pytest.mark.parametrize("workers", [-1, 1.5, None, "2", True])
def test_a_number_of_workers_that_means_nothing_is_refused(make_engine: EngineMaker, workers: Any) -> None:
    """``InvalidArguments``, and nothing changes."""
    engine = make_engine()

    with pytest.raises(InvalidArguments):
        engine._system.scale("default", workers)

    assert engine.queue("default").workers == 1


def test_an_unknown_queue_can_not_be_scaled(make_engine: EngineMaker) -> None:
    """``QueueNotFound``, with those that there are."""
    with pytest.raises(QueueNotFound, match="default"):
        make_engine()._system.scale("gpu", 1)
