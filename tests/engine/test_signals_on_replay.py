"""Signals of a run that goes through its history again."""

from __future__ import annotations

from pathlib import Path

from tempolite import WorkflowContext
from tests.engine.conftest import EngineMaker


def two_names(ctx: WorkflowContext) -> list[str]:
    return [ctx.signal("name").get(), ctx.signal("name").get()]


def test_a_signal_that_was_taken_before_a_restart_leaves_the_next_one_alone(
    make_engine: EngineMaker, path: Path
) -> None:
    """Who is recorded to have one is not in line for another (P10)."""
    first = make_engine(path)
    first.execute("a", two_names).signal("name", "ada")
    first.wait(timeout=20)
    first.close()
    engine = make_engine(path, workflows=[two_names])

    engine.get("a").signal("name", "bob")

    assert engine.get("a").get(timeout=20) == ["ada", "bob"]
