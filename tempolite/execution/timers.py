"""Timers of a run: durable, never early, fired once, also those that fell due while the engine was down."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tempolite.actors.messages import CancelTimer, SetTimer, TimerDue
from tempolite.core import events
from tempolite.core.identifiers import StepKey
from tempolite.core.step_records import StepKind
from tempolite.errors import InvalidArguments
from tempolite.execution.infos import TimerInfo
from tempolite.execution.steps import ANY_FUNCTION, ASYNCIO_PREFIX, TIMEOUT_PREFIX

if TYPE_CHECKING:
    from tempolite.execution.execution import Execution

MICROS_PER_S = 1_000_000

SECONDS_MAX = 100 * 365 * 86_400
"""A hundred years: more is a mistake, and would not fit a datetime."""


class Timers:
    """What a run's timers do."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._log, self._steps = execution.log, execution.steps

    def schedule(self, name: str, duration: float | timedelta) -> TimerInfo:
        """The code asks for a timer."""
        self._execution.check_is_live()
        seconds = checked_seconds("a timer", duration)
        return self._start(self._steps.next_key(name), StepKind.TIMER, seconds)

    def start_timeout(self, of: str, duration: float | timedelta) -> TimerInfo:
        """The code waits for something, but no longer than that."""
        self._execution.check_is_live()
        seconds = checked_seconds("timeout", duration)
        return self._start(self._steps.own_key(TIMEOUT_PREFIX + of), StepKind.TIMEOUT, seconds)

    # ── for the event loop ──────────────────────────────────────────────────────────────────────────────

    def now_s(self) -> float:
        """The time that the code has come to."""
        return self._steps.code_time_us / MICROS_PER_S

    def start(self, delay_s: float, fire: Callable[[], None]) -> Callable[[], None]:
        """A timer that the code asks for through asyncio; gives what cancels it."""
        self._execution.check_is_live()
        seconds = checked_seconds("a delay", delay_s)
        timer = self._start(self._steps.own_key(ASYNCIO_PREFIX + "timer"), StepKind.TIMER, seconds)
        timer.on_done = fire
        return lambda: self.cancel(timer)

    # ── messages and ends ───────────────────────────────────────────────────────────────────────────────

    def take_due(self, key: StepKey) -> None:
        """A timer's time has come; one that fired or was cancelled before is left alone."""
        step = self._log.state.steps.get(key)
        if step is None or not step.is_open or step.kind not in (StepKind.TIMER, StepKind.TIMEOUT):
            return
        if step.due_at > self._log.now_us:
            # The clock went back meanwhile: never early.
            self._log.send(SetTimer(self._log.workflow, key, step.due_at, TimerDue(key), is_durable=True))
            return
        self._log.record(events.TimerFired(), key)
        self._log.clear_timer(key)
        self._steps.offer(key)

    def cancel(self, timer: TimerInfo) -> None:
        """Nobody waits for it any more."""
        key = timer.key
        step = self._log.state.steps[key]
        if step.is_open and not self._log.is_sealed and not self._execution.is_fenced:
            self._log.record(events.TimerCancelled(), key)
            self._log.clear_timer(key)
            self._log.send(CancelTimer(self._log.workflow, key))

    def _start(self, key: StepKey, kind: StepKind, seconds: float) -> TimerInfo:
        info = TimerInfo(self._execution, key)
        step = self._steps.known(key, kind, ANY_FUNCTION)
        if step is None:
            due_us = self._log.now_us + round(seconds * MICROS_PER_S)
            self._log.record(events.TimerStarted(due_us, is_timeout=kind is StepKind.TIMEOUT), key)
            self._log.set_timer(key, due_us)
        self._steps.expect(info, key, step)
        return info


def checked_seconds(what: str, duration: Any) -> float:
    """A duration in seconds.

    Raises:
        InvalidArguments: it is none, or below 0.
    """
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not 0 <= seconds <= SECONDS_MAX:
        raise InvalidArguments(f"{what} is {duration!r}, expected seconds from 0, or a timedelta")
    return float(seconds)
