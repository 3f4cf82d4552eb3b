"""The child's end of a worker: a process that runs activities and nothing else.

Started as a fresh interpreter, never forked, so no thread or lock of the engine comes along; it imports
neither Pykka nor the engine. What an activity is, it does not know either: the interpreter named in
``Hello`` does.

    socket ──▶ reader thread ──▶ pending jobs ──▶ main thread (one slot)
                                              └─▶ event loop and threads (several slots)
    socket ◀── results, each as soon as it is there

Its life hangs on a pipe: when the engine's process ends, however it ends, the kernel sends SIGKILL to the
worker's process group, whatever its code is doing (``F_SETSIG`` on the pipe's read end).
"""

from __future__ import annotations

import fcntl
import importlib
import os
import queue
import select
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Protocol

from tempolite.actors import frames
from tempolite.actors.job_link import JobLink
from tempolite.actors.marks_file import MarkSetter
from tempolite.actors.memory_limit import limited_memory
from tempolite.actors.worker_logs import send_logs, set_levels
from tempolite.core.failure import Failure

RECEIVE_BYTES = 64 * 1024
FD_FROM = 512
"""Our descriptors have numbers from here."""

LISTENING_TERM, ASKING_TERM = 1, 2
"""TERMs that don't interrupt an activity which may look at ``ctx.cancelled``, or has."""

EXIT_BROKEN = 70
EXIT_TERMINATED = 143


class Interpreter(Protocol):
    """Knows what an activity is; made by ``Hello.interpreter(settings)``."""

    def load(self, name: str, code: bytes) -> Any:
        """The callable of a ``Ship``; raises ``LookupError`` when no name leads to it."""
        ...

    def prepare(self, target: Any) -> Any:
        """A callable of this process, as ``load`` gives it."""
        ...

    def is_async(self, call: Any) -> bool:
        """Whether it must be awaited."""
        ...

    def run(self, call: Any, args: bytes, about: frames.About, link: JobLink) -> bytes:
        """Runs it here and now; an ``async def`` on a loop of its own."""
        ...

    async def run_async(self, call: Any, args: bytes, about: frames.About, link: JobLink) -> bytes:
        """Awaits it."""
        ...

    def capture(self, error: BaseException, call: Any = None) -> Failure:
        """An error, of that callable, as data; never raises."""
        ...


class Terminated(BaseException):
    """SIGTERM came: raised in the main thread, so that ``finally`` blocks of the activity run."""


class Worker:
    """One worker process, from ``Hello`` to its end."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = frames.FrameBuffer()
        self._send_lock = threading.Lock()
        self._pending: deque[frames.Run] = deque()
        # One ticket for each pending job; a Semaphore of Python code would cost more than a short activity.
        self._has_pending: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._calls: dict[int, Any] = {}
        self._missing: dict[int, str] = {}
        self._interpreter: Interpreter
        self._marks: MarkSetter
        self._links: dict[int, JobLink] = {}
        self._is_told_to_end = False
        self._terms = 0
        self._pid = os.getpid()

    def main(self) -> None:
        """Serves until the engine hangs up."""
        hello = self._receive_hello()
        sys.path[:] = map(os.fsdecode, hello.sys_path)
        sys.argv[:] = map(os.fsdecode, hello.argv)
        if hello.folder:
            os.chdir(hello.folder)
        lock = _hold_lock(hello.lock_path)
        send_logs(self._send, hello.log_levels)
        self._marks = MarkSetter(hello.marks_path)
        module, _, name = hello.interpreter.partition(":")
        self._interpreter = getattr(importlib.import_module(module), name)(hello.settings)
        signal.signal(signal.SIGTERM, self._on_term)
        # Ready before the first callable is loaded: loading may end the process, and that is no false start.
        self._send(frames.Ready())
        threading.Thread(target=self._read, name="tempolite-reader", daemon=True).start()
        try:
            if hello.slots == 1:
                self._serve_one_by_one()
            else:
                self._serve_many(hello.slots)
        except Terminated:
            # Threads that look at `ctx.cancelled` may end by themselves, until the KILL.
            for link in list(self._links.values()):
                if link.was_asked:
                    link.is_over.wait()
            os._exit(EXIT_TERMINATED)
        finally:
            del lock

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────

    def _serve_one_by_one(self) -> None:
        while True:
            run = self._next()
            if run is not None:
                self._serve(run)

    def _serve_many(self, slots: int) -> None:
        from tempolite.actors.worker_slots import Slots  # only for several, see there

        Slots(slots, self._next, self._serve, self._serve_async).run()

    def _next(self) -> frames.Run | None:
        """Waits for a run; None where it was revoked meanwhile."""
        self._has_pending.get()
        try:
            return self._pending.popleft()
        except IndexError:
            return None

    def _serve(self, run: frames.Run) -> None:
        self._send(self._outcome(run))
        self._end_if_told()

    def _serve_async(self, run: frames.Run) -> Coroutine[Any, Any, None] | None:
        call = self._calls.get(run.callable_id)
        if call is None or not self._interpreter.is_async(call):
            return None
        return self._await(call, run)

    async def _await(self, call: Any, run: frames.Run) -> None:
        self._send(await self._outcome_async(call, run))
        self._end_if_told()

    def _outcome(self, run: frames.Run) -> frames.FromWorker:
        call = self._calls.get(run.callable_id)
        if call is None:
            reason = self._missing.get(run.callable_id, "it was not shipped")
            return frames.Unknown(run.job_id, run.callable_id, reason)
        link, began_s = self._begin(run)
        try:
            with limited_memory(run.memory_limit):
                result = self._interpreter.run(call, run.args, run.about, link)
            return frames.Done(run.job_id, result, time.monotonic() - began_s)
        except Terminated:
            raise
        except BaseException as error:
            return self._failed(run, call, error, began_s)
        finally:
            self._finish(link)

    async def _outcome_async(self, call: Any, run: frames.Run) -> frames.FromWorker:
        link, began_s = self._begin(run)
        try:
            with limited_memory(run.memory_limit):
                result = await self._interpreter.run_async(call, run.args, run.about, link)
            return frames.Done(run.job_id, result, time.monotonic() - began_s)
        except Terminated:
            raise
        except BaseException as error:
            return self._failed(run, call, error, began_s)
        finally:
            self._finish(link)

    def _begin(self, run: frames.Run) -> tuple[JobLink, float]:
        link = self._links[run.job_id] = JobLink(run.job_id, self._send)
        self._marks.begin(run.mark)
        if run.tells_start:
            self._send(frames.Started(run.job_id))
        return link, time.monotonic()

    def _finish(self, link: JobLink) -> None:
        link.close()
        self._links.pop(link.job_id, None)

    def _failed(self, run: frames.Run, call: Any, error: BaseException, began_s: float) -> frames.FromWorker:
        if run.memory_limit is not None and isinstance(error, MemoryError):
            # What else in this process could not be done for want of memory, nobody knows.
            self._is_told_to_end = True
            return frames.Exhausted(run.job_id)
        failure = self._interpreter.capture(error, call)
        return frames.Failed(run.job_id, failure, time.monotonic() - began_s)

    def _end_if_told(self) -> None:
        if self._is_told_to_end and not self._links:
            os._exit(EXIT_TERMINATED)

    def _on_term(self, signum: int, _frame: Any) -> None:
        if os.getpid() != self._pid:
            # A fork that an activity has made: it has our handler, and is no worker.
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
            return
        links = list(self._links.values())
        if not links:
            os._exit(EXIT_TERMINATED)
        for link in links:
            link.cancel()
        self._terms += 1
        if self._terms == LISTENING_TERM and all(link.listens for link in links):
            # They may be about to look at `ctx.cancelled`; who has not by the next TERM never does.
            self._is_told_to_end = True
            return
        if self._terms == ASKING_TERM and all(link.was_asked for link in links):
            # They end by themselves, or by the TERM after this one.
            return
        # Once only: another TERM must not interrupt the clean-up that this one begins.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    # ── talking ─────────────────────────────────────────────────────────────────────────────────────────

    def _receive_hello(self) -> frames.Hello:
        while True:
            for body in self._buffer.bodies():
                (hello,) = frames.TO_WORKER.decode(body)
                assert isinstance(hello, frames.Hello), "the first packet is Hello"
                return hello
            self._buffer.feed(self._receive())

    def _read(self) -> None:
        """The reader thread: takes frames while the main thread works."""
        try:
            while True:
                self._take_packets()
                self._buffer.feed(self._receive())
        except BaseException:
            os._exit(EXIT_BROKEN)

    def _take_packets(self) -> None:
        for body in self._buffer.bodies():
            for frame in frames.TO_WORKER.decode(body):
                self._on_frame(frame)

    def _receive(self) -> bytes:
        data = self._socket.recv(RECEIVE_BYTES)
        if not data:
            # The engine hung up: it is closing, or gone.
            os._exit(0)
        return data

    def _on_frame(self, frame: frames.ToWorker) -> None:
        match frame:
            case frames.Run():
                self._pending.append(frame)
                self._has_pending.put(None)
            case frames.Ship():
                self._load(frame)
            case frames.Revoke():
                self._revoke(frame.job_id)
            case frames.Forget():
                self._calls.pop(frame.callable_id, None)
                self._missing.pop(frame.callable_id, None)
            case frames.LogLevels():
                set_levels(frame.levels)
            case frames.Hello():
                raise AssertionError("a second Hello")

    def _load(self, ship: frames.Ship) -> None:
        # Loaded by the reader, before the jobs that follow in the stream can be taken.
        try:
            self._calls[ship.callable_id] = self._interpreter.load(ship.name, ship.code)
            self._missing.pop(ship.callable_id, None)
        except BaseException as error:
            self._calls.pop(ship.callable_id, None)
            self._missing[ship.callable_id] = f"{type(error).__name__}: {error}"

    def _revoke(self, job_id: int) -> None:
        for run in list(self._pending):
            if run.job_id == job_id:
                try:
                    self._pending.remove(run)
                except ValueError:
                    # The main thread was faster: it runs, and its result is the answer.
                    return
                self._send(frames.Revoked(job_id))
                return

    def _send(self, frame: frames.FromWorker) -> None:
        data = frames.pack(frame)
        with self._send_lock:
            self._socket.sendall(data)


def hang_life_on(fd: int) -> None:
    """Ends this process group with SIGKILL as soon as the pipe's other end is closed.

    A thread that waits for end-of-file would not run while C code holds the interpreter, and
    ``PR_SET_PDEATHSIG`` fires when the thread that started us ends.
    """
    fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(fd, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if poll.poll(0):
        # It ended before we were armed.
        os._exit(0)


_F_SETSIG = 10


def _hold_lock(path: str) -> int | None:
    """A shared lock that ends with the process: the next engine sees when the last of us is gone."""
    if not path:
        return None
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_SH)
    return fd


def main(socket_fd: int, life_fd: int) -> None:
    """Entry point of the child process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _close_all_but(socket_fd, life_fd)
    hang_life_on(_out_of_reach(life_fd))
    Worker(socket.socket(fileno=_out_of_reach(socket_fd))).main()


def _close_all_but(*ours: int) -> None:
    """What the host left open for programs that it starts is not meant for its workers."""
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2 and fd not in ours:
            with suppress(OSError):
                os.close(fd)


def _out_of_reach(fd: int) -> int:
    """The same, under a number that code which writes or closes at random does not hit."""
    try:
        moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FD_FROM)
    except OSError:
        # The limit on open files is lower than that.
        return fd
    os.close(fd)
    return moved
