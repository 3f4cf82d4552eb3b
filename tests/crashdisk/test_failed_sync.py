"""A sync of the WAL fails, the engine dies and starts again: what can it trust?

Linux reports such a failure once and marks the pages clean. The next start reads frames that no later sync
writes, recovers them as committed, answers for them, and builds upon them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from unittest.mock import ANY

import apsw

from tests.crashdisk import (
    Created,
    Fault,
    FolderSynced,
    Mode,
    Op,
    RecorderVFS,
    Renamed,
    Survey,
    Synced,
    Written,
    crash_states,
    survey,
    sync_failed,
    write_image,
)
from tests.crashdisk.batches import DATABASE, LOST, VFS, Batches, batches_in, connect

WORKLOAD = Batches(batches=6)
WAL = DATABASE + "-wal"
COPY = WAL + ".copy"
# The first two syncs are of the header and the tables, before any batch; one more comes with the checkpoint.
FAILING_SYNCS = range(3, 9)

Heal = Callable[[RecorderVFS], None]


def test_after_a_plain_restart_batches_are_lost(folder: Path, images: Path) -> None:
    """What the new engine read and answered for is gone when power goes."""
    found = restart_and_crash(folder, images, heal=leave_alone, modes=[Mode.NONE])

    assert found.findings.keys() == {LOST}, found


def test_after_a_checkpoint_at_the_restart_batches_are_lost_all_the_same(folder: Path, images: Path) -> None:
    """Until the truncated WAL is durable, its older frames are replayed over newer pages of the database."""
    found = restart_and_crash(folder, images, heal=checkpoint, modes=[Mode.NONE, Mode.PREFIX])

    assert LOST in found.findings, found


def test_a_wal_rewritten_in_place_can_be_spoiled_by_a_second_crash(folder: Path, images: Path) -> None:
    """While old frames are written over themselves, sectors that were durable are in flight again."""
    found = restart_and_crash(folder, images, heal=rewrite_in_place, modes=[Mode.TRASH])
    without_garbage = restart_and_crash(
        folder, images, heal=rewrite_in_place, modes=[Mode.NONE, Mode.TORN, Mode.REORDER]
    )

    assert found.findings.keys() == {LOST}, found
    assert found.first[LOST].after == Written(file=WAL, offset=0, data=ANY)
    assert not without_garbage.findings, without_garbage


def test_a_wal_replaced_by_a_synced_copy_survives_every_crash(folder: Path, images: Path) -> None:
    """Copy, sync, rename, sync the folder: at no moment is the only good copy in flight."""
    found = restart_and_crash(folder, images, heal=replace_by_copy, modes=list(Mode))

    assert not found.findings, found


def leave_alone(recorder: RecorderVFS) -> None:
    """Opens the file as if nothing had happened."""


def checkpoint(recorder: RecorderVFS) -> None:
    """Moves what the WAL seems to hold into the database, and cuts the WAL."""
    with closing(connect(recorder.folder)) as connection:
        # A connection that has not read yet does not know of the WAL: its checkpoint would do nothing.
        connection.pragma("user_version")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def rewrite_in_place(recorder: RecorderVFS) -> None:
    """Writes the same bytes to the same places, so that they are in flight again, and syncs."""
    record_all(
        recorder,
        Written(file=WAL, offset=0, data=(recorder.folder / WAL).read_bytes()),
        Synced(file=WAL),
        FolderSynced(folder=""),
    )


def replace_by_copy(recorder: RecorderVFS) -> None:
    """Puts a durable copy in its place."""
    record_all(
        recorder,
        Created(file=COPY),
        Written(file=COPY, offset=0, data=(recorder.folder / WAL).read_bytes()),
        Synced(file=COPY),
        Renamed(file=COPY, target=WAL),
        FolderSynced(folder=""),
    )


def record_all(recorder: RecorderVFS, *ops: Op) -> None:
    """Tells the recorder; the real bytes are the same afterwards, so the real file is left alone."""
    for op in ops:
        recorder.record(op)


def restart_and_crash(folder: Path, images: Path, *, heal: Heal, modes: Sequence[Mode]) -> Survey:
    """Surveys the crash states of both lives, for each sync that can fail."""
    states = (
        state
        for nth in FAILING_SYNCS
        for state in crash_states(two_lives(folder, nth, heal), modes=modes, seed=nth)
    )
    return survey(states, folder=images, database=DATABASE, check=WORKLOAD.check)


def two_lives(folder: Path, nth: int, heal: Heal) -> list[Op]:
    """The nth sync of the WAL fails; the next engine heals, answers for what it finds, and adds a batch."""
    write_image({}, folder)
    with RecorderVFS(VFS, folder) as recorder:
        fault = recorder.inject(Fault(nth=nth, on=(Synced,), file_suffix="-wal", error=sync_failed))
        with closing(connect(folder)) as connection, suppress(apsw.IOError):
            WORKLOAD.run(connection, recorder.mark)
        assert fault.fired == 1
        heal(recorder)
        with closing(connect(folder)) as connection:
            first = len(batches_in(connection))
            for batch in range(first):
                recorder.mark(batch)
            Batches(batches=1, checkpoint_every=100).run(connection, recorder.mark, first=first)
    return recorder.ops
