"""A disk that loses power: record once what SQLite does to its files, rebuild any state a crash could leave.

What lives here: test support around APSW's VFS. What never does: knowledge of Tempolite's schema or actors;
they come in as a workload, which runs on a connection of this VFS, and a check, which reads a crashed image.

::

    workload ──▶ RecorderVFS ──▶ real files          run once, at nearly full speed
                     │  Fault: an error, or Crash, at the n-th call
                     ▼
                recorder.ops     Created, Written, Truncated, Synced, FolderSynced, Deleted … and marks
                     ▼
                   Disk          per inode: what is durable, and the changes in flight since the last sync
                     ▼
                crash_states     after each op, in each Mode: CrashState(files, marks)
                     ▼
                  survey         write the image, open it with the stock VFS, integrity_check, your check

A test that a store keeps what it has acknowledged::

    with RecorderVFS("crash", tmp_path) as recorder:
        with closing(apsw.Connection(str(tmp_path / "app.db"), vfs="crash")) as connection:
            for batch in range(20):
                commit_batch(connection, batch)
                recorder.mark(batch)  # from here on, the batch must survive

    def check(connection: apsw.Connection, state: CrashState) -> Iterator[str]:
        if not set(state.marks) <= set(batches_in(connection)):
            yield "acknowledged batch lost"

    with image_folder() as images:
        found = survey(crash_states(recorder.ops, seed=1), folder=images, database="app.db", check=check)
    assert not found.findings, found

Where the code under test opens its own connections, give it the VFS name as its connection factory, and mark
where an answer is given. A finding names op, mode and seed: `crash_state(ops, index=…, mode=…, seed=…)`
rebuilds that one image. `write_image(state.files, folder)` and a new recorder on that folder make a second
life, which may crash as well.

A `Crash` comes out of `execute` and `close` as itself, but out of `with connection:` as an apsw.SQLError:
code that is to be crashed commits with a statement. Close its connection under `suppress(Crash)`.

What the model says:

- A file's bytes are durable when its sync returned, its name when its folder was synced. The unix VFS syncs
  the folder at the first sync of a journal or WAL that it opened, and at a delete that asks for it; nowhere
  else.
- A file deleted and made again is another inode: after a crash the name can lead to the old one.
- A write in flight spoils only the bytes that it covers (SQLite's "powersafe overwrite", which the unix VFS
  claims).
- A failed sync drops what was in flight, yet reads go on seeing it: Linux marks such pages clean.
- A disk that lies (`ignores_sync`) says yes to a sync and does nothing. No engine survives it: a suite that
  does not fail on it tests nothing.

Not modelled: folders as entries of their own, a name moved to another folder, the `-shm` file (rebuilt after
a crash), temporary files, bit rot. Files touched without SQLite (blobs, a rewritten WAL) must be told with
`recorder.record(...)`; one that is merely created first, say for its mode, is noticed when SQLite opens it.
"""

from tests.crashdisk.disk import SECTOR_BYTES, Disk, Mode, Rng
from tests.crashdisk.faults import (
    STICKY,
    Crash,
    Fault,
    delete_failed,
    disk_full,
    open_failed,
    sync_failed,
    truncate_failed,
    write_failed,
)
from tests.crashdisk.images import (
    CORRUPT,
    Check,
    Survey,
    examine,
    image_folder,
    open_image,
    survey,
    write_image,
)
from tests.crashdisk.ops import (
    CHANGES,
    Created,
    Deleted,
    FolderSynced,
    Found,
    Marked,
    Op,
    Renamed,
    Synced,
    SyncFailed,
    Truncated,
    Written,
)
from tests.crashdisk.recorder import RecorderVFS
from tests.crashdisk.states import CrashState, crash_state, crash_states

__all__ = [
    "CHANGES",
    "CORRUPT",
    "SECTOR_BYTES",
    "STICKY",
    "Check",
    "Crash",
    "CrashState",
    "Created",
    "Deleted",
    "Disk",
    "Fault",
    "FolderSynced",
    "Found",
    "Marked",
    "Mode",
    "Op",
    "RecorderVFS",
    "Renamed",
    "Rng",
    "Survey",
    "SyncFailed",
    "Synced",
    "Truncated",
    "Written",
    "crash_state",
    "crash_states",
    "delete_failed",
    "disk_full",
    "examine",
    "image_folder",
    "open_failed",
    "open_image",
    "survey",
    "sync_failed",
    "truncate_failed",
    "write_failed",
    "write_image",
]
