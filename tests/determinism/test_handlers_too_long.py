"""Handlers and conditions run where the code does, and within the same limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tempolite import Tempolite, TurnTooLong, WorkflowContext, WorkflowStuck
from tests.determinism.blocking import plain, quick


def endless(*_: Any) -> None:
    while True:
        pass


def answering(ctx: WorkflowContext) -> Any:
    ctx.on_query("ask", endless)
    ctx.on_update("change", endless)
    ctx.on_update("checked", plain, endless)
    ctx.on_update("number", plain)
    return ctx.signal("end").get()


def test_an_endless_query_or_validator_fails_alone(make_limited: Callable[..., Tempolite]) -> None:
    """Who asked gets ``TurnTooLong``; it changed nothing, so the run goes on."""
    engine = make_limited()
    info = engine.execute("a", answering)

    with pytest.raises(TurnTooLong):
        info.query("ask")
    with pytest.raises(TurnTooLong):
        info.update("checked", 1)

    assert info.update("number", 5) == 5
    info.signal("end", "done")
    assert info.get(timeout=20) == "done"


def test_an_endless_update_makes_the_run_stuck(make_limited: Callable[..., Tempolite]) -> None:
    """How much of it took effect, nobody can say; other runs go on."""
    engine = make_limited()
    info = engine.execute("a", answering)

    with pytest.raises(TurnTooLong):
        info.update("change", 1)

    with pytest.raises(WorkflowStuck, match="TurnTooLong"):
        info.get(timeout=20)
    assert engine.execute("b", quick).get(timeout=20) == 7


def test_an_endless_condition_makes_the_run_stuck(make_limited: Callable[..., Tempolite]) -> None:
    """It is workflow code like the rest."""

    def flow(ctx: WorkflowContext) -> Any:
        return ctx.wait_until("never", endless)  # type: ignore[arg-type]

    engine = make_limited()

    with pytest.raises(WorkflowStuck, match="TurnTooLong"):
        engine.execute("a", flow).get(timeout=20)
