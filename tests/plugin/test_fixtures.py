"""The fixtures that make engines, each used as a user's test would."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tempolite import EngineCrashed, EngineLocked, Tempolite, WorkflowContext


def double(ctx: WorkflowContext, number: int) -> int:
    """A workflow without a worker."""
    return ctx.side_effect("double", lambda: 2 * number).get()


def test_an_engine_is_started_on_a_fresh_file(tempolite_engine: Tempolite) -> None:
    """Nothing is in it, and it works."""
    assert tempolite_engine.count() == 0

    assert tempolite_engine.execute("a", double, 3).get(timeout=10) == 6


def test_the_engines_of_a_factory_share_one_file(tempolite_factory: Callable[..., Tempolite]) -> None:
    """A second one is refused while the first is open, and finds its runs afterwards."""
    first = tempolite_factory()
    first.execute("a", double, 3).get(timeout=10)

    with pytest.raises(EngineLocked):
        tempolite_factory()
    first.close()

    assert tempolite_factory().get("a").get(timeout=10) == 6


def test_a_crashed_engine_can_be_opened_again(tempolite_factory: Callable[..., Tempolite]) -> None:
    """What it had committed is there; it itself answers nobody any more."""
    first = tempolite_factory()
    first.execute("a", double, 3).get(timeout=10)

    first.crash()  # type: ignore[attr-defined]

    with pytest.raises(EngineCrashed):
        first.get("a")
    assert tempolite_factory().get("a").get(timeout=10) == 6
