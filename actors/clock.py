"""Time, as a collaborator: the system's, or one that a test moves."""

from __future__ import annotations

import time
from typing import Protocol

MICROS_PER_S = 1_000_000


class Clock(Protocol):
    """Where time comes from."""

    def now_us(self) -> int:
        """Wall time, µs since the epoch, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never go back; their origin means nothing."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000

    def monotonic_s(self) -> float:
        return time.monotonic()


class VirtualClock:
    """Time that stands still until it is told to move.

    Args:
        start_us: wall time at the beginning, µs since the epoch; 2026-01-01 unless told.
    """

    def __init__(self, start_us: int = 1_767_225_600 * MICROS_PER_S) -> None:
        self._now_us = start_us
        self._start_us = start_us

    def now_us(self) -> int:
        return self._now_us

    def monotonic_s(self) -> float:
        return (self._now_us - self._start_us) / MICROS_PER_S

    def rewind(self) -> None:
        """Begins again; for a world in which nothing has happened yet."""
        self._now_us = self._start_us

    def advance(self, seconds: float) -> None:
        """Moves both clocks forward."""
        if seconds < 0:
            raise ValueError(f"time goes forward, not by {seconds} s")
        self._now_us += round(seconds * MICROS_PER_S)
