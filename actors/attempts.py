"""What a pool knows of an attempt, and how it tells a run what became of it."""

from __future__ import annotations

from typing import Self

import msgspec
from msgspec import structs

from tempolite import errors
from tempolite.actors.actor import tell_if_alive
from tempolite.actors.dispatcher import TimerHandle
from tempolite.actors.frames import Beat
from tempolite.actors.marks_file import NO_MARK
from tempolite.actors.messages import ActivityEnded, ActivityJob, ActivityLost, ActivityNext
from tempolite.core.failure import Failure

TIMEOUT_TYPE = "tempolite.errors:ActivityTimeout"
HEARTBEAT_TYPE = "tempolite.errors:HeartbeatTimeout"
DEADLINE_TYPE = "tempolite.errors:DeadlineExceeded"
LOST_TYPE = "tempolite.errors:WorkerLost"


class Attempt(msgspec.Struct, eq=False):
    """An attempt that the pool knows of.

    Attributes:
        job_id: the pool's number of it.
        job: what is to be run.
        is_alone: nothing else may run in its worker.
        needs_clearance: the run must record first that it starts.
        mark: which mark says that it runs.
        started_s: when it seemed to begin; None while it waits.
        counts_from_s: from when its time counts.
        beat_s: when its last sign of life came.
        deadline_s: when all attempts have had their time, on the monotonic clock.
        alarm: rings when something of that is due.
        began_at: when it said that it begins, in µs since the epoch.
        heartbeat, progress: what its last heartbeat told.
        expired: name of the error type, once it has had its time.
    """

    job_id: int
    job: ActivityJob
    is_alone: bool = False
    needs_clearance: bool = False
    mark: int = NO_MARK
    started_s: float | None = None
    counts_from_s: float | None = None
    beat_s: float = 0.0
    deadline_s: float | None = None
    alarm: TimerHandle | None = None
    began_at: int | None = None
    heartbeat: bytes = b""
    progress: tuple[float, float | None] | None = None
    expired: str = ""
    is_cancelled: bool = False
    is_revoking: bool = False

    @classmethod
    def at(cls, job_id: int, job: ActivityJob) -> Self:
        """An attempt at this job."""
        terms = job.terms
        return cls(job_id, job, terms.alone or job.is_suspect, terms.once and not job.is_cleared)

    def begin(self, from_s: float, began_at: int | None) -> None:
        """Its time counts from then on; ``began_at`` where it said so itself."""
        self.counts_from_s = self.beat_s = from_s
        if began_at is not None and self.began_at is None:
            self.began_at = began_at
            if self.job.terms.deadline_s is not None and self.deadline_s is None:
                self.deadline_s = from_s + self.job.terms.deadline_s

    def reset(self) -> None:
        """It was given back, and begins anew with its next worker; all its attempts' time goes on."""
        self.started_s = self.counts_from_s = None
        self.is_revoking = False
        self.silence()

    def silence(self) -> None:
        """Its alarm does not ring."""
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None

    def limits(self) -> list[tuple[float, str]]:
        """When it has had its time, and what that is called."""
        found, terms = [], self.job.terms
        if self.deadline_s is not None:
            found.append((self.deadline_s, DEADLINE_TYPE))
        if self.counts_from_s is not None:
            if terms.timeout_s is not None:
                found.append((self.counts_from_s + terms.timeout_s, TIMEOUT_TYPE))
            if terms.heartbeat_timeout_s is not None:
                found.append((self.beat_s + terms.heartbeat_timeout_s, HEARTBEAT_TYPE))
            if self.deadline_s is None and terms.deadline_s is not None:
                # It has not said that it begins: this guards a worker that never gets to it.
                found.append((self.counts_from_s + terms.deadline_s, DEADLINE_TYPE))
        return found

    def due_by(self, now_s: float) -> str:
        """Name of the error type of the first limit that is reached by then; empty where none is."""
        return min((limit for limit in self.limits() if limit[0] <= now_s), default=(0.0, ""))[1]

    def take_beat(self, beat: Beat, now_s: float) -> None:
        """It lives."""
        self.beat_s = max(self.beat_s, now_s)
        self.heartbeat = beat.details or self.heartbeat
        self.progress = beat.progress or self.progress

    def tell_result(self, result: bytes) -> None:
        """It returned."""
        self._tell(ActivityEnded(self.job.step, self.job.schedule, self.job.attempt, result))

    def tell(self, failure: Failure) -> None:
        """It failed."""
        self._tell(
            ActivityEnded(
                self.job.step,
                self.job.schedule,
                self.job.attempt,
                None,
                failure,
                self.heartbeat,
                self.began_at,
            )
        )

    def tell_failure(self, kind: type | None, text: str, name: str = "") -> None:
        """It failed with something that the pool found."""
        self.tell(failure_of(kind, text, name))

    def tell_expired(self) -> None:
        """It has had its time."""
        number, terms = self.job.attempt, self.job.terms
        text = {
            TIMEOUT_TYPE: f"attempt {number} ran longer than {terms.timeout_s} s",
            HEARTBEAT_TYPE: f"attempt {number} gave no heartbeat within {terms.heartbeat_timeout_s} s",
            DEADLINE_TYPE: f"it was not done by its deadline, in attempt {number}",
        }[self.expired]
        failure = failure_of(None, text, self.expired)
        # No further attempt could be done in time.
        self.tell(structs.replace(failure, retryable=self.expired != DEADLINE_TYPE))

    def tell_loss(self, cause: str) -> None:
        """Its worker died, and nothing else ran there."""
        job = self.job
        self._tell(ActivityLost(job.step, job.schedule, job.attempt, cause, self.heartbeat, self.began_at))

    def tell_quarantine(self, ends: int) -> None:
        """It was running whenever the engine died, and may be why."""
        text = f"attempt {self.job.attempt} was running at {ends} unclean ends of the engine"
        failure = failure_of(None, text, LOST_TYPE)
        state = {"message": text, "cause": "unclean ends of the engine"}
        self.tell(structs.replace(failure, args=[text], state=state, retryable=False))

    def tell_next(self) -> None:
        """It is next in line, and runs once that is recorded."""
        self._tell(ActivityNext(self.job.step, self.job.schedule, self.job.attempt))

    def _tell(self, message: ActivityEnded | ActivityLost | ActivityNext) -> None:
        # The run may be gone: finished, or put away with nothing in flight.
        tell_if_alive(self.job.sender, message)


def failure_of(kind: type | None, text: str, name: str = "") -> Failure:
    """A failure that the pool itself found, as if it had been raised."""
    if kind is not None:
        lineage = tuple(
            f"{base.__module__}:{base.__qualname__}" for base in kind.__mro__ if base is not object
        )
        return Failure(type_name=lineage[0], message=text, lineage=lineage)
    return failure_of(getattr(errors, name.partition(":")[2]), text)
