"""When to try again. Pure: the random draw for jitter comes in as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from tempolite.core.failure import Failure
from tempolite.errors import InvalidArguments

EXPONENT_MAX = 1_000
"""Beyond this many doublings every policy has long reached ``max_interval``."""


class RetrySpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A :class:`RetryPolicy` as it is recorded: exception types by name, everything else as it is."""

    max_attempts: int | None = 1
    initial_interval: float = 0.1
    backoff: float = 2.0
    max_interval: float = 60.0
    jitter: bool = True
    retry_on: tuple[str, ...] = ("builtins:Exception",)
    never_on: tuple[str, ...] = ()

    def allows(self, failure: Failure, attempts: int) -> bool:
        """Whether another attempt may follow after ``attempts`` of them, the last of which failed so."""
        if not failure.retryable or (self.max_attempts is not None and attempts >= self.max_attempts):
            return False
        lineage = set(failure.lineage)
        return bool(lineage.intersection(self.retry_on)) and lineage.isdisjoint(self.never_on)

    def delay_s(self, attempts: int, draw: float) -> float:
        """Seconds to wait after the ``attempts``-th try; ``draw`` is uniform in [0, 1).

        Exponential backoff with full jitter, after Marc Brooker, "Exponential Backoff and Jitter"
        (AWS Architecture Blog, 2015): the wait is uniform between 0 and the backed-off interval.
        """
        if not self.initial_interval:
            return 0.0
        exponent = min(attempts - 1, EXPONENT_MAX)
        try:
            interval = self.initial_interval * self.backoff**exponent
        except OverflowError:
            interval = self.max_interval
        interval = min(interval, self.max_interval)
        return interval * draw if self.jitter else interval


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how fast something is tried again.

    Attributes:
        max_attempts: all tries counted, the first too; None is unlimited.
        initial_interval: seconds before the second try.
        backoff: factor between one wait and the next.
        max_interval: seconds that no wait exceeds.
        jitter: waits are drawn uniformly between 0 and the interval, so that a thousand
            failures at once don't come back at once.
        retry_on: exception types that are tried again (subclasses count).
        never_on: exception types that are not, even if ``retry_on`` names them.
    """

    max_attempts: int | None = 1
    initial_interval: float = 0.1
    backoff: float = 2.0
    max_interval: float = 60
    jitter: bool = True
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    never_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if self.max_attempts is not None and (
            not _is_number(self.max_attempts, int) or self.max_attempts < 1
        ):
            raise InvalidArguments(f"max_attempts is {self.max_attempts!r}, expected None or an int from 1")
        for name, least in (("initial_interval", 0.0), ("backoff", 1.0), ("max_interval", 0.0)):
            value = getattr(self, name)
            if not _is_number(value, (int, float)) or not least <= value < float("inf"):
                raise InvalidArguments(f"{name} is {value!r}, expected a finite number from {least:g}")
        if not isinstance(self.jitter, bool):
            raise InvalidArguments(f"jitter is {self.jitter!r}, expected True or False")
        for name in ("retry_on", "never_on"):
            object.__setattr__(self, name, _exception_types(name, getattr(self, name)))

    def recorded(self) -> RetrySpec:
        """This policy in the form that is stored with a run."""
        return RetrySpec(
            self.max_attempts,
            float(self.initial_interval),
            float(self.backoff),
            float(self.max_interval),
            self.jitter,
            tuple(type_name(kind) for kind in self.retry_on),
            tuple(type_name(kind) for kind in self.never_on),
        )


def type_name(kind: type) -> str:
    """``module:qualname``: how types are named in what is recorded."""
    return f"{kind.__module__}:{kind.__qualname__}"


def _is_number(value: Any, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _exception_types(name: str, value: Any) -> tuple[type[BaseException], ...]:
    kinds = (value,) if isinstance(value, type) else value
    if not isinstance(kinds, (tuple, list, set, frozenset)):
        raise InvalidArguments(f"{name} is {value!r}, expected exception types")
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise InvalidArguments(f"{name} holds {kind!r}, expected exception types")
    return tuple(kinds)
