"""What context calls give at once: a promise of a step's outcome.

``get()`` waits in a ``def`` workflow, ``await`` in an ``async def``; both give the recorded outcome, and
asking twice gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from tempolite.core.identifiers import StepKey
from tempolite.errors import InvalidArguments

if TYPE_CHECKING:
    import asyncio

    from tempolite.execution.execution import Execution

R = TypeVar("R")


class StepInfo(Generic[R]):
    """A step of the run, and its outcome once there is one."""

    __tempolite_remedy__ = "call its .get(), or await it, and pass the value"

    def __init__(self, execution: Execution, key: StepKey) -> None:
        self._execution = execution
        self.key = key
        self._is_done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._waiters: tuple[asyncio.Future[None], ...] = ()
        self.place = 0
        """How many outcomes the code had been given before this one."""

    @property
    def step(self) -> str:
        """The step's name, with ``#n`` for the n-th use of it."""
        return self.key

    @property
    def done(self) -> bool:
        """Whether the outcome has been delivered; the same on every replay."""
        return self._is_done

    def get(self, timeout: float | timedelta | None = None) -> R:
        """Waits for the outcome; in an ``async def`` workflow it is awaited: ``await info.get(timeout=5)``.

        Args:
            timeout: seconds, by a durable timer; the step itself goes on.

        Raises:
            Exception: what the step raised, with step, attempt and remote traceback attached.
            TimeoutError: the time was over first; asking again waits again.
        """
        if self._execution.is_async:
            return self._execution.waits.outcome_async(self, timeout)  # type: ignore[return-value]
        if timeout is not None:
            self._execution.waits.outcome(self, timeout)
        elif not self._is_done:
            self.before_wait()
            self._execution.wait_until(self._look)
        return self.outcome()

    def __await__(self) -> Generator[Any, None, R]:
        """Waits for the outcome, in an ``async def`` workflow."""
        if not self._is_done:
            self.before_wait()
            waiter = self._execution.new_future()
            self.wake(waiter)
            try:
                yield from waiter
            except BaseException:
                self.after_giving_up()
                raise
        return self.outcome()

    def __repr__(self) -> str:
        state = "waiting" if not self._is_done else "failed" if self._error else "done"
        return f"<{type(self).__name__} {self.key!r} {state}>"

    # ── for the execution ───────────────────────────────────────────────────────────────────────────────

    def settle(self, value: Any, error: BaseException | None) -> None:
        """The outcome is delivered, while the code waits."""
        self._value, self._error, self._is_done = value, error, True
        self.place = self._execution.next_place()
        if self._waiters:
            waiters, self._waiters = self._waiters, ()
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def wake(self, waiter: asyncio.Future[None]) -> None:
        """This waiter, too, wants to know when the outcome is there."""
        self._waiters = (*self._waiters, waiter)

    def before_wait(self) -> None:
        """The code is about to wait for this."""

    def after_giving_up(self) -> None:
        """The code waits for this no longer, for now."""

    @property
    def has_failed(self) -> bool:
        """Whether the outcome is an error."""
        return self._error is not None

    def outcome(self) -> R:
        """The value, or the error raised."""
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[no-any-return]

    def _look(self) -> bool:
        return self._is_done


class ActivityInfo(StepInfo[R]):
    """An activity that was scheduled."""


class SideEffectInfo(StepInfo[R]):
    """A side effect that runs once."""


class ChildWorkflowInfo(StepInfo[R]):
    """A child workflow.

    Attributes:
        id: its workflow id.
    """

    def __init__(self, execution: Execution, key: StepKey, child: str) -> None:
        super().__init__(execution, key)
        self.id = child


class TimerInfo(StepInfo[None]):
    """A durable timer."""

    on_done: Callable[[], None] | None = None

    def settle(self, value: Any, error: BaseException | None) -> None:
        """Its time has come."""
        super().settle(value, error)
        if self.on_done is not None:
            self.on_done()


class SagaInfo(StepInfo[R]):
    """A saga, and the tuple of what its transactions gave; or the compensation of one, which gives None."""


class ConditionInfo(StepInfo[bool]):
    """A condition that the code waits for."""


class SignalInfo(StepInfo[R]):
    """A place in line for the next signal of a name.

    Attributes:
        name: which signal.
    """

    def __init__(self, execution: Execution, key: StepKey, name: str, kind: Any) -> None:
        super().__init__(execution, key)
        self.name = name
        self._kind = kind

    def settle(self, value: Any, error: BaseException | None) -> None:
        """The signal is delivered, as the type that was asked for."""
        if self._kind is not None and error is None:
            try:
                value = _converted(value, self._kind)
            except Exception as mismatch:
                error = InvalidArguments(
                    f"signal {self.name!r} has {value!r}, expected {_name_of(self._kind)}: {mismatch}"
                )
        super().settle(value, error)

    def before_wait(self) -> None:
        """One that had given its place back is in line again, at its end."""
        self._execution.signals.join(self)

    def after_giving_up(self) -> None:
        """The next signal is for somebody else."""
        self._execution.signals.leave(self)


def _converted(value: Any, kind: Any) -> Any:
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    return msgspec.convert(value, kind)


def _name_of(kind: Any) -> str:
    return kind.__qualname__ if isinstance(kind, type) else str(kind)
