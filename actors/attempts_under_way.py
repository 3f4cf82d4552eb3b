"""Attempts that workers have: time, what is said of them, how they are stopped, who pays for deaths."""

from __future__ import annotations

import itertools
import logging
from contextlib import suppress
from typing import Any, assert_never

from pykka import ActorDeadError

from tempolite.actors import frames
from tempolite.actors.actor import Actor, receives
from tempolite.actors.attempts import LOST_TYPE, Attempt
from tempolite.actors.crew import Crew, MakeWorker, Seat
from tempolite.actors.marks_file import NO_MARK
from tempolite.actors.messages import AttemptExpired, WorkerDied, WorkerSpoke
from tempolite.actors.running_marks import RunningMarks
from tempolite.actors.waiting_list import Durations, WaitingList
from tempolite.actors.worker_logs import log_as_told
from tempolite.core.identifiers import StepKey, WorkflowId
from tempolite.core.queues import Queue

logger = logging.getLogger("tempolite")

REVOKE_S = 0.05
"""A worker that works at all has answered by then that it gives something back."""

LOOK_S = 0.5
"""An activity that looks at ``ctx.cancelled`` at all does so within this time."""

LOADING_S = 30.0
"""How long a worker may take to load an activity's code, beyond the activity's own time."""


class AttemptsUnderWay(Actor):
    """The part of a pool that looks after attempts from their worker to their end.

    Args:
        queue: its settings.
        workers: how many at most.
        make_worker: makes one, given ``on_frames`` and ``on_death``.
        marks: where it is marked which attempts run.

    Attributes:
        results_dropped: results that came when nobody waited for them any more.
    """

    def __init__(
        self,
        queue: Queue,
        workers: int,
        make_worker: MakeWorker,
        marks: RunningMarks | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.queue = queue
        self._crew = Crew(
            queue.name, queue.slots, workers, lambda: make_worker(self._on_frames, self._on_death)
        )
        self._marks = marks or RunningMarks(None, was_clean=True)
        self._waiting = WaitingList()
        self._durations = Durations()
        self._overtime: dict[tuple[WorkflowId, StepKey], int] = {}
        self._is_draining = False
        self.results_dropped = 0

    def on_change(self) -> None:
        """Somebody has room, or is gone; the pool's business."""
        raise NotImplementedError

    # ── messages ────────────────────────────────────────────────────────────────────────────────────────

    @receives(WorkerSpoke)
    def on_worker_spoke(self, message: WorkerSpoke) -> None:
        """Takes what a worker sent."""
        seat = self._crew.seat_of(message.worker)
        if seat is None:
            return
        now_s = self._now_s()
        for frame in message.frames:
            self._on_frame(seat, frame)
        self._start_clocks(seat, now_s)
        self._crew.let_go_if_idle(seat, self.dispatcher)
        self.on_change()

    @receives(WorkerDied)
    def on_worker_died(self, message: WorkerDied) -> None:
        """Finds out whose fault it was, and gives everybody else's work to other workers."""
        seat = self._crew.remove(message.worker)
        if seat is None:
            return
        if self._crew.is_hopeless_after(seat):
            self._fail_all(seat)
        running = seat.running(self.queue.slots) if seat.is_ready and not seat.is_leaving else []
        for attempt in seat.attempts.values():
            self._take_from_the_dead(attempt, running, message.cause)
        if not seat.is_leaving and not seat.has_hung_up:
            self._crew.lost += 1
            logger.warning("queue %r: a worker was lost (%s)", self.queue.name, message.cause)
        self.on_change()

    @receives(AttemptExpired)
    def on_attempt_expired(self, message: AttemptExpired) -> None:
        """Stops an attempt that has had its time."""
        if (attempt := self._waiting.find(message.job_id)) is not None:
            self._waiting.remove(attempt)
            attempt.expired = attempt.due_by(self._now_s())
            attempt.tell_expired()
            return
        for seat in self._crew:
            attempt = seat.attempts.get(message.job_id)
            if attempt is None or attempt.is_cancelled or attempt.expired:
                continue
            attempt.expired = attempt.due_by(self._now_s())
            if attempt.expired:
                self._stop_attempt(seat, attempt)
            else:
                # It gave a heartbeat meanwhile.
                self._set_alarm(attempt)

    # ── their time ──────────────────────────────────────────────────────────────────────────────────────────

    def _start_clocks(self, seat: Seat, now_s: float) -> None:
        """Marks the attempts that are running by now."""
        if not seat.is_ready:
            return
        for attempt in itertools.islice(seat.attempts.values(), self.queue.slots):
            if attempt.started_s is not None:
                continue
            attempt.started_s = now_s
            if attempt.is_cancelled:
                self._stop_unless_revoked(seat, attempt, now_s)
            if seat.worker.can_be_killed:
                # A process says itself when the activity begins; loading its code is not its own time.
                attempt.begin(now_s + LOADING_S, None)
            else:
                attempt.begin(now_s, self.dispatcher.clock.now_us())
            self._set_alarm(attempt)

    def _set_alarm(self, attempt: Attempt) -> None:
        """It rings when the first of the attempt's limits is reached."""
        attempt.silence()
        if limits := attempt.limits():
            expired = AttemptExpired(attempt.job_id)
            attempt.alarm = self.dispatcher.call_at(min(limits)[0], lambda: self._tell_self(expired))

    def _queue_again(self, attempt: Attempt) -> None:
        self._leave(attempt, is_over=False)
        if not self._is_draining:
            self._waiting.add_again(attempt)
            self._set_alarm(attempt)

    # ── what workers say ────────────────────────────────────────────────────────────────────────────────

    def _on_frame(self, seat: Seat, frame: frames.FromWorker) -> None:
        match frame:
            case frames.Done():
                if (attempt := self._take(seat, frame)) is not None:
                    attempt.tell_result(frame.result)
            case frames.Failed():
                if seat.is_leaving and (left := seat.attempts.get(frame.job_id)) and not left.expired:
                    # Our TERM may have made it fail; it runs again elsewhere, uncharged.
                    return
                if (attempt := self._take(seat, frame)) is not None:
                    attempt.tell(frame.failure)
            case frames.Exhausted():
                seat.is_retiring = True
                if (attempt := self._take(seat, frame)) is not None:
                    attempt.tell_loss(f"memory limit of {attempt.job.terms.memory_limit} bytes")
            case frames.Unknown():
                self._on_unknown(seat, frame)
            case frames.Revoked():
                attempt = seat.attempts.pop(frame.job_id, None)
                if attempt is not None and not attempt.is_cancelled:
                    self._queue_again(attempt)
                elif attempt is not None:
                    self._leave(attempt, is_over=True)
            case frames.Started():
                self._on_started(seat, frame)
            case frames.Beat():
                if (attempt := seat.attempts.get(frame.job_id)) is not None:
                    attempt.take_beat(frame, self._now_s())
            case frames.Ready():
                self._crew.became_ready(seat)
            case frames.Logged():
                log_as_told(frame.record)
            case _:
                assert_never(frame)

    def _on_started(self, seat: Seat, frame: frames.Started) -> None:
        attempt = seat.attempts.get(frame.job_id)
        if attempt is None:
            return
        # Marked here, or the clocks of this batch of frames would begin it once more.
        attempt.started_s = self._now_s()
        attempt.begin(attempt.started_s, self.dispatcher.clock.now_us())
        self._set_alarm(attempt)
        if attempt.is_cancelled:
            # It began before it could be taken back.
            self._stop_attempt(seat, attempt)

    def _take(self, seat: Seat, frame: frames.Done | frames.Failed | frames.Exhausted) -> Attempt | None:
        """Removes an attempt that ended; None when nobody waits for it any more."""
        attempt = seat.attempts.pop(frame.job_id, None)
        if attempt is None:
            self.results_dropped += 1
            return None
        self._leave(attempt, is_over=not isinstance(frame, frames.Exhausted))
        if not isinstance(frame, frames.Exhausted):
            self._durations.learn(attempt.job.call.name, frame.took_s)
        if not seat.worker.can_be_killed:
            self._overtime.pop((attempt.job.workflow, attempt.job.step), None)
        if attempt.expired or attempt.is_cancelled:
            self.results_dropped += 1
            if attempt.expired and seat.worker.can_be_killed:
                attempt.tell_expired()
            return None
        return attempt

    def _take_from_the_dead(self, attempt: Attempt, running: list[Attempt], cause: str) -> None:
        """What becomes of one that a dead worker had; ``running`` are those that may have killed it."""
        self._leave(attempt, is_over=attempt.is_cancelled or bool(attempt.expired))
        if attempt.is_cancelled:
            return
        if attempt.expired:
            attempt.tell_expired()
        elif running == [attempt]:
            attempt.tell_loss(cause)
        else:
            # Nobody knows who did it: each runs again by itself, so that the guilty one shows.
            attempt.is_alone = attempt.is_alone or attempt in running
            self._queue_again(attempt)

    def _leave(self, attempt: Attempt, *, is_over: bool) -> None:
        """It is in no worker any more."""
        attempt.silence()
        self._marks.release(attempt.mark, is_over=is_over)
        attempt.mark = NO_MARK

    def _on_unknown(self, seat: Seat, frame: frames.Unknown) -> None:
        """No name leads to the callable over there: it goes by value, to every worker from now on."""
        attempt = seat.attempts.pop(frame.job_id, None)
        if attempt is None:
            return
        if attempt.is_cancelled:
            self._leave(attempt, is_over=True)
            return
        try:
            attempt.job.call.ship_by_value(frame.reason)
        except Exception as error:
            self._leave(attempt, is_over=True)
            attempt.tell_failure(type(error), str(error))
        else:
            self._queue_again(attempt)

    # ── stopping ────────────────────────────────────────────────────────────────────────────────────────

    def _stop_attempt(self, seat: Seat, attempt: Attempt) -> None:
        worker = seat.worker
        if not worker.can_be_killed:
            self._overtime[attempt.job.workflow, attempt.job.step] = attempt.job_id
            worker.cancel(attempt.job_id)
            if attempt.expired:
                attempt.tell_expired()
            return
        if attempt not in seat.running(self.queue.slots):
            worker.revoke(attempt.job_id)
            return
        if not seat.is_leaving:
            seat.is_leaving = True
            seat.revoke_behind(self.queue.slots)
            worker.terminate()
            now_s, grace_s = self._now_s(), attempt.job.terms.grace_s
            # For who might look at `ctx.cancelled` and does not, and for who does not end by it.
            self.dispatcher.call_at(now_s + min(LOOK_S, grace_s / 4), worker.terminate)
            self.dispatcher.call_at(now_s + grace_s / 2, worker.terminate)
            self.dispatcher.call_at(now_s + grace_s, worker.kill)

    def _stop_unless_revoked(self, seat: Seat, attempt: Attempt, now_s: float) -> None:
        """It was asked back, and it is its turn: it runs by now, or the answer is on its way."""

        def stop() -> None:
            if attempt.job_id in seat.attempts:
                self._stop_attempt(seat, attempt)

        self.dispatcher.call_at(now_s + REVOKE_S, stop)

    def _fail_all(self, seat: Seat) -> None:
        """No worker gets ready here: what it had and what waits fails."""
        for attempt in [*seat.attempts.values(), *self._waiting.remove_if(lambda _attempt: True)]:
            self._leave(attempt, is_over=True)
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

    def _now_s(self) -> float:
        return self.dispatcher.clock.monotonic_s()
