"""Faults to plant in a recorder: an error that SQLite gets from its disk, or the end of the process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import apsw

from tests.crashdisk.ops import CHANGES, Op

STICKY = sys.maxsize


class Crash(BaseException):
    """The process ends here. The recorder changes nothing any more: each later call raises this again."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """Raise `error()` instead of the `nth` matching call, counted from 1, and of the `times - 1` after it.

    A sweep goes on with n = 1, 2, 3, … until a run ends with `fired == 0`: then it has tried them all.
    """

    nth: int
    error: Callable[[], BaseException]
    on: tuple[type[Op], ...] = CHANGES
    file_suffix: str = ""
    times: int = 1
    seen: int = 0
    fired: int = 0

    def strikes(self, kind: type[Op], file: str) -> bool:
        """Counts a call, and says whether the fault hits it."""
        if kind not in self.on or not file.endswith(self.file_suffix):
            return False
        self.seen += 1
        if self.seen < self.nth or self.fired >= self.times:
            return False
        self.fired += 1
        return True


def open_failed() -> apsw.Error:
    """A file that the file system refuses to make."""
    return _with_code(apsw.CantOpenError("planted: open failed"), apsw.SQLITE_CANTOPEN)


def write_failed() -> apsw.Error:
    """A write that the disk refuses (EIO)."""
    return _with_code(apsw.IOError("planted: write failed"), apsw.SQLITE_IOERR_WRITE)


def sync_failed() -> apsw.Error:
    """A sync that the disk refuses; what was in flight is lost."""
    return _with_code(apsw.IOError("planted: sync failed"), apsw.SQLITE_IOERR_FSYNC)


def truncate_failed() -> apsw.Error:
    """A change of size that the disk refuses."""
    return _with_code(apsw.IOError("planted: truncate failed"), apsw.SQLITE_IOERR_TRUNCATE)


def delete_failed() -> apsw.Error:
    """A delete that the disk refuses."""
    return _with_code(apsw.IOError("planted: delete failed"), apsw.SQLITE_IOERR_DELETE)


def disk_full() -> apsw.Error:
    """A write for which there is no space left."""
    return _with_code(apsw.FullError("planted: disk full"), apsw.SQLITE_FULL)


def _with_code(error: apsw.Error, extended: int) -> apsw.Error:
    # APSW reads this attribute from errors raised in a callback; its type stub does not know it.
    error.extendedresult = extended  # type: ignore[attr-defined]
    return error
