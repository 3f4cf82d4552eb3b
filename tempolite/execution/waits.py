"""Waiting for one of several, for all, and no longer than so long; in a ``def`` and in an ``async def``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from tempolite.errors import InvalidArguments
from tempolite.execution.infos import ConditionInfo, StepInfo, TimerInfo

if TYPE_CHECKING:
    from tempolite.execution.execution import Execution

R = TypeVar("R")


class Waits:
    """What a run's code waits for, beyond a single outcome.

    Each wait exists twice: one that switches back to whoever runs the code, and one that is awaited. Both
    are the same sequence: begin, wait, end; only the wait differs.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    # ── one outcome, with a limit ───────────────────────────────────────────────────────────────────────

    def outcome(self, info: StepInfo[Any], timeout: float | timedelta) -> None:
        """Waits for an outcome; :meth:`StepInfo.get` gives it."""
        if not info.done:
            timer = self._begin([info], timeout, info.key)
            self._block([info, timer])
            self._end_outcome(info, timer, timeout)

    async def outcome_async(self, info: StepInfo[R], timeout: float | timedelta | None) -> R:
        """The same, awaited."""
        if timeout is None:
            return await info
        if not info.done:
            timer = self._begin([info], timeout, info.key)
            await self._suspend([info, timer])
            self._end_outcome(info, timer, timeout)
        return info.outcome()

    def _end_outcome(self, info: StepInfo[Any], timer: TimerInfo | None, timeout: float | timedelta) -> None:
        if not self._end([info], timer):
            raise TimeoutError(f"{info.step!r} has no outcome after {_seconds(timeout):g} s")

    # ── the first of several ────────────────────────────────────────────────────────────────────────────

    def first(self, infos: Sequence[StepInfo[Any]], timeout: Any) -> StepInfo[Any] | None:
        """Waits for the first outcome of several; None when the time was over before."""
        checked_infos("wait_any", infos)
        if not any(info.done for info in infos):
            timer = self._begin(infos, timeout, "wait_any")
            self._block([*infos, timer])
            if not self._end(infos, timer):
                return None
        return earliest(infos)

    async def first_async(self, infos: Sequence[StepInfo[Any]], timeout: Any) -> StepInfo[Any] | None:
        """The same, awaited."""
        checked_infos("wait_any", infos)
        if not any(info.done for info in infos):
            timer = self._begin(infos, timeout, "wait_any")
            await self._suspend([*infos, timer])
            if not self._end(infos, timer):
                return None
        return earliest(infos)

    # ── all of several ──────────────────────────────────────────────────────────────────────────────────

    def all(self, infos: Sequence[StepInfo[Any]]) -> tuple[Any, ...]:
        """Waits for all outcomes; the first failure ends the wait."""
        checked_infos("wait_all", infos)
        while (waiting := _waiting(infos)) and not _failed(infos):
            self._begin(waiting, None, "")
            self._block(waiting)
        return _values(infos)

    async def all_async(self, infos: Sequence[StepInfo[Any]]) -> tuple[Any, ...]:
        """The same, awaited."""
        checked_infos("wait_all", infos)
        while (waiting := _waiting(infos)) and not _failed(infos):
            self._begin(waiting, None, "")
            await self._suspend(waiting)
        return _values(infos)

    # ── a condition ─────────────────────────────────────────────────────────────────────────────────────

    def condition(self, step: str, predicate: Callable[[], Any], timeout: Any) -> bool:
        """Waits for a condition; False when the time was over before it was met."""
        info = self._execution.conditions.schedule(step, predicate)
        if timeout is not None and not info.done:
            timer = self._begin([info], timeout, info.key)
            self._block([info, timer])
            self._end_condition(info, timer)
        self._block([info])
        return info.outcome()

    async def condition_async(self, step: str, predicate: Callable[[], Any], timeout: Any) -> bool:
        """The same, awaited."""
        info = self._execution.conditions.schedule(step, predicate)
        if timeout is not None and not info.done:
            timer = self._begin([info], timeout, info.key)
            await self._suspend([info, timer])
            self._end_condition(info, timer)
        return await info

    def _end_condition(self, info: ConditionInfo, timer: TimerInfo | None) -> None:
        if not self._end([info], timer):
            self._execution.conditions.give_up(info)

    # ── their parts ─────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, infos: Sequence[StepInfo[Any]], timeout: Any, name: str) -> TimerInfo | None:
        for info in infos:
            if not info.done:
                info.before_wait()
        return None if timeout is None else self._execution.timers.start_timeout(name, timeout)

    def _block(self, infos: Sequence[StepInfo[Any] | None]) -> None:
        self._execution.wait_until(lambda: any(info is not None and info.done for info in infos))

    async def _suspend(self, infos: Sequence[StepInfo[Any] | None]) -> None:
        known = [info for info in infos if info is not None]
        if any(info.done for info in known):
            return
        waiter = self._execution.new_future()
        for info in known:
            info.wake(waiter)
        try:
            await waiter
        except BaseException:
            for info in known:
                info.after_giving_up()
            raise

    def _end(self, infos: Sequence[StepInfo[Any]], timer: TimerInfo | None) -> bool:
        """Whether an outcome came before the time was over."""
        if any(info.done for info in infos):
            if timer is not None:
                self._execution.timers.cancel(timer)
            return True
        for info in infos:
            info.after_giving_up()
        return False


def checked_infos(call: str, infos: Sequence[Any]) -> None:
    """What is waited for must be infos of this package.

    Raises:
        InvalidArguments: something is not, or there is nothing.
    """
    if not infos and call == "wait_any":
        raise InvalidArguments("wait_any was given nothing to wait for")
    for info in infos:
        if not isinstance(info, StepInfo):
            raise InvalidArguments(f"{call} was given {info!r}, expected what ctx.activity, ctx.timer … give")


def earliest(infos: Sequence[StepInfo[Any]]) -> StepInfo[Any]:
    """The one whose outcome the code was given first."""
    return min((info for info in infos if info.done), key=lambda info: info.place)


def _waiting(infos: Sequence[StepInfo[Any]]) -> list[StepInfo[Any]]:
    return [info for info in infos if not info.done]


def _failed(infos: Sequence[StepInfo[Any]]) -> bool:
    return any(info.done and info.has_failed for info in infos)


def _values(infos: Sequence[StepInfo[Any]]) -> tuple[Any, ...]:
    failed = [info for info in infos if info.done and info.has_failed]
    if failed:
        earliest(failed).outcome()
    return tuple(info.outcome() for info in infos)


def _seconds(timeout: float | timedelta) -> float:
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
