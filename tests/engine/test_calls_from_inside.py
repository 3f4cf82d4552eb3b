"""Workflow code that calls the engine it runs in: refused at once where the engine would wait for itself."""

from __future__ import annotations

from typing import Any

import pytest

from tempolite import NotAllowedInWorkflow, Tempolite, WorkflowContext
from tests.engine.conftest import EngineMaker

CALLS: dict[str, Any] = {
    "execute": lambda engine: engine.execute("other", wait_for_signal),
    "get": lambda engine: engine.get("other").get(),
    "signal": lambda engine: engine.signal("other", "go"),
    "query": lambda engine: engine.query("other", "state"),
    "cancel": lambda engine: engine.cancel("other"),
    "wait": lambda engine: engine.wait(),
    "queue": lambda engine: engine.queue("default"),
}


def wait_for_signal(ctx: WorkflowContext) -> str:
    ctx.signal("go").get()
    return "gone"


@pytest.mark.parametrize("call", CALLS)
def test_the_engine_can_not_be_waited_for_from_workflow_code(engine: Tempolite, call: str) -> None:
    """Told at the call; the engine goes on, and nothing came of it."""
    other = engine.execute("other", wait_for_signal)

    def calling(ctx: WorkflowContext) -> None:
        CALLS[call](engine)

    with pytest.raises(NotAllowedInWorkflow, match=r"would wait for itself.*ctx\.workflow"):
        engine.execute("a", calling).get(timeout=20)

    engine.wait(timeout=20)
    assert other.status == "WAITING"


def test_a_query_handler_can_not_wait_for_the_engine(engine: Tempolite) -> None:
    """It is workflow code too; the caller is told."""

    def asking(ctx: WorkflowContext) -> None:
        ctx.on_query("other", lambda: engine.execute("other", wait_for_signal).id)
        ctx.signal("go").get()

    info = engine.execute("a", asking)

    with pytest.raises(NotAllowedInWorkflow, match="would wait for itself"):
        info.query("other")
    assert engine.count() == 1


def test_a_side_effect_may_call_the_engine(make_engine: EngineMaker) -> None:
    """It runs beside the actors."""
    engine = make_engine()

    def starting(ctx: WorkflowContext) -> str:
        return ctx.side_effect("start", lambda: engine.execute("other", wait_for_signal).id).get()

    assert engine.execute("a", starting).get(timeout=20) == "other"
