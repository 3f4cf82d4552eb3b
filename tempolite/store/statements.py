"""The statements that write, as values that turns are made of."""

from __future__ import annotations

import zlib

from tempolite.actors.messages import Statement, Write
from tempolite.core.events import BODIES, Entry, RunCreated, encode_body
from tempolite.core.identifiers import StreamId, WorkflowId
from tempolite.core.status import Status

INSERT_EVENT = Statement(
    "insert event",
    "INSERT INTO events (stream, seq, type, step, attempt, payload, at, checksum, epoch, batch) VALUES",
    columns=10,
    rank=0,
    is_insert=True,
    is_stamped=True,
)

INSERT_RUN = Statement(
    "insert run",
    "INSERT INTO runs (stream, workflow, run, ordinal, function, queue, status, parent, parent_step,"
    " run_group, priority, retried_from, forked_from, created_at, finished_at, problem, owes_parent) VALUES",
    columns=17,
    rank=1,
    is_insert=True,
)

UPDATE_RUN = Statement(
    "update run",
    "UPDATE runs SET status = ?2, finished_at = ?3, problem = ?4, owes_parent = ?5 WHERE stream = ?1",
    columns=5,
    rank=2,
)

SETTLE_CHILD = Statement(
    "settle child",
    # The parent's stream holds the outcome now; in the same batch the child's row says so.
    "UPDATE runs SET owes_parent = 0 WHERE workflow = ?1 AND is_latest = 1",
    columns=1,
    rank=3,
)

SET_TIMER = Statement(
    "set timer",
    "INSERT OR REPLACE INTO timers (stream, key, due_at) VALUES",
    columns=3,
    rank=4,
    is_insert=True,
)

CLEAR_TIMER = Statement(
    "clear timer",
    "DELETE FROM timers WHERE stream = ?1 AND key = ?2",
    columns=2,
    rank=5,
)

CLEAR_TIMERS = Statement(
    "clear timers",
    "DELETE FROM timers WHERE stream = ?1",
    columns=1,
    rank=6,
)


_TYPE_SEEDS = {name: zlib.crc32(name.encode()) for name in BODIES}


def checksum(type_name: str, step: str, payload: bytes) -> int:
    """CRC-32 of what an event says; ``verify`` computes it again from what was read."""
    return zlib.crc32(payload, zlib.crc32(step.encode(), _TYPE_SEEDS[type_name]))


def insert_event(stream: StreamId, entry: Entry) -> Write:
    """Appends an entry to its stream."""
    seq, at, body, step, attempt = entry.seq, entry.at, entry.body, entry.step, entry.attempt
    payload = encode_body(body)
    type_name = type(body).__name__
    check = zlib.crc32(payload, zlib.crc32(step.encode(), _TYPE_SEEDS[type_name]))
    return INSERT_EVENT, (stream, seq, type_name, step, attempt, payload.decode(), at, check)


Latest = tuple[str, int | None, str, bool]
"""Status, finished_at, problem and owes_parent as of a turn."""


def insert_run(stream: StreamId, workflow: WorkflowId, created: RunCreated, at: int, latest: Latest) -> Write:
    """The run's row."""
    status, finished_at, problem, owes_parent = latest
    row = (
        stream,
        workflow,
        created.run,
        stream,
        created.function,
        created.queue,
        status,
        created.parent,
        created.parent_step,
        created.run_group,
        created.priority,
        created.retried_from,
        created.forked_from,
        at,
        finished_at,
        problem,
        int(owes_parent),
    )
    return INSERT_RUN, row


def update_run(
    stream: StreamId, status: Status, finished_at: int | None, problem: str, owes_parent: bool
) -> Write:
    """What changed in the run's row."""
    return UPDATE_RUN, (stream, status.value, finished_at, problem, int(owes_parent))
