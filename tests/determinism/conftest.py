"""The engines of tests/engine, closed at the end with nothing left of them."""

from tests.engine.conftest import (
    database,
    engine,
    gate,
    hang_guard,
    make_engine,
    make_gate,
    nothing_left,
    path,
)

__all__ = ["database", "engine", "gate", "hang_guard", "make_engine", "make_gate", "nothing_left", "path"]
