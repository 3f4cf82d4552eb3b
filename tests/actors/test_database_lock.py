"""One engine a file: the second is refused or waits, and disturbs the first in no way."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tempolite.actors.database_file import LOCK_SUFFIX, DatabaseFile
from tempolite.actors.file_guard import WORKERS_SUFFIX, remove_locks, take_lock
from tempolite.errors import EngineLocked, StorageError, StorageFailed
from tempolite.store.schema import LAYOUT
from tests.actors.desk import desk, event
from tests.actors.probes import DEADLINE_S, join

HOLD = """
import sys
from tempolite.actors.database_file import DatabaseFile
from tempolite.store.schema import LAYOUT
file = DatabaseFile(sys.argv[1], LAYOUT)
print("held", flush=True)
sys.stdin.readline()
file.close()
print("closed", flush=True)
sys.stdin.readline()
"""


@contextmanager
def held_by_another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


class Waiter:
    """Opens a file in a thread, standing by until its holder ends."""

    def __init__(self, path: Path) -> None:
        self.opened = threading.Event()
        self._path = path
        self._thread = threading.Thread(target=self._open, daemon=True)
        self._thread.start()

    def _open(self) -> None:
        file = DatabaseFile(str(self._path), LAYOUT, may_wait=lambda: True)
        self.opened.set()
        file.close()

    def join(self) -> None:
        """Until it has had the file."""
        assert self.opened.wait(DEADLINE_S), "the stand-by did not take over"
        join([self._thread])


# ── refused ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_second_engine_is_told_who_holds_the_file(tmp_path: Path) -> None:
    """Another process: its id, as an attribute and in the text."""
    with held_by_another_process(tmp_path / "t.db") as holder:
        with pytest.raises(EngineLocked, match=str(holder.pid)) as refused:
            DatabaseFile(str(tmp_path / "t.db"), LAYOUT)

        assert refused.value.pid == holder.pid


def test_a_second_engine_of_the_same_process_is_refused_too(tmp_path: Path) -> None:
    """Two engines in one process are fine, on two files."""
    first = DatabaseFile(str(tmp_path / "t.db"), LAYOUT)

    with pytest.raises(EngineLocked) as refused:
        DatabaseFile(str(tmp_path / "t.db"), LAYOUT)

    assert refused.value.pid == os.getpid()
    DatabaseFile(str(tmp_path / "other.db"), LAYOUT).close()
    first.close()


def test_the_same_file_by_another_name_is_the_same_file(tmp_path: Path) -> None:
    """Through a link, and by a path that is not absolute."""
    first = DatabaseFile(str(tmp_path / "t.db"), LAYOUT)
    (tmp_path / "link.db").symlink_to("t.db")

    for name in (tmp_path / "link.db", os.path.relpath(tmp_path / "t.db")):
        with pytest.raises(EngineLocked):
            DatabaseFile(str(name), LAYOUT)

    first.close()


def test_a_file_with_two_names_is_refused(tmp_path: Path) -> None:
    """A hard link has a lock of its own: whoever comes by either name is told, and nothing is left behind."""
    with desk(tmp_path / "t.db") as at:
        at.commit(1, event(1))
        at.settle()
        before = record_locks_on(tmp_path / "t.db")
        os.link(tmp_path / "t.db", tmp_path / "other.db")

        with pytest.raises(StorageFailed, match="hard links"):
            DatabaseFile(str(tmp_path / "other.db"), LAYOUT)

        assert record_locks_on(tmp_path / "t.db") == before
    assert not (tmp_path / f"other.db{LOCK_SUFFIX}").exists()
    with pytest.raises(StorageFailed, match="2 names"):
        DatabaseFile(str(tmp_path / "t.db"), LAYOUT)
    os.unlink(tmp_path / "other.db")
    DatabaseFile(str(tmp_path / "t.db"), LAYOUT).close()


def test_links_of_folders_and_links_of_links_lead_to_one_lock(tmp_path: Path) -> None:
    """Also where the file is made by such a name."""
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "second.db").symlink_to("first.db")
    (tmp_path / "first.db").symlink_to("folder/t.db")

    first = DatabaseFile(str(tmp_path / "second.db"), LAYOUT)

    assert (tmp_path / "real" / f"t.db{LOCK_SUFFIX}").exists()
    for name in ("real/t.db", "folder/t.db", "first.db"):
        with pytest.raises(EngineLocked):
            DatabaseFile(str(tmp_path / name), LAYOUT)
    first.close()


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe would be waited for, a link in a circle leads nowhere."""
    os.mkfifo(tmp_path / "pipe.db")
    (tmp_path / "circle.db").symlink_to("circle.db")

    for name in ("pipe.db", "circle.db"):
        with pytest.raises(StorageError):
            DatabaseFile(str(tmp_path / name), LAYOUT)
        assert not (tmp_path / f"{name}{LOCK_SUFFIX}").exists()


def test_a_lock_without_a_readable_owner_is_a_lock(tmp_path: Path) -> None:
    """The holder may be about to write its id: the pid is unknown then."""
    first = DatabaseFile(str(tmp_path / "t.db"), LAYOUT)
    os.truncate(tmp_path / f"t.db{LOCK_SUFFIX}", 0)

    with pytest.raises(EngineLocked) as refused:
        DatabaseFile(str(tmp_path / "t.db"), LAYOUT)

    assert refused.value.pid is None
    first.close()


def test_a_lock_file_that_a_dead_engine_left_holds_nobody_off(tmp_path: Path) -> None:
    """What locks is the lock, not the file, and it ends with its process."""
    (tmp_path / f"t.db{LOCK_SUFFIX}").write_text("1\n")

    DatabaseFile(str(tmp_path / "t.db"), LAYOUT).close()


def test_a_refused_engine_leaves_the_locks_of_the_first_alone(tmp_path: Path) -> None:
    """Closing any descriptor of the file would drop SQLite's locks: another process could then write."""
    with desk(tmp_path / "t.db") as at:
        at.commit(1, event(1))
        at.settle()
        before = record_locks_on(tmp_path / "t.db")
        assert before

        with pytest.raises(EngineLocked):
            DatabaseFile(str(tmp_path / "t.db"), LAYOUT)

        assert record_locks_on(tmp_path / "t.db") == before


def record_locks_on(path: Path) -> list[str]:
    """Record locks of this process on a file, as the kernel lists them; the file is not opened for it."""
    number = path.stat().st_ino
    found = []
    for line in Path("/proc/locks").read_text().splitlines():
        _, kind, _, mode, pid, file, start, end = line.split()[:8]
        if kind == "POSIX" and int(pid) == os.getpid() and file.endswith(f":{number}"):
            found.append(f"{mode} {start}-{end}")
    return sorted(found)


# ── waiting ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stand_by_takes_over_when_the_holder_is_killed(tmp_path: Path) -> None:
    """At once: it waits for the lock, not for a clock."""
    with held_by_another_process(tmp_path / "t.db") as holder:
        waiter = Waiter(tmp_path / "t.db")
        assert not waiter.opened.wait(0.1)

        holder.kill()

        waiter.join()


def test_a_stand_by_takes_over_when_the_holder_closes(tmp_path: Path) -> None:
    """The other process may live on without the file."""
    with held_by_another_process(tmp_path / "t.db") as holder:
        waiter = Waiter(tmp_path / "t.db")
        assert not waiter.opened.wait(0.1)

        assert holder.stdin is not None
        holder.stdin.write("\n")
        holder.stdin.flush()

        waiter.join()
        assert holder.poll() is None


def test_a_stand_by_sees_what_the_holder_wrote(tmp_path: Path) -> None:
    """It looks at the file again once it has the lock."""
    with desk(tmp_path / "t.db") as at:
        at.commit(1, event(1))
        at.settle()
        waiter = Waiter(tmp_path / "t.db")
    waiter.join()

    with desk(tmp_path / "t.db") as after:
        assert after.streams() == [1]
        assert after.actor.epoch == 2


def test_who_has_the_file_says_so_in_its_lock(tmp_path: Path) -> None:
    """Its process id, readable by the owner only; the file stays where no engine ended cleanly."""
    path = tmp_path / f"t.db{LOCK_SUFFIX}"
    path.write_text("4194304999 or longer\n")

    DatabaseFile(str(tmp_path / "t.db"), LAYOUT).close()

    assert path.read_text() == f"{os.getpid()}\n"


def test_a_lock_that_goes_with_its_holder_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-by that had it open takes the one that others find, too."""
    path, flock, holders = str(tmp_path / "t.db"), fcntl.flock, [take_lock(str(tmp_path / "t.db"), bool)]

    def wait_for_the_holder(fd: int, how: int) -> None:
        while holders:
            remove_locks(path)
            os.close(holders.pop())
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", wait_for_the_holder)
    lock = take_lock(path, lambda: True)

    with pytest.raises(EngineLocked):
        take_lock(path, bool)
    os.close(lock)


def test_a_worker_that_lives_on_is_still_found_after_a_clean_end(tmp_path: Path) -> None:
    """The file that it holds stays; without one it goes."""
    path = str(tmp_path / "t.db")
    worker = os.open(path + WORKERS_SUFFIX, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(worker, fcntl.LOCK_SH)

    remove_locks(path)
    assert os.path.exists(path + WORKERS_SUFFIX)
    os.close(worker)
    remove_locks(path)

    assert os.listdir(tmp_path) == []
