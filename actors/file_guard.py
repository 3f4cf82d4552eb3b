"""Before SQLite sees the file: whose it is, and that what lies there can be trusted.

Under the sidecar lock, before the first connection of this process is made:

1. the file has one name, so that there is one lock for it;
2. it is created 0600 (``O_EXCL``), or its header is looked at;
3. a write-ahead log that an unclean end left is replaced by a synced copy of its bytes. The page cache
   may hold pages that a failed sync never brought to the disk; SQLite would take them for durable.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress

from tempolite.actors import forking
from tempolite.errors import EngineLocked, StorageFailed

logger = logging.getLogger("tempolite")

LOCK_SUFFIX = "-lock"
WORKERS_SUFFIX = "-workers"

STANDBY_PAUSE_S = 0.02
"""Between two looks at a lock that somebody else holds."""


def take_lock(path: str, may_wait: Callable[[], bool]) -> int:
    """Takes the sidecar lock; SQLite's own locks can be lost, this one only with the process.

    Args:
        path: of the database.
        may_wait: asked again and again while somebody holds it; what it raises ends the wait.

    Raises:
        EngineLocked: somebody holds it, and we don't wait.
        StorageFailed: there is no such folder, or it can't be written to.
    """
    while True:
        try:
            fd = _locked(path)
        except EngineLocked:
            if not may_wait():
                raise
            # Looked for again: who sleeps in flock() itself hears of nothing else, of a close for instance.
            time.sleep(STANDBY_PAUSE_S)
            continue
        if _leads_to(path + LOCK_SUFFIX, fd):
            break
        # Its holder removed it as it ended: whoever comes now locks another file of that name.
        os.close(fd)
    forking.close_in_forked_children(fd)
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def _locked(path: str) -> int:
    try:
        fd = os.open(path + LOCK_SUFFIX, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        folder = os.path.dirname(path)
        # A folder that may not be looked into is no reason to say that there is none.
        is_missing = isinstance(error, FileNotFoundError) and not os.path.isdir(folder)
        why = f"there is no folder {folder}" if is_missing else error.strerror
        raise StorageFailed(f"{path} can't be opened: {why}") from error
    os.fchmod(fd, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        os.close(fd)
        pid = int(holder) if holder.isdigit() else None
        raise EngineLocked(
            f"{path} is in use by another engine, process {pid or 'unknown'}; speak to it through "
            "Tempolite.connect, or have all processes use Tempolite.shared",
            pid,
        ) from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def _leads_to(path: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def remove_locks(path: str) -> None:
    """Takes the files away that only stand for locks; by the holder of the engine's, before it lets go.

    Who waits for it has opened the file that goes now, and looks again once it has its lock. A worker that
    lives on in spite of everything still holds the other one: the next engine waits for its end.
    """
    _remove_workers_file(path)
    with suppress(OSError):
        os.unlink(path + LOCK_SUFFIX)


def _remove_workers_file(path: str) -> None:
    with suppress(OSError):
        fd = os.open(path + WORKERS_SUFFIX, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path + WORKERS_SUFFIX)
        finally:
            os.close(fd)


def check_names(path: str) -> None:
    """Refuses a file that other names lead to as well; not opened for that, which could cost it its locks.

    Symbolic links are followed before the lock is taken. Of hard links nobody knows which is meant: the lock
    and SQLite's log lie beside one of them, and an engine that comes by another one would see neither.

    Raises:
        StorageFailed: it has hard links, or is no file at all.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageFailed(f"{path} can't be opened: {error}") from error
    if not stat.S_ISREG(found.st_mode):
        raise StorageFailed(f"{path} can't be opened: it is no regular file")
    if found.st_nlink > 1:
        raise StorageFailed(
            f"{path} has {found.st_nlink} names (hard links), and another engine may have it open by one of "
            "them; remove the others, or copy the file with backup()"
        )


def check_not_inherited(path: str) -> None:
    """Refuses a file that SQLite in this process believes to have open, and has not.

    Raises:
        EngineLocked: it was open when this process was forked.
    """
    if forking.is_inherited(path):
        parent = os.getppid()
        raise EngineLocked(
            f"{path} was open in process {parent} when this one was forked from it; open it in a process "
            "that was started afresh (spawn, or a program of its own)",
            parent,
        )


def create_private(path: str) -> None:
    """Creates the file readable by its owner only, whatever the umask says; ``-wal`` takes its mode."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    os.fchmod(fd, 0o600)
    os.close(fd)
    _sync_folder(path)


def rewrite_wal(path: str) -> None:
    """Puts a synced copy in the place of a left-over log.

    Rejected: writing it again in place. A power loss in the middle of that can leave garbage where frames
    lay that were durable before.
    """
    wal, copy = path + "-wal", path + "-wal-copy"
    try:
        with open(wal, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return
    if not content:
        return
    with suppress(FileNotFoundError):
        os.unlink(copy)
    fd = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.fchmod(fd, 0o600)
    with open(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
    os.rename(copy, wal)
    _sync_folder(path)
    logger.info("%s: recovering from an unclean end (%d bytes of log)", path, len(content))


def sync_file(path: str) -> None:
    """Brings a file that nobody has open, and its name, to the disk."""
    _sync(path)
    _sync_folder(path)


def _sync_folder(path: str) -> None:
    _sync(os.path.dirname(os.path.abspath(path)), os.O_DIRECTORY)


def _sync(path: str, flags: int = 0) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
