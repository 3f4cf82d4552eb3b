"""From start to close: the file, the actors, and what every call has to ask first."""

from __future__ import annotations

import asyncio
import os
import random
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from enum import Enum
from typing import Any, Self

from tempolite.activity_runner import INTERPRETER, ActivityRunner
from tempolite.actors.clock import Clock
from tempolite.actors.database_file import DatabaseFile
from tempolite.actors.futures import Reply
from tempolite.actors.life_lock import LifeLock
from tempolite.actors.messages import AwaitOutcome, FunctionRegistered
from tempolite.actors.residents import RESIDENTS_MAX
from tempolite.actors.running_marks import marks_path
from tempolite.actors.system import ActorSystem
from tempolite.actors.system_options import SystemOptions
from tempolite.actors.worker_process import WorkerSettings
from tempolite.codec import JsonCodec
from tempolite.core.queues import Queue
from tempolite.core.retry import RetryPolicy
from tempolite.determinism.guard import Guard, is_under_pytest
from tempolite.determinism.places import Eyes
from tempolite.engine.listing import rows_found, span_us
from tempolite.engine.port import Port
from tempolite.engine.run_store import RunsInFile
from tempolite.engine.schedule_store import SchedulesInFile
from tempolite.engine.serving import Serving
from tempolite.engine.settings import (
    checked_clock,
    checked_codec,
    checked_count,
    checked_limit,
    checked_path,
    checked_patience,
    checked_policy,
    checked_several,
    made_watchdog,
    with_default,
)
from tempolite.errors import (
    EngineClosed,
    EngineCrashed,
    EngineError,
    QueueNotFound,
    StorageFailed,
)
from tempolite.execution.runner import BASES
from tempolite.execution.services import SIGNAL_LIMIT, Limits, Services
from tempolite.registry import Registry
from tempolite.store.schema import LAYOUT

STRANDING_S = 2.0
"""So long a start waits until the runs are listed that can't go on; with very many it goes on without."""


class Phase(Enum):
    """Where in its life an engine is."""

    NEW = "not started"
    STARTED = "started"
    CLOSED = "closed"


class Lifecycle(Port):
    """An engine's life; what it can do stands in the classes above this one."""

    def __init__(
        self,
        database: str | os.PathLike[str] = ":memory:",
        *,
        queues: Iterable[Queue] = (),
        workflows: Iterable[Callable[..., Any]] = (),
        codec: JsonCodec | None = None,
        clock: Clock | None = None,
        wait_for_lock: bool = False,
        default_retry: RetryPolicy = RetryPolicy(max_attempts=1),  # noqa: B008 - frozen
        resident_workflows: int = RESIDENTS_MAX,
        turn_limit: float | None = 2.0,
        payload_limit: int = 16 * 2**20,
        signal_limit: int = SIGNAL_LIMIT,
        debug: bool = False,
        retention: timedelta | None = None,
    ) -> None:
        self._path = checked_path("database", database)
        self.codec = checked_codec(codec)
        self._registry = Registry(self.codec, self._on_new_functions)
        self._queues = with_default(queues)
        self._clock = checked_clock(clock)
        self._wait_for_lock = wait_for_lock
        self._residents_max = checked_count("resident_workflows", resident_workflows)
        self._payload_limit = checked_limit(payload_limit)
        self._retention_us = None if retention is None else span_us("retention", retention)
        limits = Limits(payload_limit, checked_count("signal_limit", signal_limit))
        retry = checked_policy(default_retry)
        self._services = Services(self.codec, retry, limits, self._check_queue, random.Random())
        eyes = Eyes(BASES)
        self._watchdog = made_watchdog(turn_limit, eyes)
        if debug or is_under_pytest():
            self._services.guard = Guard(eyes, refuses=debug)
        self._seed: int | None = None
        self._random_bytes: Callable[[int], bytes] = os.urandom
        self._phase = Phase.NEW
        self._lifecycle = LifeLock()
        self._close_asked_s: float | None = None
        self._at_end: deque[Callable[[], None]] = deque()
        self._failure: Exception | None = None
        self._pid: int | None = None
        self._system: ActorSystem
        self._file: DatabaseFile
        self._runs: RunsInFile
        self._schedules: SchedulesInFile
        for function in checked_several("workflows", workflows):
            self._registry.add(function)

    # ── life ────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> Self:
        """Opens the file, starts the actors, and lets unfinished runs go on.

        Raises:
            EngineLocked: another engine holds the file.
            NotADatabase, SchemaTooNew: the file is not ours, or newer than we are; untouched.
            UnsupportedPlatform: not Linux, or too old.
            EngineClosed: it was closed; make a new one. Or this is a fork of the process that started it.
        """
        self._check_not_forked()
        with self._lifecycle:
            if self._phase is Phase.CLOSED:
                raise EngineClosed("the engine was closed; make a new one")
            if self._phase is Phase.NEW:
                self._start()
                self._phase = Phase.STARTED
                self._await_stranded()
                # Last: who comes in by it is served at once.
                self._system.open_gateway()
        if self._close_if_asked():
            raise EngineClosed("the engine was closed while it started")
        return self

    def close(self, timeout: float | timedelta = 30) -> None:
        """Takes no new work, lets running activities finish, commits, and ends every thread and process.

        Unfinished runs stay as they are and go on at the next start. May be called twice, and by a signal
        handler: what it has interrupted, a ``get`` or a ``wait``, ends with ``EngineClosed``. One that has
        interrupted a start returns at once, and the engine closes as soon as it has started. A start that
        stands by for its file ends with ``EngineClosed``.

        Args:
            timeout: seconds (or timedelta) that running activities get; what still runs then is run again.
        """
        timeout_s = checked_patience(timeout)
        if not self.is_of_this_process:
            return
        # First: a start that stands by for the file, in another thread or under this handler, gives up.
        self._close_asked_s = timeout_s
        if self._lifecycle.is_mine:
            return
        with self._lifecycle:
            self._close_asked_s = None
            if self._phase is Phase.STARTED:
                self._phase = Phase.CLOSED
                self._system.close(timeout_s)
                self._stop_watchdog()
                self._file.close()
            self._phase = Phase.CLOSED
        self._tell_end()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await self.astart()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def astart(self) -> Self:
        """Awaitable twin of :meth:`start`; cancelled while it stands by for the file, it gives up."""
        try:
            return await asyncio.to_thread(self.start)
        except asyncio.CancelledError:
            if self._phase is Phase.NEW:
                self._close_asked_s = 0.0
            raise

    async def aclose(self, timeout: float | timedelta = 30) -> None:
        """Awaitable twin of :meth:`close`."""
        await asyncio.to_thread(self.close, timeout)

    def when_ended(self, callback: Callable[[], None]) -> None:
        """Calls back once, when the engine was closed or can't go on; in whatever thread that happens."""
        self._at_end.append(callback)
        # Append first, then look: who ends it looks at the callbacks after that.
        if self._phase is Phase.CLOSED or self._failure is not None:
            self._tell_end()

    def register(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Makes a workflow function known, before or after start; stored runs of it go on.

        Raises:
            InvalidArguments: it is no workflow function.
        """
        self._check_not_forked()
        call = self._registry.add(fn)
        # Also where the name was known: its annotations may bring a type that a run was stranded without.
        self._on_new_functions(tuple(call.names))
        return fn

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────

    def _close_if_asked(self) -> bool:
        """Does what a signal handler asked for in the middle of something else."""
        timeout, self._close_asked_s = self._close_asked_s, None
        if timeout is None:
            return False
        self.close(timeout)
        return True

    def _tell_end(self) -> None:
        while self._at_end:
            try:
                callback = self._at_end.popleft()
            except IndexError:  # another thread was faster
                return
            callback()

    def _start(self) -> None:
        # From now on: a fork in the middle of a start takes half an engine along.
        self._pid = os.getpid()
        try:
            self._open()
        except BaseException:
            self._pid = None
            raise

    def _open(self) -> None:
        self._file = self._open_file()
        settings: dict[str, int | str | None] = {"payload_limit": self._payload_limit}
        options = SystemOptions(
            queues=self._queues.values(),
            worker=WorkerSettings(
                INTERPRETER, settings, self._file.workers_lock_path, marks_path(self._file)
            ),
            interpreter=ActivityRunner(settings, self.codec),
            clock=self._clock,
            on_failure=self._on_failure,
            seed=self._seed,
            residents_max=self._residents_max,
            retention_us=self._retention_us,
            service=Serving(self),
        )
        try:
            self._system = self._make_system(options)
            self._runs = RunsInFile(self._file, self._registry, self._services)
            self._schedules = SchedulesInFile(
                self._file, self._registry, self._services.new_seed, self._check_queue
            )
            self._start_watchdog()
            self._system.start(self._runs, self._schedules)
        except BaseException:
            self._stop_watchdog()
            self._file.close()
            raise

    def _await_stranded(self) -> None:
        """Runs of functions that nobody knows are listed so by the time that an engine has started."""
        strangers = self._runs.of_unknown_functions()
        with suppress(TimeoutError, EngineError):
            if strangers:
                # They are written down in this order.
                self._system.ask(AwaitOutcome(strangers[-1]), STRANDING_S)

    def _open_file(self) -> DatabaseFile:
        return DatabaseFile(self._path, LAYOUT, may_wait=self._may_wait)

    def _may_wait(self) -> bool:
        """Whether to stand by for the file, on and on; a close from elsewhere ends that."""
        if self._close_asked_s is not None:
            raise EngineClosed("the engine was closed while it stood by for its file")
        return self._wait_for_lock

    def _make_system(self, options: SystemOptions) -> ActorSystem:
        return ActorSystem(self._file, options)

    def _start_watchdog(self) -> None:
        # Under a seed everything runs in one thread, whose order no other thread may change.
        if self._watchdog is not None and self._seed is None:
            self._services.watch = self._watchdog
            self._watchdog.change_thread = self._system.change_thread
            self._watchdog.start()

    def _stop_watchdog(self) -> None:
        if self._watchdog is not None:
            self._watchdog.stop()

    def _crash(self) -> None:
        """Drops the engine as SIGKILL would; for tests."""
        with self._lifecycle:
            if self._phase is Phase.STARTED:
                self._phase = Phase.CLOSED
                self._failure = EngineCrashed("the engine was killed by its test")
                self._system.crash(self._failure)
                self._stop_watchdog()
                self._file.close()

    def _on_failure(self, error: Exception) -> None:
        """An actor failed: waits end with the reason; the file is as last committed."""
        self._failure = StorageFailed(f"the engine stopped: {error}")
        self._system.fail_waits(self._failure)
        self._tell_end()

    def _on_new_functions(self, names: tuple[str, ...]) -> None:
        """Runs that were stranded without them go on."""
        if self._phase is Phase.STARTED:
            self._system.announce(FunctionRegistered(names))

    def _check_queue(self, queue: str) -> None:
        if queue not in self._queues:
            raise QueueNotFound(f"no queue named {queue!r}; there are {', '.join(sorted(self._queues))}")

    @property
    def has_failed(self) -> bool:
        """Whether it can't go on, for a reason of its own."""
        return self._failure is not None

    @property
    def is_of_this_process(self) -> bool:
        """Where the host has forked, the engine's threads and its file are in the other process."""
        return self._pid is None or self._pid == os.getpid()

    @property
    def _was_closed(self) -> bool:
        """Whether it has ended, here, and by ``close``."""
        return self._failure is None and self.is_of_this_process

    def _check_not_forked(self) -> None:
        if not self.is_of_this_process:
            raise EngineClosed(
                f"this engine belongs to process {self._pid}, and this is a fork of it, process "
                f"{os.getpid()}: a file has one engine; make one on another file, or speak to this one "
                "through Tempolite.connect"
            )

    def _check_started(self) -> None:
        self._check_not_forked()
        if self._failure is not None:
            raise self._failure
        if self._phase is not Phase.STARTED:
            hint = "; use it in a `with` block, or call start()" if self._phase is Phase.NEW else ""
            raise EngineClosed(f"the engine is {self._phase.value}{hint}")

    def _ask(self, message: Any, timeout: float | None) -> Any:
        """Asks the directory; when the engine ends meanwhile, says how."""
        self._check_started()
        try:
            return self._system.ask(message, timeout)
        except EngineClosed:
            self._check_started()
            raise

    def _ask_nowait(self, message: Any) -> Reply[Any]:
        self._check_started()
        return self._system.ask_nowait(message)

    def _give_up(self, message: Any, reply: Reply[Any]) -> None:
        self._system.give_up(message, reply)

    def _is_answered_now(self, reply: Reply[Any]) -> bool:
        return self._system.is_answered_now(reply)

    def _tell(self, message: Any) -> None:
        self._check_started()
        self._system.tell(message)

    @property
    def services(self) -> Services:
        """What executions, and those who speak to them, need of the engine."""
        return self._services

    def _rows(self, sql: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        self._check_started()
        with self._file.reader() as connection:
            return rows_found(connection, sql, tuple(values))
