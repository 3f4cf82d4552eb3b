"""The engines of tests/engine, closed at the end with nothing left of them."""

from tests.engine.conftest import database, engine, hang_guard, make_engine, nothing_left, path

__all__ = ["database", "engine", "hang_guard", "make_engine", "nothing_left", "path"]
