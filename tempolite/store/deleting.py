"""The statements that delete finished workflows, and find them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tempolite.actors.messages import Statement, Write
from tempolite.core.engine_events import ENGINE_STREAM, WorkflowsDeleted
from tempolite.core.events import encode_body
from tempolite.core.status import FINISHED

RECORD_DELETION = Statement(
    "record deletion",
    # Before the rows go: so its position is higher than any of theirs, and none is ever used again.
    "INSERT INTO events (stream, seq, type, step, attempt, payload, at, checksum, epoch, batch)"
    f" SELECT {ENGINE_STREAM}, coalesce(max(seq), 0) + 1, 'WorkflowsDeleted', '', 1, ?3, ?4, ?5, ?1, ?2"
    f" FROM events WHERE stream = {ENGINE_STREAM}",
    columns=5,
    rank=20,
    is_stamped=True,
)

_STREAMS = "(SELECT stream FROM runs WHERE workflow = ?1)"

# Everything that belongs to a workflow, in all its runs; the runs last, because they lead to the rest.
DELETE_WORKFLOW = (
    Statement("delete events", f"DELETE FROM events WHERE stream IN {_STREAMS}", columns=1, rank=21),
    Statement("delete timers", f"DELETE FROM timers WHERE stream IN {_STREAMS}", columns=1, rank=22),
    Statement("delete spawns", f"DELETE FROM spawns WHERE stream IN {_STREAMS}", columns=1, rank=23),
    Statement("delete signal ids", "DELETE FROM signal_ids WHERE workflow = ?1", columns=1, rank=24),
    Statement("delete runs", "DELETE FROM runs WHERE workflow = ?1", columns=1, rank=29),
)

_ENDS = ", ".join(f"'{status}'" for status in sorted(FINISHED))

# A child whose outcome its unfinished parent still has to hear stays, and so does one that was just asked to
# try again: the parent would start it anew.
_DELETABLE = (
    f"is_latest = 1 AND status IN ({_ENDS}) AND NOT (owes_parent = 1 AND EXISTS (SELECT 1 FROM runs p"
    f" WHERE p.stream = runs.parent_stream AND p.status NOT IN ({_ENDS})))"
    " AND NOT EXISTS (SELECT 1 FROM spawns s WHERE s.child = runs.workflow)"
)

DELETABLE = f"SELECT workflow FROM runs WHERE workflow IN (SELECT value FROM json_each(?1)) AND {_DELETABLE}"

EXPIRED = (
    f"SELECT workflow FROM runs WHERE finished_at <= ?1 AND {_DELETABLE}"
    " ORDER BY finished_at, stream LIMIT ?2"
)

FIRST_END = f"SELECT min(finished_at) FROM runs WHERE finished_at IS NOT NULL AND {_DELETABLE}"


def deletion(workflows: Sequence[str], last_stream: int, at: int) -> list[Write]:
    """Deletes finished workflows, and records that."""
    body = encode_body(WorkflowsDeleted(tuple(workflows), last_stream))
    check = zlib.crc32(body, zlib.crc32(b"WorkflowsDeleted"))
    writes: list[Write] = [(RECORD_DELETION, (body.decode(), at, check))]
    writes.extend((statement, (workflow,)) for statement in DELETE_WORKFLOW for workflow in workflows)
    return writes


def encoded_ids(workflows: Iterable[str]) -> str:
    """Ids as the one value that a statement is given."""
    return msgspec.json.encode(list(workflows)).decode()


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which finished workflows are meant; None is no condition.

    Attributes:
        ids: one of these.
        statuses: one of these.
        finished_before: µs since the epoch, inclusive.
    """

    ids: Sequence[str] | None = None
    statuses: Sequence[str] | None = None
    finished_before: int | None = None

    def select(self, after: int, limit: int) -> tuple[str, list[Any]]:
        """Their ordinals and ids, oldest first, from behind that ordinal."""
        parts, bound = [f"ordinal > ? AND {_DELETABLE}"], list[Any]([after])
        if self.ids is not None:
            parts.append("workflow IN (SELECT value FROM json_each(?))")
            bound.append(encoded_ids(self.ids))
        if self.statuses is not None:
            parts.append("status IN (SELECT value FROM json_each(?))")
            bound.append(encoded_ids(self.statuses))
        if self.finished_before is not None:
            parts.append("finished_at <= ?")
            bound.append(self.finished_before)
        sql = f"SELECT ordinal, workflow FROM runs WHERE {' AND '.join(parts)} ORDER BY ordinal LIMIT ?"
        return sql, [*bound, limit]
