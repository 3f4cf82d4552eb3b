"""The engines of tests/engine, closed at the end with nothing left of them; some with a short limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tempolite import Tempolite
from tests.determinism.blocking import block
from tests.engine.conftest import (
    EngineMaker,
    database,
    gate,
    hang_guard,
    make_engine,
    make_gate,
    nothing_left,
    path,
)

__all__ = ["block", "database", "gate", "hang_guard", "make_engine", "make_gate", "nothing_left", "path"]

LIMIT_S = 0.2


@pytest.fixture
def engine(make_engine: EngineMaker, database: str) -> Tempolite:
    """A started engine that refuses what doesn't belong in workflow code."""
    return make_engine(database, debug=True)


@pytest.fixture
def make_limited(make_engine: EngineMaker) -> Callable[..., Tempolite]:
    """Makes engines with a short limit for each stretch of workflow code."""

    def make(*args: Any, **settings: Any) -> Tempolite:
        return make_engine(*args, **{"turn_limit": LIMIT_S, **settings})

    return make
