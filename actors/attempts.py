"""What a pool knows of an attempt and of a worker's place, and how it tells a run what became of it."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any

import msgspec

from tempolite import errors
from tempolite.actors.actor import tell_if_alive
from tempolite.actors.dispatcher import TimerHandle
from tempolite.actors.messages import ActivityEnded, ActivityJob, ActivityLost
from tempolite.core.failure import Failure

SHORT_S = 0.002
"""An activity that takes less, by its moving average, may be prefetched."""

FIRST_PLACES = 1 << 62
"""More than there will ever be attempts: an earlier one that is given back goes before a later one."""

DURATIONS_MAX = 1_000

PREFETCH_MAX = 32
"""Attempts that one worker is given beyond its slots."""

TIMEOUT_TYPE = "tempolite.errors:ActivityTimeout"
LOST_TYPE = "tempolite.errors:WorkerLost"


class Attempt(msgspec.Struct, eq=False):
    """An attempt that the pool knows of."""

    job_id: int
    job: ActivityJob
    started_s: float | None = None
    timer: TimerHandle | None = None
    is_expired: bool = False
    is_cancelled: bool = False
    needs_alone: bool = False
    is_revoking: bool = False

    @property
    def is_alone(self) -> bool:
        """Whether nothing else may run in its worker."""
        return self.job.alone or self.needs_alone

    def tell_result(self, result: bytes) -> None:
        """It returned."""
        self._tell(ActivityEnded(self.job.step, self.job.schedule, self.job.attempt, result))

    def tell(self, failure: Failure) -> None:
        """It failed."""
        self._tell(ActivityEnded(self.job.step, self.job.schedule, self.job.attempt, None, failure))

    def tell_failure(self, kind: type | None, text: str, name: str = "") -> None:
        """It failed with something that the pool found."""
        self.tell(failure_of(kind, text, name))

    def tell_timeout(self) -> None:
        """It has had its time."""
        text = f"attempt {self.job.attempt} ran longer than {self.job.timeout_s:g} s"
        self.tell_failure(None, text, TIMEOUT_TYPE)

    def tell_loss(self, cause: str) -> None:
        """Its worker died, and nothing else ran there."""
        self._tell(ActivityLost(self.job.step, self.job.schedule, self.job.attempt, cause))

    def _tell(self, message: ActivityEnded | ActivityLost) -> None:
        # The run may be gone: finished, or put away with nothing in flight.
        tell_if_alive(self.job.sender, message)


class Seat(msgspec.Struct, eq=False):
    """A worker and what it was given, in order; the first ``slots`` of these are running."""

    worker: Any
    attempts: dict[int, Attempt] = {}
    is_ready: bool = False
    is_leaving: bool = False
    has_only_short: bool = True
    has_one_alone: bool = False

    def has_room(self, attempt: Attempt, slots: int, durations: Durations) -> bool:
        """Whether the worker may be given this one too; beyond its slots only while all are short."""
        count = len(self.attempts)
        if self.is_leaving:
            return False
        if count == 0:
            return True
        if self.has_one_alone or attempt.is_alone:
            return False
        if count < slots:
            return True
        if not self.worker.can_prefetch or count >= slots + PREFETCH_MAX:
            return False
        return self.has_only_short and durations.is_short(attempt.job.call.name)

    def add(self, attempt: Attempt, durations: Durations) -> None:
        """The worker is given it."""
        if not self.attempts:
            self.has_only_short, self.has_one_alone = True, attempt.is_alone
        if self.has_only_short:
            self.has_only_short = durations.is_short(attempt.job.call.name)
        self.attempts[attempt.job_id] = attempt

    def revoke_behind(self, slots: int) -> None:
        """Asks for everything back that has not begun."""
        for attempt in list(self.attempts.values())[slots:]:
            if not attempt.is_revoking:
                attempt.is_revoking = True
                self.worker.revoke(attempt.job_id)

    def running(self, slots: int) -> list[Attempt]:
        """Those that have begun."""
        return list(itertools.islice(self.attempts.values(), slots))


class WaitingList:
    """Attempts that wait for a worker: by priority, then in order."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Attempt]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, attempt: Attempt) -> None:
        """Behind those of its priority."""
        heapq.heappush(self._heap, (-attempt.job.priority, next(self._order), attempt))

    def add_again(self, attempt: Attempt) -> None:
        """Before those that never had a worker; it was given back."""
        attempt.started_s, attempt.timer, attempt.is_revoking = None, None, False
        heapq.heappush(self._heap, (-attempt.job.priority, -FIRST_PLACES + attempt.job_id, attempt))

    def first(self, is_held: Callable[[Attempt], bool]) -> Attempt | None:
        """Who is next; those that are held are passed over, and stay where they are."""
        if not self._heap or not is_held(self._heap[0][2]):
            return self._heap[0][2] if self._heap else None
        return next((item[2] for item in sorted(self._heap) if not is_held(item[2])), None)

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


def failure_of(kind: type | None, text: str, name: str = "") -> Failure:
    """A failure that the pool itself found, as if it had been raised."""
    if kind is not None:
        lineage = tuple(
            f"{base.__module__}:{base.__qualname__}" for base in kind.__mro__ if base is not object
        )
        return Failure(type_name=lineage[0], message=text, lineage=lineage)
    return failure_of(getattr(errors, name.partition(":")[2]), text)
