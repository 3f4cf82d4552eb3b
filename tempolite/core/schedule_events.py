"""The closed set of facts that a schedule's stream is made of; encoded like those of a run.

Each is complete: what a schedule is follows from its events alone, so its row can be made again.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

import msgspec

from tempolite.core.due_times import Timing
from tempolite.core.event_body import Body
from tempolite.core.identifiers import StepKey

Overlap = Literal["skip", "queue", "cancel"]
Catchup = Literal["none", "one", "all"]

SkipReason = Literal["overlap", "full", "replaced", "taken"]


class ScheduleSpec(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a schedule does.

    Attributes:
        timing: when.
        function: recorded name of the workflow function.
        args: its arguments, as the codec's JSON.
        overlap: what becomes of a due time while the run before it is unfinished.
        catchup: which of the due times are made up for that passed while nobody was there.
    """

    timing: Timing
    function: str
    args: msgspec.Raw
    overlap: Overlap = "skip"
    catchup: Catchup = "none"


class ScheduleSet(Body, frozen=True):
    """The schedule exists, or is another one under the same name from now on."""

    name: str
    spec: ScheduleSpec
    next_due: int
    """µs since the epoch, as all due times here."""


class ScheduleFired(Body, frozen=True):
    """A due time has its run: of this id, once and for all."""

    due_at: int
    workflow: str
    next_due: int | None


class ScheduleRunStarted(Body, frozen=True):
    """The run of a due time is known to be durable; it is not asked for again."""

    due_at: int


class ScheduleQueued(Body, frozen=True):
    """Due times wait for the end of the run before them, in this order."""

    due_at: tuple[int, ...]
    next_due: int | None
    cancels: bool = False
    """The run before them is being cancelled for their sake."""
    behind_until: int = 0
    """Due times up to then were missed: they too will be queued, in rounds."""


class ScheduleSkipped(Body, frozen=True):
    """A due time has no run: the one before it is unfinished, or its id is another run's."""

    due_at: int
    reason: SkipReason
    next_due: int | None


class ScheduleMissed(Body, frozen=True):
    """Due times from ``first`` on passed without anybody there, or were triggered; they are not made up for.

    ``until`` is the next one after them.
    """

    first: int
    until: int | None


class SchedulePaused(Body, frozen=True):
    """Nothing is due until it is resumed."""


class ScheduleResumed(Body, frozen=True):
    """It goes on; what was due meanwhile is left out."""

    next_due: int | None


class ScheduleDeleted(Body, frozen=True):
    """The schedule is no more; its runs are left alone."""


ScheduleBody = (
    ScheduleSet
    | ScheduleFired
    | ScheduleRunStarted
    | ScheduleQueued
    | ScheduleSkipped
    | ScheduleMissed
    | SchedulePaused
    | ScheduleResumed
    | ScheduleDeleted
)

SCHEDULE_BODIES: MappingProxyType[str, type[ScheduleBody]] = MappingProxyType(
    {kind.__name__: kind for kind in ScheduleBody.__args__}
)
"""Body class by the text of the ``type`` column."""


class ScheduleEntry(msgspec.Struct, frozen=True, gc=False):
    """One event of a schedule's stream; fields as in a run's ``Entry``."""

    seq: int
    at: int
    body: ScheduleBody
    step: StepKey = StepKey("")
    attempt: int = 1


_DECODERS = {name: msgspec.json.Decoder(kind) for name, kind in SCHEDULE_BODIES.items()}


def decode_schedule_body(type_name: str, payload: bytes | str) -> ScheduleBody:
    """The body that ``type_name`` and ``payload`` were recorded from.

    Raises:
        KeyError: no such type of event.
        msgspec.DecodeError: the payload is not of that type.
    """
    return _DECODERS[type_name].decode(payload)
