"""What falls due: one heap for the near future of the whole engine, one wake-up for the next.

A durable timer is an event of its run's stream and a row in the file. Only those that fall due within the
horizon are in memory; the rest is read when its time comes nearer, so that a million sleeping runs cost
nothing. Timers without a row (the wait before a retry) are all in memory: their runs are, too.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pykka

from tempolite.actors.actor import Actor, receives
from tempolite.actors.clock import MICROS_PER_S
from tempolite.actors.dispatcher import TimerHandle
from tempolite.actors.messages import CancelTimer, Deliver, ForgetTimers, Message, SetTimer, TimerDue
from tempolite.core.identifiers import StepKey, WorkflowId

HORIZON_US = 600 * MICROS_PER_S
"""How far ahead durable timers are held in memory."""

WAKE_UP_SLACK_S = 0.000_5
"""A wake-up is not moved for less; two clocks that drift apart would move it each time."""

StoredTimer = tuple[WorkflowId, StepKey, int]
"""Workflow, key and due time in µs since the epoch, as they stand in the file."""


class ReadTimers(Message, frozen=True):
    """Take the timers of the near future from the file; told by the actor to itself, and at start."""


class TimerActor(Actor):
    """Delivers messages when they are due, never before, in the order of their due times.

    Args:
        directory: gets a ``Deliver`` for each.
        read: durable timers that are due from a time on and before another one, the earliest first.
        next_due: the earliest durable timer from a time on, or None.
    """

    def __init__(
        self,
        directory: pykka.ActorRef[Any],
        read: Callable[[int, int], Iterable[StoredTimer]] = lambda _from, _before: (),
        next_due: Callable[[int], int | None] = lambda _from: None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._directory = directory
        self._read, self._next_due = read, next_due
        self._heap: list[tuple[int, int, SetTimer]] = []
        self._current: dict[tuple[str, str], int] = {}
        self._order = itertools.count()
        self._wake_up: TimerHandle | None = None
        self._wake_up_s = 0.0
        self._known_until_us = 0
        self._next_read_us: int | None = None

    @receives(SetTimer)
    def on_set(self, message: SetTimer) -> None:
        """Sets a timer, in place of one of the same workflow and key."""
        if message.is_durable and message.due_us >= self._known_until_us:
            # It is read when its time comes nearer.
            self._current.pop((message.workflow, message.key), None)
            if self._next_read_us is None or message.due_us < self._next_read_us:
                self._next_read_us = message.due_us
        else:
            self._push(message)
        self._schedule()

    @receives(CancelTimer)
    def on_cancel(self, message: CancelTimer) -> None:
        """Forgets a timer."""
        self._current.pop((message.workflow, message.key), None)

    @receives(ForgetTimers)
    def on_forget(self, message: ForgetTimers) -> None:
        """Forgets all timers of these workflows."""
        for key in [key for key in self._current if key[0] in message.workflows]:
            del self._current[key]

    @receives(ReadTimers)
    def on_read(self, _message: ReadTimers) -> None:
        """Takes from the file what falls due soon."""
        until_us = self.dispatcher.clock.now_us() + HORIZON_US
        for workflow, key, due_us in self._read(self._known_until_us, until_us):
            self._push(SetTimer(workflow, key, due_us, TimerDue(key), is_durable=True))
        self._known_until_us = max(self._known_until_us, until_us)
        self._next_read_us = self._next_due(self._known_until_us)
        self._schedule()

    def _push(self, message: SetTimer) -> None:
        number = next(self._order)
        self._current[message.workflow, message.key] = number
        heapq.heappush(self._heap, (message.due_us, number, message))

    def _on_wake_up(self) -> None:
        self._wake_up = None
        now_us = self.dispatcher.clock.now_us()
        while self._heap and (self._heap[0][0] <= now_us or not self._is_current(self._heap[0])):
            item = heapq.heappop(self._heap)
            if self._is_current(item):
                message = item[2]
                del self._current[message.workflow, message.key]
                self._directory.tell(Deliver(message.workflow, message.message))
        if self._next_read_us is not None and self._read_at_us(self._next_read_us) <= now_us:
            self.on_read(ReadTimers())
        else:
            self._schedule()

    def _read_at_us(self, due_us: int) -> int:
        """When a timer that is not in memory must be read: well before it is due."""
        return due_us - HORIZON_US // 2

    def _is_current(self, item: tuple[int, int, SetTimer]) -> bool:
        return self._current.get((item[2].workflow, item[2].key)) == item[1]

    def _schedule(self) -> None:
        times = [self._heap[0][0]] if self._heap else []
        if self._next_read_us is not None:
            times.append(self._read_at_us(self._next_read_us))
        if not times:
            return
        clock = self.dispatcher.clock
        # By wall time due, by the monotonic clock awaited: after a wake-up the wall clock is asked again, and
        # one that was set forward meanwhile makes no wake-up that is still to come the earliest. Rounded as
        # clocks count: a sum of two floats may lie a hair behind the moment that a virtual clock stops at.
        wake_up_s = round(clock.monotonic_s() + max(0, min(times) - clock.now_us()) / MICROS_PER_S, 6)
        if self._wake_up is not None:
            if self._wake_up_s <= wake_up_s + WAKE_UP_SLACK_S:
                return
            self._wake_up.cancel()
        self._wake_up_s = wake_up_s
        self._wake_up = self.dispatcher.call_at(wake_up_s, self._on_wake_up)
