"""The engines and guards of ``tests/engine``, for hosts."""

from __future__ import annotations

from tests.engine.conftest import hang_guard, make_engine, nothing_left, path

__all__ = ["hang_guard", "make_engine", "nothing_left", "path"]
