"""The file of ``running_marks.py`` as a worker sees it, who imports no more of the engine than that.

record of 24 bytes: digest of the attempt (16) · unclean ends so far (1) · is running (1) · unused (6)
"""

from __future__ import annotations

import mmap
import os
from contextlib import suppress

RECORDS = 4_096
"""An attempt that finds no place is run unmarked."""

NO_MARK = -1
SIZE = 24
COUNT_AT, RUNNING_AT = 16, 17


class MarkSetter:
    """The worker's view of the file: it sets the byte of what it begins."""

    def __init__(self, path: str) -> None:
        self._map = _mapped(path) if path else None

    def begin(self, number: int) -> None:
        """The attempt of this record runs from now on."""
        mapped = self._map
        if number != NO_MARK and mapped is not None:
            # A thread of an engine that is closed at this moment has nothing to mark any more.
            with suppress(ValueError):
                mapped[number * SIZE + RUNNING_AT] = 1

    def close(self) -> None:
        """Nothing is marked any more."""
        mapped, self._map = self._map, None
        if mapped is not None:
            mapped.close()


def _mapped(path: str) -> mmap.mmap:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(fd, RECORDS * SIZE)
    finally:
        os.close(fd)
