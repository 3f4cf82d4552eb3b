"""Starting runs, and waiting for their outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from tempolite.actors.futures import dead_is_closed
from tempolite.actors.messages import AwaitIdle, AwaitOutcome, RunEnded
from tempolite.core.identifiers import WorkflowId
from tempolite.core.status import Status
from tempolite.engine.handle import WorkflowInfo
from tempolite.engine.port import Port
from tempolite.engine.settings import checked_wait
from tempolite.errors import (
    EngineClosed,
    WorkflowCancelled,
    WorkflowFailed,
    WorkflowStranded,
    WorkflowStuck,
)
from tempolite.execution.context import AsyncWorkflowContext, WorkflowContext
from tempolite.failures import rebuild_failure

P = ParamSpec("P")
R = TypeVar("R")


class Running(Port):
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
    @overload
    def execute(self, id: str | None, fn: str, /, *args: Any, **kwargs: Any) -> WorkflowInfo[Any]: ...
    def execute(self, id: str | None, fn: Any, /, *args: Any, **kwargs: Any) -> WorkflowInfo[Any]:
        """Starts a run durably; returns after the commit, never waits for a free worker.

        Same id and function: the handle of the run that exists. ``id=None`` takes the one of the function's
        options, or makes one. ``fn`` may be the recorded name of a function that is registered.

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
    @overload
    async def aexecute(self, id: str | None, fn: str, /, *args: Any, **kwargs: Any) -> WorkflowInfo[Any]: ...
    async def aexecute(self, id: str | None, fn: Any, /, *args: Any, **kwargs: Any) -> WorkflowInfo[Any]:
        """Awaitable twin of :meth:`execute`."""
        request = self._start_request(id, fn, args, kwargs)
        workflow = await self._await_answer(request, None)
        return WorkflowInfo(self, workflow)

    execute_default = execute
    aexecute_default = aexecute

    def wait(self, timeout: float | timedelta | None = None) -> None:
        """Returns when no run can go on without something from outside; with 0, it only looks.

        Raises:
            TimeoutError: ``timeout`` seconds went by.
        """
        timeout_s = checked_wait(timeout)
        try:
            self._ask(AwaitIdle(), timeout_s)
        except TimeoutError:
            raise TimeoutError(f"runs still go on after {timeout_s} s") from None

    async def await_idle(self, timeout: float | timedelta | None = None) -> None:
        """Awaitable twin of :meth:`wait`."""
        self._check_started()
        timeout_s = checked_wait(timeout)
        try:
            await self._await_answer(AwaitIdle(), timeout_s)
        except TimeoutError:
            raise TimeoutError(f"runs still go on after {timeout_s} s") from None

    # ── behind the handles ──────────────────────────────────────────────────────────────────────────────

    def _outcome(self, workflow: str, timeout: float | timedelta | None) -> Any:
        self._check_started()
        timeout_s = checked_wait(timeout)
        ended = None if timeout_s is None else self.stored_end(workflow)
        try:
            ended = ended or self._ask(AwaitOutcome(WorkflowId(workflow)), timeout_s)
        except TimeoutError:
            raise TimeoutError(f"workflow {workflow!r} has no outcome after {timeout_s} s") from None
        return self._outcome_of(ended)

    async def _outcome_nowait(self, workflow: str, timeout: float | timedelta | None = None) -> Any:
        self._check_started()
        timeout_s = checked_wait(timeout)
        ended = None if timeout_s is None else await asyncio.to_thread(self.stored_end, workflow)
        try:
            ended = ended or await self._await_answer(AwaitOutcome(WorkflowId(workflow)), timeout_s)
        except TimeoutError:
            raise TimeoutError(f"workflow {workflow!r} has no outcome after {timeout_s} s") from None
        return self._outcome_of(ended)

    async def _await_answer(self, message: Any, timeout: float | None) -> Any:
        """Asks the directory; who stops waiting, in time or cancelled, is forgotten."""
        reply = self._ask_nowait(message)
        try:
            with dead_is_closed():
                return await asyncio.wait_for(_awaited(reply), timeout)
        except EngineClosed:
            self._check_started()
            raise
        except (TimeoutError, asyncio.CancelledError) as error:
            may_look = isinstance(message, AwaitIdle) and isinstance(error, TimeoutError)
            if may_look and await asyncio.to_thread(self._is_answered_now, reply):
                return reply.get(timeout=0)
            self._give_up(message, reply)
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


async def _awaited(reply: Any) -> Any:
    return await reply
