"""A queue's activities: who runs next, where, for how long, and what becomes of it when a worker dies.

    RunActivity ──▶ waiting (by priority) ──▶ a worker with room ──▶ ActivityEnded to the sender
                        ▲                          │ dies
                        └── unharmed, uncharged ◀──┴──▶ alone in it: ActivityLost to the sender

A worker is given more than it can run at once (prefetch) only while every activity concerned is known to
be short: then its socket is never idle, and nobody waits behind a long one. If one turns out long after
all, what waits behind it is taken back.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, assert_never

from pykka import ActorDeadError

from tempolite.actors import frames
from tempolite.actors.actor import LATER, Actor, receives
from tempolite.actors.attempts import LOST_TYPE, Attempt, Durations, Seat, WaitingList
from tempolite.actors.dispatcher import TimerHandle
from tempolite.actors.futures import Reply
from tempolite.actors.messages import (
    AttemptExpired,
    CancelActivities,
    Drain,
    RunActivity,
    ShutDown,
    WorkerDied,
    WorkerSpoke,
)
from tempolite.actors.rate_gate import RateGate
from tempolite.core.identifiers import StepKey, WorkflowId
from tempolite.core.queues import Queue

logger = logging.getLogger("tempolite")

STALL_S = 0.02
"""What waits behind an activity that runs longer than this is taken back."""

REVOKE_S = 0.05
"""A worker that works at all has answered by then that it gives something back."""

START_FAILURES_MAX = 3
"""Workers that die one after another before they are ready; then their work fails."""

LOADING_S = 30.0
"""How long a worker may take to load an activity's code, beyond the activity's own time."""

HIRE_AGAIN_S = 0.5
"""After a worker could not be started the next try is made this much later."""

HANG_UP_S = 1.0
"""An idle worker that has not ended this long after its socket was closed is killed."""


class ActivityPool(Actor):
    """One queue's workers.

    Args:
        queue: its settings.
        workers: how many at most.
        make_worker: makes one, given ``on_frames`` and ``on_death``.
    """

    def __init__(
        self,
        queue: Queue,
        workers: int,
        make_worker: Callable[[Callable[..., None], Callable[..., None]], Any],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.queue = queue
        self._workers_max = workers
        self._make_worker = make_worker
        self._waiting = WaitingList()
        self._job_ids = itertools.count(1)
        self._seats: dict[int, Seat] = {}
        self._durations = Durations()
        self._overtime: dict[tuple[WorkflowId, StepKey], int] = {}
        self._gate = RateGate(queue.rate, self._assign_soon)
        self._drain_reply: Reply[None] | None = None
        self._gone_reply: Reply[None] | None = None
        self._is_draining = False
        self._is_assigning = False
        self._stall_timer: TimerHandle | None = None
        self._start_failures = 0
        self.workers_lost = 0
        self.results_dropped = 0

    # ── messages ────────────────────────────────────────────────────────────────────────────────────────

    @receives(RunActivity)
    def on_run_activity(self, message: RunActivity) -> None:
        """Queues an attempt; it begins when a worker has room."""
        self._waiting.add(Attempt(next(self._job_ids), message.job))
        self._assign_soon()

    @receives(CancelActivities)
    def on_cancel(self, message: CancelActivities) -> None:
        """Drops what waits and stops what runs; nobody is told."""

        def is_meant(attempt: Attempt) -> bool:
            job = attempt.job
            return job.workflow == message.workflow and (not message.steps or job.step in message.steps)

        self._waiting.remove_if(is_meant)
        for seat in list(self._seats.values()):
            for attempt in filter(is_meant, list(seat.attempts.values())):
                attempt.is_cancelled = True
                self._stop_attempt(seat, attempt)

    @receives(WorkerSpoke)
    def on_worker_spoke(self, message: WorkerSpoke) -> None:
        """Takes what a worker sent."""
        seat = self._seats.get(id(message.worker))
        if seat is None:
            return
        now_s = self.dispatcher.clock.monotonic_s()
        for frame in message.frames:
            self._on_frame(seat, frame)
        self._start_clocks(seat, now_s)
        self._after_change()

    @receives(WorkerDied)
    def on_worker_died(self, message: WorkerDied) -> None:
        """Finds out whose fault it was, and gives everybody else's work to other workers."""
        seat = self._seats.pop(id(message.worker), None)
        if seat is None:
            return
        self._note_start_failure(seat)
        running = seat.running(self.queue.slots)
        was_killed_by_us = seat.is_leaving
        for attempt in seat.attempts.values():
            if attempt.timer is not None:
                attempt.timer.cancel()
            if attempt.is_cancelled:
                continue
            if attempt.is_expired:
                attempt.tell_timeout()
            elif attempt in running and not was_killed_by_us and seat.is_ready:
                if len(running) == 1:
                    attempt.tell_loss(message.cause)
                else:
                    # Nobody knows who did it: each runs again by itself, so that the guilty one shows.
                    attempt.needs_alone = True
                    self._queue_again(attempt)
            else:
                self._queue_again(attempt)
        if not was_killed_by_us:
            self.workers_lost += 1
            logger.warning("queue %r: a worker was lost (%s)", self.queue.name, message.cause)
        self._after_change()

    @receives(AttemptExpired)
    def on_attempt_expired(self, message: AttemptExpired) -> None:
        """Stops an attempt that has had its time."""
        for seat in self._seats.values():
            attempt = seat.attempts.get(message.job_id)
            if attempt is not None and not attempt.is_cancelled:
                attempt.is_expired = True
                self._stop_attempt(seat, attempt)
                return

    @receives(Drain)
    def on_drain(self, _message: Drain) -> Any:
        """Starts nothing more; answers when nothing runs."""
        self._is_draining = True
        self._waiting.remove_if(lambda _attempt: True)
        for seat in self._seats.values():
            seat.revoke_behind(self.queue.slots)
        self._drain_reply = self.reply_to
        self._after_change()
        return LATER

    @receives(ShutDown)
    def on_shut_down(self, _message: ShutDown) -> Any:
        """Ends every worker; answers when the last one is gone."""
        self._is_draining = True
        self._gone_reply = self.reply_to
        self._gate.close()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        for seat in list(self._seats.values()):
            seat.is_leaving = True
            if seat.attempts:
                seat.worker.kill()
            else:
                seat.worker.hang_up()
                self.dispatcher.call_at(self.dispatcher.clock.monotonic_s() + HANG_UP_S, seat.worker.kill)
            if not seat.worker.can_be_killed:
                del self._seats[id(seat.worker)]
        self._after_change()
        return LATER

    def counts(self) -> tuple[int, int, int]:
        """Workers at most, attempts under way, attempts waiting; read in the dispatcher's thread."""
        running = sum(min(len(seat.attempts), self.queue.slots) for seat in self._seats.values())
        given = sum(len(seat.attempts) for seat in self._seats.values())
        return self._workers_max, running, len(self._waiting) + given - running

    # ── from waiting to running ─────────────────────────────────────────────────────────────────────────

    def _queue_again(self, attempt: Attempt) -> None:
        if attempt.timer is not None:
            # Its time begins anew with its next worker.
            attempt.timer.cancel()
        if not self._is_draining:
            self._waiting.add_again(attempt)

    def _assign_soon(self) -> None:
        # Once a round: a worker then gets all its new work with one write.
        if not self._is_assigning:
            self._is_assigning = True
            self.dispatcher.before_sleep(self._assign)

    def _assign(self) -> None:
        self._is_assigning = False
        while not self._is_draining and (attempt := self._waiting.first(self._is_held)) is not None:
            seat = self._seat_for(attempt)
            if seat is None or not self._gate.may_start(self.dispatcher):
                return
            self._waiting.remove(attempt)
            self._give(seat, attempt)

    def _is_held(self, attempt: Attempt) -> bool:
        """Whether a thread that ran out of its time is still at it: no second one beside it."""
        return (attempt.job.workflow, attempt.job.step) in self._overtime

    def _seat_for(self, attempt: Attempt) -> Seat | None:
        """The worker with the fewest attempts that has room; a new one where allowed."""
        best: Seat | None = None
        for seat in self._seats.values():
            is_better = best is None or len(seat.attempts) < len(best.attempts)
            if is_better and seat.has_room(attempt, self.queue.slots, self._durations):
                best = seat
                if not seat.attempts:
                    break
        if (best is None or best.attempts) and len(self._seats) < self._workers_max:
            return self._hire() or best
        return best

    def _hire(self) -> Seat | None:
        """A new worker; None when the system has no room for one now, which is tried again later."""
        try:
            worker = self._make_worker(self._on_frames, self._on_death)
        except OSError as error:
            logger.error("queue %r: no worker could be started: %s", self.queue.name, error)
            self.dispatcher.call_at(self.dispatcher.clock.monotonic_s() + HIRE_AGAIN_S, self._assign_soon)
            return None
        seat = self._seats[id(worker)] = Seat(worker, is_ready=not worker.can_be_killed)
        return seat

    def _give(self, seat: Seat, attempt: Attempt) -> None:
        seat.add(attempt, self._durations)
        try:
            seat.worker.run(attempt.job_id, attempt.job)
        except Exception as error:
            # The callable can't be shipped: that is the caller's error, not the worker's.
            seat.attempts.pop(attempt.job_id, None)
            attempt.tell_failure(type(error), str(error))
            return
        if len(seat.attempts) <= self.queue.slots:
            self._start_clocks(seat, self.dispatcher.clock.monotonic_s())
        elif self._stall_timer is None:
            # It waits behind those that run, whose clocks have been started.
            self._watch_for_stall(self.dispatcher.clock.monotonic_s())

    def _start_clocks(self, seat: Seat, now_s: float) -> None:
        """Marks the attempts that are running by now."""
        if not seat.is_ready:
            return
        for attempt in itertools.islice(seat.attempts.values(), self.queue.slots):
            if attempt.started_s is None:
                attempt.started_s = now_s
                if attempt.is_cancelled:
                    self._stop_unless_revoked(seat, attempt, now_s)
                # A process says itself when the activity begins; loading its code is not its own time.
                self._limit(attempt, now_s + (LOADING_S if seat.worker.can_be_killed else 0.0))

    def _limit(self, attempt: Attempt, from_s: float) -> None:
        """The attempt has its time-out from then on."""
        if attempt.timer is not None:
            attempt.timer.cancel()
        if attempt.job.timeout_s is not None:
            due_s = from_s + attempt.job.timeout_s
            expired = AttemptExpired(attempt.job_id)
            attempt.timer = self.dispatcher.call_at(due_s, lambda: self._tell_self(expired))

    # ── what workers say ────────────────────────────────────────────────────────────────────────────────

    def _on_frame(self, seat: Seat, frame: frames.FromWorker) -> None:
        match frame:
            case frames.Done():
                if (attempt := self._take(seat, frame)) is not None:
                    attempt.tell_result(frame.result)
            case frames.Failed():
                if seat.is_leaving and (left := seat.attempts.get(frame.job_id)) and not left.is_expired:
                    # Our TERM may have made it fail; it runs again elsewhere, uncharged.
                    return
                if (attempt := self._take(seat, frame)) is not None:
                    attempt.tell(frame.failure)
            case frames.Unknown():
                self._on_unknown(seat, frame)
            case frames.Revoked():
                attempt = seat.attempts.pop(frame.job_id, None)
                if attempt is not None and not attempt.is_cancelled:
                    self._queue_again(attempt)
            case frames.Started():
                if (begun := seat.attempts.get(frame.job_id)) is not None:
                    # Marked here, or the clocks of this batch of frames would begin it once more.
                    begun.started_s = self.dispatcher.clock.monotonic_s()
                    self._limit(begun, begun.started_s)
                    if begun.is_cancelled:
                        # It began before it could be taken back.
                        self._stop_attempt(seat, begun)
            case frames.Ready():
                seat.is_ready = True
                self._start_failures = 0
            case _:
                assert_never(frame)

    def _take(self, seat: Seat, frame: frames.Done | frames.Failed) -> Attempt | None:
        """Removes an attempt that ended; None when nobody waits for it any more."""
        attempt = seat.attempts.pop(frame.job_id, None)
        if attempt is None:
            self.results_dropped += 1
            return None
        if attempt.timer is not None:
            attempt.timer.cancel()
        self._durations.learn(attempt.job.call.name, frame.took_s)
        if not seat.worker.can_be_killed:
            self._overtime.pop((attempt.job.workflow, attempt.job.step), None)
        if attempt.is_expired or attempt.is_cancelled:
            self.results_dropped += 1
            if attempt.is_expired and seat.worker.can_be_killed:
                attempt.tell_timeout()
            return None
        return attempt

    def _on_unknown(self, seat: Seat, frame: frames.Unknown) -> None:
        """No name leads to the callable over there: it goes by value, to every worker from now on."""
        attempt = seat.attempts.pop(frame.job_id, None)
        if attempt is None or attempt.is_cancelled:
            return
        try:
            attempt.job.call.ship_by_value(frame.reason)
        except Exception as error:
            attempt.tell_failure(type(error), str(error))
        else:
            self._queue_again(attempt)

    # ── stopping ────────────────────────────────────────────────────────────────────────────────────────

    def _stop_attempt(self, seat: Seat, attempt: Attempt) -> None:
        worker = seat.worker
        if not worker.can_be_killed:
            self._overtime[attempt.job.workflow, attempt.job.step] = attempt.job_id
            if attempt.is_expired:
                attempt.tell_timeout()
            return
        if attempt not in seat.running(self.queue.slots):
            worker.revoke(attempt.job_id)
            return
        if not seat.is_leaving:
            seat.is_leaving = True
            seat.revoke_behind(self.queue.slots)
            worker.terminate()
            grace_s = attempt.job.grace_s
            self.dispatcher.call_at(self.dispatcher.clock.monotonic_s() + grace_s, worker.kill)

    def _stop_unless_revoked(self, seat: Seat, attempt: Attempt, now_s: float) -> None:
        """It was asked back, and it is its turn: it runs by now, or the answer is on its way."""

        def stop() -> None:
            if attempt.job_id in seat.attempts:
                self._stop_attempt(seat, attempt)

        self.dispatcher.call_at(now_s + REVOKE_S, stop)

    def _watch_for_stall(self, now_s: float) -> None:
        if self._stall_timer is None:
            self._stall_timer = self.dispatcher.call_at(now_s + STALL_S, self._on_stall_timer)

    def _on_stall_timer(self) -> None:
        self._stall_timer = None
        now_s = self.dispatcher.clock.monotonic_s()
        for seat in self._seats.values():
            if len(seat.attempts) <= self.queue.slots:
                continue
            oldest = next(iter(seat.attempts.values()))
            if oldest.started_s is not None and now_s - oldest.started_s >= STALL_S:
                self._durations.learn(oldest.job.call.name, now_s - oldest.started_s)
                seat.revoke_behind(self.queue.slots)
            self._watch_for_stall(now_s)

    def _note_start_failure(self, seat: Seat) -> None:
        if seat.is_ready or seat.is_leaving:
            return
        self._start_failures += 1
        if self._start_failures < START_FAILURES_MAX:
            return
        self._start_failures = 0
        logger.error("queue %r: worker processes end before they are ready", self.queue.name)
        for attempt in [*seat.attempts.values(), *self._waiting.remove_if(lambda _attempt: True)]:
            attempt.tell_failure(None, "worker processes end before they are ready", LOST_TYPE)
        seat.attempts.clear()

    # ── telling ─────────────────────────────────────────────────────────────────────────────────────────

    def _on_frames(self, worker: Any, said: list[frames.FromWorker]) -> None:
        self._tell_self(WorkerSpoke(worker, said))

    def _on_death(self, worker: Any, cause: str) -> None:
        self._tell_self(WorkerDied(worker, cause))

    def _tell_self(self, message: Any) -> None:
        # A thread may come back after the engine was closed.
        with suppress(ActorDeadError):
            self.actor_ref.tell(message)

    def _after_change(self) -> None:
        if self._waiting:
            self._assign_soon()
        if self._drain_reply is not None and not any(seat.attempts for seat in self._seats.values()):
            self._drain_reply.set(None)
            self._drain_reply = None
        if self._gone_reply is not None and not self._seats:
            self._gone_reply.set(None)
            self._gone_reply = None
