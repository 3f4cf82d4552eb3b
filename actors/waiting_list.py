"""Who waits for a worker, and in what order; what is known of how long activities run."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from tempolite.actors.attempts import Attempt

SHORT_S = 0.002
"""An activity that takes less, by its moving average, may be prefetched."""

FIRST_PLACES = 1 << 62
"""More than there will ever be attempts: an earlier one that is given back goes before a later one."""

DURATIONS_MAX = 1_000


class WaitingList:
    """Attempts that wait for a worker: by priority, then in order."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Attempt]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, attempt: Attempt) -> None:
        """Behind those of its priority."""
        heapq.heappush(self._heap, (-attempt.job.terms.priority, next(self._order), attempt))

    def add_again(self, attempt: Attempt) -> None:
        """Before those that never had a worker; it was given back, or is recorded as starting."""
        attempt.reset()
        heapq.heappush(self._heap, (-attempt.job.terms.priority, -FIRST_PLACES + attempt.job_id, attempt))

    def first(self, is_held: Callable[[Attempt], bool]) -> Attempt | None:
        """Who is next; those that are held are passed over, and stay where they are."""
        if not self._heap or not is_held(self._heap[0][2]):
            return self._heap[0][2] if self._heap else None
        return next((item[2] for item in sorted(self._heap) if not is_held(item[2])), None)

    def find(self, job_id: int) -> Attempt | None:
        """The one of this number."""
        return next((item[2] for item in self._heap if item[2].job_id == job_id), None)

    def remove(self, attempt: Attempt) -> None:
        """It got a worker."""
        if self._heap[0][2] is attempt:
            heapq.heappop(self._heap)
        else:
            self.remove_if(lambda other: other is attempt)

    def remove_if(self, is_meant: Callable[[Attempt], bool]) -> list[Attempt]:
        """Takes out all that are meant."""
        removed = [item[2] for item in self._heap if is_meant(item[2])]
        if removed:
            self._heap = [item for item in self._heap if not is_meant(item[2])]
            heapq.heapify(self._heap)
        return removed


class Durations:
    """Moving averages of how long activities run, by name."""

    def __init__(self) -> None:
        self._averages: dict[str, float] = {}

    def learn(self, name: str, seconds: float) -> None:
        """One of them took that long."""
        before = self._averages.get(name)
        if before is None and len(self._averages) >= DURATIONS_MAX:
            self._averages.clear()
        self._averages[name] = seconds if before is None else 0.8 * before + 0.2 * seconds

    def is_short(self, name: str) -> bool:
        """Whether it is known to be short."""
        return self._averages.get(name, SHORT_S) < SHORT_S
