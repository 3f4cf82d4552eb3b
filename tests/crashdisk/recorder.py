"""`RecorderVFS`: passes SQLite's calls on to the unix VFS, and writes down those that change the disk.

Reads, locks and shared memory are not overridden, so they cost nothing. A journal or WAL that was opened with
SQLITE_OPEN_CREATE has its folder synced by the unix VFS at its first sync: that is the one step that a VFS
above it can't see, so the recorder adds it, and a test compares it with the real calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import apsw

from tests.crashdisk.faults import Crash, Fault
from tests.crashdisk.ops import (
    Created,
    Deleted,
    FolderSynced,
    Found,
    Marked,
    Op,
    Synced,
    SyncFailed,
    Truncated,
    Written,
)

BASE_VFS = "unix"
JOURNALS = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL


class RecorderVFS(apsw.VFS):
    """A VFS whose disk is `folder`; files elsewhere pass through unrecorded.

    Make it before the first connection to a file in the folder: it reads what lies there. Connections name
    it with `vfs=name`, and it must outlive them; leaving the `with` block takes the name back.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder.resolve()
        self._inside = f"{self.folder}/"
        self.ops: list[Op] = []
        self.faults: list[Fault] = []
        self.is_dead = False
        self._inode_by_file: dict[str, int] = {}
        for path in _recorded_files(self.folder):
            file = path.relative_to(self.folder).as_posix()
            self._inode_by_file[file] = path.stat().st_ino
            self.ops.append(Found(file=file, data=path.read_bytes()))
        super().__init__(name, BASE_VFS)

    def __enter__(self) -> RecorderVFS:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unregister()

    def mark(self, label: object) -> None:
        """Puts a marker of the application into the log; any thread may."""
        self.ops.append(Marked(label=label))

    def record(self, op: Op) -> None:
        """Tells of a change that was made without SQLite, such as a blob file or a rewritten WAL."""
        self.ops.append(op)

    def inject(self, fault: Fault) -> Fault:
        """Plants a fault; it counts from now on. Returns it, so that a sweep can look at `fired`."""
        self.faults.append(fault)
        return fault

    def guard(self, kind: type[Op], file: str) -> None:
        """Raises if the process is dead or a fault strikes this call."""
        if self.is_dead:
            raise Crash
        for fault in self.faults:
            if fault.strikes(kind, file):
                error = fault.error()
                self.is_dead = isinstance(error, Crash)
                raise error

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        """Opens a file, recorded if it lies in the folder and outlives its handle."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        file = self._file_of(path)
        if path is None or file is None or flags[0] & apsw.SQLITE_OPEN_DELETEONCLOSE:
            return apsw.VFSFile(BASE_VFS, name, flags)
        if file not in self._inode_by_file and flags[0] & apsw.SQLITE_OPEN_CREATE:
            self.guard(Created, file)
        handle = RecordedFile(self, file, name, flags)
        inode = Path(path).stat().st_ino
        if self._inode_by_file.get(file) != inode:
            self._inode_by_file[file] = inode
            self.ops.append(Created(file=file))
            handle.record_content()
        return handle

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        """Removes a name, and makes that durable when asked to."""
        file = self._file_of(filename)
        if file is None:
            return super().xDelete(filename, syncdir)
        self.guard(Deleted, file)
        super().xDelete(filename, syncdir)
        self._inode_by_file.pop(file, None)
        self.ops.append(Deleted(file=file))
        if syncdir:
            self.ops.append(FolderSynced(folder=_folder_of(file)))
        return None

    def _file_of(self, path: str | None) -> str | None:
        # As text: SQLite gives names in full, and asks for one of them at each look for a journal.
        return path.removeprefix(self._inside) if path is not None and path.startswith(self._inside) else None


class RecordedFile(apsw.VFSFile):
    """One open file of a `RecorderVFS`."""

    def __init__(
        self, vfs: RecorderVFS, file: str, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        super().__init__(BASE_VFS, name, flags)
        self._vfs = vfs
        self._file = file
        self._first_sync_reaches_folder = bool(flags[0] & apsw.SQLITE_OPEN_CREATE and flags[0] & JOURNALS)

    def record_content(self) -> None:
        """Records what somebody else put into the file before SQLite opened it."""
        # Through this handle: a second one, closed, would drop SQLite's POSIX locks.
        size = self.xFileSize()
        if size:
            self._vfs.record(Written(file=self._file, offset=0, data=self.xRead(size, 0)))

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        """Writes, then records."""
        self._vfs.guard(Written, self._file)
        super().xWrite(data, offset)
        self._vfs.ops.append(Written(file=self._file, offset=offset, data=bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        """Changes the size, then records."""
        self._vfs.guard(Truncated, self._file)
        super().xTruncate(newsize)
        self._vfs.ops.append(Truncated(file=self._file, size=newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Syncs, then records; a planted error is recorded as a failed sync."""
        try:
            self._vfs.guard(Synced, self._file)
        except apsw.Error:
            self._vfs.ops.append(SyncFailed(file=self._file))
            raise
        super().xSync(flags)
        self._vfs.ops.append(Synced(file=self._file))
        if self._first_sync_reaches_folder:
            self._first_sync_reaches_folder = False
            self._vfs.ops.append(FolderSynced(folder=_folder_of(self._file)))


def _recorded_files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith("-shm"))


def _folder_of(file: str) -> str:
    return file.rpartition("/")[0]
