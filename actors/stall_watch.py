"""What waits in a worker behind an activity that turns out long is taken back."""

from __future__ import annotations

from tempolite.actors.crew import Crew
from tempolite.actors.dispatcher import Dispatcher, TimerHandle
from tempolite.actors.waiting_list import Durations

STALL_S = 0.02
"""Nothing waits behind an activity that runs longer than this."""

SECOND_LOOK_S = 0.001
"""Until an activity that seems to run that long is believed to."""


class StallWatch:
    """Looks at workers with more than they can run at once.

    Args:
        crew: the workers.
        durations: learns who is long.
    """

    def __init__(self, crew: Crew, durations: Durations) -> None:
        self._crew, self._durations = crew, durations
        self._timer: TimerHandle | None = None
        self._suspects: set[int] = set()

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
        suspects, self._suspects = self._suspects, set()
        for seat in self._crew:
            if len(seat.attempts) <= self._crew.slots:
                continue
            oldest = next(iter(seat.attempts.values()))
            if oldest.started_s is None or now_s - oldest.started_s < STALL_S:
                continue
            if oldest.job_id in suspects:
                self._durations.learn(oldest.job.call.name, now_s - oldest.started_s)
                seat.revoke_behind(self._crew.slots)
            else:
                self._suspects.add(oldest.job_id)
        self._look_again(dispatcher, now_s)

    def _look_again(self, dispatcher: Dispatcher, now_s: float) -> None:
        if self._suspects:
            # Its result may lie in the socket: this thread was busy, not the worker. It is read before then.
            self._timer = dispatcher.call_at(now_s + SECOND_LOOK_S, lambda: self._look(dispatcher))
        elif any(len(seat.attempts) > self._crew.slots for seat in self._crew):
            self.begin(dispatcher)
