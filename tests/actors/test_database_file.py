"""The database file: made, locked, read, closed and opened again."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw
import pytest

from tempolite.actors.database_file import LOCK_SUFFIX, MEMORY, DatabaseFile, run
from tempolite.actors.reader_pool import READERS_MAX
from tempolite.errors import EngineClosed, StorageFailed
from tempolite.store.schema import LAYOUT
from tests.actors.desk import desk, event
from tests.actors.probes import in_thread, join


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


# ── modes ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o177, 0o777], ids=oct)
def test_only_the_owner_can_read_the_file(mask: int, tmp_path: Path) -> None:
    """0600 for the file, its log, its index and its lock, whatever the umask says (P13)."""
    path = str(tmp_path / "t.db")

    with umask(mask), desk(tmp_path / "t.db") as at:
        at.commit(1, event(1))
        at.settle()

        modes = {suffix: mode_of(path + suffix) for suffix in ("", "-wal", "-shm", LOCK_SUFFIX)}

    assert {suffix: oct(mode) for suffix, mode in modes.items()} == dict.fromkeys(modes, oct(0o600))


def test_the_umask_is_left_alone(tmp_path: Path) -> None:
    """It belongs to the process, which is the host's."""
    with umask(0o027):
        DatabaseFile(str(tmp_path / "t.db"), LAYOUT).close()

        assert os.umask(0o027) == 0o027


def test_a_log_that_was_put_in_place_of_a_left_over_one_is_private_too(tmp_path: Path) -> None:
    """Recovery writes it anew."""
    with desk(tmp_path / "t.db") as at:
        at.commit(1, event(1))
        at.settle()

    with umask(0o000), desk(tmp_path / "t.db"):
        assert mode_of(str(tmp_path / "t.db-wal")) == 0o600


# ── closing and opening again ───────────────────────────────────────────────────────────────────────────


def test_a_clean_end_leaves_nothing_in_the_log(tmp_path: Path) -> None:
    """The file alone is the database: it can be copied, and needs no recovery."""
    path = tmp_path / "t.db"
    with desk(path, ends_cleanly=True) as at:
        at.commit(1, event(1))
        at.settle()

    log = Path(f"{path}-wal")
    assert not log.exists() or log.stat().st_size == 0
    path.rename(tmp_path / "copy.db")
    with desk(tmp_path / "copy.db") as copy:
        assert copy.streams() == [1]


def test_an_unclean_end_leaves_the_log_and_loses_nothing(tmp_path: Path) -> None:
    """What was acknowledged is read back from it."""
    path = tmp_path / "t.db"
    with desk(path) as at:
        at.commit(1, event(1))
        at.settle()

    assert os.stat(f"{path}-wal").st_size > 0
    with desk(path) as again:
        assert again.streams() == [1]
        again.commit(2, event(2))
        again.settle()

    with desk(path) as third:
        assert third.streams() == [1, 2]


def test_a_left_over_log_is_replaced_by_a_copy_before_it_is_trusted(tmp_path: Path) -> None:
    """The same bytes in another, synced file: its pages may never have reached the disk."""
    path = tmp_path / "t.db"
    with desk(path) as at:
        at.commit(1, event(1))
        at.settle()
    log = Path(f"{path}-wal")
    before, number = log.read_bytes(), log.stat().st_ino
    keep = log.with_name("keeps-the-number")
    os.link(log, keep)

    file = DatabaseFile(str(path), LAYOUT)

    assert log.stat().st_ino != number
    assert log.read_bytes() == before == keep.read_bytes()
    assert not Path(f"{path}-wal-copy").exists()
    file.close()


def test_a_copy_that_a_crash_left_is_no_obstacle(tmp_path: Path) -> None:
    """It was cut off somewhere; the log itself is still there."""
    path = tmp_path / "t.db"
    with desk(path) as at:
        at.commit(1, event(1))
        at.settle()
    Path(f"{path}-wal-copy").write_bytes(b"cut o")

    with desk(path) as again:
        assert again.streams() == [1]


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    """Somebody made it beforehand, perhaps for its owner or place."""
    path = tmp_path / "t.db"
    path.touch()

    with desk(path) as at:
        at.commit(1, event(1))
        at.settle()
        assert at.streams() == [1]


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    """The second time there is nothing left to close."""
    file = DatabaseFile(str(tmp_path / "t.db"), LAYOUT)

    file.close()
    file.close()


def test_an_open_that_fails_keeps_neither_lock_nor_descriptor(tmp_path: Path) -> None:
    """Whoever repairs the cause can open the file at once."""
    path = tmp_path / "t.db"
    path.write_bytes(b"")
    os.mkdir(f"{path}-wal")
    before = len(os.listdir("/proc/self/fd"))

    with pytest.raises((StorageFailed, OSError)):
        DatabaseFile(str(path), LAYOUT)

    assert len(os.listdir("/proc/self/fd")) == before
    os.rmdir(f"{path}-wal")
    DatabaseFile(str(path), LAYOUT).close()


@pytest.mark.parametrize("place", ["", "missing/t.db"], ids=["a folder", "in a folder that is not there"])
def test_a_path_that_can_be_no_file_is_refused(place: str, tmp_path: Path) -> None:
    """With the path and the cause, and no word of files beside it."""
    with pytest.raises(StorageFailed, match=str(tmp_path)) as refused:
        DatabaseFile(str(tmp_path / place), LAYOUT)

    assert LOCK_SUFFIX not in str(refused.value)
    if place:
        assert f"there is no folder {tmp_path / 'missing'}" in str(refused.value)


def test_a_folder_that_can_t_be_looked_into_is_not_said_to_be_missing(tmp_path: Path) -> None:
    """The reason is the system's: it is no folder, or whoever asks may not enter it."""
    (tmp_path / "file").touch()

    with pytest.raises(StorageFailed, match="Not a directory"):
        DatabaseFile(str(tmp_path / "file" / "t.db"), LAYOUT)


# ── connections ─────────────────────────────────────────────────────────────────────────────────────────


def test_each_connection_has_our_settings(tmp_path: Path) -> None:
    """Read back, not hoped for: WAL, full sync, and no checkpoint inside a commit."""
    file = DatabaseFile(str(tmp_path / "t.db"), LAYOUT)
    connection = file.connect()

    found = {name: connection.pragma(name) for name in ("journal_mode", "synchronous", "wal_autocheckpoint")}

    assert found == {"journal_mode": "wal", "synchronous": 2, "wal_autocheckpoint": 0}
    connection.close()
    file.close()


def test_a_setting_that_did_not_take_is_refused() -> None:
    """A database in memory has no log: asked for one, it would say nothing."""
    with pytest.raises(StorageFailed, match="synchronous"):
        DatabaseFile(MEMORY, LAYOUT, synchronous="sometimes")


@pytest.mark.parametrize("on_disk", [True, False], ids=["file", "memory"])
def test_a_reader_can_not_write(on_disk: bool, tmp_path: Path) -> None:
    """There is one writer, and that is the persistence actor."""
    file = DatabaseFile(str(tmp_path / "t.db") if on_disk else MEMORY, LAYOUT)

    with file.reader() as connection, pytest.raises(apsw.ReadOnlyError):
        run(connection, "DELETE FROM engine")

    file.close()


def test_readers_are_used_again(tmp_path: Path) -> None:
    """One after the other needs one connection, also after an error in between."""
    file = DatabaseFile(str(tmp_path / "t.db"), LAYOUT)
    seen = []

    def read_and_fail() -> None:
        with file.reader() as connection:
            seen.append(connection)
            run(connection, "SELECT nothing")

    for _ in range(5):
        with pytest.raises(apsw.SQLError):
            read_and_fail()

    assert len(set(map(id, seen))) == 1
    file.close()


def test_no_more_than_so_many_read_at_once(tmp_path: Path) -> None:
    """The next one waits until somebody is done."""
    file = DatabaseFile(str(tmp_path / "t.db"), LAYOUT)
    got_one = threading.Event()

    def read() -> None:
        with file.reader():
            got_one.set()

    with ExitStack() as readers:
        for _ in range(READERS_MAX):
            readers.enter_context(file.reader())
        threads = in_thread(read)
        assert not got_one.wait(0.05)
    join(threads)

    assert got_one.is_set()
    file.close()


def test_a_reader_sees_whole_batches_only(tmp_path: Path) -> None:
    """Its transaction stays as of its beginning while commits go on."""
    with desk(tmp_path / "t.db") as at, at.file.reader() as connection:
        at.commit(1, event(1))
        at.settle()
        run(connection, "BEGIN")
        before = run(connection, "SELECT count(*) FROM events")
        at.commit(2, event(2), event(2, 2))
        at.settle()
        during = run(connection, "SELECT count(*) FROM events")
        run(connection, "COMMIT")

        assert (before, during) == ([(1,)], [(1,)])
        assert run(connection, "SELECT count(*) FROM events") == [(3,)]


def test_a_closed_file_gives_no_readers(tmp_path: Path) -> None:
    """Somebody else may have it by now; a reader that is still out is closed when it comes back."""
    file = DatabaseFile(str(tmp_path / "t.db"), LAYOUT)
    with file.reader() as connection:
        file.close()

    with pytest.raises(apsw.ConnectionClosedError):
        run(connection, "SELECT 1")
    with pytest.raises(EngineClosed), file.reader():
        pass
