"""The engine's calls in another process than the engine's own: each asks the owner of the file."""

from __future__ import annotations

import asyncio
import functools
import os
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import msgspec

from tempolite.actors.control_socket.link import Link
from tempolite.actors.control_socket.wire import NextCommit
from tempolite.actors.frames import PAYLOAD_LIMIT_MAX
from tempolite.actors.futures import Reply
from tempolite.actors.live_schedule import SetSchedule
from tempolite.actors.messages import AwaitIdle, StartRun
from tempolite.actors.system import LOOK_S
from tempolite.codec import JsonCodec
from tempolite.core.due_times import Timing
from tempolite.core.events import RunCreated
from tempolite.core.failure import Failure
from tempolite.core.identifiers import DRAWN_BYTES, WorkflowId, made_up_id
from tempolite.core.retry import RetryPolicy
from tempolite.core.schedule_events import Catchup, Overlap, ScheduleSpec
from tempolite.engine.cloning import Cloning
from tempolite.engine.controlling import Controlling
from tempolite.engine.flat_values import full
from tempolite.engine.following import Following
from tempolite.engine.in_process import InProcess
from tempolite.engine.keeping import Keeping
from tempolite.engine.looking import Looking
from tempolite.engine.questions import call_of, is_repeatable, question_of
from tempolite.engine.queueing import Queueing
from tempolite.engine.replaying import Replaying
from tempolite.engine.running import Running
from tempolite.engine.scheduling import Scheduling
from tempolite.engine.serving import PLAIN
from tempolite.engine.settings import checked_codec, checked_id, checked_path
from tempolite.errors import EngineClosed, WorkflowFailed
from tempolite.execution.services import Limits, Services
from tempolite.failures import rebuild_failure
from tempolite.registry import Registry

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE_S = 3.0
"""How long a client that has lost its engine waits for another one on the file."""

CONNECT_S = 30.0
"""How long a new client waits for the first word of the owner, who may be busy."""


def remote(call: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """The same call, made in the owner's process."""

    @functools.wraps(call)
    def ask(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        answer = self._ask(call_of(call.__name__, args, kwargs), None)
        found: R = self._read(call.__name__, answer)
        return found

    return ask


def twin(call: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]:
    """Awaitable twin of the same call, made in the owner's process."""

    @functools.wraps(call)
    async def ask(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        answer = await self._await_answer(call_of(call.__name__, args, kwargs), None)
        found: R = self._read(call.__name__, answer)
        return found

    return ask


class RemoteEngine(Controlling, Running, Scheduling, Following):
    """What :class:`Client` and :class:`SharedEngine` have in common: calls that a file's owner serves."""

    def __init__(self, database: str | os.PathLike[str], codec: JsonCodec | None) -> None:
        self.codec = checked_codec(codec)
        self._path = os.path.realpath(checked_path("database", database))
        self._registry = Registry(self.codec)
        self._services = _services(self.codec, PAYLOAD_LIMIT_MAX)
        self._link: Link | None = None

    def close(self) -> None:
        """Ends the connection; calls that wait end with ``EngineClosed``. May be called twice."""
        if self._link is not None:
            self._link.close()

    async def aclose(self) -> None:
        """Awaitable twin of :meth:`close`."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    # ── calls that the owner makes ──────────────────────────────────────────────────────────────────────

    get, aget = remote(Looking.get), twin(Looking.get)
    workflows, aworkflows = remote(Looking.workflows), twin(Looking.workflows)
    count, acount = remote(Looking.count), twin(Looking.count)
    history, ahistory = remote(Looking.history), twin(Looking.history)
    tree, atree = remote(Looking.tree), twin(Looking.tree)
    queue, aqueue = remote(Looking.queue), twin(Looking.queue)
    metrics, ametrics = remote(Looking.metrics), twin(Looking.metrics)
    create_queue, acreate_queue = remote(Queueing.create_queue), twin(Queueing.create_queue)
    scale, ascale = remote(Queueing.scale), twin(Queueing.scale)
    delete, adelete = remote(Keeping.delete), twin(Keeping.delete)
    gc, agc = remote(Keeping.gc), twin(Keeping.gc)
    verify, averify = remote(Keeping.verify), twin(Keeping.verify)
    retry, aretry = remote(Cloning.retry), twin(Cloning.retry)
    fork, afork = remote(Cloning.fork), twin(Cloning.fork)
    replay, areplay = remote(Replaying.replay), twin(Replaying.replay)
    _backup, _abackup = remote(Keeping.backup), twin(Keeping.backup)
    get_row = remote(InProcess.get_row)
    share_done = remote(Looking.share_done)
    stored_end = remote(InProcess.stored_end)
    events_page = remote(InProcess.events_page)
    get_schedule = remote(InProcess.get_schedule)
    schedule_names = remote(InProcess.schedule_names)
    schedule_history = remote(InProcess.schedule_history)

    def backup(self, path: str | os.PathLike[str]) -> None:
        """An online copy, made by the owner; the path is seen from here. See :meth:`Tempolite.backup`."""
        self._backup(os.path.abspath(checked_path("path", path)))

    async def abackup(self, path: str | os.PathLike[str]) -> None:
        """Awaitable twin of :meth:`backup`."""
        await self._abackup(os.path.abspath(os.fspath(path)))

    # ── what calls and handles need ─────────────────────────────────────────────────────────────────────

    @property
    def services(self) -> Services:
        """What encodes the values of messages."""
        return self._services

    def encode_call_of(self, workflow: str, args: tuple[Any, ...]) -> bytes:
        """Arguments for a workflow's function; the owner looks whether they fit."""
        return self._services.encode_call(args, {})

    def _start_request(
        self, id: str | None, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> StartRun:
        self._check_started()
        given = checked_id(id)
        if isinstance(fn, str):
            workflow = given or _new_id()
            payload = msgspec.Raw(self._services.encode_call(args, kwargs))
            created = RunCreated(workflow=workflow, function=fn, args=payload, seed=0)
            return StartRun(WorkflowId(workflow), created)
        call = self._registry.add(fn)
        workflow = given or call.options.id or _new_id()
        call.shape.check(call.name, args, kwargs)
        payload = msgspec.Raw(self._services.encode_call(args, kwargs))
        return StartRun(WorkflowId(workflow), call.run_created(workflow, payload, seed=0), code=call)

    def _schedule_request(
        self, name: str, timing: Timing, fn: Any, args: tuple[Any, ...], policies: tuple[Overlap, Catchup]
    ) -> SetSchedule:
        function = fn
        if not isinstance(fn, str):
            call = self._registry.add(fn)
            call.shape.check(call.name, args, {})
            function = call.name
        payload = msgspec.Raw(self._services.encode_call(args, {}))
        overlap, catchup = policies
        spec = ScheduleSpec(timing=timing, function=function, args=payload, overlap=overlap, catchup=catchup)
        return SetSchedule(name, spec)

    @property
    def _was_closed(self) -> bool:
        # Who gets no further page has waited for another owner, and there was none.
        return self._link is not None and self._link.is_of_this_process

    def _check_started(self) -> None:
        self._open_link()

    def _ask(self, message: Any, timeout: float | None) -> Any:
        if isinstance(message, AwaitIdle) and timeout is not None:
            # To hear that all runs rest takes a moment, also where they do.
            timeout = max(timeout, LOOK_S)
        return self._open_link().wait(self._ask_nowait(message), timeout)

    def _ask_nowait(self, message: Any) -> Reply[Any]:
        question = question_of(message)
        return self._open_link().ask(question, is_repeatable=is_repeatable(question))

    def _give_up(self, message: Any, reply: Reply[Any]) -> None:
        self._open_link().give_up(reply)

    def _is_answered_now(self, reply: Reply[Any]) -> bool:
        try:
            self._open_link().wait(reply, LOOK_S)
        except TimeoutError:
            return False
        return True

    def _tell(self, message: Any) -> None:
        self._ask_nowait(message)

    def _next_commit(self) -> Reply[bool]:
        return self._ask_nowait(NextCommit())

    def _wait_for(self, bell: Reply[bool]) -> bool:
        return bool(self._open_link().wait(bell, None))

    def _read(self, call: str, answer: bytes) -> Any:
        codec = self.codec if call == "replay" else PLAIN
        return full(self, codec.decode(answer))

    def _error_of(self, failure: Failure) -> BaseException:
        return rebuild_failure(failure, self.codec, fallback=WorkflowFailed)

    def _connect(self, patience_s: float) -> None:
        """Returns when an owner has let us in.

        Raises:
            EngineClosed: nobody does.
        """
        link = self._open_link()
        try:
            welcome = link.wait(link.seek(patience_s), CONNECT_S)
        except TimeoutError:
            raise EngineClosed(f"the engine that has {self._path} open does not answer") from None
        self._services = _services(self.codec, welcome.payload_limit)

    def _open_link(self) -> Link:
        if self._link is None:
            raise EngineClosed("the engine is not started")
        if not self._link.is_of_this_process:
            raise EngineClosed("this client belongs to another process, this is a fork of it; make a new one")
        return self._link


class Client(RemoteEngine):
    """The calls of a :class:`Tempolite`, for a process that doesn't own the file; see ``Tempolite.connect``.

    Functions are those that the owner knows, by their names: give the function, or its name as text. Values
    are encoded here, with this client's codec, which must be the owner's. Errors are those that the owner's
    call raises.

    When the owner ends, calls that may be made twice wait for another one on the file: ``execute``, ``get``,
    ``query``, ``signal`` with ``dedup``, and all that only read. The others end with ``ConnectionLost``, as
    nobody knows what became of them. After ``patience`` seconds without an owner: ``EngineClosed``. Calls are
    served again as soon as there is one.

    Any number of threads and event loops may share a client; it has one connection and one thread.
    """

    def __init__(
        self,
        database: str | os.PathLike[str],
        *,
        codec: JsonCodec | None = None,
        patience: float = PATIENCE_S,
    ) -> None:
        super().__init__(database, codec)
        self._link = Link(self._path, patience, self._error_of)
        try:
            self._connect(0.0)
        except BaseException:
            self._link.close()
            raise


def _new_id() -> str:
    return made_up_id(time.time_ns() // 1_000, os.urandom(DRAWN_BYTES))


def _services(codec: JsonCodec, payload_limit: int) -> Services:
    limits = Limits(payload_limit)
    return Services(codec, RetryPolicy(), limits, lambda _queue: None, random.Random())
