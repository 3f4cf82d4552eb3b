"""The handle of a schedule."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from tempolite.actors.live_schedule import (
    DeleteSchedule,
    PauseSchedule,
    ResumeSchedule,
    TriggerSchedule,
)
from tempolite.core.schedule_events import Catchup, Overlap
from tempolite.engine.handle import WorkflowInfo
from tempolite.engine.listing import Event, ScheduleRow

if TYPE_CHECKING:
    from tempolite.engine.engine import Tempolite
    from tempolite.engine.port import Port


class ScheduleInfo:
    """A schedule: what it does, when it is due, and what it did last.

    Everything but the name is read afresh at each access, as last committed; once it is deleted, every
    access raises ``ScheduleNotFound``.
    """

    def __init__(self, engine: Port, name: str) -> None:
        self._engine = cast("Tempolite", engine)
        self._name = name

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def spec(self) -> str | timedelta:
        """When: the cron line, or the interval."""
        return self._row().spec

    @property
    def timezone(self) -> str:
        """The zone in which the cron line is read."""
        return self._row().timezone

    @property
    def function(self) -> str:
        """Recorded name of the workflow function."""
        return self._row().function

    @property
    def overlap(self) -> Overlap:
        """What becomes of a due time while the run before it is unfinished."""
        return self._row().overlap

    @property
    def catchup(self) -> Catchup:
        """Which due times are made up for that passed while no engine was there."""
        return self._row().catchup

    @property
    def is_paused(self) -> bool:
        """Whether nothing of it is due until it is resumed."""
        return self._row().is_paused

    @property
    def next_at(self) -> datetime | None:
        """When it is due next, UTC; None while it is paused, and when it is never due again.

        In the past while it makes up for what was missed, or can't go on.
        """
        return self._row().next_at

    @property
    def last_at(self) -> datetime | None:
        """Due time of the run that it started last, UTC."""
        return self._row().last_at

    @property
    def last_run(self) -> WorkflowInfo[Any] | None:
        """The run that it started last."""
        workflow = self._row().last_workflow
        return None if workflow is None else WorkflowInfo(self._engine, workflow)

    @property
    def queued(self) -> tuple[datetime, ...]:
        """Due times that wait for the end of the run before them."""
        return self._row().queued

    @property
    def problem(self) -> str:
        """Why it can't go on, and the remedy; empty otherwise."""
        return self._row().problem

    def pause(self) -> None:
        """Nothing of it is due until it is resumed; runs under way go on. Twice is no error."""
        self._engine._schedule_call(PauseSchedule(self._name))

    async def apause(self) -> None:
        """Awaitable twin of :meth:`pause`."""
        await self._engine._schedule_call_nowait(PauseSchedule(self._name))

    def resume(self) -> None:
        """It goes on with its next due time; those that passed meanwhile are left out. Twice is no error."""
        self._engine._schedule_call(ResumeSchedule(self._name))

    async def aresume(self) -> None:
        """Awaitable twin of :meth:`resume`."""
        await self._engine._schedule_call_nowait(ResumeSchedule(self._name))

    def trigger(self) -> WorkflowInfo[Any]:
        """Starts a run now, also of a paused schedule; its due time is this moment.

        ``overlap`` counts as for any due time: where the run before is unfinished and this one is skipped,
        the handle is that of the unfinished one; where it is queued, its run begins later.

        Raises:
            NotRegistered: its function is not known to this engine.
        """
        workflow = self._engine._schedule_call(TriggerSchedule(self._name))
        return WorkflowInfo(self._engine, workflow)

    async def atrigger(self) -> WorkflowInfo[Any]:
        """Awaitable twin of :meth:`trigger`."""
        workflow = await self._engine._schedule_call_nowait(TriggerSchedule(self._name))
        return WorkflowInfo(self._engine, workflow)

    def delete(self) -> None:
        """Forgets the schedule; its runs are left alone."""
        self._engine._schedule_call(DeleteSchedule(self._name))

    async def adelete(self) -> None:
        """Awaitable twin of :meth:`delete`."""
        await self._engine._schedule_call_nowait(DeleteSchedule(self._name))

    def history(self) -> list[Event]:
        """What happened to it: set, fired, skipped, missed, paused, and so on."""
        return self._engine.schedule_history(self._name)

    async def ahistory(self) -> list[Event]:
        """Awaitable twin of :meth:`history`."""
        return await asyncio.to_thread(self.history)

    def __repr__(self) -> str:
        return f"<ScheduleInfo {self._name!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScheduleInfo) and other._name == self._name and other._engine is self._engine

    def __hash__(self) -> int:
        return hash(self._name)

    def _row(self) -> ScheduleRow:
        return self._engine.get_schedule(self._name)
