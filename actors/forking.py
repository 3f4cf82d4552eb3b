"""What a fork of the host must not keep: descriptors whose mere being open means that the engine lives.

The engine never forks, but its host may (``multiprocessing`` with ``fork``, ``os.fork``). A child would
inherit the lock on the file and the pipes that workers' lives hang on, and hold them after the engine is
gone. A hook after each fork of this process closes them in the child; an exec closes them anyway.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress

_kept: set[int] = set()
_no_fork_meanwhile = threading.Lock()


def close_in_forked_children(fd: int) -> int:
    """The descriptor is of this process only."""
    _kept.add(fd)
    return fd


def open_pipe() -> tuple[int, int]:
    """A pipe's two ends; the one that is written to is of this process only, from its first moment."""
    with _no_fork_meanwhile:
        read, write = os.pipe2(os.O_CLOEXEC)
        return read, close_in_forked_children(write)


def close(fd: int) -> None:
    """Closes a descriptor that was marked so."""
    _kept.discard(fd)
    os.close(fd)


def _after_fork_in_child() -> None:
    _no_fork_meanwhile.release()
    while _kept:
        with suppress(OSError):
            os.close(_kept.pop())


os.register_at_fork(
    before=_no_fork_meanwhile.acquire,
    after_in_parent=_no_fork_meanwhile.release,
    after_in_child=_after_fork_in_child,
)
