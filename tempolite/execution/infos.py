"""What context calls give at once: a promise of a step's outcome.

``get()`` waits in a ``def`` workflow, ``await`` in an ``async def``; both give the recorded outcome, and
asking twice gives the same.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tempolite.core.identifiers import StepKey

if TYPE_CHECKING:
    import asyncio

    from tempolite.execution.execution import Execution

R = TypeVar("R")


class StepInfo(Generic[R]):
    """A step of the run, and its outcome once there is one."""

    def __init__(self, execution: Execution, key: StepKey) -> None:
        self._execution = execution
        self._key = key
        self._is_done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def step(self) -> str:
        """The step's name, with ``#n`` for the n-th use of it."""
        return self._key

    @property
    def done(self) -> bool:
        """Whether the outcome has been delivered; the same on every replay."""
        return self._is_done

    def get(self) -> R:
        """Waits for the outcome.

        Raises:
            Exception: what the step raised, with step, attempt and remote traceback attached.
        """
        if not self._is_done:
            self._execution.wait_until(self._look)
        return self._outcome()

    def __await__(self) -> Generator[Any, None, R]:
        """Waits for the outcome, in an ``async def`` workflow."""
        if not self._is_done:
            waiter = self._execution.new_future()
            self._waiters.append(waiter)
            yield from waiter
        return self._outcome()

    def __repr__(self) -> str:
        state = "waiting" if not self._is_done else "failed" if self._error else "done"
        return f"<{type(self).__name__} {self._key!r} {state}>"

    def settle(self, value: Any, error: BaseException | None) -> None:
        """The outcome is delivered; called by the execution while the code waits."""
        self._value, self._error, self._is_done = value, error, True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def _look(self) -> bool:
        return self._is_done

    def _outcome(self) -> R:
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[no-any-return]


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
