"""The statements that ``verify`` reads with, and what a run's row must say.

Texts are read as bytes: those that were changed may not be texts any more.
"""

from __future__ import annotations

import msgspec

from tempolite.core.events import RunCreated

INTEGRITY = "PRAGMA integrity_check(100)"

EVENTS = (
    "SELECT stream, seq, CAST(type AS BLOB), CAST(step AS BLOB), attempt, CAST(payload AS BLOB), at, checksum"
    " FROM events ORDER BY stream, seq"
)

# Rows that are there, by what leads to them.
RUN_ROW = (
    "SELECT run, function, queue, parent, parent_step, parent_stream, run_group, priority, retried_from,"
    " forked_from, created_at, finished_at, status FROM runs WHERE stream = ?1"
)
NAME_OF = "SELECT workflow FROM runs WHERE stream = ?1"

RUNS_WITHOUT_EVENTS = (
    "SELECT workflow, run FROM runs WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.stream = runs.stream)"
)
TIMERS_WITHOUT_RUN = "SELECT key, stream FROM timers WHERE stream NOT IN (SELECT stream FROM runs)"
WRONG_LATEST = (
    "SELECT workflow FROM runs GROUP BY workflow"
    " HAVING sum(is_latest) <> 1 OR max(iif(is_latest = 1, run, 0)) <> max(run)"
)

SCHEDULE_ROW = "SELECT name, state FROM schedules WHERE stream = ?1"
SCHEDULES_WITHOUT_EVENTS = (
    "SELECT name FROM schedules WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.stream = schedules.stream)"
)

# Batches are chained: each digest is made of the one before and the checksums of its events.
BATCHES = "SELECT batch, checksum FROM events ORDER BY position"
LAST_LINK = "SELECT batch, chain FROM engine"
ANY_DELETION = "SELECT 1 FROM events WHERE stream = 0 AND type = 'WorkflowsDeleted' LIMIT 1"


class RunColumns(msgspec.Struct, array_like=True):
    """What a run's row must say, because its events do; the status is checked for the outcome only."""

    run: int
    function: str
    queue: str
    parent: str | None
    parent_step: str | None
    parent_stream: int | None
    run_group: str
    priority: int
    retried_from: str | None
    forked_from: str | None
    created_at: int
    finished_at: int | None

    def differences(self, row: tuple[object, ...]) -> list[str]:
        """Each column that says something else."""
        return [
            f"{name} is {found!r}, its events say {expected!r}"
            for name, expected, found in zip(
                self.__struct_fields__, msgspec.structs.astuple(self), row, strict=True
            )
            if expected != found
        ]


def expected_columns(created: RunCreated, created_at: int, finished_at: int | None) -> RunColumns:
    """The row that a run's events add up to."""
    return RunColumns(
        created.run,
        created.function,
        created.queue,
        created.parent,
        created.parent_step,
        created.parent_stream,
        created.run_group,
        created.priority,
        created.retried_from,
        created.forked_from,
        created_at,
        finished_at,
    )
