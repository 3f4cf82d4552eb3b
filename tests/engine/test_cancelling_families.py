"""Cancel of parents and children: to any depth, across crashes, and whom it does not reach."""

from __future__ import annotations

from typing import Any

import pytest

from tempolite import (
    Queue,
    WorkflowCancelled,
    WorkflowContext,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, note

Home = dict[str, Any]
THREADS = [Queue("default", kind="thread", workers=3), Queue("other", kind="thread", workers=2)]


def nested(ctx: WorkflowContext, depth: int, effects: str) -> Any:
    """Every other one is on another queue; all note that they were cleaned."""
    try:
        if depth == 0:
            return ctx.signal("go").get()
        child = workflow(nested, queue="other" if depth % 2 else "default")
        return ctx.workflow("c", child, depth - 1, effects).get()
    finally:
        ctx.activity("clean", note, effects, str(depth)).get()


def test_children_are_cancelled_to_any_depth(make_engine: EngineMaker, home: Home, effects: Effects) -> None:
    """Three deep, on two queues; each cleans up once."""
    engine = make_engine(**home, queues=THREADS)
    info = engine.execute("p", nested, 3, effects.path)
    engine.wait(timeout=10)

    engine.cancel("p")

    with pytest.raises(WorkflowCancelled):
        info.get(timeout=10)
    engine.wait(timeout=10)
    assert {each.status for each in engine.workflows()} == {"CANCELLED"}
    assert sorted(effects.lines()) == ["0", "1", "2", "3"]


def test_children_are_cancelled_after_a_crash_too(
    make_engine: EngineMaker, on_file: Home, effects: Effects
) -> None:
    """The parent's cancellation was durable; so is what it means for the children."""
    engine = make_engine(**on_file, queues=THREADS)
    engine.execute("p", nested, 3, effects.path)
    engine.wait(timeout=10)
    engine.cancel("p")
    engine._crash()

    reopened = make_engine(**on_file, queues=THREADS, workflows=[nested])
    reopened.wait(timeout=10)

    assert {each.status for each in reopened.workflows()} == {"CANCELLED"}
    assert set(effects.lines()) == {"0", "1", "2", "3"}


def listening(ctx: WorkflowContext) -> Any:
    return ctx.signal("go").get()


def test_pending_children_are_cancelled_abandoned_and_detached_ones_are_not(
    make_engine: EngineMaker, home: Home
) -> None:
    """By their options."""
    engine = make_engine(**home)

    def parent(ctx: WorkflowContext) -> None:
        ctx.workflow("pending", workflow(listening, defer=True))
        ctx.workflow("abandoned", workflow(listening, on_parent_close="abandon"))
        ctx.workflow("detached", workflow(listening, detach=True))
        ctx.signal("go").get()

    engine.execute("p", parent)
    engine.wait(timeout=10)
    engine.cancel("p")
    engine.wait(timeout=10)

    statuses = [engine.get(f"p/{name}").status for name in ("pending", "abandoned", "detached")]
    assert statuses == ["CANCELLED", "WAITING", "WAITING"]
    for name in ("abandoned", "detached"):
        engine.signal(f"p/{name}", "go", name)
        assert engine.get(f"p/{name}").get(timeout=10) == name


def test_children_left_behind_by_a_completed_parent_are_cancelled(
    make_engine: EngineMaker, home: Home
) -> None:
    """``on_parent_close`` is ``cancel`` unless told, for pending ones too."""
    engine = make_engine(**home)

    def parent(ctx: WorkflowContext) -> str:
        ctx.workflow("pending", workflow(listening, defer=True))
        ctx.workflow("waiting", listening)
        ctx.workflow("abandoned", workflow(listening, on_parent_close="abandon"))
        return "done"

    assert engine.execute("p", parent).get(timeout=10) == "done"
    engine.wait(timeout=10)

    statuses = [engine.get(f"p/{name}").status for name in ("pending", "waiting", "abandoned")]
    assert statuses == ["CANCELLED", "CANCELLED", "WAITING"]


def test_a_child_that_was_cancelled_by_itself_is_an_error_for_its_parent(
    make_engine: EngineMaker, home: Home
) -> None:
    """An ordinary ``WorkflowCancelled``, that ``except Exception`` catches."""
    engine = make_engine(**home)

    def parent(ctx: WorkflowContext) -> str:
        try:
            return str(ctx.workflow("c", listening).get())
        except Exception as error:
            return type(error).__name__

    info = engine.execute("p", parent)
    engine.wait(timeout=10)
    engine.cancel("p/c")

    assert info.get(timeout=10) == "WorkflowCancelled"
    assert engine.replay("p") == "WorkflowCancelled"
