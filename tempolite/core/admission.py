"""Who of a queue's root runs may be active: at most ``max_runs`` at once, the others in line.

A line is ordered by priority, then by who came first. Children and continuations never stand in it, so a
parent never waits for a child that waits behind it.
"""

from __future__ import annotations

import heapq
import itertools

from tempolite.core.identifiers import WorkflowId


class RunLine:
    """The root runs of one queue.

    Args:
        max_runs: how many are active at once; None is no limit.
    """

    def __init__(self, max_runs: int | None) -> None:
        self.max_runs = max_runs
        self._active: set[WorkflowId] = set()
        self._line: list[tuple[int, int, WorkflowId]] = []
        self._waiting: dict[WorkflowId, int] = {}
        self._order = itertools.count()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def active(self) -> int:
        """How many are active."""
        return len(self._active)

    def is_active(self, workflow: WorkflowId) -> bool:
        """Whether it has a place."""
        return workflow in self._active

    def enter(self, workflow: WorkflowId, priority: int = 0) -> bool:
        """Whether it may be active now; else it waits in line."""
        if workflow in self._active:
            return True
        if not self._waiting and self._has_room():
            self._active.add(workflow)
            return True
        if workflow not in self._waiting:
            number = self._waiting[workflow] = next(self._order)
            heapq.heappush(self._line, (-priority, number, workflow))
        return False

    def take_back(self, workflow: WorkflowId) -> None:
        """It was active before the engine started: it has a place even where that is one too many."""
        self._active.add(workflow)

    def rest(self, workflow: WorkflowId) -> None:
        """It doesn't go on for now: an active one gives its place back, one in line keeps standing there."""
        self._active.discard(workflow)

    def leave(self, workflow: WorkflowId) -> None:
        """It is gone, from its place or from the line."""
        self._active.discard(workflow)
        self._waiting.pop(workflow, None)

    def admit(self) -> list[WorkflowId]:
        """Those in line that have a place now."""
        admitted = []
        while self._waiting and self._has_room():
            _, number, workflow = heapq.heappop(self._line)
            # One that left and came again stands further back; its old place is void.
            if self._waiting.get(workflow) == number:
                del self._waiting[workflow]
                self._active.add(workflow)
                admitted.append(workflow)
        return admitted

    def _has_room(self) -> bool:
        return self.max_runs is None or len(self._active) < self.max_runs
