"""What waits in a worker behind an activity that turns out long is taken back."""

from __future__ import annotations

from tempolite.actors.crew import Crew
from tempolite.actors.dispatcher import Dispatcher, TimerHandle
from tempolite.actors.waiting_list import Durations

STALL_S = 0.02
"""Nothing waits behind an activity that runs longer than this."""


class StallWatch:
    """Looks at workers with more than they can run at once.

    Args:
        crew: the workers.
        durations: learns who is long.
    """

    def __init__(self, crew: Crew, durations: Durations) -> None:
        self._crew, self._durations = crew, durations
        self._timer: TimerHandle | None = None

    def begin(self, dispatcher: Dispatcher) -> None:
        """Somebody was given more than that."""
        if self._timer is None:
            due_s = dispatcher.clock.monotonic_s() + STALL_S
            self._timer = dispatcher.call_at(due_s, lambda: self._look(dispatcher))

    def close(self) -> None:
        """Nobody is looked at any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, dispatcher: Dispatcher) -> None:
        self._timer = None
        now_s = dispatcher.clock.monotonic_s()
        for seat in self._crew:
            if len(seat.attempts) <= self._crew.slots:
                continue
            oldest = next(iter(seat.attempts.values()))
            if oldest.started_s is not None and now_s - oldest.started_s >= STALL_S:
                self._durations.learn(oldest.job.call.name, now_s - oldest.started_s)
                seat.revoke_behind(self._crew.slots)
            self.begin(dispatcher)
