"""At-most-once attempts that are next in line: each begins only after its run has recorded that it starts."""

from __future__ import annotations

from collections.abc import Callable

from tempolite.actors.attempts import Attempt
from tempolite.actors.dispatcher import Dispatcher
from tempolite.actors.messages import ActivityJob
from tempolite.core.identifiers import StepKey, WorkflowId

CLEARANCE_S = 5.0
"""A run that has not answered by then (it is gone, or can't write) holds no place any longer."""


class Clearances:
    """Asks runs, for no more attempts at once than workers are free: what is recorded as started starts soon.

    Args:
        on_change: called when another one may be asked for.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._asked: dict[tuple[WorkflowId, StepKey], float] = {}
        self._is_closed = False

    def may_ask(self, places: int, dispatcher: Dispatcher) -> bool:
        """Whether there is a place for one more."""
        now_s = dispatcher.clock.monotonic_s()
        self._asked = {key: due_s for key, due_s in self._asked.items() if due_s > now_s}
        return len(self._asked) < places

    def ask(self, attempt: Attempt, dispatcher: Dispatcher) -> None:
        """Tells the run that it is the attempt's turn; it asks for the attempt again."""
        due_s = dispatcher.clock.monotonic_s() + CLEARANCE_S
        self._asked[attempt.job.workflow, attempt.job.step] = due_s
        attempt.silence()
        attempt.tell_next()
        dispatcher.call_at(due_s, self._look_again)

    def settle(self, job: ActivityJob) -> None:
        """The run asks for the attempt, cleared or anew."""
        self._asked.pop((job.workflow, job.step), None)

    def close(self) -> None:
        """Nobody is asked any more."""
        self._is_closed = True

    def _look_again(self) -> None:
        if self._asked and not self._is_closed:
            self._on_change()
