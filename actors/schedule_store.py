"""What the scheduler asks of whoever keeps the schedules: a protocol, implemented in ``tempolite.engine``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from tempolite.actors.messages import StartRun, Write
from tempolite.core.identifiers import StreamId
from tempolite.core.schedule import ScheduleState
from tempolite.core.schedule_events import ScheduleEntry


class StoredSchedule(msgspec.Struct, frozen=True):
    """A schedule in the file.

    Attributes:
        stream: its events.
        seq: number of the last of them.
        state: what they come to.
    """

    stream: StreamId
    seq: int
    state: ScheduleState


class ScheduleStore(Protocol):
    """Schedules in the file; implemented in ``tempolite.engine``."""

    def schedules(self) -> Iterable[StoredSchedule]:
        """All that there are, as last committed."""
        ...

    def writes(
        self, stream: StreamId, name: str, entries: Sequence[ScheduleEntry], after: ScheduleState | None
    ) -> list[Write]:
        """Records what happened, and the schedule as it is then; without a state it is gone."""
        ...

    def problem_of(self, state: ScheduleState) -> str:
        """Why its runs can't be started by this engine, and the remedy; empty when they can."""
        ...

    def request(self, state: ScheduleState, due_us: int) -> StartRun:
        """The wish for the run of a due time, with the function's options of today.

        Raises:
            LookupFailed: the function, or its queue, is not known.
        """
        ...
