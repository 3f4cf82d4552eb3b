"""What a test leaves behind: threads, processes and descriptors that were not there before it."""

from __future__ import annotations

import gc
import os
import re
import select
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple, Self

GRACE_S = 2.0
"""For what is just about to end."""

PYTHONS_OWN_PROCESSES = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""Made when they are first needed, and kept until the interpreter ends."""

EXECUTORS_OF_LOOPS = ("asyncio_", "AnyIO worker thread")
"""Threads of an event loop's executor end with their loop, which may live for many tests."""

_NUMBER_IN_POOL = re.compile(r"_\d+$")
"""How an executor tells its threads from one another."""


class Belongings(NamedTuple):
    """What this process has.

    Attributes:
        threads: that run.
        children: process ids, without those that have ended.
        descriptors: number and what it leads to.
    """

    threads: frozenset[threading.Thread]
    children: frozenset[int]
    descriptors: frozenset[tuple[int, str]]

    @classmethod
    def now(cls) -> Self:
        """As it is at this moment."""
        return cls(_threads(), _children(), _descriptors())

    def and_what_came(self, before: Self, after: Self) -> Self:
        """As if what came between two moments had been there already."""
        return type(self)(
            self.threads | after.threads - before.threads,
            self.children | after.children - before.children,
            self.descriptors | after.descriptors - before.descriptors,
        )

    def added(self) -> list[str]:
        """What there is now and was not then, each with its name; what is ending gets a moment to do so."""
        deadline_s = time.monotonic() + GRACE_S
        for thread in self._new_threads():
            thread.join(max(0.0, deadline_s - time.monotonic()))
        for child in _children() - self.children:
            _wait_for_end(child, max(0.0, deadline_s - time.monotonic()))
        if _descriptors() - self.descriptors:
            # Some are closed only when the garbage is collected.
            gc.collect()
        return [
            *map(_thread_text, self._new_threads()),
            *map(_child_text, sorted(_children() - self.children)),
            *(
                f"descriptor {number}: {target}"
                for number, target in sorted(_descriptors() - self.descriptors)
            ),
        ]

    def _new_threads(self) -> list[threading.Thread]:
        # A pool that was there before makes its threads when they are needed, and keeps them.
        pools = {_pool_of(thread) for thread in self.threads} - {None}
        return [thread for thread in _threads() - self.threads if _pool_of(thread) not in pools]


def _pool_of(thread: threading.Thread) -> str | None:
    number = _NUMBER_IN_POOL.search(thread.name)
    return thread.name[: number.start()] if number else None


def _threads() -> frozenset[threading.Thread]:
    return frozenset(
        thread
        for thread in threading.enumerate()
        if not thread.name.startswith(EXECUTORS_OF_LOOPS) and not isinstance(thread, threading._DummyThread)
    )


def _thread_text(thread: threading.Thread) -> str:
    target = getattr(thread, "_target", None) or type(thread).run
    name = getattr(target, "__qualname__", repr(target))
    text = f"thread {thread.name!r}, which runs {getattr(target, '__module__', '?')}.{name}"
    frame = sys._current_frames().get(thread.ident or 0)
    # Where it waits is always the same; who waits there is of interest.
    while frame is not None and frame.f_code.co_filename == threading.__file__ and frame.f_back is not None:
        frame = frame.f_back
    return text if frame is None else f"{text}, now at {frame.f_code.co_filename}:{frame.f_lineno}"


def _children() -> frozenset[int]:
    found = set[int]()
    for task in Path("/proc/self/task").iterdir():
        try:
            found.update(map(int, (task / "children").read_text().split()))
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended
            continue
    return frozenset(child for child in found if _is_ours_to_end(child))


def _is_ours_to_end(pid: int) -> bool:
    # One that has ended and that nobody has waited for has no command line any more.
    command = _command(pid)
    return bool(command) and not any(name in command for name in PYTHONS_OWN_PROCESSES)


def _command(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return command.replace(b"\0", b" ").decode(errors="replace").strip()


def _child_text(pid: int) -> str:
    return f"process {pid}: {_command(pid)}"


def _wait_for_end(pid: int, timeout_s: float) -> None:
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([watch], [], [], timeout_s)
    finally:
        os.close(watch)


def _descriptors() -> frozenset[tuple[int, str]]:
    kept, found = _descriptors_of_python(), set[tuple[int, str]]()
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # the one that the listing itself used
            continue
        if number not in kept:
            found.add((number, target))
    return frozenset(found)


def _descriptors_of_python() -> set[int | None]:
    """Of the process that ``multiprocessing`` keeps beside this one."""
    tracker = getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)
    server = getattr(sys.modules.get("multiprocessing.forkserver"), "_forkserver", None)
    return {getattr(tracker, "_fd", None), getattr(server, "_forkserver_alive_fd", None)}
