"""Events in, state out: what a run's stream says, folded.

History is the truth. Everything else that is known of a run (its row in ``runs``, its live code) can be
made again from what :func:`fold` returns.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tempolite.core import events, saga_events
from tempolite.core.events import AnyBody, Entry
from tempolite.core.failure import Failure
from tempolite.core.identifiers import StepKey
from tempolite.core.saga_steps import SagaRecord, forget_failed_steps, forget_steps, saga_in, undone_saga
from tempolite.core.status import Status
from tempolite.core.step_records import NOTHING, VERSION_PREFIX, Outcome, Signal, StepKind, StepRecord


class RunState(msgspec.Struct):
    """What a run's stream says of the run."""

    created: events.RunCreated
    seq: int = 0
    last_at: int = 0
    began_at: int | None = None
    """When the current attempt of the code began; None for a run that is not started."""
    began_seq: int = 0
    is_deferred: bool = False
    is_held: bool = False
    """It waits for its queue's ``max_runs``."""
    paused_seq: int | None = None
    """The code sees nothing that was recorded after this."""
    cancel_seq: int | None = None
    """Where ``Cancelled`` is raised in the code of this attempt."""
    attempt: int = 1
    resumes: int = 0
    """Attempts that began because somebody asked for them."""
    budget_from: int = 0
    """Attempts before the retry budget was last renewed."""
    retry_at: int | None = None
    steps: dict[StepKey, StepRecord] = {}
    signals: dict[int, Signal] = {}
    """Unread ones, by the sequence number of their receipt."""
    dedups: set[tuple[str, str]] = set()
    """Name and ``dedup`` of each signal that had one."""
    updates: dict[int, events.UpdateAccepted] = {}
    paused_at: dict[int, int] = {}
    """The pause in which an update or a cancellation came: the code met it before all else of that pause."""
    timers_open: int = 0
    has_children: bool = False
    statuses: int = 0
    """How often the code of this attempt said how far it is."""
    is_continued: bool = False
    problem: str = ""
    problem_kind: str = ""
    result: bytes | None = None
    failure: Failure | None = None
    finished: Status | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the outcome of the run is recorded."""
        return self.finished is not None

    @property
    def is_cancelling(self) -> bool:
        """Whether the code of this attempt has been asked to end."""
        return self.cancel_seq is not None

    @property
    def open_timers(self) -> list[StepRecord]:
        """Timers whose time has not come."""
        kinds = (StepKind.TIMER, StepKind.TIMEOUT)
        return [step for step in self.steps.values() if step.is_open and step.kind in kinds]

    @property
    def versions(self) -> dict[str, int]:
        """What a continuation inherits: versions that were given, or marked by the code."""
        marked = {step.function: step.version for step in self.steps.values() if step.kind == "version"}
        return {**self.created.versions, **marked}

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
            case events.RunCreated() | events.RunEnqueued() | events.RunStarted():
                self._apply_start(entry, body)
            case events.RunAttemptFailed():
                self.retry_at = body.retry_at
            case events.AttemptBegan():
                self._begin_attempt(entry, is_asked_for=body.reason == "resume")
            case events.RunCompleted():
                self.finished, self.result = Status.COMPLETED, bytes(body.result)
                # Who is over stands in no line; nor below.
                self.is_held = False
            case events.RunFailed():
                self.finished, self.failure, self.is_held = Status.FAILED, body.failure, False
            case events.RunCancelled():
                self.finished, self.failure, self.is_held = Status.CANCELLED, body.failure, False
            case events.RunContinued():
                self.finished, self.is_continued = Status.COMPLETED, True
            case events.RunStuck():
                self.problem, self.problem_kind = body.problem, body.kind
            case events.RunUnstuck():
                self.problem = self.problem_kind = ""
            case _:
                self._apply_message(entry, body)

    def _apply_start(
        self, entry: Entry, body: events.RunCreated | events.RunEnqueued | events.RunStarted
    ) -> None:
        match body:
            case events.RunCreated():
                self.is_deferred, self.is_held = body.deferred, body.held
                self.paused_seq = 0 if body.paused else None
            case events.RunEnqueued():
                self.is_deferred, self.is_held = False, True
            case events.RunStarted():
                self.is_deferred = self.is_held = False
        if not self.is_deferred and not self.is_held and self.began_at is None:
            self.began_at, self.began_seq = entry.at, entry.seq

    def _apply_message(self, entry: Entry, body: AnyBody) -> None:
        match body:
            case events.RunPaused():
                self.paused_seq = entry.seq
            case events.RunResumed():
                self.paused_seq, self.is_held = None, body.held
            case events.CancelRequested():
                if self.paused_seq is not None:
                    self.paused_at[entry.seq] = self.paused_seq
                # Who is to end neither rests nor stands in line any longer.
                self.cancel_seq, self.paused_seq = entry.seq, None
                self.is_held = self.is_held and self.began_at is None
            case events.SignalReceived():
                self.signals[entry.seq] = Signal(body.name, bytes(body.value), body.dedup)
                if body.dedup is not None:
                    self.dedups.add((body.name, body.dedup))
            case events.UpdateAccepted():
                self.updates[entry.seq] = body
                if self.paused_seq is not None:
                    self.paused_at[entry.seq] = self.paused_seq
            case events.StatusSet():
                self.statuses += 1
            case _:
                raise AssertionError(f"{type(body).__name__} names no step")

    def _apply_to_step(self, entry: Entry, body: AnyBody) -> None:
        # The two that nearly every step has come first: the cases are tried one after the other.
        match body:
            case events.ActivityScheduled():
                self._open(entry, StepKind.ACTIVITY, body.function, bytes(body.args))
            case events.ActivityCompleted() | events.ChildCompleted():
                self._close(entry, Outcome(entry.seq, entry.at, bytes(body.result)))
            case events.ChildScheduled():
                step = self._open(entry, StepKind.CHILD, body.function, bytes(body.args))
                step.child, step.detached = body.child, body.detached
                step.on_parent_close = body.on_parent_close
                self.has_children = True
            case events.ActivityAttemptFailed():
                step = self.steps[entry.step]
                step.attempts, step.retry_at, step.last_failure = entry.attempt, body.retry_at, body.failure
                step.losses, step.is_started = 0, False
                step.take_signs(bytes(body.heartbeat), body.began_at)
            case events.ActivityAttemptStarted():
                self.steps[entry.step].is_started = True
            case events.ActivityWorkerLost():
                self.steps[entry.step].losses += 1
                self.steps[entry.step].take_signs(bytes(body.heartbeat), body.began_at)
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
                self._apply_to_wait(entry, body)

    def _apply_to_wait(self, entry: Entry, body: AnyBody) -> None:
        """Steps that wait for something instead of doing it."""
        match body:
            case events.TimerStarted():
                kind = StepKind.TIMEOUT if body.is_timeout else StepKind.TIMER
                self._open(entry, kind).due_at = body.due_at
                self.timers_open += 1
            case events.TimerFired():
                self._close(entry, Outcome(entry.seq, entry.at, NOTHING))
                self.timers_open -= 1
            case events.TimerCancelled():
                step = self.steps[entry.step]
                step.is_open, step.is_cancelled = False, True
                self.timers_open -= 1
            case events.SignalTaken():
                self._open(entry, StepKind.SIGNAL)
                # Each signal is taken once (P10).
                self._close(entry, Outcome(entry.seq, entry.at, self.signals.pop(body.signal).value))
            case events.ConditionDecided():
                self._open(entry, StepKind.CONDITION)
                self._close(entry, Outcome(entry.seq, entry.at, b"true" if body.is_met else b"false"))
            case events.ConditionFailed():
                self._open(entry, StepKind.CONDITION)
                self._close(entry, Outcome(entry.seq, entry.at, failure=body.failure))
            case events.VersionMarked():
                step = self._open(entry, StepKind.VERSION, entry.step.removeprefix(VERSION_PREFIX))
                step.version, step.is_open = body.version, False
            case _:
                self._apply_to_saga(entry, body)

    def _apply_to_saga(self, entry: Entry, body: AnyBody) -> None:
        match body:
            case saga_events.SagaScheduled():
                forget_steps(self.steps, entry.step)
                self._open(entry, StepKind.SAGA).saga = SagaRecord(body.steps)
            case saga_events.SagaUndoScheduled():
                forget_failed_steps(self.steps, undone_saga(entry.step))
                self._open(entry, StepKind.SAGA_UNDO)
            case saga_events.SagaStepScheduled():
                step = saga_in(self.steps, StepKey(body.saga)).steps[body.index]
                self._open(entry, StepKind.SAGA_STEP, body.function, bytes(step.args))
            case saga_events.SagaStepCompleted():
                self.steps[entry.step].stored = {key: bytes(value) for key, value in body.stored.items()}
                self._close(entry, Outcome(entry.seq, entry.at, bytes(body.result)))
            case saga_events.SagaCancelled():
                saga_in(self.steps, entry.step).is_cancelled = True
            case saga_events.SagaCompleted() | saga_events.SagaUndone():
                self._close(entry, Outcome(entry.seq, entry.at, NOTHING))
            case saga_events.SagaRolledBack() | saga_events.SagaUndoFailed():
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
        for step in self.steps.values():
            self._prepare_for_attempt(step)
        self.attempt, self.retry_at = entry.attempt, None
        self.began_at, self.began_seq = entry.at, entry.seq
        self.finished = self.failure = self.cancel_seq = None
        # One that was cancelled before it began begins by this.
        self.is_deferred = self.is_held = False
        self.statuses = 0

    def _prepare_for_attempt(self, step: StepRecord) -> None:
        """Successes stand and work under way goes on; only what failed is forgotten (P3)."""
        step.is_cancelled = False
        if step.kind is StepKind.SAGA_STEP:
            # Its saga says what becomes of it.
            return
        if step.outcome is not None and (not step.outcome.is_success or _is_time_out(step, step.outcome)):
            step.outcome = None
        elif step.is_open and step.kind is StepKind.TIMEOUT:
            step.is_open = False
            self.timers_open -= 1
        elif step.is_open and step.kind is StepKind.CHILD and self.finished:
            # A child that its parent didn't wait for may have been ended with it: it is asked for again.
            step.is_open = False


def _is_time_out(step: StepRecord, outcome: Outcome) -> bool:
    return step.kind is StepKind.TIMEOUT or (step.kind is StepKind.CONDITION and outcome.result == b"false")


def opened(first: Entry) -> RunState:
    """The state of a run before the entry that creates it.

    Raises:
        ValueError: another entry is the first.
    """
    if not isinstance(first.body, events.RunCreated):
        raise ValueError(f"the stream begins with {type(first.body).__name__}, not with RunCreated")
    return RunState(first.body)


def fold(entries: Iterable[Entry]) -> RunState:
    """The state that a stream's entries, in order, add up to.

    Raises:
        ValueError: there is no entry, or the first one doesn't create the run.
    """
    state: RunState | None = None
    for entry in entries:
        if state is None:
            state = opened(entry)
        state.apply(entry)
    if state is None:
        raise ValueError("the stream is empty")
    return state
