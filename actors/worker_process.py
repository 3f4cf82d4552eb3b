"""The engine's end of one worker: a process, a socket pair, a pidfd.

Frames are collected while the dispatcher has mail and written before it sleeps. The end of the process is
seen through its pidfd, in about 2 ms, whatever ended it; what it sent before is read to the end first.
"""

from __future__ import annotations

import fcntl
import logging
import os
import select
import signal
import socket
import sys
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from tempolite.actors import forking, frames
from tempolite.actors.dispatcher import Dispatcher
from tempolite.actors.messages import ActivityJob
from tempolite.actors.worker_logs import wanted_levels

logger = logging.getLogger("tempolite")

CALLS_MAX = 1_000
"""Callables that a worker keeps; the one not used for longest is forgotten."""

RECEIVE_BYTES = 64 * 1024
"""Small enough to come from the heap: for larger buffers each reading maps memory and gives it back."""
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[3]);"
    "from tempolite.actors.worker_main import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
_PACKAGE_FOLDER = str(Path(__file__).absolute().parents[2])
_DEFAULT_SIGNALS = (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ)


class WorkerSettings(msgspec.Struct, frozen=True):
    """What every worker of an engine is told; see ``frames.Hello``."""

    interpreter: str
    settings: dict[str, int | str | None]
    lock_path: str | None = None
    marks_path: str | None = None


class WorkerProcess:
    """A process that runs activities.

    Args:
        dispatcher: whose thread owns this object.
        settings: what it is told.
        slots: activities at once.
        on_frames: called with what it says.
        on_death: called once, with the cause, after everything it sent has been handed over.
    """

    can_prefetch = True
    can_be_killed = True

    def __init__(
        self,
        dispatcher: Dispatcher,
        settings: WorkerSettings,
        slots: int,
        on_frames: Callable[[WorkerProcess, list[frames.FromWorker]], None],
        on_death: Callable[[WorkerProcess, str], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._on_frames, self._on_death = on_frames, on_death
        self._buffer = frames.FrameBuffer()
        self._outgoing: list[frames.ToWorker] = []
        self._outgoing_bytes = 0
        self._packets: list[bytes] = []
        self._unsent = b""
        self._is_hooked = False
        self._calls: OrderedDict[Any, int] = OrderedDict()
        self._next_call = 1
        self._is_watching_out = False
        self._log_levels = wanted_levels()
        self.is_gone = False
        hello = _hello(settings, slots, self._log_levels)
        self._spawn()
        self._say(hello)
        # A packet of its own: what comes behind it is for the reader, which it makes.
        self._pack()

    # ── what the pool asks for ──────────────────────────────────────────────────────────────────────────

    def run(self, job_id: int, job: ActivityJob, mark: int) -> None:
        """Sends an attempt, and its callable if this worker has not seen it."""
        callable_id, terms = self._ship(job.call.shipping()), job.terms
        self._say(
            frames.Run(
                job_id, callable_id, job.args, job.about(), terms.tells_start, mark, terms.memory_limit
            ),
            len(job.args),
        )

    def revoke(self, job_id: int) -> None:
        """Asks for an attempt back that has not begun."""
        self._say(frames.Revoke(job_id))

    def terminate(self) -> None:
        """SIGTERM: the activity may clean up."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, to the whole process group."""
        if not self.is_gone:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def hang_up(self) -> None:
        """Closes the socket; an idle worker ends by itself."""
        self.flush()
        if not self.is_gone:
            self._socket.shutdown(socket.SHUT_WR)

    # ── its life ────────────────────────────────────────────────────────────────────────────────────────

    def _spawn(self) -> None:
        ours, theirs = _socket_pair()
        try:
            life_read, self._life_fd = forking.open_pipe()
        except OSError:
            ours.close()
            theirs.close()
            raise
        try:
            self.pid, self._pidfd = _spawned(theirs.fileno(), life_read)
        except OSError:
            forking.close(self._life_fd)
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(life_read)
        ours.setblocking(False)
        self._socket = ours
        self._dispatcher.watch(ours.fileno(), select.EPOLLIN, self._on_ready)
        self._dispatcher.watch(self._pidfd, select.EPOLLIN, self._on_exit)

    def _on_ready(self, mask: int) -> None:
        if mask & select.EPOLLOUT:
            self._send_rest()
        if mask & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            self._receive()

    def _receive(self) -> bool:
        """Reads once; False at the end of the stream, or when there is nothing."""
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            # Only the pidfd says that it is gone; a closed socket alone is a worker that misbehaves.
            self._dispatcher.unwatch(self._socket.fileno())
            self.kill()
            return False
        self._buffer.feed(data)
        try:
            said = [frame for body in self._buffer.bodies() for frame in frames.FROM_WORKER.decode(body)]
        except (frames.BrokenFrame, msgspec.DecodeError) as error:
            logger.error("worker %d wrote something into its socket that is no frame: %s", self.pid, error)
            self._dispatcher.unwatch(self._socket.fileno())
            self.kill()
            return False
        if said:
            self._on_frames(self, said)
        return True

    def _on_exit(self, _mask: int) -> None:
        while self._receive():
            pass
        # Its children, before the process id is given free by reaping it.
        self.kill()
        self.is_gone = True
        cause = self._reap()
        self._dispatcher.unwatch(self._socket.fileno())
        self._dispatcher.unwatch(self._pidfd)
        self._socket.close()
        os.close(self._pidfd)
        forking.close(self._life_fd)
        self._on_death(self, cause)

    def _reap(self) -> str:
        """What ended it, if the host left that to us."""
        try:
            ended = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        except ChildProcessError:
            # The host ignores SIGCHLD, or waits for any child: nobody knows any more.
            ended = None
        return "an unknown cause" if ended is None else _cause(ended)

    def _signal(self, number: int) -> None:
        if not self.is_gone:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    # ── talking ─────────────────────────────────────────────────────────────────────────────────────────

    def _ship(self, shipping: frames.Shipping) -> int:
        known = self._calls.get(shipping.identity)
        if known is not None:
            self._calls.move_to_end(shipping.identity)
            return known
        number, self._next_call = self._next_call, self._next_call + 1
        self._calls[shipping.identity] = number
        self._say(frames.Ship(number, shipping.name, shipping.code), len(shipping.code))
        if len(self._calls) > CALLS_MAX:
            _, oldest = self._calls.popitem(last=False)
            self._say(frames.Forget(oldest))
        return number

    def _say(self, frame: frames.ToWorker, size: int = 0) -> None:
        self._outgoing.append(frame)
        self._outgoing_bytes += size
        if self._outgoing_bytes > frames.PACKET_BYTES:
            self._pack()
        if not self._is_hooked:
            self._is_hooked = True
            self._dispatcher.before_sleep(self.flush)

    def _pack(self) -> None:
        self._packets.append(frames.pack_all(self._outgoing))
        self._outgoing, self._outgoing_bytes = [], 0

    def _tell_log_levels(self) -> None:
        levels = wanted_levels()
        if levels != self._log_levels:
            self._log_levels = levels
            self._outgoing.insert(0, frames.LogLevels(levels))

    def flush(self) -> None:
        """Writes what was collected."""
        self._is_hooked = False
        if self._outgoing:
            self._tell_log_levels()
            self._pack()
        if self.is_gone or not self._packets:
            return
        was_waiting = bool(self._unsent)
        self._unsent += b"".join(self._packets)
        self._packets.clear()
        if not was_waiting:
            self._send_rest()

    def _send_rest(self) -> None:
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            # It is going down; the pidfd will say so, and its work is given to another one.
            self._unsent = b""
            return
        self._unsent = self._unsent[sent:]
        events = select.EPOLLIN | select.EPOLLOUT if self._unsent else select.EPOLLIN
        if self._unsent or sent == 0 or self._is_watching_out:
            self._dispatcher.watch(self._socket.fileno(), events, self._on_ready)
        self._is_watching_out = bool(self._unsent)


def _hello(settings: WorkerSettings, slots: int, log_levels: tuple[int, int]) -> frames.Hello:
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        # It was removed under the host; the worker keeps the one that it inherits.
        folder = ""
    return frames.Hello(
        interpreter=settings.interpreter,
        settings=settings.settings,
        # Others than paths may stand there, which Python passes over too.
        sys_path=[
            os.fsencode(os.path.join(folder, entry))
            for entry in sys.path
            if isinstance(entry, (str, os.PathLike))
        ],
        folder=os.fsencode(folder),
        argv=[os.fsencode(word) for word in getattr(sys, "argv", ()) if isinstance(word, str)],
        slots=slots,
        lock_path=settings.lock_path or "",
        marks_path=settings.marks_path or "",
        log_levels=log_levels,
    )


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends that are not in the place of a standard stream that the host has closed."""
    pair = socket.socketpair()
    if all(end.fileno() > 2 for end in pair):
        return pair
    above = []
    for end in pair:
        with end:
            above.append(socket.socket(fileno=fcntl.fcntl(end.fileno(), fcntl.F_DUPFD_CLOEXEC, 3)))
    return above[0], above[1]


def _spawned(socket_fd: int, life_fd: int) -> tuple[int, int]:
    """Starts a worker's process, in a session of its own; its pid and its pidfd.

    Rejected: ``subprocess``, whose pipe for errors is inherited by a host that forks at that moment; the
    engine then waits until the host's child ends.
    """
    if not sys.executable:
        raise OSError("sys.executable is empty, so no worker process can be started")
    command = [sys.executable, "-P", "-c", _BOOT, str(socket_fd), str(life_fd), _PACKAGE_FOLDER]
    pid = os.posix_spawn(
        sys.executable,
        command,
        os.environ,
        file_actions=[
            # Onto itself: the copy is open in the new process, whatever other threads start meanwhile.
            (os.POSIX_SPAWN_DUP2, socket_fd, socket_fd),
            (os.POSIX_SPAWN_DUP2, life_fd, life_fd),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        ],
        setsid=True,
        # The host's masks and ignored signals are its own business.
        setsigmask=(),
        setsigdef=_DEFAULT_SIGNALS,
    )
    try:
        return pid, os.pidfd_open(pid)
    except OSError:
        # Nobody would hear of its end.
        os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
        raise


def _cause(ended: os.waitid_result) -> str:
    if ended.si_code == os.CLD_EXITED:
        return f"exit code {ended.si_status}"
    try:
        return signal.Signals(ended.si_status).name
    except ValueError:
        return f"signal {ended.si_status}"
