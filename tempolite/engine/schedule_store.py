"""Schedules in the file, and the runs that they ask for: what the scheduler asks of the upper floors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tempolite.actors.database_file import DatabaseFile, run
from tempolite.actors.messages import StartRun, Write
from tempolite.actors.schedule_store import StoredSchedule
from tempolite.calls import WorkflowCall
from tempolite.core.identifiers import StreamId
from tempolite.core.queues import DEFAULT_QUEUE
from tempolite.core.schedule import ScheduleState
from tempolite.core.schedule_events import ScheduleEntry
from tempolite.errors import DatabaseDamaged, NotRegistered, QueueNotFound
from tempolite.registry import Registry, unknown_function
from tempolite.store import queries, statements

logger = logging.getLogger("tempolite")


class SchedulesInFile:
    """Reads schedules, and makes the starts of their runs.

    Args:
        file: the open file.
        registry: knows the functions.
        new_seed: of a run's randomness.
        check_queue: raises ``QueueNotFound`` for an unknown name.
    """

    def __init__(
        self,
        file: DatabaseFile,
        registry: Registry,
        new_seed: Callable[[], int],
        check_queue: Callable[[str], None],
    ) -> None:
        self._file = file
        self._registry = registry
        self._new_seed = new_seed
        self._check_queue = check_queue

    def schedules(self) -> list[StoredSchedule]:
        """All that can be read; one that can't is left alone, and the others go on."""
        found = []
        for row in self._rows(queries.SCHEDULES):
            try:
                found.append(_stored(row))
            except DatabaseDamaged as error:
                logger.error("%s", error)
        return found

    def find(self, name: str) -> StoredSchedule | None:
        """A schedule as last committed."""
        rows = self._rows(queries.SCHEDULE, name)
        return _stored(rows[0]) if rows else None

    def writes(
        self, stream: StreamId, name: str, entries: Sequence[ScheduleEntry], after: ScheduleState | None
    ) -> list[Write]:
        """Records what happened, and the schedule as it is then; without a state it is gone."""
        writes = [statements.insert_event(stream, entry) for entry in entries]
        if after is None:
            return [*writes, statements.drop_schedule(name)]
        return [*writes, statements.put_schedule(stream, entries[-1].seq, after)]

    def problem_of(self, state: ScheduleState) -> str:
        """Why its runs can't be started by this engine, and the remedy; empty when they can."""
        try:
            self._call_of(state.spec.function)
        except (NotRegistered, QueueNotFound) as error:
            return str(error)
        return ""

    def request(self, state: ScheduleState, due_us: int) -> StartRun:
        """The wish for the run of a due time, with the function's options of today.

        Raises:
            NotRegistered, QueueNotFound: the function, or its queue, is not known.
        """
        call, workflow = self._call_of(state.spec.function), state.run_id(due_us)
        created = call.run_created(workflow, state.spec.args, seed=self._new_seed(), run_group=workflow)
        return StartRun(workflow, created, code=call)

    def _call_of(self, function: str) -> WorkflowCall:
        call = self._registry.find(function)
        if call is None:
            raise NotRegistered(unknown_function(function, call="tp.register(fn) or tp.schedule(...) again"))
        self._check_queue(call.options.queue or DEFAULT_QUEUE)
        return call

    def _rows(self, sql: str, *values: str) -> list[tuple[Any, ...]]:
        with self._file.reader() as connection:
            return run(connection, sql, values)


def _stored(row: tuple[Any, ...]) -> StoredSchedule:
    name, stream, seq, state = row
    try:
        found = msgspec.json.decode(state, type=ScheduleState)
    except msgspec.DecodeError as error:
        raise DatabaseDamaged(f"schedule {name!r} can't be read: {error}") from error
    return StoredSchedule(StreamId(stream), seq, found)
