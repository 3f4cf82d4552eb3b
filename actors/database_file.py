"""The file: opening, fencing, refusing and closing it. Only here and in ``persistence.py`` is APSW used.

What happens before the first connection of this process is made stands in ``file_guard.py``. After that
nobody in this process opens the database, its ``-wal`` or its ``-shm`` by other means: closing such a
descriptor would drop SQLite's locks.
"""

from __future__ import annotations

import ctypes
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import apsw

from tempolite.actors import forking
from tempolite.actors.file_guard import (
    LOCK_SUFFIX,
    WORKERS_SUFFIX,
    check_names,
    check_not_inherited,
    create_private,
    remove_locks,
    rewrite_wal,
    sync_file,
    take_lock,
)
from tempolite.actors.reader_pool import ReaderPool
from tempolite.errors import (
    DatabaseDamaged,
    InvalidArguments,
    NotADatabase,
    SchemaTooNew,
    StorageError,
    StorageFailed,
    UnsupportedPlatform,
)

MEMORY = ":memory:"
SQLITE_MIN = (3, 51, 3)
"""Older ones can corrupt a database when a write-ahead log is reset (fixed in 3.51.3)."""
BUSY_TIMEOUT_MS = 5_000
_HEADER = b"SQLite format 3\0"
_APPLICATION_ID_AT = 68
_USER_VERSION_AT = 60


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The SQL that opening and committing need; the texts come from ``tempolite.store``.

    Attributes:
        application_id: stands in the header of each of our files.
        migrations: ``migrations[n]`` are the statements that lead from version n to n + 1.
        read_state: gives ``uuid, epoch, batch, chain, is_clean``.
        take_over: raises the epoch and marks the file as in use.
        advance_batch: parameters batch, chain, epoch; must change one row.
        mark_clean: parameter epoch.
        count_objects: how many tables and indexes there are.
        become_a_copy: makes a copy a database of its own.
    """

    application_id: int
    migrations: Sequence[Sequence[str]]
    read_state: str
    take_over: str
    advance_batch: str
    mark_clean: str
    count_objects: str
    become_a_copy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """How far the file has come."""

    uuid: str
    epoch: int
    batch: int
    chain: bytes
    is_clean: bool


def check_platform() -> None:
    """Refuses what Tempolite can't keep its promises on.

    Raises:
        UnsupportedPlatform: no Linux, a kernel without pidfd, or a SQLite with the WAL-reset fault.
    """
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        raise UnsupportedPlatform(f"Tempolite needs Linux 5.3 or newer, this is {sys.platform}")
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < SQLITE_MIN:
        raise UnsupportedPlatform(
            f"SQLite {apsw.sqlite_lib_version()} can corrupt databases; APSW with 3.51.3 or newer is needed"
        )


def run(connection: apsw.Connection, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Executes one statement to its end: a cursor that is not exhausted may not have done its work."""
    return list(connection.execute(sql, parameters))


class DatabaseFile:
    """An open file that this engine owns, or a database in memory that behaves alike.

    Args:
        path: where, or ``":memory:"``.
        layout: what the file looks like inside.
        vfs: name of an APSW VFS; tests put a disk under it that loses power.
        may_wait: while another engine holds the file: whether to stand by on; asked again and again.
        synchronous: SQLite's durability level; anything but FULL loses commits, which a test shows.

    Attributes:
        undivided: transactions and whatever opens or closes a connection; a fork waits for it.
    """

    def __init__(
        self,
        path: str,
        layout: Layout,
        *,
        vfs: str | None = None,
        may_wait: Callable[[], bool] = bool,
        synchronous: str = "FULL",
    ) -> None:
        check_platform()
        # Links are followed first: the lock lies beside the file itself, whatever name it was opened by.
        self.path = path = path if path == MEMORY else os.path.realpath(path)
        self.layout = layout
        self.is_memory = path == MEMORY
        self._vfs, self._synchronous = vfs, synchronous
        self._lock_fd: int | None = None
        self._leaves_nothing = False
        self._fork_key: tuple[int, int] | None = None
        self.undivided = forking.Undivided()
        self._readers = ReaderPool(partial(self.connect, read_only=True))
        self._name = f"file:/tempolite-{uuid.uuid4().hex}?vfs=memdb" if self.is_memory else path
        self._anchor: apsw.Connection | None = None
        try:
            self._open(may_wait)
        except BaseException:
            self.close()
            raise

    @property
    def workers_lock_path(self) -> str | None:
        """File that each worker process holds a shared lock on while it lives."""
        return None if self.is_memory else self.path + WORKERS_SUFFIX

    def connect(self, *, read_only: bool = False) -> apsw.Connection:
        """A connection with our settings, each of them read back."""
        with self.undivided:
            return self._connected(read_only)

    def _connected(self, read_only: bool) -> apsw.Connection:
        if self.is_memory:
            flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
            connection = apsw.Connection(self._name, flags=flags)
        else:
            connection = apsw.Connection(self._name, flags=apsw.SQLITE_OPEN_READWRITE, vfs=self._vfs)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        # The checkpoint is a step of its own: inside COMMIT its faults make a committed batch look failed.
        connection.wal_autocheckpoint(0)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        if not self.is_memory:
            self._set_pragma(connection, "journal_mode", "wal")
        self._set_pragma(connection, "synchronous", self._synchronous)
        if read_only:
            self._set_pragma(connection, "query_only", "on")
        return connection

    def reader(self) -> AbstractContextManager[apsw.Connection]:
        """A connection that only reads, from a small pool; from any thread.

        Raises:
            EngineClosed: the file is closed.
        """
        return self._readers.reader()

    @contextmanager
    def snapshot(self) -> Iterator[apsw.Connection]:
        """A connection that sees everything as it is now, however long it reads; holds no writer up."""
        if self.is_memory:
            # A reader of a database in memory would keep its writer waiting.
            with self.reader() as source:
                content = source.serialize("main")
            connection = apsw.Connection(":memory:")
            connection.deserialize("main", content)
        else:
            connection = self.connect(read_only=True)
        try:
            run(connection, "BEGIN")
            yield connection
        finally:
            connection.close()

    def copy_to(self, path: str) -> None:
        """An online copy, readable by its owner only, that is a database of its own.

        Raises:
            InvalidArguments: something lies there; untouched.
            StorageFailed: it could not be written; nothing is left of it.
        """
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            raise InvalidArguments(f"{path} exists; a copy is never written over a file") from None
        except OSError as error:
            raise StorageFailed(f"{path} can't be written: {error}") from error
        try:
            os.chmod(path, 0o600)
            with self.snapshot() as source:
                self._copy(source, path)
            sync_file(path)
        except BaseException as error:
            for suffix in ("", "-wal", "-shm", "-journal"):
                with suppress(FileNotFoundError):
                    os.unlink(path + suffix)
            if isinstance(error, apsw.Error | OSError):
                raise StorageFailed(f"the copy to {path} failed: {error}") from error
            raise

    def _copy(self, source: apsw.Connection, path: str) -> None:
        target = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE, vfs=self._vfs)
        try:
            with target.backup("main", source, "main") as backup:
                while not backup.done:
                    backup.step()
            # Its own log is brought into it: the copy is one file.
            self._set_pragma(target, "journal_mode", "delete")
            self._set_pragma(target, "synchronous", "full")
            run(target, self.layout.become_a_copy)
        finally:
            target.close()

    def take_over(self, connection: apsw.Connection) -> FileState:
        """Makes this engine the only writer: whoever wrote before finds the epoch changed."""
        run(connection, "BEGIN IMMEDIATE")
        was_clean = self.read_state(connection).is_clean
        run(connection, self.layout.take_over)
        state = self.read_state(connection)
        run(connection, "COMMIT")
        return replace(state, is_clean=was_clean)

    def read_state(self, connection: apsw.Connection) -> FileState:
        """The engine row."""
        rows = run(connection, self.layout.read_state)
        if len(rows) != 1:
            raise DatabaseDamaged(f"{self.path}: the engine row is missing")
        file_uuid, epoch, batch, chain, is_clean = rows[0]
        return FileState(uuid=file_uuid, epoch=epoch, batch=batch, chain=chain, is_clean=bool(is_clean))

    def has_moved(self, connection: apsw.Connection) -> bool:
        """Whether the path now leads to another file: SQLite would go on writing into the old one."""
        if self.is_memory:
            return False
        moved = ctypes.c_int(0)
        connection.file_control("main", apsw.SQLITE_FCNTL_HAS_MOVED, ctypes.addressof(moved))
        return bool(moved.value)

    def end_cleanly(self, connection: apsw.Connection) -> None:
        """Everything is in the file itself: with its last connection goes what lies beside it."""
        self._readers.close()
        if not self.has_moved(connection):
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
            self._leaves_nothing = True

    def close(self) -> None:
        """Closes the readers and gives the file free."""
        with self.undivided:
            self._readers.close()
            if self._anchor is not None:
                self._anchor.close()
                self._anchor = None
        if self._fork_key is not None:
            forking.forget_file(self._fork_key)
            self._fork_key = None
        if self._lock_fd is not None:
            if self._leaves_nothing:
                remove_locks(self.path)
            forking.close(self._lock_fd)
            self._lock_fd = None

    def _open(self, may_wait: Callable[[], bool]) -> None:
        if self.is_memory:
            # The database lives as long as its last connection.
            self._anchor = self.connect()
            run(self._anchor, "PRAGMA auto_vacuum = incremental")
            self._migrate(self._anchor)
            return
        was_locked_before = os.path.exists(self.path + LOCK_SUFFIX)
        # The lock first: reading the header of a file that another engine of this process has open would
        # take that engine's locks away.
        self._lock_fd = take_lock(self.path, may_wait)
        try:
            check_names(self.path)
            is_new = self._check_header()
        except StorageError:
            if not was_locked_before:
                os.unlink(self.path + LOCK_SUFFIX)
            raise
        create_private(self.path)
        check_not_inherited(self.path)
        self._fork_key = forking.open_file(self.path)
        if is_new:
            self._claim()
        rewrite_wal(self.path)
        connection = self._first_connection()
        try:
            self._migrate(connection)
        finally:
            connection.close()

    def _first_connection(self) -> apsw.Connection:
        try:
            return self.connect()
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise NotADatabase(f"{self.path} is no Tempolite database: {error}") from error
        except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.IOError) as error:
            raise StorageFailed(f"{self.path} can't be opened for writing: {error}") from error

    def _claim(self) -> None:
        """Makes a new file ours before anything else is in it: from now on its header says so."""
        try:
            connection = apsw.Connection(self._name, flags=apsw.SQLITE_OPEN_READWRITE, vfs=self._vfs)
        except apsw.Error as error:
            raise StorageFailed(f"{self.path} can't be opened for writing: {error}") from error
        try:
            # Before anything else is in it: pages that hold nothing can be given back one by one.
            run(connection, "PRAGMA auto_vacuum = incremental")
            run(connection, f"PRAGMA application_id = {self.layout.application_id}")
        except apsw.Error as error:
            raise StorageFailed(f"{self.path} can't be written: {error}") from error
        finally:
            connection.close()

    def _check_header(self) -> bool:
        """Looks at the file before SQLite does; says whether there is nothing in it yet.

        Raises:
            NotADatabase: it is something else; untouched.
            SchemaTooNew: it knows more than we do; untouched.
        """
        try:
            with open(self.path, "rb") as file:
                header = file.read(100)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise StorageFailed(f"{self.path} can't be read: {error}") from error
        if not header:
            return True
        identifier = int.from_bytes(header[_APPLICATION_ID_AT : _APPLICATION_ID_AT + 4], "big")
        if not header.startswith(_HEADER) or identifier != self.layout.application_id:
            raise NotADatabase(f"{self.path} is no Tempolite database; it was left untouched")
        self._check_version(int.from_bytes(header[_USER_VERSION_AT : _USER_VERSION_AT + 4], "big"))
        return False

    def _check_version(self, version: int) -> None:
        known = len(self.layout.migrations)
        if version > known:
            raise SchemaTooNew(
                f"{self.path} has schema {version}, this Tempolite knows {known}; use a newer one"
            )

    def _migrate(self, connection: apsw.Connection) -> None:
        """Brings the schema to this version, in one transaction.

        Raises:
            SchemaTooNew: the file knows more than we do; untouched.
            NotADatabase: a database of someone else.
        """
        version = run(connection, "PRAGMA user_version")[0][0]
        known = len(self.layout.migrations)
        self._check_version(version)
        if version == 0 and run(connection, self.layout.count_objects)[0][0]:
            raise NotADatabase(f"{self.path} holds somebody else's tables; it was left untouched")
        if version == known:
            return
        run(connection, "BEGIN IMMEDIATE")
        for step in self.layout.migrations[version:]:
            for statement in step:
                run(connection, statement)
        run(connection, f"PRAGMA application_id = {self.layout.application_id}")
        run(connection, f"PRAGMA user_version = {known}")
        run(connection, "COMMIT")

    def _set_pragma(self, connection: apsw.Connection, name: str, value: str) -> None:
        run(connection, f"PRAGMA {name} = {value}")
        found = str(run(connection, f"PRAGMA {name}")[0][0])
        expected = {"off": "0", "normal": "1", "full": "2", "extra": "3", "on": "1"}
        if found.lower() not in (value.lower(), expected.get(value.lower())):
            raise StorageFailed(f"{self.path}: PRAGMA {name} is {found}, expected {value}")
