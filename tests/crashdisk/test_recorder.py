"""What the recorder writes down, and the faults that it plants."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import apsw
import pytest

from tests.crashdisk import (
    CHANGES,
    STICKY,
    Crash,
    Created,
    Deleted,
    Fault,
    FolderSynced,
    Found,
    Marked,
    Mode,
    Op,
    RecorderVFS,
    Synced,
    SyncFailed,
    Truncated,
    Written,
    crash_state,
    delete_failed,
    disk_full,
    image_folder,
    open_failed,
    open_image,
    sync_failed,
    truncate_failed,
    write_failed,
    write_image,
)
from tests.crashdisk.batches import DATABASE, VFS, Batches, batches_in, connect, record

FAULTS_MAX = 300


@pytest.mark.parametrize("journal_mode", ["wal", "delete", "truncate", "persist"])
def test_a_killed_process_leaves_exactly_the_files_that_the_model_says(
    folder: Path, journal_mode: str
) -> None:
    """Replaying the log in mode all gives the real files, byte for byte; the -shm file is not among them."""
    ops = record(Batches(journal_mode=journal_mode), folder)

    real = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}

    assert crash_state(ops, mode=Mode.ALL, seed=0).files == real


@pytest.mark.parametrize(
    ("journal_mode", "synchronous"), [("wal", "full"), ("delete", "full"), ("delete", "extra")]
)
def test_folder_syncs_in_the_log_are_those_that_the_unix_vfs_makes(
    folder: Path, journal_mode: str, synchronous: str
) -> None:
    """The step that the recorder can't see and adds by rule agrees with the system calls."""
    opened: list[bytes] = []
    signature = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    unix = apsw.VFS("crashdisk-unix", "unix")
    original = unix.xGetSystemCall("openDirectory")
    assert original is not None

    def open_directory(file: bytes, descriptor: int) -> int:
        opened.append(file)
        return int(signature(original)(file, descriptor))

    spy = signature(open_directory)
    try:
        unix.xSetSystemCall("openDirectory", ctypes.cast(spy, ctypes.c_void_p).value or 0)
        ops = record(Batches(journal_mode=journal_mode, synchronous=synchronous), folder)
    finally:
        unix.xSetSystemCall("openDirectory", original)

    assert len(opened) == sum(isinstance(op, FolderSynced) for op in ops) > 0


def test_a_recorder_starts_from_what_lies_in_its_folder(folder: Path) -> None:
    """Files from before are durable; the first crash state has all of them."""
    ops = record(Batches(batches=1), folder)
    with RecorderVFS(VFS, folder) as recorder:
        pass

    assert all(isinstance(op, Found) for op in recorder.ops)
    assert (
        crash_state(recorder.ops, mode=Mode.NONE, seed=0).files
        == crash_state(ops, mode=Mode.ALL, seed=0).files
    )


def test_a_file_that_somebody_else_made_counts_as_new(folder: Path) -> None:
    """It has its bytes, and no promise that they are durable."""
    with image_folder() as elsewhere:
        record(Batches(batches=1, journal_mode="delete"), elsewhere)
        database = (elsewhere / DATABASE).read_bytes()
    with RecorderVFS(VFS, folder) as recorder:
        (folder / DATABASE).write_bytes(database)
        with closing(connect(folder)) as connection:
            connection.pragma("user_version")

    assert crash_state(recorder.ops, mode=Mode.ALL, seed=0).files == {DATABASE: database}
    assert crash_state(recorder.ops, mode=Mode.NONE, seed=0).files == {}


def test_a_file_that_somebody_else_replaced_is_another_inode(folder: Path) -> None:
    """What SQLite wrote before stays with the old one."""
    with RecorderVFS(VFS, folder) as recorder:
        with closing(connect(folder)) as connection:
            Batches(batches=1, journal_mode="delete").run(connection, recorder.mark)
        (folder / "empty").write_bytes(b"")
        (folder / "empty").replace(folder / DATABASE)
        with closing(connect(folder)) as connection:
            connection.pragma("user_version")

    assert recorder.ops.count(Created(file=DATABASE)) == 2
    assert crash_state(recorder.ops, mode=Mode.ALL, seed=0).files == {DATABASE: b""}


def test_a_file_elsewhere_is_not_recorded(folder: Path, images: Path) -> None:
    """The disk is one folder; marks are recorded all the same."""
    with RecorderVFS(VFS, images) as recorder, closing(connect(folder)) as connection:
        Batches(batches=1, journal_mode="delete").run(connection, recorder.mark)

    assert recorder.ops == [Marked(label=0)]


def test_a_vfs_is_gone_after_its_block(folder: Path) -> None:
    """Its name can be used again."""
    with RecorderVFS(VFS, folder):
        assert VFS in apsw.vfs_names()

    assert VFS not in apsw.vfs_names()


# Faults


@pytest.mark.parametrize(
    ("kind", "error", "journal_mode", "extended"),
    [
        (Created, open_failed, "wal", apsw.SQLITE_CANTOPEN),
        (Written, write_failed, "wal", apsw.SQLITE_IOERR_WRITE),
        (Written, disk_full, "wal", apsw.SQLITE_FULL),
        (Synced, sync_failed, "wal", apsw.SQLITE_IOERR_FSYNC),
        (Truncated, truncate_failed, "truncate", apsw.SQLITE_IOERR_TRUNCATE),
        (Deleted, delete_failed, "delete", apsw.SQLITE_IOERR_DELETE),
    ],
)
def test_a_planted_error_reaches_the_caller_with_its_code(
    kind: type[Op], error: Callable[[], apsw.Error], journal_mode: str, extended: int, folder: Path
) -> None:
    """SQLite reports what its disk reported."""
    with RecorderVFS(VFS, folder) as recorder:
        fault = recorder.inject(Fault(nth=1, on=(kind,), error=error))

        with pytest.raises(apsw.Error) as caught, closing(connect(folder)) as connection:
            Batches(journal_mode=journal_mode).run(connection, recorder.mark)

    assert caught.value.extendedresult == extended  # type: ignore[attr-defined]
    assert fault.fired == 1


def test_a_file_deleted_and_made_again_can_fail_each_time(folder: Path) -> None:
    """A fault counts every journal that is made, not the first alone."""
    with RecorderVFS(VFS, folder) as recorder:
        fault = Fault(nth=3, on=(Created,), file_suffix="-journal", error=open_failed)
        recorder.inject(fault)
        with pytest.raises(apsw.CantOpenError), closing(connect(folder)) as connection:
            Batches(journal_mode="delete").run(connection, recorder.mark)

    assert fault.fired == 1


def test_a_failed_sync_is_in_the_log_as_such(folder: Path) -> None:
    """So that the disk knows what it will never write."""
    with RecorderVFS(VFS, folder) as recorder:
        recorder.inject(Fault(nth=1, on=(Synced,), file_suffix="-wal", error=sync_failed))
        with closing(connect(folder)) as connection, suppress(apsw.IOError):
            Batches().run(connection, recorder.mark)

    assert SyncFailed(file=DATABASE + "-wal") in recorder.ops


def test_a_crash_ends_all_changes(folder: Path) -> None:
    """After it the log stands still, and each further change raises again."""
    with RecorderVFS(VFS, folder) as recorder:
        recorder.inject(Fault(nth=30, error=Crash))
        connection = connect(folder)
        with pytest.raises(Crash):
            Batches().run(connection, recorder.mark)
        ops = list(recorder.ops)

        with pytest.raises(Crash):
            Batches().run(connection, recorder.mark)
        with suppress(Crash):
            connection.close()

    assert recorder.is_dead
    assert recorder.ops == ops
    assert sum(isinstance(op, CHANGES) for op in ops) == 29


@pytest.mark.parametrize("times", [1, STICKY])
@pytest.mark.parametrize("error", [write_failed, disk_full, ValueError])
def test_no_single_fault_damages_the_file_or_loses_what_was_acknowledged(
    error: Callable[[], Exception], times: int, folder: Path
) -> None:
    """Each change fails in its turn, until a run has met no fault."""
    for nth in range(1, FAULTS_MAX):
        write_image({}, folder)
        with RecorderVFS(VFS, folder) as recorder:
            fault = recorder.inject(Fault(nth=nth, error=error, times=times))
            with suppress(apsw.Error, ValueError), closing(connect(folder)) as connection:
                Batches(batches=4, rows=2, checkpoint_every=2).run(connection, recorder.mark)
        if not fault.fired:
            break

        with open_image(folder / DATABASE) as connection:
            assert connection.pragma("integrity_check") == "ok"
            present = batches_in(connection)
        acknowledged = [op.label for op in recorder.ops if isinstance(op, Marked)]
        assert set(acknowledged) <= present.keys()
        assert set(present.values()) <= {2}

    assert fault.fired == 0
    assert nth > 30
