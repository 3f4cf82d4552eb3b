"""Trees of workflows, and what an engine counts."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from tempolite import (
    ActivityTimeout,
    Node,
    Queue,
    Status,
    Tempolite,
    WorkerLost,
    WorkflowContext,
    WorkflowNotFound,
    activity,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Gate, pass_gate


def echo(ctx: WorkflowContext, value: Any) -> Any:
    return value


def nested(ctx: WorkflowContext, depth: int) -> int:
    if not depth:
        return 1
    below = [ctx.workflow(name, nested, depth - 1) for name in ("left", "right")]
    return sum(info.get() for info in below)


def line(ctx: WorkflowContext, depth: int) -> int:
    return ctx.workflow("on", line, depth - 1).get() if depth else 0


def broken(ctx: WorkflowContext) -> None:
    raise ValueError("broken")


def held(ctx: WorkflowContext, gate: str) -> str:
    return ctx.activity("hold", activity(pass_gate, timeout=0.2, grace=0.1), gate).get()


def lost(ctx: WorkflowContext) -> None:
    ctx.activity("exit", os._exit, 3).get()


def shape(node: Node) -> Any:
    return [node.info.id, *(shape(child) for child in node.children)]


def test_a_tree_has_all_that_a_workflow_led_to(engine: Tempolite) -> None:
    """Children in the order in which they were started, each with its own."""
    engine.execute("a", nested, 2).get(timeout=20)

    tree = engine.tree("a")

    sides = [[f"a/{side}", [f"a/{side}/left"], [f"a/{side}/right"]] for side in ("left", "right")]
    assert shape(tree) == ["a", *sides]
    assert shape(engine.tree("a/left")) == sides[0]
    assert tree.children[0].info.get(timeout=1) == 2
    assert asyncio.run(engine.atree("a")) == tree


def test_a_tree_of_one_has_no_children(engine: Tempolite) -> None:
    """And one of an unknown id is refused."""
    engine.execute("a", echo, 1).get(timeout=20)

    assert shape(engine.tree("a")) == ["a"]
    with pytest.raises(WorkflowNotFound):
        engine.tree("nobody")


def test_a_long_line_of_children_is_a_tree_too(make_engine: EngineMaker) -> None:
    """Deeper than Python's own calls may be."""
    engine = make_engine()
    engine.execute("a", workflow(line, id=None), 60).get(timeout=30)

    node, depth = engine.tree("a"), 0
    while node.children:
        (node,), depth = node.children, depth + 1

    assert depth == 60


def test_a_tree_leaves_out_what_was_deleted(engine: Tempolite) -> None:
    """And a parent that was made again under its old id doesn't confuse it."""
    engine.execute("a", nested, 1).get(timeout=20)
    engine.delete(["a", "a/left"])
    engine.execute("a", echo, 1).get(timeout=20)

    assert shape(engine.tree("a")) == ["a", ["a/right"]]


def test_metrics_count_runs_and_commits(make_engine: EngineMaker) -> None:
    """Runs by their status, each listed; queues by name; transactions since the start."""
    engine = make_engine(queues=[Queue("default", kind="inline"), Queue("other", workers=0)])
    before = engine.metrics()
    for number in range(3):
        engine.execute(f"w{number}", echo, number).get(timeout=20)
    engine.execute("failed", broken)
    engine.execute("later", workflow(echo, defer=True), 1)
    engine.wait(timeout=20)

    metrics = asyncio.run(engine.ametrics())

    assert set(metrics.runs) == set(Status)
    assert {status: count for status, count in metrics.runs.items() if count} == {
        "COMPLETED": 3,
        "FAILED": 1,
        "PENDING": 1,
    }
    assert set(metrics.queues) == {"default", "other"}
    assert metrics.queues["other"].workers == 0
    assert (before.commits, sum(before.runs.values())) == (0, 0)
    assert 4 <= metrics.commits <= 10
    assert (metrics.dropped_late_results, metrics.lost_workers) == (0, 0)


def test_metrics_count_lost_workers(make_engine: EngineMaker) -> None:
    """Processes that ended by themselves."""
    engine = make_engine(queues=[Queue("default", workers=1)])

    with pytest.raises(WorkerLost):
        engine.execute("a", lost).get(timeout=30)

    assert engine.metrics().lost_workers == 3


def test_metrics_count_results_that_came_too_late(make_engine: EngineMaker, gate: Gate) -> None:
    """A thread returned after its time was over: nobody waits for that any more (P6)."""
    engine = make_engine(queues=[Queue("default", kind="thread", workers=2)])
    with pytest.raises(ActivityTimeout):
        engine.execute("a", held, gate.path).get(timeout=20)

    gate.release()
    engine.close()

    assert engine._system.pools["default"].results_dropped == 1
