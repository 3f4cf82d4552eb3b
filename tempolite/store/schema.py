"""Tables, and the numbered steps that lead to them."""

from __future__ import annotations

from tempolite.actors.database_file import Layout

APPLICATION_ID = 0x7465_6D70  # "temp"

_CREATE = (
    # One row: the fence. Every batch names the epoch it was written in, so an engine that lost the file
    # to another one can't write any more.
    """
    CREATE TABLE engine (
        one        INTEGER PRIMARY KEY CHECK (one = 1),
        uuid       TEXT    NOT NULL,
        epoch      INTEGER NOT NULL,
        batch      INTEGER NOT NULL,
        chain      BLOB    NOT NULL,
        is_clean   INTEGER NOT NULL
    ) STRICT
    """,
    "INSERT INTO engine VALUES (1, lower(hex(randomblob(16))), 0, 0, zeroblob(16), 1)",
    # The truth. `position` is the global order, `seq` that within a stream.
    """
    CREATE TABLE events (
        position   INTEGER PRIMARY KEY,
        shard      INTEGER NOT NULL DEFAULT 0,
        stream     INTEGER NOT NULL,
        seq        INTEGER NOT NULL,
        type       TEXT    NOT NULL,
        step       TEXT    NOT NULL,
        attempt    INTEGER NOT NULL,
        payload    TEXT    NOT NULL,
        at         INTEGER NOT NULL,
        checksum   INTEGER NOT NULL,
        epoch      INTEGER NOT NULL,
        batch      INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE UNIQUE INDEX events_by_stream ON events (stream, seq)",
    # An index of the truth: one row for each run.
    """
    CREATE TABLE runs (
        stream        INTEGER PRIMARY KEY,
        shard         INTEGER NOT NULL DEFAULT 0,
        workflow      TEXT    NOT NULL,
        run           INTEGER NOT NULL,
        is_latest     INTEGER NOT NULL DEFAULT 1,
        ordinal       INTEGER NOT NULL,
        function      TEXT    NOT NULL,
        queue         TEXT    NOT NULL,
        status        TEXT    NOT NULL,
        parent        TEXT,
        parent_step   TEXT,
        parent_stream INTEGER,
        bond          TEXT,
        owes_parent   INTEGER NOT NULL DEFAULT 0,
        is_held       INTEGER NOT NULL DEFAULT 0,
        run_group     TEXT    NOT NULL,
        priority      INTEGER NOT NULL,
        retried_from  TEXT,
        forked_from   TEXT,
        created_at    INTEGER NOT NULL,
        finished_at   INTEGER,
        status_text   TEXT    NOT NULL DEFAULT '',
        progress      REAL,
        problem       TEXT    NOT NULL DEFAULT ''
    ) STRICT
    """,
    "CREATE UNIQUE INDEX runs_by_workflow ON runs (workflow, run)",
    # What a start looks at. The condition must stand word for word in the statements that are to use it.
    "CREATE INDEX runs_unfinished ON runs (queue, status, function) WHERE finished_at IS NULL",
    "CREATE INDEX runs_unfinished_children ON runs (parent_stream)"
    " WHERE finished_at IS NULL AND parent_stream IS NOT NULL",
    "CREATE INDEX runs_by_end ON runs (finished_at) WHERE finished_at IS NOT NULL",
    "CREATE INDEX runs_by_parent ON runs (parent) WHERE parent IS NOT NULL",
    "CREATE INDEX runs_owing ON runs (stream) WHERE owes_parent = 1",
    "CREATE INDEX runs_held ON runs (queue) WHERE is_held = 1",
    # An index of the truth: children that a run asked for, until the child's own stream says that it exists
    # (or tries again). After a crash between the two commits the parent is brought to life and asks again.
    # Two runs may ask for the same id: only one gets it, and the other one is told.
    """
    CREATE TABLE spawns (
        child      TEXT    NOT NULL,
        stream     INTEGER NOT NULL,
        PRIMARY KEY (child, stream)
    ) STRICT, WITHOUT ROWID
    """,
    # An index of the truth: `dedup` of each signal that had one, for all runs of a workflow.
    """
    CREATE TABLE signal_ids (
        workflow   TEXT    NOT NULL,
        name       TEXT    NOT NULL,
        dedup      TEXT    NOT NULL,
        PRIMARY KEY (workflow, name, dedup)
    ) STRICT, WITHOUT ROWID
    """,
    # An index of the truth: what falls due for runs that may not be in memory.
    """
    CREATE TABLE timers (
        stream     INTEGER NOT NULL,
        key        TEXT    NOT NULL,
        due_at     INTEGER NOT NULL,
        PRIMARY KEY (stream, key)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX timers_by_due ON timers (due_at)",
    # An index of the truth: one row for each schedule; `state` is what its events come to.
    """
    CREATE TABLE schedules (
        name        TEXT    PRIMARY KEY,
        stream      INTEGER NOT NULL,
        seq         INTEGER NOT NULL,
        function    TEXT    NOT NULL,
        next_due    INTEGER,
        is_paused   INTEGER NOT NULL,
        state       TEXT    NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)

LAYOUT = Layout(
    application_id=APPLICATION_ID,
    migrations=(_CREATE,),
    read_state="SELECT uuid, epoch, batch, chain, is_clean FROM engine",
    take_over="UPDATE engine SET epoch = epoch + 1, is_clean = 0",
    # Changes one row, or the file belongs to another engine, or a batch is missing.
    advance_batch="UPDATE engine SET batch = ?1, chain = ?2 WHERE epoch = ?3 AND batch = ?1 - 1",
    count_objects="SELECT count(*) FROM sqlite_schema",
    # Two files with one identity could be taken for each other.
    become_a_copy="UPDATE engine SET uuid = lower(hex(randomblob(16))), is_clean = 1",
    mark_clean="UPDATE engine SET is_clean = 1 WHERE epoch = ?1",
)
