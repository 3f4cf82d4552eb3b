"""The statements that ``verify`` reads with.

Texts of events are read as bytes: those that were changed may not be texts any more.
"""

from __future__ import annotations

from tempolite.store.statements import RUN_COLUMNS, SCHEDULE_COLUMNS

INTEGRITY = "PRAGMA integrity_check(100)"

EVENTS = (
    "SELECT stream, position, seq, CAST(type AS BLOB), CAST(step AS BLOB), attempt, CAST(payload AS BLOB),"
    " at, checksum FROM events ORDER BY stream, seq"
)

# Rows that are there, by what leads to them.
ALL_RUN_COLUMNS = (*RUN_COLUMNS, "shard", "is_latest", "status_text", "progress")
RUN_ROW = f"SELECT {', '.join(ALL_RUN_COLUMNS)} FROM runs WHERE stream = ?1"
TIMERS_OF = "SELECT key, due_at FROM timers WHERE stream = ?1"
SIGNAL_IDS_OF = "SELECT name, dedup FROM signal_ids WHERE workflow = ?1"
SPAWNS = "SELECT child, stream FROM spawns"
SCHEDULE_ROW = f"SELECT {', '.join(SCHEDULE_COLUMNS)} FROM schedules WHERE stream = ?1"

# Rows that no event leads to.
RUNS_WITHOUT_EVENTS = (
    "SELECT workflow, run FROM runs WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.stream = runs.stream)"
)
TIMERS_WITHOUT_RUN = "SELECT key, stream FROM timers WHERE stream NOT IN (SELECT stream FROM runs)"
SIGNAL_IDS_WITHOUT_RUN = (
    "SELECT DISTINCT workflow FROM signal_ids"
    " WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.workflow = signal_ids.workflow)"
)
SCHEDULES_WITHOUT_EVENTS = (
    "SELECT name FROM schedules WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.stream = schedules.stream)"
)

# Batches are chained: each digest is made of the one before and the checksums of its events.
BATCHES = "SELECT batch, checksum FROM events ORDER BY position"
LAST_LINK = "SELECT batch, chain FROM engine"
ANY_DELETION = "SELECT 1 FROM events WHERE stream = 0 AND type = 'WorkflowsDeleted' LIMIT 1"
