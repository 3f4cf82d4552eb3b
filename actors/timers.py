"""What falls due: one heap for the whole engine, one wake-up for the next.

A durable timer is an event of its run's stream and a row in the file; what stands here is only its near
future in memory, made again from the rows at start.
"""

from __future__ import annotations

import heapq
import itertools
from typing import Any

import pykka

from tempolite.actors.actor import Actor, receives
from tempolite.actors.clock import MICROS_PER_S
from tempolite.actors.dispatcher import TimerHandle
from tempolite.actors.messages import CancelTimer, Deliver, SetTimer


class TimerActor(Actor):
    """Delivers messages when they are due, never before, in the order of their due times.

    Args:
        directory: gets a ``Deliver`` for each.
    """

    def __init__(self, directory: pykka.ActorRef[Any], **options: Any) -> None:
        super().__init__(**options)
        self._directory = directory
        self._heap: list[tuple[int, int, SetTimer]] = []
        self._current: dict[tuple[str, str], int] = {}
        self._order = itertools.count()
        self._wake_up: TimerHandle | None = None
        self._wake_up_us = 0

    @receives(SetTimer)
    def on_set(self, message: SetTimer) -> None:
        """Sets a timer, in place of one of the same workflow and key."""
        number = next(self._order)
        self._current[message.workflow, message.key] = number
        heapq.heappush(self._heap, (message.due_us, number, message))
        self._schedule()

    @receives(CancelTimer)
    def on_cancel(self, message: CancelTimer) -> None:
        """Forgets a timer."""
        self._current.pop((message.workflow, message.key), None)

    def _fire_due(self) -> None:
        self._wake_up = None
        now_us = self.dispatcher.clock.now_us()
        while self._heap and (self._heap[0][0] <= now_us or not self._is_current(self._heap[0])):
            item = heapq.heappop(self._heap)
            if self._is_current(item):
                message = item[2]
                del self._current[message.workflow, message.key]
                self._directory.tell(Deliver(message.workflow, message.message))
        self._schedule()

    def _is_current(self, item: tuple[int, int, SetTimer]) -> bool:
        return self._current.get((item[2].workflow, item[2].key)) == item[1]

    def _schedule(self) -> None:
        if not self._heap:
            return
        due_us = self._heap[0][0]
        if self._wake_up is not None:
            if self._wake_up_us <= due_us:
                return
            self._wake_up.cancel()
        clock = self.dispatcher.clock
        # By wall time due, by the monotonic clock awaited: after a wake-up the wall clock is asked again.
        wait_s = max(0, due_us - clock.now_us()) / MICROS_PER_S
        self._wake_up_us = due_us
        self._wake_up = self.dispatcher.call_at(clock.monotonic_s() + wait_s, self._fire_due)
