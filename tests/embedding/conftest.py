"""The engines and guards of ``tests/engine``, for hosts."""

from __future__ import annotations

from tests.engine.conftest import gate, hang_guard, make_engine, make_gate, nothing_left, path

__all__ = ["gate", "hang_guard", "make_engine", "make_gate", "nothing_left", "path"]
