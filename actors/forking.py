"""What a fork of the host must not keep: descriptors whose mere being open means that the engine lives.

The engine never forks, but its host may (``multiprocessing`` with ``fork``, ``os.fork``). A child would
inherit the lock on the file and the pipes that workers' lives hang on, and hold them after the engine is
gone. A hook after each fork of this process closes them in the child; an exec closes them anyway.
"""

from __future__ import annotations

import os
from contextlib import suppress

_kept: set[int] = set()


def close_in_forked_children(fd: int) -> int:
    """The descriptor is of this process only."""
    _kept.add(fd)
    return fd


def close(fd: int) -> None:
    """Closes a descriptor that was marked so."""
    _kept.discard(fd)
    os.close(fd)


def _after_fork_in_child() -> None:
    while _kept:
        with suppress(OSError):
            os.close(_kept.pop())


os.register_at_fork(after_in_child=_after_fork_in_child)
