"""A pool's workers: who is there, who has room, who comes and who goes."""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from tempolite.actors.attempts import Attempt
from tempolite.actors.dispatcher import Dispatcher
from tempolite.actors.waiting_list import Durations

logger = logging.getLogger("tempolite")

PREFETCH_MAX = 32
"""Attempts that one worker is given beyond its slots."""

START_FAILURES_MAX = 3
"""Workers that die one after another before they are ready; then their work fails."""

HIRE_AGAIN_S = 0.5
"""After a worker could not be started the next try is made this much later."""

HANG_UP_S = 1.0
"""An idle worker that has not ended this long after its socket was closed is killed."""

MakeWorker = Callable[[Callable[..., None], Callable[..., None]], Any]


class Seat(msgspec.Struct, eq=False):
    """A worker and what it was given, in order; the first ``slots`` of these are running."""

    worker: Any
    can_prefetch: bool
    attempts: dict[int, Attempt] = {}
    is_ready: bool = False
    is_leaving: bool = False
    is_retiring: bool = False
    has_hung_up: bool = False
    has_only_short: bool = True
    has_one_alone: bool = False

    def has_room(self, attempt: Attempt, slots: int, durations: Durations) -> bool:
        """Whether the worker may be given this one too; beyond its slots only while all are short."""
        count = len(self.attempts)
        # The fullest first: most seats of a loaded pool are asked in vain.
        if count >= slots + PREFETCH_MAX or self.is_leaving or self.is_retiring:
            return False
        if count == 0:
            return True
        if self.has_one_alone or attempt.is_alone:
            return False
        if count < slots:
            return True
        return self.has_only_short and self.can_prefetch and durations.is_short(attempt.job.call.name)

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


class Crew:
    """The workers of one pool.

    Args:
        queue: name of the pool's queue, for the log.
        slots: activities at once in each.
        workers_max: how many at most.
        make_worker: makes one, or raises ``OSError`` when the system has no room for it now.

    Attributes:
        lost: workers that died without being told to.
    """

    def __init__(self, queue: str, slots: int, workers_max: int, make_worker: Callable[[], Any]) -> None:
        self.queue, self.slots = queue, slots
        self.workers_max = workers_max
        self.lost = 0
        self._make_worker = make_worker
        self._seats: dict[int, Seat] = {}
        self._start_failures = 0
        self._sent_off = 0

    def __len__(self) -> int:
        return len(self._seats)

    def __iter__(self) -> Iterator[Seat]:
        return iter(list(self._seats.values()))

    def seat_of(self, worker: Any) -> Seat | None:
        """Its place, if it still has one."""
        return self._seats.get(id(worker))

    @property
    def is_idle(self) -> bool:
        """Whether nobody has anything to do."""
        return not any(seat.attempts for seat in self._seats.values())

    @property
    def running(self) -> int:
        """Attempts under way."""
        return sum(min(len(seat.attempts), self.slots) for seat in self._seats.values())

    @property
    def given(self) -> int:
        """Attempts under way, and those prefetched."""
        return sum(len(seat.attempts) for seat in self._seats.values())

    @property
    def idle_places(self) -> int:
        """Workers without work, and those that may still be hired."""
        return self.workers_max - sum(1 for seat in self._seats.values() if seat.attempts or seat.is_leaving)

    def seat_for(self, attempt: Attempt, durations: Durations) -> Seat | None:
        """The worker with the fewest attempts that has room, or a new one.

        Raises:
            OSError: nobody has room, and the system has none for a new one now.
        """
        best: Seat | None = None
        fewest = sys.maxsize
        for seat in self._seats.values():
            given = len(seat.attempts)
            if given < fewest and seat.has_room(attempt, self.slots, durations):
                if not given:
                    return seat
                best, fewest = seat, given
        # Who was sent off does not count as there.
        if len(self._seats) - self._sent_off >= self.workers_max:
            return best
        try:
            return self._hire()
        except OSError:
            if best is None:
                raise
            return best

    def scale(self, workers_max: int, dispatcher: Dispatcher) -> None:
        """So many at most: who is too much leaves, the idle at once, the others after their work."""
        self.workers_max = workers_max
        staying = [seat for seat in self._seats.values() if not seat.has_hung_up]
        for rank, seat in enumerate(sorted(staying, key=lambda seat: -len(seat.attempts))):
            seat.is_retiring = rank >= workers_max
            if seat.is_retiring:
                seat.revoke_behind(self.slots)
                self.let_go_if_idle(seat, dispatcher)

    def let_go_if_idle(self, seat: Seat, dispatcher: Dispatcher) -> None:
        """Who retires and has done its work leaves."""
        if seat.is_retiring and not seat.attempts and not seat.has_hung_up:
            self._hang_up(seat, dispatcher)

    def dismiss(self, dispatcher: Dispatcher) -> None:
        """Everybody leaves now: what still runs is killed."""
        for seat in self:
            seat.is_leaving = True
            if not seat.attempts:
                self._hang_up(seat, dispatcher)
                continue
            seat.worker.kill()
            if not seat.worker.can_be_killed:
                self.remove(seat.worker)

    def remove(self, worker: Any) -> Seat | None:
        """It is gone."""
        seat = self._seats.pop(id(worker), None)
        if seat is not None and seat.has_hung_up:
            self._sent_off -= 1
        return seat

    def became_ready(self, seat: Seat) -> None:
        """It can run activities: those that died before it are forgiven."""
        seat.is_ready = True
        self._start_failures = 0

    def is_hopeless_after(self, seat: Seat) -> bool:
        """Whether the death of this one shows that workers can't be started here."""
        if seat.is_ready or seat.is_leaving or seat.is_retiring:
            return False
        self._start_failures += 1
        if self._start_failures < START_FAILURES_MAX:
            return False
        self._start_failures = 0
        logger.error("queue %r: worker processes end before they are ready", self.queue)
        return True

    def _hire(self) -> Seat:
        worker = self._make_worker()
        seat = self._seats[id(worker)] = Seat(worker, worker.can_prefetch, is_ready=not worker.can_be_killed)
        return seat

    def _hang_up(self, seat: Seat, dispatcher: Dispatcher) -> None:
        if not seat.has_hung_up:
            seat.has_hung_up = True
            self._sent_off += 1
        seat.worker.hang_up()
        if seat.worker.can_be_killed:
            dispatcher.call_at(dispatcher.clock.monotonic_s() + HANG_UP_S, seat.worker.kill)
        else:
            self.remove(seat.worker)
