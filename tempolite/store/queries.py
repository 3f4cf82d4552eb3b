"""The statements that read. Names of columns come from here only; values are always bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

# Streams are never used again: a deletion remembers how far they had come.
LAST_STREAM = (
    "SELECT max((SELECT coalesce(max(stream), 0) FROM runs), (SELECT coalesce(max(stream), 0) FROM events),"
    " coalesce((SELECT iif(json_valid(payload), json_extract(payload, '$.last_stream'), 0) FROM events"
    " WHERE stream = 0 AND type = 'WorkflowsDeleted' ORDER BY seq DESC LIMIT 1), 0))"
)

SCHEDULES = "SELECT name, stream, seq, state FROM schedules ORDER BY name"

SCHEDULE = "SELECT name, stream, seq, state FROM schedules WHERE name = ?1"

SCHEDULE_HISTORY = (
    "SELECT position, '', 0, type, step, attempt, at, payload FROM events"
    " WHERE stream = (SELECT stream FROM schedules WHERE name = ?1) ORDER BY seq"
)

LATEST_RUN = (
    "SELECT stream, function, status, parent, parent_step, parent_stream, problem, queue, priority"
    " FROM runs WHERE workflow = ?1 AND is_latest = 1 ORDER BY run DESC LIMIT 1"
)

LATEST_ROW = "SELECT status, finished_at, problem, owes_parent, is_held FROM runs WHERE stream = ?1"

STREAM_EVENTS = (
    "SELECT seq, type, step, attempt, payload, at, checksum FROM events WHERE stream = ?1 ORDER BY seq"
)

OUTCOME = (
    "SELECT type, payload FROM events WHERE stream = ?1"
    " AND type IN ('RunCompleted', 'RunFailed', 'RunCancelled', 'RunContinued') ORDER BY seq DESC LIMIT 1"
)

# Unfinished runs are found by their queue first, of which there are few: from each to the next one by a look
# into the index, so that neither finished runs nor those that are parked cost a start anything.
_QUEUES = (
    "queues (queue) AS (SELECT min(queue) FROM runs WHERE finished_at IS NULL UNION ALL"
    " SELECT (SELECT min(r.queue) FROM runs r WHERE r.finished_at IS NULL AND r.queue > queues.queue)"
    " FROM queues WHERE queue IS NOT NULL)"
)
_UNFINISHED = (
    "FROM queues CROSS JOIN runs r INDEXED BY runs_unfinished"
    " WHERE r.finished_at IS NULL AND r.queue = queues.queue"
)

# Whatever can go on without a message from outside: its work was under way, a child's outcome is recorded in
# the child's stream and not yet in the parent's, or a child that was asked for may not exist yet. Oldest
# first, so that a restart is fair. What only waits stays where it is, however much there is of it.
WITH_WORK = (
    f"WITH RECURSIVE {_QUEUES} SELECT workflow FROM runs WHERE stream IN ("
    f" SELECT r.stream {_UNFINISHED} AND r.status IN ('RUNNING', 'STRANDED')"
    " UNION SELECT stream FROM runs WHERE owes_parent = 1 AND is_latest = 1"
    " UNION SELECT stream FROM spawns)"
    " AND is_latest = 1 ORDER BY ordinal"
)

HELD = "SELECT workflow, queue, priority, 1 FROM runs WHERE is_held = 1 AND is_latest = 1 ORDER BY ordinal"

ACTIVE_ROOTS = (
    "SELECT workflow, queue, priority, 0 FROM runs INDEXED BY runs_unfinished WHERE finished_at IS NULL"
    " AND queue = ?1 AND status IN ('RUNNING', 'WAITING') AND is_held = 0 AND parent IS NULL"
)

# Children that don't follow the run that asked for them: a crash came between its commit and theirs. What a
# child was told later than that stands: a restart takes nothing back.
_TURNED = "(SELECT coalesce(max(position), 0) FROM events WHERE stream = {stream} AND type IN ({types}))"
_PARENT_TURNED = _TURNED.format(
    stream="p.stream",
    types="'RunPaused', 'RunResumed', 'RunCompleted', 'RunFailed', 'RunCancelled', 'RunContinued'",
)
_CHILD_TURNED = _TURNED.format(stream="c.stream", types="'RunPaused', 'RunResumed', 'AttemptBegan'")
LEFT_BEHIND = (
    "SELECT c.workflow, CASE p.status WHEN 'PAUSED' THEN 'pause' WHEN 'RUNNING' THEN 'resume'"
    " WHEN 'WAITING' THEN 'resume' ELSE 'cancel' END"
    " FROM runs c INDEXED BY runs_unfinished_children CROSS JOIN runs p ON p.stream = c.parent_stream"
    " WHERE c.finished_at IS NULL AND c.parent_stream IS NOT NULL"
    " AND ((p.status = 'PAUSED' AND c.status IN ('PENDING', 'RUNNING', 'WAITING') AND c.bond <> 'detached')"
    " OR (p.status IN ('RUNNING', 'WAITING') AND c.status = 'PAUSED' AND c.bond <> 'detached')"
    " OR (p.status IN ('COMPLETED', 'FAILED', 'CANCELLED') AND c.bond = 'cancel'))"
    f" AND {_CHILD_TURNED} < {_PARENT_TURNED}"
    " ORDER BY c.ordinal"
)

# Children that were asked for, and may not exist, of a run that is over.
UNSTARTED = (
    "SELECT DISTINCT r.workflow, r.stream, r.function FROM spawns s JOIN runs r ON r.stream = s.stream"
    " WHERE r.is_latest = 0 OR r.status IN ('COMPLETED', 'FAILED', 'CANCELLED') ORDER BY r.ordinal"
)

TIMERS = (
    "SELECT r.workflow, t.key, t.due_at FROM timers t JOIN runs r ON r.stream = t.stream"
    " WHERE t.due_at >= ?1 AND t.due_at < ?2 ORDER BY t.due_at"
)

NEXT_TIMER = "SELECT min(due_at) FROM timers WHERE due_at >= ?1"

SLEEPING = (
    "SELECT EXISTS (SELECT 1 FROM timers t JOIN runs r ON r.stream = t.stream"
    " WHERE r.status IN ('RUNNING', 'WAITING'))"
)

IS_KNOWN_SIGNAL = "SELECT 1 FROM signal_ids WHERE workflow = ?1 AND name = ?2 AND dedup = ?3"

# Each function of unfinished runs, once: from one to the next within each queue and status.
UNFINISHED_FUNCTIONS = (
    f"WITH RECURSIVE {_QUEUES}, functions (queue, status, function) AS ("
    " SELECT queue, value, (SELECT min(r.function) FROM runs r WHERE r.finished_at IS NULL"
    " AND r.queue = queues.queue AND r.status = value)"
    ' FROM queues, json_each(\'["PENDING", "RUNNING", "WAITING", "PAUSED"]\') WHERE queue IS NOT NULL'
    " UNION ALL SELECT f.queue, f.status, (SELECT min(r.function) FROM runs r WHERE r.finished_at IS NULL"
    " AND r.queue = f.queue AND r.status = f.status AND r.function > f.function)"
    " FROM functions f WHERE f.function IS NOT NULL)"
    " SELECT DISTINCT function FROM functions WHERE function IS NOT NULL"
)

UNFINISHED_OF = (
    f"WITH RECURSIVE {_QUEUES} SELECT r.workflow {_UNFINISHED}"
    " AND r.status IN ('PENDING', 'RUNNING', 'WAITING', 'PAUSED') AND r.function = ?1 ORDER BY r.ordinal"
)

# Its own queue, or that of one of its activities, which its problem names.
STRANDED_ON = (
    f"WITH RECURSIVE {_QUEUES} SELECT r.workflow {_UNFINISHED} AND r.status = 'STRANDED'"
    " AND (r.queue = ?1 OR instr(r.problem, ?1)) ORDER BY r.ordinal"
)

STRANDED_OF = (
    f"WITH RECURSIVE {_QUEUES} SELECT r.workflow {_UNFINISHED} AND r.status = 'STRANDED'"
    " AND r.function = ?1 ORDER BY r.ordinal"
)

_RUN_COLUMNS = (
    "stream, workflow, run, ordinal, function, queue, status, parent, run_group, retried_from, forked_from,"
    " created_at, finished_at, status_text, progress, problem"
)

RUN = f"SELECT {_RUN_COLUMNS} FROM runs WHERE workflow = ?1 AND is_latest = 1"

HISTORY = (
    "SELECT e.position, r.workflow, r.run, e.type, e.step, e.attempt, e.at, e.payload"
    " FROM runs r JOIN events e ON e.stream = r.stream WHERE r.workflow = ?1 AND {which} ORDER BY e.seq"
)
HISTORY_OF_LATEST = HISTORY.format(which="r.is_latest = 1")
HISTORY_OF_RUN = HISTORY.format(which="r.run = ?2")


RUN_TO_REPLAY = "SELECT r.stream, r.function, r.status FROM runs r WHERE r.workflow = ?1 AND {which}"

# The engine's own events stand in stream 0, which is no run's.
LOG = (
    "SELECT e.position, coalesce(r.workflow, ''), coalesce(r.run, 0), e.type, e.step, e.attempt, e.at,"
    " e.payload FROM events e LEFT JOIN runs r ON r.stream = e.stream"
    " WHERE e.position > ?1 ORDER BY e.position LIMIT ?2"
)

# Without reading them.
LOG_SIZES = "SELECT octet_length(payload) FROM events WHERE position > ?1 ORDER BY position LIMIT ?2"

# A workflow and all that it led to, the oldest first; a parent that was deleted and made again may be younger
# than its child.
TREE = (
    "WITH RECURSIVE below (workflow, parent, ordinal) AS (SELECT workflow, NULL, ordinal FROM runs"
    " WHERE workflow = ?1 AND is_latest = 1 UNION SELECT r.workflow, r.parent, r.ordinal FROM runs r"
    " JOIN below b ON r.parent = b.workflow WHERE r.is_latest = 1)"
    " SELECT workflow, parent FROM below ORDER BY ordinal"
)

COUNT_BY_STATUS = "SELECT status, count(*) FROM runs WHERE is_latest = 1 GROUP BY status"


class RunRow(msgspec.Struct, frozen=True, array_like=True):
    """A run as its row says."""

    stream: int
    workflow: str
    run: int
    ordinal: int
    function: str
    queue: str
    status: str
    parent: str | None
    run_group: str
    retried_from: str | None
    forked_from: str | None
    created_at: int
    finished_at: int | None
    status_text: str
    progress: float | None
    problem: str

    @property
    def is_finished(self) -> bool:
        """Whether its outcome is recorded."""
        return self.status in ("COMPLETED", "FAILED", "CANCELLED")


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to list; None is no condition.

    Attributes:
        statuses, queue, parent, run_group: equal to.
        functions: one of these names.
        created_after, created_before: µs since the epoch, exclusive.
        search: text that stands in the id, an input or an outcome.
        before: ordinal of the last run of the page before.
    """

    statuses: Sequence[str] | None = None
    queue: str | None = None
    functions: Sequence[str] | None = None
    parent: str | None = None
    run_group: str | None = None
    created_after: int | None = None
    created_before: int | None = None
    search: str | None = None
    before: int | None = None

    def where(self) -> tuple[str, list[Any]]:
        """The condition, and the values that are bound to it."""
        parts, values = ["is_latest = 1"], []
        for condition, value in (
            ("queue = ?", self.queue),
            ("parent = ?", self.parent),
            ("run_group = ?", self.run_group),
            ("created_at > ?", self.created_after),
            ("created_at < ?", self.created_before),
            ("ordinal < ?", self.before),
        ):
            if value is not None:
                parts.append(condition)
                values.append(value)
        for column, allowed in (("status", self.statuses), ("function", self.functions)):
            if allowed is not None:
                parts.append(f"{column} IN ({', '.join('?' * len(allowed))})")
                values.extend(allowed)
        if self.search is not None:
            parts.append(_SEARCH)
            values.extend([self.search, self.search])
        return " AND ".join(parts), values


# Texts, numbers and keys are looked at one by one, and not as the JSON that they stand in: that has escapes,
# fields of ours ("$.args" and so on) and the codec's marks of types ("$" and "v").
_SEARCH = (
    "(instr(lower(workflow), lower(?)) OR EXISTS (SELECT 1 FROM events e, json_tree(e.payload,"
    " CASE e.type WHEN 'RunCreated' THEN '$.args' WHEN 'RunCompleted' THEN '$.result'"
    " ELSE '$.failure.message' END) part"
    " WHERE e.stream = runs.stream AND e.type IN ('RunCreated', 'RunCompleted', 'RunFailed')"
    " AND instr(lower(concat_ws(char(31), iif(part.key IS '$', NULL, part.atom),"
    " iif(typeof(part.key) = 'text' AND part.key NOT IN ('$', 'v')"
    " AND part.path NOT IN ('$', '$.args', '$.failure'), part.key, NULL))), lower(?))))"
)


def list_runs(chosen: RunFilter, limit: int) -> tuple[str, list[Any]]:
    """Newest first. ``ordinal`` never changes, so a page stays where it is while runs go on."""
    where, values = chosen.where()
    return f"SELECT {_RUN_COLUMNS} FROM runs WHERE {where} ORDER BY ordinal DESC LIMIT ?", [*values, limit]


def count_runs(chosen: RunFilter) -> tuple[str, list[Any]]:
    """How many there are."""
    where, values = chosen.where()
    return f"SELECT count(*) FROM runs WHERE {where}", values
