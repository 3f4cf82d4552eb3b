"""The zoo: activities that do to their worker what nobody should.

Each is known by its name, so that a test (and a script in another process) asks for it by text.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tempolite import ActivityContext, NonRetryable
from tests.workers.marks import count_marks, mark, wait_for_marks
from tests.workers.odd_errors import HoldsALock, RaisesWhenMade, RaisesWhenShown

LONG_S = 1_000
"""Longer than any test: who blocks that long is ended from outside."""

GARBAGE_FDS = range(3, 1_024)

_C = ctypes.CDLL(None)
"""Calls through it release the interpreter."""

_C_WITH_GIL = ctypes.PyDLL(None)
"""Calls through it hold the interpreter: no thread of the worker runs meanwhile."""


# ── deaths ──────────────────────────────────────────────────────────────────────────────────────────────


def kill_itself(marks: str = "", times: int = 1_000) -> str:
    """SIGKILL, the first so many times."""
    return _die_at_first(marks, times, lambda: os.kill(os.getpid(), signal.SIGKILL))


def kill_group(marks: str = "", times: int = 1_000) -> str:
    """SIGKILL to everything that the worker started, itself included."""
    return _die_at_first(marks, times, lambda: os.killpg(os.getpgrp(), signal.SIGKILL))


def terminate_itself(marks: str = "", times: int = 1_000) -> str:
    """SIGTERM, which a worker may also get from outside."""
    return _die_at_first(marks, times, lambda: os.kill(os.getpid(), signal.SIGTERM))


def segfault(marks: str = "", times: int = 1_000) -> str:
    """Reads from address 0."""
    return _die_at_first(marks, times, lambda: ctypes.string_at(0))


def abort(marks: str = "", times: int = 1_000) -> str:
    """SIGABRT, as a failed assertion in C."""
    return _die_at_first(marks, times, os.abort)


def leave(marks: str = "", times: int = 1_000, code: int = 3) -> str:
    """``os._exit``."""
    return _die_at_first(marks, times, lambda: os._exit(code))


def close_all_fds(marks: str = "", times: int = 1_000) -> str:
    """Closes whatever is open, the worker's own connection included."""
    return _die_at_first(marks, times, lambda: os.closerange(0, 1_024))


def die_beside_others(marks: str, others: int) -> str:
    """Kills the worker once so many others are under way in it."""
    mark(marks, "guilty")
    wait_for_marks(marks, "bystander", others)
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def stand_by(marks: str, number: int) -> str:
    """Under way when another one kills the worker; returns at once when it runs again."""
    is_first = not count_marks(marks, f"bystander {number} ")
    mark(marks, f"bystander {number} ")
    if is_first:
        block_in_c()
    return f"bystander {number}"


async def stand_by_async(marks: str, number: int) -> str:
    """The same as a coroutine."""
    is_first = not count_marks(marks, f"bystander {number} ")
    mark(marks, f"bystander {number} ")
    if is_first:
        await asyncio.Event().wait()
    return f"bystander {number}"


def exit_python(code: Any = 3) -> None:
    """``sys.exit``: an exception like others."""
    sys.exit(code)


def interrupt() -> None:
    """As if somebody had pressed ^C."""
    raise KeyboardInterrupt


# ── hangs ───────────────────────────────────────────────────────────────────────────────────────────────


def loop() -> None:
    """Python code without end."""
    while True:
        pass


def block_in_c() -> None:
    """A C call without end that lets other threads run."""
    while True:
        _C.sleep(LONG_S)


def block_in_c_with_gil() -> None:
    """A C call without end that lets nobody run: no Python signal handler, no thread."""
    while True:
        _C_WITH_GIL.sleep(LONG_S)


def block_signals_and_loop() -> None:
    """Deaf to everything that can be blocked."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    loop()


def ignore_term_and_loop() -> None:
    """Takes SIGTERM and goes on."""
    while True:
        try:
            loop()
        except BaseException:
            continue


def stop_itself() -> None:
    """SIGSTOP: it neither runs nor ends."""
    os.kill(os.getpid(), signal.SIGSTOP)
    loop()


async def block_the_event_loop() -> None:
    """A coroutine that never gives way."""
    loop()


def clean_up_when_told(marks: str) -> None:
    """Has something to put away when its time is over."""
    try:
        mark(marks, "working")
        loop()
    finally:
        mark(marks, "cleaned up")


def hang_first(marks: str) -> str:
    """Hangs the first time."""
    mark(marks, "call")
    if count_marks(marks, "call") == 1:
        loop()
    return "second"


def say_and(marks: str, hang: str) -> None:
    """Says that it is under way, then hangs in that way; or is done, where that has no name."""
    mark(marks, "under way")
    if hang:
        globals()[hang]()


# ── errors and results ──────────────────────────────────────────────────────────────────────────────────


def raise_what_holds_a_lock() -> None:
    """An exception that can't be pickled."""
    raise HoldsALock("no card")


def raise_what_cannot_be_made() -> None:
    """An exception whose constructor raises when it is called with what it holds."""
    error = RaisesWhenMade("let me be")
    error.args = ("anything", 2)
    raise error


def raise_what_cannot_be_shown() -> None:
    """An exception that has no text."""
    raise RaisesWhenShown


def raise_local_class() -> None:
    """An exception of a class that nobody else knows."""

    class Unheard(ValueError):
        """Known here only."""

    raise Unheard("far away")


def raise_out_of_memory() -> None:
    """As Python says that there is no memory."""
    raise MemoryError("no room")


def recurse() -> None:
    """To the end of the stack."""
    recurse()


def return_odd(kind: str) -> Any:
    """Something that can't be stored."""
    return {
        "lambda": lambda: lambda: None,
        "lock": threading.Lock,
        "generator": lambda: (i for i in range(3)),
        "socket": socket.socket,
        "nested lock": lambda: {"items": [1, threading.Lock()]},
        "cycle": _cycle,
        "deep list": _deep_list,
    }[kind]()


def numbers() -> Iterator[int]:
    """A generator function: calling it does nothing yet."""
    yield 1


def return_bytes(size: int) -> bytes:
    """So many bytes."""
    return b"x" * size


def return_text(size: int) -> str:
    """So many characters: encoded, two bytes longer."""
    return "x" * size


def add(x: int, y: int) -> int:
    """The innocent one."""
    return x + y


def flaky(marks: str, failures: int) -> int:
    """Fails so many times, then says how often it was called."""
    mark(marks, "call")
    calls = count_marks(marks, "call")
    if calls <= failures:
        raise ValueError(f"call {calls}")
    return calls


def die_then_fail_then_work(ctx: ActivityContext, marks: str) -> tuple[int, int]:
    """Dies twice, fails in its first attempt, and says which attempt worked, and how many keys it saw."""
    mark(marks, f"key {ctx.idempotency_key}")
    calls = count_marks(marks, "key")
    if calls <= 2:
        os._exit(9)
    if ctx.attempt == 1:
        raise ValueError("the first attempt proper")
    return ctx.attempt, len(set(Path(marks).read_text().splitlines()))


def refuse_for_good() -> None:
    """Not to be tried again."""
    raise NonRetryable("never")


# ── manners ─────────────────────────────────────────────────────────────────────────────────────────────


def write_into_every_fd(garbage: bytes) -> str:
    """These bytes into every descriptor from 0 up that takes them; the standard streams are left out."""
    for fd in GARBAGE_FDS:
        with suppress(OSError):
            os.write(fd, garbage)
    return "wrote"


def print_much(lines: int) -> int:
    """Chatter on both streams, buffered and not."""
    for number in range(lines):
        sys.stdout.write(f"line {number}\n")
        os.write(2, b"chatter\n")
    sys.stdout.flush()
    return lines


def open_fds() -> list[str]:
    """What each descriptor of the worker leads to."""
    folder = Path("/proc/self/fd")
    return [os.readlink(entry) for entry in folder.iterdir() if entry.is_symlink()]


def start_grandchild_and(what: str, marks: str, way: str = "popen") -> str:
    """Starts ``sleep``, writes down its pid, and goes on in its way."""
    mark(marks, f"grandchild {_grandchild(way)}")
    if what == "loop":
        loop()
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def terminate_a_fork() -> tuple[int, bool]:
    """Forks, ends the fork by SIGTERM, and gives the signal that ended it, and whether it cleaned up."""
    read_end, write_end = os.pipe()
    ready_end, tell_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(tell_end, b"ready")
            block_in_c()
        finally:
            os.write(write_end, b"cleaned up")
            os._exit(0)
    os.read(ready_end, 5)
    os.kill(pid, signal.SIGTERM)
    _, status = os.waitpid(pid, 0)
    os.close(write_end)
    cleaned = os.read(read_end, 10)
    for fd in (read_end, ready_end, tell_end):
        os.close(fd)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, cleaned != b""


def pid_of_worker() -> int:
    """Which process this is."""
    return os.getpid()


def pid_after_others(marks: str, others: int) -> int:
    """Which process this is, once so many are under way at the same time."""
    mark(marks, "under way")
    wait_for_marks(marks, "under way", others)
    return os.getpid()


# ── what they are made of ───────────────────────────────────────────────────────────────────────────────


def _die_at_first(marks: str, times: int, die: Any) -> str:
    if not marks:
        die()
    mark(marks, "call")
    if count_marks(marks, "call") <= times:
        die()
    return "alive"


def _grandchild(way: str) -> int:
    command = ["sleep", str(LONG_S)]
    if way == "popen":
        return subprocess.Popen(command).pid
    if way == "new session":
        return subprocess.Popen(command, start_new_session=True).pid
    pid = os.fork()
    if pid == 0:
        block_in_c()
    return pid


def _cycle() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def _deep_list() -> list[Any]:
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    return deep
