"""Events in, state out: what a run's stream says, folded.

History is the truth. Everything else that is known of a run (its row in ``runs``, its live code) can be
made again from what :func:`fold` returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from tempolite.core import events
from tempolite.core.events import AnyBody, Entry
from tempolite.core.failure import Failure
from tempolite.core.identifiers import StepKey
from tempolite.core.status import Status


class StepKind(StrEnum):
    """What a step asks for; a name keeps its kind for the life of the run."""

    ACTIVITY = "activity"
    SIDE_EFFECT = "side effect"
    CHILD = "child workflow"


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How a step ended: a value (as the codec's JSON) or a failure."""

    seq: int
    at: int
    result: bytes | None = None
    failure: Failure | None = None
    cancelled: bool = False

    @property
    def is_success(self) -> bool:
        """Whether the step gave a value."""
        return self.failure is None


class StepRecord(msgspec.Struct, gc=False):
    """What the stream says of one step."""

    key: StepKey
    kind: StepKind
    function: str = ""
    args: bytes = b""
    child: str = ""
    detached: bool = False
    scheduled_seq: int = 0
    """Sequence number of the latest scheduling: tells one schedule's attempts from another's."""
    attempts: int = 0
    """Attempts that ended in failure, of this scheduling."""
    losses: int = 0
    """Worker processes that died under it alone."""
    retry_at: int | None = None
    last_failure: Failure | None = None
    outcome: Outcome | None = None
    schedulings: int = 0
    """How often the code asked for it anew, after it had failed in an earlier attempt of the run."""
    is_open: bool = False
    """Scheduled, and neither ended nor given up by a new attempt of the run."""


class RunState(msgspec.Struct):
    """What a run's stream says of the run."""

    created: events.RunCreated
    seq: int = 0
    last_at: int = 0
    began_at: int | None = None
    """When the current attempt of the code began; None for a run that is not started."""
    attempt: int = 1
    resumes: int = 0
    """Attempts that began because somebody asked for them."""
    budget_from: int = 0
    """Attempts before the retry budget was last renewed."""
    retry_at: int | None = None
    steps: dict[StepKey, StepRecord] = {}
    problem: str = ""
    problem_kind: str = ""
    result: bytes | None = None
    failure: Failure | None = None
    finished: Status | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the outcome of the run is recorded."""
        return self.finished is not None

    def apply(self, entry: Entry) -> None:
        """Takes the next entry of the stream.

        Entries come in order and without gaps; anything else is a damaged stream.
        """
        assert entry.seq == self.seq + 1, f"entry {entry.seq} after {self.seq}"
        assert entry.at >= self.last_at, f"entry {entry.seq} lies before its predecessor"
        self.seq, self.last_at = entry.seq, entry.at
        if entry.step:
            self._apply_to_step(entry, entry.body)
        else:
            self._apply_to_run(entry, entry.body)

    def _apply_to_run(self, entry: Entry, body: AnyBody) -> None:
        match body:
            case events.RunCreated():
                self.began_at = None if body.deferred else entry.at
            case events.RunStarted():
                self.began_at = entry.at
            case events.RunAttemptFailed():
                self.retry_at = body.retry_at
            case events.AttemptBegan():
                self._begin_attempt(entry, is_asked_for=body.reason == "resume")
            case events.RunCompleted():
                self.finished, self.result = Status.COMPLETED, bytes(body.result)
            case events.RunFailed():
                self.finished, self.failure = Status.FAILED, body.failure
            case events.RunStuck():
                self.problem, self.problem_kind = body.problem, body.kind
            case events.RunUnstuck():
                self.problem = self.problem_kind = ""
            case _:
                raise AssertionError(f"{type(body).__name__} names no step")

    def _apply_to_step(self, entry: Entry, body: AnyBody) -> None:
        match body:
            case events.ActivityScheduled():
                self._open(entry, StepKind.ACTIVITY, body.function, bytes(body.args))
            case events.ChildScheduled():
                step = self._open(entry, StepKind.CHILD, body.function, bytes(body.args))
                step.child, step.detached = body.child, body.detached
            case events.ActivityAttemptFailed():
                step = self.steps[entry.step]
                step.attempts, step.retry_at, step.last_failure = entry.attempt, body.retry_at, body.failure
                step.losses = 0
            case events.ActivityWorkerLost():
                self.steps[entry.step].losses += 1
            case events.ActivityCompleted() | events.ChildCompleted():
                self._close(entry, Outcome(entry.seq, entry.at, bytes(body.result)))
            case events.ActivityFailed():
                self._close(entry, Outcome(entry.seq, entry.at, failure=body.failure))
            case events.ChildFailed():
                self._close(
                    entry, Outcome(entry.seq, entry.at, failure=body.failure, cancelled=body.cancelled)
                )
            case events.SideEffectCompleted():
                self._open(entry, StepKind.SIDE_EFFECT)
                self._close(entry, Outcome(entry.seq, entry.at, bytes(body.result)))
            case events.SideEffectFailed():
                self._open(entry, StepKind.SIDE_EFFECT)
                self._close(entry, Outcome(entry.seq, entry.at, failure=body.failure))
            case _:
                raise AssertionError(f"{type(body).__name__} belongs to the run, not to step {entry.step!r}")

    def _open(self, entry: Entry, kind: StepKind, function: str = "", args: bytes = b"") -> StepRecord:
        known = self.steps.get(entry.step)
        # A step that stands is never asked for again: its outcome is recorded once (P2).
        assert known is None or not (known.is_open or known.outcome), (
            f"{entry.step!r} has an outcome, or will"
        )
        step = StepRecord(entry.step, kind, function, args, scheduled_seq=entry.seq, is_open=True)
        step.schedulings = 0 if known is None else known.schedulings + 1
        self.steps[entry.step] = step
        return step

    def _close(self, entry: Entry, outcome: Outcome) -> None:
        step = self.steps[entry.step]
        # A step's outcome is recorded exactly once (P2).
        assert step.is_open, f"step {entry.step!r} has an outcome already"
        step.outcome, step.is_open, step.retry_at = outcome, False, None

    def _begin_attempt(self, entry: Entry, *, is_asked_for: bool) -> None:
        if is_asked_for:
            self.resumes += 1
            self.budget_from = entry.attempt - 1
        # Successes stand and work under way goes on; only what failed is forgotten (P3).
        self.attempt, self.retry_at, self.began_at = entry.attempt, None, entry.at
        self.finished = self.failure = None
        for step in self.steps.values():
            if step.outcome is not None and not step.outcome.is_success:
                step.outcome = None


def fold(entries: Iterable[Entry]) -> RunState:
    """The state that a stream's entries, in order, add up to.

    Raises:
        ValueError: there is no entry, or the first one doesn't create the run.
    """
    state: RunState | None = None
    for entry in entries:
        if state is None:
            if not isinstance(entry.body, events.RunCreated):
                raise ValueError(f"the stream begins with {type(entry.body).__name__}, not with RunCreated")
            state = RunState(entry.body)
        state.apply(entry)
    if state is None:
        raise ValueError("the stream is empty")
    return state
