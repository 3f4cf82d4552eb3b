"""Processes as the kernel tells of them: children, descriptors, threads, and whether one has ended."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Direct children, zombies included."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread that has just ended has none.
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def is_running(pid: int) -> bool:
    """Whether it is there, and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def open_fds() -> int:
    """How many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


def thread_names() -> set[str]:
    """Threads of this process, as Python and the kernel count them."""
    return {thread.name for thread in threading.enumerate()}


class Watched:
    """A process that may end, and be waited for, whoever its parent is."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = os.pidfd_open(pid)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends in so many seconds."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(max(0, round(seconds * 1_000))))


def wait_for(what: str, is_true: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Looks until it is true: for what only the file system or the kernel can tell.

    Raises:
        AssertionError: it was not in time.
    """
    deadline_s = time.monotonic() + timeout_s
    pause = threading.Event()
    while not is_true():
        assert time.monotonic() < deadline_s, f"waited {timeout_s:g} s for {what}"
        pause.wait(0.002)
