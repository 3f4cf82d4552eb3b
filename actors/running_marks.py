"""Which attempts are running, in a small file beside the database that outlives the process.

An attempt that was running at three unclean ends of the engine may be what ends it: it is not started a
fourth time. A commit for each start would double the cost of a step, so whoever runs an attempt sets one
byte in a file that is mapped into memory: the kernel keeps it when the process is killed. The next engine
turns the bytes into counts. A power loss may lose a count, which only means one try more.

The engine alone gives records out and takes them back; workers only set the byte of theirs.
"""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import suppress

from tempolite.actors.database_file import DatabaseFile
from tempolite.actors.marks_file import COUNT_AT, NO_MARK, RECORDS, RUNNING_AT, SIZE, MarkSetter

logger = logging.getLogger("tempolite")

RUNNING_SUFFIX = "-running"

UNCLEAN_ENDS_MAX = 3
"""An attempt that was running at so many is given up."""

KEPT_MAX = RECORDS // 2
"""Counts kept from earlier engines; those of attempts that never came again must not fill the file."""

_FREE = bytes(SIZE)


class RunningMarks(MarkSetter):
    """The engine's view: counts of earlier engines, and a record for each attempt that is given out.

    Args:
        path: the file; None for a database in memory.
        was_clean: the engine before this one was closed.
    """

    def __init__(self, path: str | None, *, was_clean: bool) -> None:
        self._path = path or ""
        self._counts: dict[bytes, int] = {}
        self._places: dict[bytes, int] = {}
        if path:
            self._counts = _counts_of(path, was_clean=was_clean)
            _write(path, self._counts)
            self._places = {digest: number for number, digest in enumerate(self._counts)}
        self._free = list(range(RECORDS - 1, len(self._counts) - 1, -1)) if path else []
        super().__init__(self._path)

    @property
    def has_counts(self) -> bool:
        """Whether any attempt was running at an unclean end; where none was, nobody need ask for one."""
        return bool(self._counts)

    def unclean_ends(self, attempt_key: str) -> int:
        """At how many of them this attempt was running."""
        return self._counts.get(_digest(attempt_key), 0)

    def claim(self, attempt_key: str) -> int:
        """A record for an attempt that is about to be given to a worker."""
        if self._map is None:
            return NO_MARK
        digest = _digest(attempt_key)
        if self._places and (number := self._places.get(digest)) is not None:
            return number
        if not self._free:
            return NO_MARK
        number = self._free.pop()
        begin = number * SIZE
        self._map[begin : begin + COUNT_AT] = digest
        return number

    def release(self, number: int, *, is_over: bool) -> None:
        """The attempt does not run any more; where it is over, so is its count."""
        if number == NO_MARK or self._map is None:
            return
        begin = number * SIZE
        if self._places:
            # Counts of earlier engines are left, which is rare: this may be the record of one.
            digest = bytes(self._map[begin : begin + COUNT_AT])
            if digest in self._places and not is_over:
                self._map[begin + RUNNING_AT] = 0
                return
            self._places.pop(digest, None)
            self._counts.pop(digest, None)
        self._map[begin : begin + SIZE] = _FREE
        self._free.append(number)

    def close_clean(self) -> None:
        """The engine was closed: the file is needed only for counts of attempts that go on."""
        self.close()
        if self._path and not self._counts:
            with suppress(FileNotFoundError):
                os.unlink(self._path)


def marks_path(file: DatabaseFile) -> str | None:
    """The file of marks beside a database; None for one in memory."""
    return None if file.is_memory else file.path + RUNNING_SUFFIX


def _digest(attempt_key: str) -> bytes:
    return hashlib.blake2b(attempt_key.encode("utf-8", "surrogatepass"), digest_size=COUNT_AT).digest()


def _counts_of(path: str, *, was_clean: bool) -> dict[bytes, int]:
    """What the file of an earlier engine says; one that makes no sense says nothing."""
    try:
        with open(path, "rb") as file:
            content = file.read(RECORDS * SIZE)
    except FileNotFoundError:
        return {}
    counts: dict[bytes, int] = {}
    for begin in range(0, len(content) - SIZE + 1, SIZE):
        record = content[begin : begin + SIZE]
        count = record[COUNT_AT] + (0 if was_clean else min(1, record[RUNNING_AT]))
        if count:
            counts[record[:COUNT_AT]] = min(count, UNCLEAN_ENDS_MAX)
    if counts:
        logger.info("%s: %d attempts were running at an unclean end", path, len(counts))
    return dict(list(counts.items())[-KEPT_MAX:])


def _write(path: str, counts: dict[bytes, int]) -> None:
    """A new file in the place of the old one, which workers of the engine before may still have mapped."""
    copy = path + "-new"
    with suppress(FileNotFoundError):
        os.unlink(copy)
    fd = os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        for digest, count in counts.items():
            file.write(digest + bytes([count]) + bytes(SIZE - COUNT_AT - 1))
        file.truncate(RECORDS * SIZE)
        file.flush()
        if counts:
            os.fsync(fd)
    os.rename(copy, path)
