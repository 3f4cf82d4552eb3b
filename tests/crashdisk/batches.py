"""A plain workload: numbered batches of rows, a row that counts them, and the check that goes with it.

No Tempolite in it: what the crash disk says of it is known from SQLite's documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import apsw

from tests.crashdisk.ops import Op
from tests.crashdisk.recorder import RecorderVFS
from tests.crashdisk.states import CrashState

VFS = "crashdisk-test"
DATABASE = "app.db"
LOST = "acknowledged batch lost"
PARTIAL = "batch in part"


@dataclass(frozen=True, kw_only=True)
class Batches:
    """Batches of rows, each with its number, and a row that counts them; acknowledged after COMMIT."""

    journal_mode: str = "wal"
    synchronous: str = "full"
    batches: int = 12
    rows: int = 4
    payload_bytes: int = 100
    checkpoint_every: int = 5
    checkpoint_mode: int = apsw.SQLITE_CHECKPOINT_PASSIVE

    def run(self, connection: apsw.Connection, acknowledge: Callable[[object], None], first: int = 0) -> None:
        """Commits the batches from `first` on."""
        self.configure(connection)
        for batch in range(first, first + self.batches):
            self.commit(connection, batch)
            acknowledge(batch)
            if self.journal_mode == "wal" and batch % self.checkpoint_every == self.checkpoint_every - 1:
                connection.wal_checkpoint(mode=self.checkpoint_mode)

    def configure(self, connection: apsw.Connection) -> None:
        """Sets the pragmas and makes the tables, if they aren't there."""
        connection.pragma("journal_mode", self.journal_mode)
        connection.pragma("synchronous", self.synchronous)
        connection.wal_autocheckpoint(0)
        run_to_end(connection, "begin immediate")
        run_to_end(connection, "create table if not exists rows(batch, row, payload)")
        run_to_end(connection, "create table if not exists counter(batches)")
        run_to_end(connection, "commit")

    def commit(self, connection: apsw.Connection, batch: int) -> None:
        """Writes one batch, in one transaction."""
        # Not `with connection`: a Crash inside its commit would come out as an apsw.SQLError.
        self.write(connection, batch)
        run_to_end(connection, "commit")

    def write(self, connection: apsw.Connection, batch: int) -> None:
        """Begins a transaction and writes one batch into it."""
        run_to_end(connection, "begin immediate")
        payload = bytes([batch % 256]) * self.payload_bytes
        for row in range(self.rows):
            run_to_end(connection, "insert into rows values (?, ?, ?)", (batch, row, payload))
        run_to_end(connection, "delete from counter")
        run_to_end(connection, "insert into counter values (?)", (batch + 1,))

    def check(self, connection: apsw.Connection, state: CrashState) -> Iterator[str]:
        """Acknowledged batches are there, batches are whole, and none is missing in between."""
        present = batches_in(connection)
        if not set(state.marks) <= present.keys():
            yield LOST
        counted = connection.execute("select batches from counter").get if present else None
        if any(rows != self.rows for rows in present.values()) or sorted(present) != [*range(counted or 0)]:
            yield PARTIAL


def run_to_end(connection: apsw.Connection, sql: str, values: tuple[apsw.SQLiteValue, ...] = ()) -> None:
    """A cursor that is not exhausted can hold its statement back."""
    connection.execute(sql, values).fetchall()


def batches_in(connection: apsw.Connection) -> dict[int, int]:
    """Rows of each batch; nothing where the tables were never durable."""
    if not connection.table_exists("main", "counter"):
        return {}
    return dict(connection.execute("select batch, count(*) from rows group by batch"))


def record(workload: Batches, folder: Path) -> list[Op]:
    """Runs the workload once on a recorder."""
    with RecorderVFS(VFS, folder) as recorder:
        with closing(connect(folder)) as connection:
            workload.run(connection, recorder.mark)
        return recorder.ops


def connect(folder: Path) -> apsw.Connection:
    """A connection on the recorder, which leaves its WAL behind as a crash would."""
    connection = apsw.Connection(str(folder / DATABASE), vfs=VFS)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection
