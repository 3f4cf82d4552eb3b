"""What a workflow function may call: everything else belongs in activities or side effects."""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, ParamSpec, Protocol, TypeVar, overload

from tempolite.activity_context import ActivityContext, RunLogger
from tempolite.core.log_fields import log_fields
from tempolite.execution.infos import (
    ActivityInfo,
    ChildWorkflowInfo,
    SagaInfo,
    SideEffectInfo,
    SignalInfo,
    StepInfo,
    TimerInfo,
)

if TYPE_CHECKING:
    from tempolite.execution.execution import Execution
    from tempolite.saga import Saga

P = ParamSpec("P")
R = TypeVar("R")
R2 = TypeVar("R2")
R3 = TypeVar("R3")
R_co = TypeVar("R_co", covariant=True)
Info = TypeVar("Info", bound=StepInfo[Any])

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HasRun(Protocol[P, R_co]):
    """An object whose ``run`` is the activity."""

    def run(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class _Context:
    """What both kinds of workflow have in common."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._random: random.Random | None = None
        self._random_step: str | None = None
        self._logger: WorkflowLogger | None = None

    @overload
    def activity(
        self, step: str, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> ActivityInfo[R]: ...
    @overload
    def activity(
        self, step: str, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> ActivityInfo[R]: ...
    @overload
    def activity(
        self,
        step: str,
        fn: Callable[Concatenate[ActivityContext, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> ActivityInfo[R]: ...
    @overload
    def activity(
        self,
        step: str,
        fn: Callable[Concatenate[ActivityContext, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> ActivityInfo[R]: ...
    @overload
    def activity(
        self, step: str, fn: HasRun[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> ActivityInfo[R]: ...
    def activity(self, step: str, fn: Any, /, *args: Any, **kwargs: Any) -> ActivityInfo[Any]:
        """Schedules an activity; several run in parallel, until their outcome is asked for.

        Raises:
            InvalidArguments: the step's name, the callable or its arguments are wrong; nothing is recorded.
            NotStorable: an argument can't be carried, with its path.
            QueueNotFound: its options name a queue that there isn't.
        """
        return self._execution.activities.schedule(step, fn, args, kwargs)

    def side_effect(self, step: str, fn: Callable[[], R], /) -> SideEffectInfo[R]:
        """Runs a small non-deterministic call once, in the engine's process, and records its value."""
        return self._execution.side_effects.schedule(step, fn)

    def saga(self, step: str, saga: Saga, /) -> SagaInfo[tuple[Any, ...]]:
        """Runs a saga: its transactions in order, and where one fails the compensations of those before it.

        Its value is the tuple of what the transactions gave. Where it fails the error is ``SagaCompensated``,
        with the failure as ``__cause__``, or ``SagaFailed`` where undoing failed too.

        Raises:
            InvalidArguments, NotStorable, QueueNotFound: as :meth:`activity`.
        """
        return self._execution.sagas.schedule(step, saga)

    def compensate_saga(self, step: str, /) -> SagaInfo[None]:
        """Undoes a completed saga: its compensations, in reverse order.

        Args:
            step: the saga's, as ``info.step`` has it.

        Raises:
            InvalidState: its value was not seen yet, it failed, or this was asked for already.
        """
        return self._execution.sagas.compensate(step)

    @overload
    def workflow(
        self,
        step: str,
        fn: Callable[Concatenate[AsyncWorkflowContext, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> ChildWorkflowInfo[R]: ...
    @overload
    def workflow(
        self,
        step: str,
        fn: Callable[Concatenate[WorkflowContext, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> ChildWorkflowInfo[R]: ...
    def workflow(self, step: str, fn: Any, /, *args: Any, **kwargs: Any) -> ChildWorkflowInfo[Any]:
        """Starts a child workflow; its id is ``parent/step`` unless its options say otherwise.

        Raises:
            InvalidArguments, NotStorable, QueueNotFound: as :meth:`activity`.
        """
        return self._execution.children.schedule(step, fn, args, kwargs)

    @overload
    def signal(self, name: str, type: type[R]) -> SignalInfo[R]: ...
    @overload
    def signal(self, name: str, type: Any = None) -> SignalInfo[Any]: ...
    def signal(self, name: str, type: Any = None) -> SignalInfo[Any]:
        """Stands in line for the next signal of a name; first come, first served.

        One whose wait timed out gives its place back, until it is waited for again.

        Args:
            name: which signal.
            type: what its value must be, such as ``Order``, ``int`` or ``list[str] | None``; plain data is
                turned into it, anything else is an error.
        """
        return self._execution.signals.schedule(name, type)

    def timer(self, step: str, duration: float | timedelta, /) -> TimerInfo:
        """Starts a durable timer: it is done when that time has gone by, whatever happens meanwhile."""
        return self._execution.timers.schedule(step, duration)

    def get_version(self, change: str, minimum: int, maximum: int) -> int:
        """Which version of a change this run stands on: ``maximum`` the first time, then what was recorded.

        Raises:
            VersionNotSupported: what was recorded, or given by ``versions=``, lies outside of the range.
        """
        return self._execution.versions.get(change, minimum, maximum)

    def continue_as_new(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Ends this run and begins the next one of the same workflow, with these arguments and no history.

        Versions are inherited, and signals that nobody has read. Never returns.
        """
        self._execution.ending.continue_from_code(args, kwargs)

    def on_query(self, name: str, fn: Callable[..., Any], /) -> None:
        """Answers ``query(id, name, …)`` with what ``fn`` returns; it only reads."""
        self._execution.handlers.on_query(name, fn)

    def on_update(
        self, name: str, fn: Callable[..., Any], /, validator: Callable[..., Any] | None = None
    ) -> None:
        """Lets ``update(id, name, …)`` change the workflow through ``fn``, and answers with its result.

        Args:
            name: of the update.
            fn: called with the update's arguments, between two waits of the code; it can't wait itself.
            validator: called first; what it raises goes back to the caller, and nothing is recorded.
        """
        self._execution.handlers.on_update(name, fn, validator)

    def set_status(self, text: str, progress: float | None = None) -> None:
        """Says how far the workflow is: ``info.status_text`` and ``info.progress``."""
        self._execution.set_status(text, progress)

    def now(self) -> datetime:
        """The time of the last outcome that the code has seen: the same on every replay."""
        return _EPOCH + timedelta(microseconds=self._execution.steps.code_time_us)

    @property
    def random(self) -> random.Random:
        """Randomness that is the same on every replay, seeded anew from the preceding step."""
        step = self._execution.steps.last_step
        if self._random is None or step != self._random_step:
            self._random_step = step
            self._random = random.Random(f"{self._execution.created.seed}/{step}")
        return self._random

    def uuid4(self) -> uuid.UUID:
        """A random UUID that is the same on every replay."""
        return uuid.UUID(int=self.random.getrandbits(128), version=4)

    @property
    def attempt(self) -> int:
        """Which attempt of the workflow this is, from 1."""
        return self._execution.attempt

    @property
    def run(self) -> int:
        """Which run of the workflow this is, from 1; continue-as-new begins the next."""
        return self._execution.created.run

    @property
    def workflow_id(self) -> str:
        """The workflow's id."""
        return self._execution.workflow

    @property
    def is_replaying(self) -> bool:
        """Whether this stretch of code has been run before."""
        return self._execution.steps.is_replaying

    @property
    def logger(self) -> WorkflowLogger:
        """Writes to ``tempolite.workflow``, and nothing on replay.

        Its records have ``workflow_id``, ``run``, ``step`` (None) and ``attempt``.
        """
        if self._logger is None:
            extra = log_fields(self.workflow_id, self.run, attempt=self.attempt)
            self._logger = WorkflowLogger(logging.getLogger("tempolite.workflow"), extra, self._execution)
        return self._logger


class WorkflowContext(_Context):
    """First parameter of a ``def`` workflow: its calls give infos, and ``info.get()`` waits."""

    def sleep(self, step: str, duration: float | timedelta, /) -> None:
        """Waits that long, by a durable timer."""
        self._execution.timers.schedule(step, duration).get()

    @overload
    def wait_any(self, *infos: Info, timeout: None = None) -> Info: ...
    @overload
    def wait_any(self, *infos: Info, timeout: float | timedelta | None) -> Info | None: ...
    def wait_any(self, *infos: Any, timeout: float | timedelta | None = None) -> Any:
        """Waits for the first outcome; gives its info, or None where the time was over before."""
        return self._execution.waits.first(infos, timeout)

    @overload
    def wait_all(self, first: StepInfo[R], /) -> tuple[R]: ...
    @overload
    def wait_all(self, first: StepInfo[R], second: StepInfo[R2], /) -> tuple[R, R2]: ...
    @overload
    def wait_all(
        self, first: StepInfo[R], second: StepInfo[R2], third: StepInfo[R3], /
    ) -> tuple[R, R2, R3]: ...
    @overload
    def wait_all(self, *infos: StepInfo[R]) -> tuple[R, ...]: ...
    @overload
    def wait_all(self, *infos: StepInfo[Any]) -> tuple[Any, ...]: ...
    def wait_all(self, *infos: StepInfo[Any]) -> tuple[Any, ...]:
        """Waits for all values; the first failure is raised at once."""
        return self._execution.waits.all(infos)

    def wait_until(
        self, step: str, predicate: Callable[[], Any], timeout: float | timedelta | None = None
    ) -> bool:
        """Waits until the predicate holds; it is looked at after each signal, update and step.

        Returns:
            True, or False where the time was over before.
        """
        return self._execution.waits.condition(step, predicate, timeout)


class AsyncWorkflowContext(_Context):
    """First parameter of an ``async def`` workflow: its calls give infos, and ``await info`` waits."""

    async def sleep(self, step: str, duration: float | timedelta, /) -> None:
        """Waits that long, by a durable timer."""
        await self._execution.timers.schedule(step, duration)

    @overload
    async def wait_any(self, *infos: Info, timeout: None = None) -> Info: ...
    @overload
    async def wait_any(self, *infos: Info, timeout: float | timedelta | None) -> Info | None: ...
    async def wait_any(self, *infos: Any, timeout: float | timedelta | None = None) -> Any:
        """Waits for the first outcome; gives its info, or None where the time was over before."""
        return await self._execution.waits.first_async(infos, timeout)

    @overload
    async def wait_all(self, first: StepInfo[R], /) -> tuple[R]: ...
    @overload
    async def wait_all(self, first: StepInfo[R], second: StepInfo[R2], /) -> tuple[R, R2]: ...
    @overload
    async def wait_all(
        self, first: StepInfo[R], second: StepInfo[R2], third: StepInfo[R3], /
    ) -> tuple[R, R2, R3]: ...
    @overload
    async def wait_all(self, *infos: StepInfo[R]) -> tuple[R, ...]: ...
    @overload
    async def wait_all(self, *infos: StepInfo[Any]) -> tuple[Any, ...]: ...
    async def wait_all(self, *infos: StepInfo[Any]) -> tuple[Any, ...]:
        """Waits for all values; the first failure is raised at once."""
        return await self._execution.waits.all_async(infos)

    async def wait_until(
        self, step: str, predicate: Callable[[], Any], timeout: float | timedelta | None = None
    ) -> bool:
        """Waits until the predicate holds; it is looked at after each signal, update and step.

        Returns:
            True, or False where the time was over before.
        """
        return await self._execution.waits.condition_async(step, predicate, timeout)


class WorkflowLogger(RunLogger):
    """Logs what happens, not what is replayed."""

    def __init__(self, logger: logging.Logger, extra: dict[str, object], execution: Execution) -> None:
        super().__init__(logger, extra)
        self._execution = execution

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name in logging
        """Not while the code is replayed."""
        return not self._execution.steps.is_replaying and super().isEnabledFor(level)
