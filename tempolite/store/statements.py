"""The statements that write, as values that turns are made of."""

from __future__ import annotations

from zlib import crc32

import msgspec

from tempolite.actors.messages import Statement, Write
from tempolite.core.events import BODIES, Entry, RunCreated, encode_body
from tempolite.core.identifiers import StreamId, WorkflowId
from tempolite.core.schedule import ScheduleState
from tempolite.core.schedule_events import SCHEDULE_BODIES, ScheduleEntry
from tempolite.core.status import Status

INSERT_EVENT = Statement(
    "insert event",
    "INSERT INTO events (stream, seq, type, step, attempt, payload, at, checksum, epoch, batch) VALUES",
    columns=10,
    rank=0,
    is_insert=True,
    is_stamped=True,
)

RUN_COLUMNS = (
    "stream",
    "workflow",
    "run",
    "ordinal",
    "function",
    "queue",
    "status",
    "parent",
    "parent_step",
    "bond",
    "run_group",
    "priority",
    "retried_from",
    "forked_from",
    "created_at",
    "finished_at",
    "problem",
    "owes_parent",
    "is_held",
    "parent_stream",
)
"""As :func:`insert_run` gives them; the others are at their default in a new row."""

INSERT_RUN = Statement(
    "insert run",
    f"INSERT INTO runs ({', '.join(RUN_COLUMNS)}) VALUES",
    columns=len(RUN_COLUMNS),
    rank=1,
    is_insert=True,
)

UPDATE_RUN = Statement(
    "update run",
    "UPDATE runs SET status = ?2, finished_at = ?3, problem = ?4, owes_parent = ?5, is_held = ?6"
    " WHERE stream = ?1",
    columns=6,
    rank=2,
)

CONTINUE_RUN = Statement(
    "continue run",
    # The next run takes over the place in listings; in the same batch its row was inserted.
    "UPDATE runs SET is_latest = 0 WHERE stream = ?1",
    columns=1,
    rank=3,
)

KEEP_PLACE = Statement(
    "keep place",
    "UPDATE runs SET ordinal = (SELECT ordinal FROM runs WHERE stream = ?2) WHERE stream = ?1",
    columns=2,
    rank=3,
)

SET_STATUS_TEXT = Statement(
    "set status text",
    "UPDATE runs SET status_text = ?2, progress = ?3 WHERE stream = ?1",
    columns=3,
    rank=3,
)

SETTLE_CHILD = Statement(
    "settle child",
    # The parent's stream holds the outcome now; in the same batch the child's row says so. The id may lead to
    # a child of somebody else, who has still to hear of it.
    "UPDATE runs SET owes_parent = 0 WHERE workflow = ?1 AND is_latest = 1 AND parent_stream IS ?2",
    columns=2,
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
    # Before those that are set: a run that ends and is resumed in one turn keeps these.
    "DELETE FROM timers WHERE stream = ?1",
    columns=1,
    rank=3,
)

SPAWNED = Statement(
    "spawned",
    # The child's stream speaks for itself now, or the parent's says what became of it. Before the next: a
    # parent may ask for a child once more in the turn in which it hears of its end.
    "DELETE FROM spawns WHERE child = ?1 AND stream = ?2",
    columns=2,
    rank=7,
)

SPAWN = Statement(
    "spawn",
    "INSERT OR REPLACE INTO spawns (child, stream) VALUES",
    columns=2,
    rank=8,
    is_insert=True,
)

NOTE_SIGNAL = Statement(
    "note signal",
    "INSERT OR IGNORE INTO signal_ids (workflow, name, dedup) VALUES",
    columns=3,
    rank=9,
    is_insert=True,
)

SCHEDULE_COLUMNS = ("name", "stream", "seq", "function", "next_due", "is_paused", "state")
"""As :func:`put_schedule` gives them."""

PUT_SCHEDULE = Statement(
    "put schedule",
    # In the batch of the events that it follows from, so the row is never ahead of them or behind.
    f"INSERT OR REPLACE INTO schedules ({', '.join(SCHEDULE_COLUMNS)}) VALUES",
    columns=len(SCHEDULE_COLUMNS),
    rank=10,
    is_insert=True,
)

DROP_SCHEDULE = Statement(
    "drop schedule",
    "DELETE FROM schedules WHERE name = ?1",
    columns=1,
    rank=11,
)

_TYPE_SEEDS = {name: crc32(name.encode()) for name in (*BODIES, *SCHEDULE_BODIES)}
_SEEDS = {kind: (name, _TYPE_SEEDS[name]) for name, kind in (BODIES | SCHEDULE_BODIES).items()}


def checksum(type_name: str, step: str, payload: bytes) -> int:
    """CRC-32 of what an event says; ``verify`` computes it again from what was read."""
    return crc32(payload, crc32(step.encode(), _TYPE_SEEDS[type_name]))


def insert_event(stream: StreamId, entry: Entry | ScheduleEntry) -> Write:
    """Appends an entry to its stream."""
    body, step = entry.body, entry.step
    payload, (type_name, seed) = encode_body(body), _SEEDS[type(body)]
    check = crc32(payload, crc32(step.encode(), seed))
    return INSERT_EVENT, (
        stream,
        entry.seq,
        type_name,
        step,
        entry.attempt,
        payload.decode(),
        entry.at,
        check,
    )


class Latest(msgspec.Struct, frozen=True, gc=False):
    """What changes in a run's row.

    Attributes:
        status: of the run.
        finished_at: µs since the epoch.
        problem: why it is stuck or stranded.
        owes_parent: its outcome is recorded, and may not be in its parent's stream.
        is_held: it waits for its queue's ``max_runs``.
    """

    status: Status
    finished_at: int | None = None
    problem: str = ""
    owes_parent: bool = False
    is_held: bool = False

    def row(self) -> tuple[str, int | None, str, int, int]:
        """As the statements take it."""
        return self.status.value, self.finished_at, self.problem, int(self.owes_parent), int(self.is_held)


def insert_run(stream: StreamId, workflow: WorkflowId, created: RunCreated, at: int, latest: Latest) -> Write:
    """The run's row."""
    status, finished_at, problem, owes_parent, is_held = latest.row()
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
        bond(created),
        created.run_group,
        created.priority,
        created.retried_from,
        created.forked_from,
        at,
        finished_at,
        problem,
        owes_parent,
        is_held,
        created.parent_stream,
    )
    return INSERT_RUN, row


def update_run(stream: StreamId, latest: Latest) -> Write:
    """What changed in the run's row."""
    return UPDATE_RUN, (stream, *latest.row())


def bond(created: RunCreated) -> str | None:
    """How a child hangs on its parent: what ``on_parent_close`` says, or ``detached``."""
    if created.parent is None:
        return None
    return "detached" if created.detached else created.on_parent_close


def put_schedule(stream: StreamId, seq: int, state: ScheduleState) -> Write:
    """The schedule's row, as its last event leaves it."""
    text = msgspec.json.encode(state).decode()
    row = (state.name, stream, seq, state.spec.function, state.next_due, int(state.is_paused), text)
    return PUT_SCHEDULE, row


def drop_schedule(name: str) -> Write:
    """A deleted schedule has no row; its events stay."""
    return DROP_SCHEDULE, (name,)
