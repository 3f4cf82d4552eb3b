"""A queue's activities: who runs next, where, for how long, and what becomes of it when a worker dies.

    RunActivity ──▶ waiting (by priority) ──▶ a worker with room ──▶ ActivityEnded to the sender
                        ▲                          │ dies
                        └── unharmed, uncharged ◀──┴──▶ alone in it: ActivityLost to the sender

A worker is given more than it can run at once (prefetch) only while every activity concerned is known to
be short: then its socket is never idle, and nobody waits behind a long one. If one turns out long after
all, what waits behind it is taken back. Who the workers are is the business of ``crew.py``.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from typing import Any

from tempolite.actors.actor import LATER, receives
from tempolite.actors.attempts import Attempt
from tempolite.actors.attempts_under_way import AttemptsUnderWay
from tempolite.actors.clearances import Clearances
from tempolite.actors.crew import HIRE_AGAIN_S, MakeWorker, Seat
from tempolite.actors.futures import Reply
from tempolite.actors.messages import (
    CancelActivities,
    Drain,
    RunActivity,
    Scale,
    ShutDown,
)
from tempolite.actors.rate_gate import RateGate
from tempolite.actors.running_marks import UNCLEAN_ENDS_MAX
from tempolite.actors.stall_watch import StallWatch
from tempolite.core.identifiers import StepKey, WorkflowId
from tempolite.core.queues import Queue

logger = logging.getLogger("tempolite")


class ActivityPool(AttemptsUnderWay):
    """One queue's activities: what waits, and who gets which worker."""

    def __init__(
        self, queue: Queue, workers: int, make_worker: MakeWorker, *marks: Any, **options: Any
    ) -> None:
        super().__init__(queue, workers, make_worker, *marks, **options)
        self._job_ids = itertools.count(1)
        self._gate = RateGate(queue.rate, self._assign_soon)
        self._clearances = Clearances(self._assign_soon)
        self._stall_watch = StallWatch(self._crew, self._durations)
        self._drain_reply: Reply[None] | None = None
        self._gone_reply: Reply[None] | None = None
        self._is_assigning = False

    # ── messages ────────────────────────────────────────────────────────────────────────────────────────

    @receives(RunActivity)
    def on_run_activity(self, message: RunActivity) -> None:
        """Queues an attempt; it begins when a worker has room."""
        job = message.job
        attempt = Attempt.at(next(self._job_ids), job)
        if self._marks.has_counts:
            ends = self._marks.unclean_ends(job.attempt_key())
            if ends >= UNCLEAN_ENDS_MAX:
                attempt.tell_quarantine(ends)
                return
        if job.deadline_at is not None:
            left_s = (job.deadline_at - self.dispatcher.clock.now_us()) / 1e6
            attempt.deadline_s = self._now_s() + left_s
            self._set_alarm(attempt)
        if job.terms.once:
            self._clearances.settle(job)
        if job.is_cleared:
            self._waiting.add_again(attempt)
        else:
            self._waiting.add(attempt)
        self._assign_soon()

    @receives(CancelActivities)
    def on_cancel(self, message: CancelActivities) -> None:
        """Drops what waits and stops what runs; nobody is told."""

        def is_meant(attempt: Attempt) -> bool:
            job = attempt.job
            return job.workflow == message.workflow and (not message.steps or job.step in message.steps)

        for attempt in self._waiting.remove_if(is_meant):
            attempt.silence()
        for seat in self._crew:
            for attempt in filter(is_meant, list(seat.attempts.values())):
                attempt.is_cancelled = True
                self._stop_attempt(seat, attempt)

    @receives(Scale)
    def on_scale(self, message: Scale) -> int:
        """Has so many workers from now on; answers how many it had."""
        before = self._crew.workers_max
        if not self._is_draining:
            self._crew.scale(message.workers, self.dispatcher)
            self.on_change()
        return before

    @receives(Drain)
    def on_drain(self, _message: Drain) -> Any:
        """Starts nothing more; answers when nothing runs."""
        self._is_draining = True
        for attempt in self._waiting.remove_if(lambda _attempt: True):
            attempt.silence()
        for seat in self._crew:
            seat.revoke_behind(self.queue.slots)
        self._drain_reply = self.reply_to
        self.on_change()
        return LATER

    @receives(ShutDown)
    def on_shut_down(self, _message: ShutDown) -> Any:
        """Ends every worker; answers when the last one is gone."""
        self._is_draining = True
        self._gone_reply = self.reply_to
        self._gate.close()
        self._clearances.close()
        self._stall_watch.close()
        self._crew.dismiss(self.dispatcher)
        self.on_change()
        return LATER

    # ── what the system asks, in the dispatcher's thread ────────────────────────────────────────────────

    def counts(self) -> tuple[int, int, int]:
        """Workers at most, attempts under way, attempts waiting."""
        running = self._crew.running
        return self._crew.workers_max, running, len(self._waiting) + self._crew.given - running

    def under_way(self) -> Iterator[tuple[Seat, Attempt]]:
        """What workers have, and who has it."""
        return ((seat, attempt) for seat in self._crew for attempt in list(seat.attempts.values()))

    @property
    def has_waiting(self) -> bool:
        """Whether attempts wait for a worker, a rate or their clearance."""
        return bool(self._waiting)

    @property
    def workers_lost(self) -> int:
        """Workers that died without being told to."""
        return self._crew.lost

    def progress_of(self, workflow: WorkflowId) -> dict[StepKey, tuple[float, float | None]]:
        """How far the activities of a run are that told so."""
        given = (attempt for seat in self._crew for attempt in seat.attempts.values())
        mine = (attempt for attempt in given if attempt.job.workflow == workflow)
        return {attempt.job.step: attempt.progress for attempt in mine if attempt.progress is not None}

    # ── from waiting to running ─────────────────────────────────────────────────────────────────────────

    def _assign_soon(self) -> None:
        # Once a round: a worker then gets all its new work with one write.
        if not self._is_assigning:
            self._is_assigning = True
            self.dispatcher.before_sleep(self._assign)

    def _assign(self) -> None:
        self._is_assigning = False
        while not self._is_draining and (attempt := self._waiting.first(self._is_held)) is not None:
            seat = self._seat_for(attempt)
            if seat is None:
                return
            if attempt.needs_clearance:
                if not self._clearances.may_ask(self._crew.idle_places, self.dispatcher):
                    return
                self._waiting.remove(attempt)
                self._clearances.ask(attempt, self.dispatcher)
                continue
            if self._gate.is_limited and not self._gate.may_start(self.dispatcher):
                return
            self._waiting.remove(attempt)
            self._give(seat, attempt)

    def _is_held(self, attempt: Attempt) -> bool:
        """Whether a thread that ran out of its time is still at it: no second one beside it."""
        return bool(self._overtime) and (attempt.job.workflow, attempt.job.step) in self._overtime

    def _seat_for(self, attempt: Attempt) -> Seat | None:
        try:
            return self._crew.seat_for(attempt, self._durations)
        except OSError as error:
            logger.error("queue %r: no worker could be started: %s", self.queue.name, error)
            self.dispatcher.call_at(self._now_s() + HIRE_AGAIN_S, self._assign_soon)
            return None

    def _give(self, seat: Seat, attempt: Attempt) -> None:
        seat.add(attempt, self._durations)
        attempt.mark = self._marks.claim(attempt.job.attempt_key())
        try:
            seat.worker.run(attempt.job_id, attempt.job, attempt.mark)
        except Exception as error:
            # The callable can't be shipped: that is the caller's error, not the worker's.
            seat.attempts.pop(attempt.job_id, None)
            self._leave(attempt, is_over=True)
            attempt.tell_failure(type(error), str(error))
            return
        if len(seat.attempts) <= self.queue.slots:
            self._start_clocks(seat, self._now_s())
        else:
            # It waits behind those that run, whose clocks have been started.
            self._stall_watch.begin(self.dispatcher)

    def on_change(self) -> None:
        """Gives out what waits, and answers who waits for the end."""
        if self._waiting:
            self._assign_soon()
        if self._drain_reply is not None and self._crew.is_idle:
            self._drain_reply.set(None)
            self._drain_reply = None
        if self._gone_reply is not None and not len(self._crew):
            self._gone_reply.set(None)
            self._gone_reply = None
