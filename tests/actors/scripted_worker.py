"""A pool whose workers do what the test says, on a seeded dispatcher and in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tempolite.actors import frames
from tempolite.actors.activity_pool import ActivityPool
from tempolite.actors.clock import VirtualClock
from tempolite.actors.messages import (
    ActivityEnded,
    ActivityJob,
    ActivityLost,
    CancelActivities,
    RunActivity,
)
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tempolite.core.failure import Failure
from tempolite.core.identifiers import StepKey, WorkflowId
from tempolite.core.queues import Queue
from tempolite.core.terms import Terms
from tests.actors.probes import Collector

SHORT_S = 0.0001
FAILURE = Failure(type_name="m:E", message="no", lineage=("m:E", "builtins:Exception"))


@dataclass
class Call:
    """The callable of a job: a name, and whether it can be shipped by value."""

    name: str
    by_value_error: Exception | None = None
    reasons: list[str] = field(default_factory=list)

    def ship_by_value(self, reason: str) -> None:
        """No name led to it in a worker."""
        self.reasons.append(reason)
        if self.by_value_error is not None:
            raise self.by_value_error


class ScriptedWorker:
    """Notes what the pool asks of it, and says what the test tells it to say.

    Attributes:
        jobs: number of each job it was given, by the job's step, in order.
        asked: what it was asked to run, by step.
        log: what the pool asked for, in order: ``run a``, ``revoke a``, ``cancel a``, ``terminate``,
            ``kill``, ``hang up``.
        refuses: raised by the next ``run``.
    """

    def __init__(
        self, on_frames: Callable[..., None], on_death: Callable[..., None], *, is_thread: bool = False
    ) -> None:
        self.can_prefetch = self.can_be_killed = not is_thread
        self._on_frames, self._on_death = on_frames, on_death
        self.jobs: dict[str, int] = {}
        self.asked: dict[str, ActivityJob] = {}
        self.log: list[str] = []
        self.refuses: Exception | None = None

    # ── what the pool asks for ──────────────────────────────────────────────────────────────────────────

    def run(self, job_id: int, job: ActivityJob, _mark: int) -> None:
        """Takes an attempt."""
        self.asked[job.step] = job
        if self.refuses is not None:
            error, self.refuses = self.refuses, None
            raise error
        self.jobs[job.step] = job_id
        self.log.append(f"run {job.step}")

    def revoke(self, job_id: int) -> None:
        """Is asked for an attempt back."""
        self.log.append(f"revoke {next(step for step, number in self.jobs.items() if number == job_id)}")

    def cancel(self, job_id: int) -> None:
        """A thread is asked to end."""
        self.log.append(f"cancel {next(step for step, number in self.jobs.items() if number == job_id)}")

    def terminate(self) -> None:
        """SIGTERM."""
        self.log.append("terminate")

    def kill(self) -> None:
        """SIGKILL."""
        self.log.append("kill")

    def hang_up(self) -> None:
        """The socket was closed."""
        self.log.append("hang up")

    # ── what the test lets it say ───────────────────────────────────────────────────────────────────────

    def say(self, *said: frames.FromWorker) -> None:
        """These frames, read at once."""
        self._on_frames(self, list(said))

    def begins(self, *steps: str) -> None:
        """These attempts begin: their code is loaded."""
        self.say(*(frames.Started(self.jobs[step]) for step in steps))

    def done(self, *steps: str, result: bytes = b"1", took_s: float = 1.0) -> None:
        """These attempts returned."""
        self.say(*(frames.Done(self.jobs.pop(step), result, took_s) for step in steps))

    def failed(self, step: str) -> None:
        """This attempt raised."""
        self.say(frames.Failed(self.jobs.pop(step), FAILURE, 1.0))

    def revoked(self, *steps: str) -> None:
        """These had not begun, and will not."""
        self.say(*(frames.Revoked(self.jobs.pop(step)) for step in steps))

    def unknown(self, step: str, reason: str = "no such module") -> None:
        """No name led to its callable here."""
        self.say(frames.Unknown(self.jobs.pop(step), 1, reason))

    def die(self, cause: str = "SIGKILL") -> None:
        """It is gone."""
        self.jobs.clear()
        self._on_death(self, cause)


class PoolBench:
    """A pool with scripted workers, and a run that is told what became of its activities.

    Args:
        settings: of the queue; ``workers`` is how many at most.
        is_thread: workers can't be killed and take no more than they run.
        are_ready: each new worker says at once that it is.
    """

    def __init__(
        self, seed: int = 1, *, is_thread: bool = False, are_ready: bool = True, **settings: Any
    ) -> None:
        workers = settings.pop("workers", 1)
        self.clock = VirtualClock()
        self.dispatcher = SeededDispatcher(seed, self.clock)
        self.workers: list[ScriptedWorker] = []
        self.hire_errors: list[OSError] = []
        self._is_thread, self._are_ready = is_thread, are_ready
        self.pool = ActivityPool(Queue("q", workers=workers, **settings), workers, self._make_worker)
        self.pool.launch(self.dispatcher)
        self.run = Collector()
        self.run.launch(self.dispatcher)

    def _make_worker(self, on_frames: Callable[..., None], on_death: Callable[..., None]) -> ScriptedWorker:
        if self.hire_errors:
            raise self.hire_errors.pop(0)
        worker = ScriptedWorker(on_frames, on_death, is_thread=self._is_thread)
        self.workers.append(worker)
        if self._are_ready and not self._is_thread:
            worker.say(frames.Ready())
        return worker

    @property
    def worker(self) -> ScriptedWorker:
        """The only worker there is."""
        (worker,) = self.workers
        return worker

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────────

    def schedule(self, *steps: str, workflow: str = "w", call: Call | None = None, **options: Any) -> None:
        """Asks for an activity for each step; nothing happens before ``settle``."""
        terms = Terms(**{name: options.pop(name) for name in Terms.__struct_fields__ if name in options})
        for step in steps:
            job = ActivityJob(
                self.run.actor_ref,
                WorkflowId(workflow),
                StepKey(step),
                schedule=7,
                attempt=options.pop("attempt", 1),
                call=call or Call("m:f"),
                args=b"[[],{}]",
                idempotency_key=f"{workflow}/{step}",
                terms=terms,
                **options,
            )
            self.pool.actor_ref.tell(RunActivity(job))

    def give(self, *steps: str, **options: Any) -> None:
        """Asks for them one after the other, so that their order is certain."""
        for step in steps:
            self.schedule(step, **options)
            self.settle()

    def start(self, *steps: str, **options: Any) -> None:
        """Asks for them, and whoever got one says that it begins."""
        for step in steps:
            self.give(step, **options)
            next(worker for worker in self.workers if step in worker.jobs).begins(step)
            self.settle()

    def cancel(self, *steps: str, workflow: str = "w") -> None:
        """Asks to forget these steps, or all of the run."""
        names = tuple(StepKey(step) for step in steps)
        self.pool.actor_ref.tell(CancelActivities(WorkflowId(workflow), names))
        self.settle()

    def know_as_short(self, name: str = "m:f") -> None:
        """Runs an activity often enough to know that it is short."""
        for number in range(3):
            self.give(f"{name} warms up {number}", call=Call(name))
            next(worker for worker in self.workers if worker.jobs).done(
                f"{name} warms up {number}", took_s=SHORT_S
            )
            self.settle()
        self.run.log.clear()
        for worker in self.workers:
            worker.log.clear()

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────

    def settle(self) -> None:
        """Handles all mail; no time goes by."""
        self.dispatcher.run_until_idle(advance_time=False)

    def pass_time(self, seconds: float) -> None:
        """Lets so much time go by, with everything that falls due meanwhile."""
        arrived: list[bool] = []
        self.settle()
        self.dispatcher.call_at(self.clock.monotonic_s() + seconds, lambda: arrived.append(True))
        while not arrived:
            assert self.dispatcher.step()
        self.settle()

    # ── seeing ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def told(self) -> list[tuple[str, str]]:
        """Step, and what became of it: ``result``, the failure's type, or ``lost: cause``."""
        return [(message.step, _what(message)) for message in self.run.log]

    def given(self) -> list[list[str]]:
        """Steps that each worker has at the moment."""
        return [list(worker.jobs) for worker in self.workers]


def _what(message: ActivityEnded | ActivityLost) -> str:
    assert message.schedule == 7
    if isinstance(message, ActivityLost):
        return f"lost: {message.cause}"
    return "result" if message.failure is None else message.failure.type_name
