"""Starting runs, and waiting for their outcomes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

import msgspec

from tempolite.actors.futures import dead_is_closed
from tempolite.actors.messages import AwaitIdle, AwaitOutcome, RunEnded, StartRun
from tempolite.calls import WorkflowCall
from tempolite.core.identifiers import WorkflowId
from tempolite.core.queues import DEFAULT_QUEUE
from tempolite.core.status import Status
from tempolite.engine.handle import WorkflowInfo
from tempolite.engine.lifecycle import Lifecycle
from tempolite.errors import (
    EngineClosed,
    InvalidArguments,
    WorkflowCancelled,
    WorkflowFailed,
    WorkflowStranded,
    WorkflowStuck,
)
from tempolite.execution.context import AsyncWorkflowContext, WorkflowContext
from tempolite.failures import rebuild_failure

P = ParamSpec("P")
R = TypeVar("R")


class Running(Lifecycle):
    """Calls that start runs and wait for them."""

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
        workflow = self._ask_for_commit(request)
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
        workflow = await self._await_answer(request, None)
        return WorkflowInfo(self, workflow)

    execute_default = execute
    aexecute_default = aexecute

    def wait(self, timeout: float | None = None) -> None:
        """Returns when no run can go on without something from outside; with 0, it only looks.

        Raises:
            TimeoutError: ``timeout`` seconds went by.
        """
        try:
            self._ask(AwaitIdle(), timeout)
        except TimeoutError:
            raise TimeoutError(f"runs still go on after {timeout} s") from None

    async def await_idle(self, timeout: float | None = None) -> None:
        """Awaitable twin of :meth:`wait`."""
        self._check_started()
        try:
            await self._await_answer(AwaitIdle(), timeout)
        except TimeoutError:
            raise TimeoutError(f"runs still go on after {timeout} s") from None

    # ── behind the handles ──────────────────────────────────────────────────────────────────────────────

    def _outcome(self, workflow: str, timeout: float | None) -> Any:
        self._check_started()
        ended = None if timeout is None else self._stored_end(workflow)
        try:
            ended = ended or self._ask(AwaitOutcome(WorkflowId(workflow)), timeout)
        except TimeoutError:
            raise TimeoutError(f"workflow {workflow!r} has no outcome after {timeout} s") from None
        return self._outcome_of(ended)

    async def _outcome_nowait(self, workflow: str, timeout: float | None = None) -> Any:
        self._check_started()
        ended = None if timeout is None else await asyncio.to_thread(self._stored_end, workflow)
        try:
            ended = ended or await self._await_answer(AwaitOutcome(WorkflowId(workflow)), timeout)
        except TimeoutError:
            raise TimeoutError(f"workflow {workflow!r} has no outcome after {timeout} s") from None
        return self._outcome_of(ended)

    def _stored_end(self, workflow: str) -> RunEnded | None:
        """What who has no patience is told: the outcome that is there."""
        stored = self._runs.find(WorkflowId(workflow))
        if stored is None or stored.ended is None or stored.ended.status == Status.STRANDED:
            # A stranded run may be about to go on, so only the directory can tell.
            return None
        return stored.ended

    async def _await_answer(self, message: Any, timeout: float | None) -> Any:
        """Asks the directory; who stops waiting, in time or cancelled, is forgotten."""
        reply = self._system.ask_nowait(message)
        try:
            with dead_is_closed():
                return await asyncio.wait_for(_awaited(reply), timeout)
        except EngineClosed:
            self._check_started()
            raise
        except (TimeoutError, asyncio.CancelledError) as error:
            may_look = isinstance(message, AwaitIdle) and isinstance(error, TimeoutError)
            if may_look and await asyncio.to_thread(self._system.is_answered_now, reply):
                return reply.get(timeout=0)
            self._system.give_up(message, reply)
            raise

    def _outcome_of(self, ended: RunEnded) -> Any:
        match ended.status:
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

    def _start_request(
        self, id: str | None, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> StartRun:
        self._check_started()
        if id is not None and (not isinstance(id, str) or not id):
            raise InvalidArguments(f"id is {id!r}, expected a non-empty text or None")
        call: WorkflowCall = self._registry.add(fn)
        call.shape.check(call.name, args, kwargs)
        self._check_queue(call.options.queue or DEFAULT_QUEUE)
        payload = self._services.encode_call(args, kwargs)
        workflow = id or self._new_id()
        created = call.run_created(msgspec.Raw(payload), seed=self._services.new_seed(), run_group=workflow)
        return StartRun(WorkflowId(workflow), created, is_made_up=id is None, code=call)

    def _new_id(self) -> str:
        """A UUIDv7 (RFC 9562) as hex digits: ids made one after another lie side by side in the index."""
        millis = self._clock.now_us() // 1_000
        drawn = int.from_bytes(os.urandom(10), "big")
        bits = (
            (millis & (1 << 48) - 1) << 80
            | 7 << 76
            | (drawn >> 64 & 0xFFF) << 64
            | 2 << 62
            | drawn & (1 << 62) - 1
        )
        return f"{bits:032x}"


async def _awaited(reply: Any) -> Any:
    return await reply
