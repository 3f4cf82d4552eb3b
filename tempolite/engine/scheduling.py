"""Schedules: runs that start by themselves, at times that a cron line or an interval gives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, timedelta, tzinfo
from typing import Any, get_args

from tempolite.actors.live_schedule import Command
from tempolite.core.due_times import Timing
from tempolite.core.schedule_events import Catchup, Overlap
from tempolite.engine.port import Port
from tempolite.engine.schedule_handle import ScheduleInfo
from tempolite.engine.settings import checked_timing
from tempolite.errors import InvalidArguments

_MICROSECOND = timedelta(microseconds=1)


class Scheduling(Port):
    """Calls that make and find schedules."""

    def schedule(
        self,
        name: str,
        spec: str | timedelta,
        fn: Callable[..., Any] | str,
        /,
        *args: Any,
        timezone: str | tzinfo = "UTC",
        overlap: Overlap = "skip",
        catchup: Catchup = "none",
    ) -> ScheduleInfo:
        """Starts a run of a workflow function whenever it is due; returns after the commit.

        The id of each run is ``name/due-time``, such as ``nightly/2026-11-22T03:00:00+00:00``: one run for
        each due time, also across restarts. The same name again replaces the schedule; the same schedule
        again, as programs set it at each start, leaves it as it is, paused or in the middle of an interval.

        Args:
            name: of the schedule.
            spec: a cron line of five fields, or six with seconds first; or an interval, from now on.
            fn: the workflow function, with its options; or the recorded name of one that is registered.
            args: its arguments.
            timezone: where the cron line is read. A time that does not exist there is due when the clocks
                jump over it, one that comes twice is due the first time; lines with ``*`` in minutes or
                hours go by the clock on the wall.
            overlap: while the run before is unfinished, ``"skip"`` the due time, ``"queue"`` it until that
                ends, or ``"cancel"`` that one.
            catchup: of the due times that passed while no engine was there, make up for ``"none"``, the
                last ``"one"``, or ``"all"``, one after the other.

        Raises:
            InvalidArguments: a bad cron line, zone, interval or option; arguments that ``fn`` would refuse.
            NotStorable: an argument that can't be stored; nothing was recorded.
            QueueNotFound: its options name a queue that there isn't.
        """
        timing = _timing(spec, timezone)
        for option, value, allowed in (("overlap", overlap, Overlap), ("catchup", catchup, Catchup)):
            if value not in get_args(allowed):
                raise InvalidArguments(f"{option} is {value!r}, expected one of {get_args(allowed)}")
        request = self._schedule_request(name, timing, fn, args, (overlap, catchup))
        return ScheduleInfo(self, self._schedule_call(request))

    async def aschedule(
        self, name: str, spec: str | timedelta, fn: Callable[..., Any], /, *args: Any, **options: Any
    ) -> ScheduleInfo:
        """Awaitable twin of :meth:`schedule`."""
        return await asyncio.to_thread(self.schedule, name, spec, fn, *args, **options)

    def schedules(self) -> list[ScheduleInfo]:
        """All schedules, by name."""
        return [ScheduleInfo(self, name) for name in self.schedule_names()]

    async def aschedules(self) -> list[ScheduleInfo]:
        """Awaitable twin of :meth:`schedules`."""
        return await asyncio.to_thread(self.schedules)

    # ── behind the handles ──────────────────────────────────────────────────────────────────────────────

    def _schedule_call(self, command: Command) -> str:
        return str(self._ask_for_commit(command))

    async def _schedule_call_nowait(self, command: Command) -> str:
        return str(await self._ask_nowait(command))


def _timing(spec: Any, timezone: Any) -> Timing:
    zone = "UTC" if timezone is UTC else getattr(timezone, "key", timezone)
    if not isinstance(zone, str) or not zone:
        raise InvalidArguments(f"timezone is {timezone!r}, expected a name such as 'Europe/Paris'")
    if isinstance(spec, timedelta):
        timing = Timing(every_us=spec // _MICROSECOND, timezone=zone)
    elif isinstance(spec, str) and spec.strip():
        timing = Timing(cron=spec.strip(), timezone=zone)
    else:
        raise InvalidArguments(f"{spec!r} is no schedule, expected a cron line or a timedelta")
    return checked_timing(timing)
