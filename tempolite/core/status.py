"""What a run can be, and what may follow.

The table ``ALLOWED`` is the whole truth; the picture in docs/architecture.md is drawn from it.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType


class Status(StrEnum):
    """State of a run. Text is accepted wherever a status is."""

    PENDING = "PENDING"
    """Deferred, or waiting for its queue's ``max_runs``."""
    RUNNING = "RUNNING"
    """Some of its work is under way."""
    WAITING = "WAITING"
    """Only signals, timers or children can wake it."""
    PAUSED = "PAUSED"
    STUCK = "STUCK"
    """Needs a person; ``problem`` says why."""
    STRANDED = "STRANDED"
    """Its function, or a type in its history, is not known to this engine."""
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


FINISHED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
"""Outcomes are recorded; only ``resume`` (of the last two) changes these again."""

_LIVE = frozenset({Status.RUNNING, Status.WAITING, Status.PAUSED, Status.STUCK, Status.STRANDED})

ALLOWED: MappingProxyType[Status, frozenset[Status]] = MappingProxyType(
    {
        Status.PENDING: _LIVE | FINISHED,
        Status.RUNNING: _LIVE | FINISHED | {Status.PENDING},
        Status.WAITING: _LIVE | FINISHED,
        Status.PAUSED: _LIVE | FINISHED | {Status.PENDING},
        Status.STUCK: _LIVE | FINISHED | {Status.PENDING},
        Status.STRANDED: _LIVE | FINISHED | {Status.PENDING},
        Status.COMPLETED: frozenset(),
        Status.FAILED: frozenset({Status.RUNNING, Status.WAITING, Status.PENDING}),
        Status.CANCELLED: frozenset({Status.RUNNING, Status.WAITING, Status.PENDING}),
    }
)


def is_finished(status: Status) -> bool:
    """Whether the run's outcome is recorded."""
    return status in FINISHED


def may_follow(before: Status, after: Status) -> bool:
    """Whether a run that is ``before`` can become ``after``; staying the same is always allowed."""
    return before == after or after in ALLOWED[before]
