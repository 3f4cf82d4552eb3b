"""The engine: opens the file, starts the actors, and turns calls into messages."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from enum import Enum
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, overload

import msgspec
import pykka

from tempolite.activity_runner import INTERPRETER, ActivityRunner
from tempolite.actors.clock import Clock, SystemClock
from tempolite.actors.database_file import DatabaseFile, run
from tempolite.actors.messages import AwaitIdle, AwaitOutcome, FunctionRegistered, RunEnded, StartRun
from tempolite.actors.system import ActorSystem, SystemOptions
from tempolite.actors.worker_process import WorkerSettings
from tempolite.calls import WorkflowCall
from tempolite.codec import JsonCodec
from tempolite.core.events import RunCreated
from tempolite.core.identifiers import WorkflowId
from tempolite.core.queues import DEFAULT_QUEUE, Queue
from tempolite.core.retry import RetryPolicy, RetrySpec
from tempolite.core.status import Status
from tempolite.engine.handle import WorkflowInfo
from tempolite.engine.listing import Event, Page, QueueInfo, checked_limit, event_of, run_filter
from tempolite.engine.run_store import RunsInFile
from tempolite.errors import (
    EngineClosed,
    EngineCrashed,
    InvalidArguments,
    QueueNotFound,
    StorageFailed,
    WorkflowCancelled,
    WorkflowFailed,
    WorkflowNotFound,
    WorkflowStranded,
    WorkflowStuck,
)
from tempolite.execution.context import AsyncWorkflowContext, WorkflowContext
from tempolite.execution.services import Services
from tempolite.failures import rebuild_failure
from tempolite.registry import Registry
from tempolite.store import queries
from tempolite.store.schema import LAYOUT

logger = logging.getLogger("tempolite")

P = ParamSpec("P")
R = TypeVar("R")

COMMIT_S = 60.0
"""How long a call waits for its commit before it says that it did not hear of it."""


class _Phase(Enum):
    NEW = "not started"
    STARTED = "started"
    CLOSED = "closed"


class Tempolite:
    """An embedded engine for durable workflows.

    Args:
        database: path of the file, or ``":memory:"``.
        queues: settings; a queue ``"default"`` always exists.
        workflows: functions that stored runs may need.
        codec: how values are stored; JSON unless told.
        clock: where time comes from.
        wait_for_lock: stand by while another engine holds the file.
        default_retry: of activities that bring no policy of their own.
        payload_limit: bytes of one payload.

    Use it as a context manager, or call :meth:`start` and :meth:`close`. Every method may be called from
    any thread; each blocking method ``m`` has an awaitable twin ``am``.
    """

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
        payload_limit: int = 16 * 2**20,
    ) -> None:
        self._path = os.fspath(database)
        self.codec = codec or JsonCodec()
        self._registry = Registry(self.codec)
        self._queues = _with_default(queues)
        self._clock = clock or SystemClock()
        self._wait_for_lock = wait_for_lock
        self._payload_limit = payload_limit
        self._services = Services(
            self.codec, default_retry, payload_limit, self._check_queue, random.Random()
        )
        self._seed: int | None = None
        self._phase = _Phase.NEW
        self._lifecycle = threading.Lock()
        self._failure: Exception | None = None
        self._system: ActorSystem
        self._file: DatabaseFile
        for function in workflows:
            self._registry.add(function)

    # ── life ────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> Self:
        """Opens the file, starts the actors, and lets unfinished runs go on.

        Raises:
            EngineLocked: another engine holds the file.
            NotADatabase, SchemaTooNew: the file is not ours, or newer than we are; untouched.
            UnsupportedPlatform: not Linux, or too old.
            EngineClosed: it was closed; make a new one.
        """
        with self._lifecycle:
            if self._phase is _Phase.CLOSED:
                raise EngineClosed("the engine was closed; make a new one")
            if self._phase is _Phase.NEW:
                self._start()
                self._phase = _Phase.STARTED
        return self

    def close(self, timeout: float = 30) -> None:
        """Takes no new work, lets running activities finish, commits, and ends every thread and process.

        Unfinished runs stay as they are and go on at the next start. May be called twice.

        Args:
            timeout: seconds that running activities get; what still runs then is run again.
        """
        with self._lifecycle:
            if self._phase is _Phase.STARTED:
                self._phase = _Phase.CLOSED
                self._system.close(timeout)
                self._file.close()
            self._phase = _Phase.CLOSED

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self, timeout: float = 30) -> None:
        """Awaitable twin of :meth:`close`."""
        await asyncio.to_thread(self.close, timeout)

    def register(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Makes a workflow function known, before or after start; stored runs of it go on.

        Raises:
            InvalidArguments: it is no workflow function.
        """
        call = self._registry.add(fn)
        if self._phase is _Phase.STARTED:
            self._system.directory.actor_ref.tell(FunctionRegistered(tuple(call.names)))
        return fn

    # ── runs ────────────────────────────────────────────────────────────────────────────────────────────

    @overload
    def execute(
        self,
        id: str | None,
        fn: Callable[Concatenate[AsyncWorkflowContext, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> WorkflowInfo[R]: ...
    @overload
    def execute(
        self,
        id: str | None,
        fn: Callable[Concatenate[WorkflowContext, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> WorkflowInfo[R]: ...
    def execute(self, id: str | None, fn: Any, /, *args: Any, **kwargs: Any) -> WorkflowInfo[Any]:
        """Starts a run durably; returns after the commit, never waits for a free worker.

        Same id and function: the handle of the run that exists. ``id=None`` makes an id.

        Raises:
            InvalidArguments, NotStorable: the call is wrong; nothing was recorded.
            WorkflowAlreadyExists: the id is taken by a run of another function.
            QueueNotFound: its options name a queue that there isn't.
        """
        request = self._start_request(id, fn, args, kwargs)
        workflow = self._ask(self._system.directory.actor_ref, request)
        return WorkflowInfo(self, workflow)

    @overload
    async def aexecute(
        self,
        id: str | None,
        fn: Callable[Concatenate[AsyncWorkflowContext, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> WorkflowInfo[R]: ...
    @overload
    async def aexecute(
        self,
        id: str | None,
        fn: Callable[Concatenate[WorkflowContext, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> WorkflowInfo[R]: ...
    async def aexecute(self, id: str | None, fn: Any, /, *args: Any, **kwargs: Any) -> WorkflowInfo[Any]:
        """Awaitable twin of :meth:`execute`."""
        request = self._start_request(id, fn, args, kwargs)
        workflow = await self._system.directory.actor_ref.ask(request, block=False)
        return WorkflowInfo(self, workflow)

    execute_default = execute

    def get(self, id: str) -> WorkflowInfo[Any]:
        """The handle of a stored run, from any process generation.

        Raises:
            WorkflowNotFound: there is none.
        """
        self._row(id)
        return WorkflowInfo(self, id)

    async def aget(self, id: str) -> WorkflowInfo[Any]:
        """Awaitable twin of :meth:`get`."""
        return await asyncio.to_thread(self.get, id)

    def workflows(
        self,
        *,
        status: str | Iterable[str] | None = None,
        queue: str | None = None,
        function: Callable[..., Any] | str | None = None,
        parent: str | None = None,
        run_group: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        search: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[WorkflowInfo[Any]]:
        """Lists runs, newest first; the order is stable, so pages neither skip nor repeat.

        Raises:
            InvalidArguments: an unknown status, a naive time, a limit below 1, a cursor that no page gave.
        """
        chosen = run_filter(
            self._registry,
            status=status,
            queue=queue,
            function=function,
            parent=parent,
            run_group=run_group,
            created_after=created_after,
            created_before=created_before,
            search=search,
            cursor=cursor,
        )
        size = checked_limit(limit)
        rows = self._rows(*queries.list_runs(chosen, size + 1))
        found = [msgspec.convert(row, queries.RunRow) for row in rows[:size]]
        following = str(found[-1].ordinal) if len(rows) > size else None
        return Page([WorkflowInfo(self, row.workflow) for row in found], following)

    async def aworkflows(self, **filters: Any) -> Page[WorkflowInfo[Any]]:
        """Awaitable twin of :meth:`workflows`."""
        return await asyncio.to_thread(self.workflows, **filters)

    def count(self, **filters: Any) -> int:
        """How many runs the same filters as in :meth:`workflows` choose."""
        sql, values = queries.count_runs(run_filter(self._registry, **filters))
        return int(self._rows(sql, values)[0][0])

    async def acount(self, **filters: Any) -> int:
        """Awaitable twin of :meth:`count`."""
        return await asyncio.to_thread(self.count, **filters)

    def history(self, id: str, *, run: int | None = None) -> list[Event]:
        """The events of a run; of the latest unless told.

        Raises:
            WorkflowNotFound: there is no such workflow, or no such run of it.
        """
        if run is None:
            rows = self._rows(queries.HISTORY_OF_LATEST, (id,))
        else:
            rows = self._rows(queries.HISTORY_OF_RUN, (id, run))
        if not rows:
            raise WorkflowNotFound(f"no workflow {id!r}" + ("" if run is None else f" with a run {run}"))
        return [event_of(row) for row in rows]

    async def ahistory(self, id: str, *, run: int | None = None) -> list[Event]:
        """Awaitable twin of :meth:`history`."""
        return await asyncio.to_thread(self.history, id, run=run)

    def queue(self, name: str) -> QueueInfo:
        """A queue's settings, and what goes on in it.

        Raises:
            QueueNotFound: there is none of that name.
        """
        self._check_started()
        workers, running, waiting = self._system.counts_of(name)
        of = self._queues[name]
        return QueueInfo(of.name, of.kind, workers, of.slots, of.max_runs, of.rate, running, waiting)

    async def aqueue(self, name: str) -> QueueInfo:
        """Awaitable twin of :meth:`queue`."""
        return await asyncio.to_thread(self.queue, name)

    def wait(self, timeout: float | None = None) -> None:
        """Returns when no run can go on without something from outside.

        Raises:
            TimeoutError: ``timeout`` seconds went by.
        """
        self._check_started()
        reply = self._system.directory.actor_ref.ask(AwaitIdle(), block=False)
        try:
            self._system.wait(reply, timeout)
        except pykka.Timeout:
            raise TimeoutError(f"runs still go on after {timeout} s") from None

    async def await_idle(self, timeout: float | None = None) -> None:
        """Awaitable twin of :meth:`wait`."""
        self._check_started()
        reply = self._system.directory.actor_ref.ask(AwaitIdle(), block=False)
        await asyncio.wait_for(_awaited(reply), timeout)

    # ── behind the handles ──────────────────────────────────────────────────────────────────────────────

    def _outcome(self, workflow: str, timeout: float | None) -> Any:
        self._check_started()
        reply = self._system.directory.actor_ref.ask(AwaitOutcome(WorkflowId(workflow)), block=False)
        try:
            ended = self._system.wait(reply, timeout)
        except pykka.Timeout:
            raise TimeoutError(f"workflow {workflow!r} has no outcome after {timeout} s") from None
        return self._outcome_of(ended)

    async def _outcome_nowait(self, workflow: str) -> Any:
        self._check_started()
        reply = self._system.directory.actor_ref.ask(AwaitOutcome(WorkflowId(workflow)), block=False)
        return self._outcome_of(await reply)

    def _outcome_of(self, ended: RunEnded) -> Any:
        match Status(ended.status):
            case Status.COMPLETED:
                assert ended.result is not None
                return self.codec.decode(ended.result)
            case Status.CANCELLED:
                raise WorkflowCancelled(f"workflow {ended.workflow!r} was cancelled")
            case Status.STUCK:
                raise WorkflowStuck(f"workflow {ended.workflow!r} is stuck: {ended.problem}")
            case Status.STRANDED:
                raise WorkflowStranded(f"workflow {ended.workflow!r} is stranded: {ended.problem}")
            case _:
                assert ended.failure is not None
                raise rebuild_failure(ended.failure, self.codec, fallback=WorkflowFailed)

    def _row(self, workflow: str) -> queries.RunRow:
        rows = self._rows(queries.RUN, (workflow,))
        if not rows:
            raise WorkflowNotFound(f"no workflow {workflow!r}")
        return msgspec.convert(rows[0], queries.RunRow)

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────

    def _start(self) -> None:
        self._file = DatabaseFile(self._path, LAYOUT, wait_for_lock=self._wait_for_lock)
        settings: dict[str, int | str | None] = {"payload_limit": self._payload_limit}
        options = SystemOptions(
            queues=self._queues.values(),
            worker=WorkerSettings(INTERPRETER, settings, self._file.workers_lock_path),
            interpreter=ActivityRunner(settings, self.codec),
            clock=self._clock,
            on_failure=self._on_failure,
            seed=self._seed,
        )
        try:
            self._system = ActorSystem(self._file, options)
            self._system.start(RunsInFile(self._file, self._registry, self._services))
        except BaseException:
            self._file.close()
            raise

    def _crash(self) -> None:
        """Drops the engine as SIGKILL would; for tests."""
        with self._lifecycle:
            if self._phase is _Phase.STARTED:
                self._phase = _Phase.CLOSED
                self._failure = EngineCrashed("the engine was killed by its test")
                self._system.crash(self._failure)
                self._file.close()

    def _on_failure(self, error: Exception) -> None:
        """An actor failed: waits end with the reason, nothing more is taken; the file is as last committed."""
        self._failure = StorageFailed(f"the engine stopped: {error}")
        self._system.directory.close(self._failure)

    def _start_request(
        self, id: str | None, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> StartRun:
        self._check_started()
        if id is not None and (not isinstance(id, str) or not id):
            raise InvalidArguments(f"id is {id!r}, expected a non-empty text or None")
        call: WorkflowCall = self._registry.add(fn)
        call.shape.check(call.name, args, kwargs)
        options = call.options
        queue = options.queue or DEFAULT_QUEUE
        self._check_queue(queue)
        payload = self._services.encode_call(args, kwargs)
        workflow = id or self._new_id()
        created = RunCreated(
            function=call.name,
            args=msgspec.Raw(payload),
            seed=self._services.new_seed(),
            queue=queue,
            run_group=workflow,
            priority=options.priority,
            retry=options.retry.recorded() if options.retry else RetrySpec(),
            timeout_s=options.timeout_s,
            deferred=options.defer,
            versions=dict(options.versions),
        )
        return StartRun(WorkflowId(workflow), created, is_made_up=id is None, code=call)

    def _new_id(self) -> str:
        """A UUIDv7 (RFC 9562) as hex digits: ids made one after another lie side by side in the index."""
        millis = self._clock.now_us() // 1_000
        drawn = uuid.uuid4().int
        bits = (
            (millis & (1 << 48) - 1) << 80
            | 7 << 76
            | (drawn >> 64 & 0xFFF) << 64
            | 2 << 62
            | drawn & (1 << 62) - 1
        )
        return f"{bits:032x}"

    def _check_queue(self, queue: str) -> None:
        if queue not in self._queues:
            raise QueueNotFound(f"no queue named {queue!r}; there are {', '.join(sorted(self._queues))}")

    def _check_started(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._phase is not _Phase.STARTED:
            raise EngineClosed(f"the engine is {self._phase.value}")

    def _ask(self, actor: pykka.ActorRef[Any], message: Any) -> Any:
        self._check_started()
        try:
            return self._system.ask(actor, message, COMMIT_S)
        except pykka.Timeout:
            raise StorageFailed(
                f"no commit within {COMMIT_S:g} s; the call may or may not take effect"
            ) from None
        except pykka.ActorDeadError:
            self._check_started()
            raise EngineClosed("the engine was closed") from None

    def _rows(self, sql: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        self._check_started()
        with self._file.reader() as connection:
            return run(connection, sql, tuple(values))


async def _awaited(reply: Any) -> Any:
    return await reply


def _with_default(queues: Iterable[Queue]) -> dict[str, Queue]:
    chosen: dict[str, Queue] = {}
    for queue in queues:
        if not isinstance(queue, Queue):
            raise InvalidArguments(f"queues holds {queue!r}, expected Queue(...) values")
        if queue.name in chosen:
            raise InvalidArguments(f"queues holds two queues named {queue.name!r}")
        chosen[queue.name] = queue
    chosen.setdefault(DEFAULT_QUEUE, Queue(DEFAULT_QUEUE))
    return chosen
