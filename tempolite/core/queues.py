"""A queue's settings, and the arithmetic of its rate limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from tempolite.core.identifiers import is_name
from tempolite.errors import InvalidArguments

DEFAULT_QUEUE = "default"
QueueKind = Literal["process", "thread", "inline", "ray"]

_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Queue:
    """Where activities run, and how many runs are active at once.

    Attributes:
        name: how options refer to it.
        workers: processes or threads; None is the CPU count, 0 accepts and holds.
        kind: ``"process"`` (worker processes), ``"thread"``, ``"inline"`` (in the engine's own thread,
            for tests), ``"ray"`` (a cluster).
        slots: activities at once in one worker.
        max_runs: root runs active at once on this queue; others wait in order.
        rate: activity starts, such as ``"100/s"``, ``"30/m"``: a token bucket with a burst of one second.
    """

    name: str
    workers: int | None = None
    kind: QueueKind = "process"
    slots: int = 1
    max_runs: int | None = None
    rate: str | None = None

    def __post_init__(self) -> None:
        if not is_name(self.name):
            raise InvalidArguments(f"queue name is {self.name!r}, expected a non-empty text")
        if self.kind not in get_args(QueueKind):
            raise InvalidArguments(
                f"queue {self.name!r}: kind is {self.kind!r}, expected {' or '.join(get_args(QueueKind))}"
            )
        _check_count(self.name, "workers", self.workers, 0, optional=True)
        _check_count(self.name, "slots", self.slots, 1, optional=False)
        _check_count(self.name, "max_runs", self.max_runs, 1, optional=True)
        if self.rate is not None:
            starts_per_second(self.rate)


def starts_per_second(rate: str) -> float:
    """Parses ``"100/s"``, ``"30/m"``, ``"5/h"`` (or with a count of units: ``"10/5s"``)."""
    count, slash, unit = str(rate).partition("/")
    unit = unit.strip()
    length, suffix = unit[:-1] or "1", unit[-1:]
    try:
        per_second = float(count) / (float(length) * _UNIT_S[suffix])
    except (ValueError, KeyError, ZeroDivisionError):
        per_second = 0.0
    if not slash or not 0 < per_second < float("inf"):
        raise InvalidArguments(f"rate is {rate!r}, expected such as '100/s', '30/m' or '5/h'")
    return per_second


class TokenBucket:
    """How many starts a rate allows now; time comes in, nothing is read.

    Token bucket (ITU-T I.371, "generic cell rate"): tokens flow in at ``per_second`` and are kept for at
    most one second, but never fewer than one, so that slow rates start at all.
    """

    def __init__(self, per_second: float, now_s: float) -> None:
        self.per_second = per_second
        self.capacity = max(1.0, per_second)
        self._tokens = self.capacity
        self._at_s = now_s

    def try_take(self, now_s: float) -> bool:
        """Takes a token if there is one."""
        flowed = max(0.0, now_s - self._at_s) * self.per_second
        self._tokens = min(self.capacity, self._tokens + flowed)
        self._at_s = max(self._at_s, now_s)
        # A hair of tolerance: sums of float intervals must not cost a whole extra wake-up.
        if self._tokens < 1.0 - 1e-9:
            return False
        self._tokens -= 1.0
        return True

    def wait_s(self) -> float:
        """Seconds from the last ``try_take`` until the next token is there."""
        return max(0.0, (1.0 - self._tokens) / self.per_second)


def _check_count(queue: str, name: str, value: int | None, least: int, *, optional: bool) -> None:
    if value is None and optional:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidArguments(f"queue {queue!r}: {name} is {value!r}, expected an int from {least}")
