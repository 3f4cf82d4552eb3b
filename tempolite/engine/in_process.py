"""What the questions of calls and handles come to where the engine is in this process."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from tempolite.actors.futures import Reply
from tempolite.actors.live_schedule import SetSchedule, unknown_schedule
from tempolite.actors.messages import RunEnded, StartRun
from tempolite.calls import WorkflowCall
from tempolite.core.due_times import Timing
from tempolite.core.identifiers import DRAWN_BYTES, WorkflowId, made_up_id
from tempolite.core.queues import DEFAULT_QUEUE
from tempolite.core.schedule_events import ScheduleSpec
from tempolite.core.status import Status
from tempolite.engine.lifecycle import Lifecycle
from tempolite.engine.listing import Event, ScheduleRow, event_of, latest_of
from tempolite.engine.settings import checked_id, checked_text
from tempolite.store import queries

EVENTS_PER_PAGE = 500
PAGE_BYTES_MAX = 16 * 2**20
"""Read at once: who follows slowly holds neither the file nor the memory up. One event may be larger."""


class InProcess(Lifecycle):
    """Answers from the file and from the actors."""

    def encode_call_of(self, workflow: str, args: tuple[Any, ...]) -> bytes:
        """Arguments for a workflow's function; refused where they don't fit."""
        call = self._registry.find(self.get_row(workflow).function)
        if call is not None:
            call.shape.check(call.name, args, {})
        return self._services.encode_call(args, {})

    def get_row(self, workflow: str) -> queries.RunRow:
        """A workflow's latest run, as last committed."""
        return latest_of(workflow, self._rows(queries.RUN, (workflow,)))

    def stored_end(self, workflow: str) -> RunEnded | None:
        """What who has no patience is told: the outcome that is there."""
        stored = self._runs.find(WorkflowId(workflow))
        if stored is None or stored.ended is None or stored.ended.status == Status.STRANDED:
            # A stranded run may be about to go on, so only the directory can tell.
            return None
        return stored.ended

    def _start_request(
        self, id: str | None, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> StartRun:
        self._check_started()
        given = checked_id(id)
        call: WorkflowCall = self._registry.call_of(fn)
        given = given or (None if isinstance(fn, str) else call.options.id)
        call.shape.check(call.name, args, kwargs)
        self._check_queue(call.options.queue or DEFAULT_QUEUE)
        payload = self._services.encode_call(args, kwargs)
        workflow = given or self._new_id()
        seed = self._services.new_seed()
        created = call.run_created(workflow, msgspec.Raw(payload), seed=seed, run_group=workflow)
        return StartRun(WorkflowId(workflow), created, is_made_up=given is None, code=call)

    def _new_id(self) -> str:
        return made_up_id(self._clock.now_us(), self._random_bytes(DRAWN_BYTES))

    # ── the log ─────────────────────────────────────────────────────────────────────────────────────────

    def events_page(self, after: int) -> list[Event]:
        """What the log has next behind that position; nothing at its end."""
        sizes = [size or 0 for (size,) in self._rows(queries.LOG_SIZES, (after, EVENTS_PER_PAGE))]
        fitting = sum(total <= PAGE_BYTES_MAX for total in itertools.accumulate(sizes))
        return [event_of(row) for row in self._rows(queries.LOG, (after, max(1, fitting)))]

    def _next_commit(self) -> Reply[bool]:
        return self._system.next_commit()

    def _wait_for(self, bell: Reply[bool]) -> bool:
        return bool(self._system.wait_for(bell))

    # ── schedules ───────────────────────────────────────────────────────────────────────────────────────

    def schedule_names(self) -> list[str]:
        """Names of all schedules."""
        self._check_started()
        return [stored.state.name for stored in self._schedules.schedules()]

    def get_schedule(self, name: str) -> ScheduleRow:
        """A schedule, as last committed."""
        self._check_started()
        stored = self._schedules.find(name)
        if stored is None:
            raise unknown_schedule(name)
        return ScheduleRow.of(stored.state, self._schedules.problem_of(stored.state))

    def schedule_history(self, name: str) -> list[Event]:
        """What happened to a schedule."""
        rows = self._rows(queries.SCHEDULE_HISTORY, (name,))
        if not rows:
            raise unknown_schedule(name)
        return [event_of(row) for row in rows]

    def _schedule_request(
        self, name: str, timing: Timing, fn: Any, args: tuple[Any, ...], policies: tuple[Any, Any]
    ) -> SetSchedule:
        self._check_started()
        checked_text("name", name)
        call = self._registry.call_of(fn)
        call.shape.check(call.name, args, {})
        self._check_queue(call.options.queue or DEFAULT_QUEUE)
        if not timing.cron:
            timing = msgspec.structs.replace(timing, anchor_us=self._clock.now_us())
        payload = msgspec.Raw(self._services.encode_call(args, {}))
        overlap, catchup = policies
        spec = ScheduleSpec(timing=timing, function=call.name, args=payload, overlap=overlap, catchup=catchup)
        return SetSchedule(name, spec)
