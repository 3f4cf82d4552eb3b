"""What a fork of the host must not keep, and what it must not cut in two.

The engine never forks, but its host may (``multiprocessing`` with ``fork``, ``os.fork``). A child would
inherit the lock on the file and the pipes that workers' lives hang on, and hold them after the engine is
gone. A hook after each fork of this process closes them in the child; an exec closes them anyway.

SQLite has locks of its own, and the child gets them as they are: one that another thread held would never be
released there, and an engine that the child opens would wait for it. So a fork waits for the transaction that
is under way. What SQLite knows of a file that is open comes along as well, and is wrong in the child: there
that file is refused.
"""

from __future__ import annotations

import os
import socket
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress

WAIT_MAX_S = 5.0
"""How long a fork waits for what must not be cut in two; then it goes on all the same."""

_kept: set[int] = set()
_open_files: set[tuple[int, int]] = set()
_inherited_files: set[tuple[int, int]] = set()
_no_fork_meanwhile = threading.Lock()
_undivided: weakref.WeakSet[Undivided] = weakref.WeakSet()
_held: list[Undivided] = []


def close_in_forked_children(fd: int) -> int:
    """The descriptor is of this process only."""
    _kept.add(fd)
    return fd


def open_pipe() -> tuple[int, int]:
    """A pipe's two ends; the one that is written to is of this process only, from its first moment."""
    with _no_fork_meanwhile:
        read, write = os.pipe2(os.O_CLOEXEC)
        return read, close_in_forked_children(write)


def open_socket(make: Callable[[], socket.socket]) -> socket.socket:
    """A socket of this process only, from its first moment: a child with a copy would hide its end."""
    with _no_fork_meanwhile:
        made = make()
        close_in_forked_children(made.fileno())
        return made


def close(fd: int) -> None:
    """Closes a descriptor that was marked so."""
    _kept.discard(fd)
    os.close(fd)


class Undivided:
    """Work of one thread at a time that no fork of this process comes into: ``with self._undivided: …``."""

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        # Reentrant: who forks within such work itself must not wait for it.
        self._lock = threading.RLock()
        _undivided.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def hold(self) -> bool:
        """Waits until nobody is at it, for a while."""
        return self._lock.acquire(timeout=WAIT_MAX_S)

    def release(self) -> None:
        """Takes ``hold`` back, in both processes."""
        self._lock.release()


def open_file(path: str) -> tuple[int, int]:
    """This process has the file open in SQLite from now on; gives what ``forget_file`` takes."""
    key = _key_of(path)
    _open_files.add(key)
    return key


def forget_file(key: tuple[int, int]) -> None:
    """It is closed."""
    _open_files.discard(key)


def is_inherited(path: str) -> bool:
    """Whether the process that forked this one had the file open then."""
    return bool(_inherited_files) and _key_of(path) in _inherited_files


def _key_of(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _before_fork() -> None:
    _no_fork_meanwhile.acquire()
    _held.extend(work for work in list(_undivided) if work.hold())


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()
    _no_fork_meanwhile.release()


def _after_fork_in_child() -> None:
    _after_fork_in_parent()
    # Of the parent's files; one whose work went on all the same is at it for ever.
    _undivided.clear()
    _inherited_files.update(_open_files)
    _open_files.clear()
    while _kept:
        with suppress(OSError):
            os.close(_kept.pop())


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
