"""Sagas of a run: their steps are recorded and dispatched here; what comes next, the coordinator decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, assert_never

import msgspec

from tempolite.actors.messages import AdviseSaga, SagaAdvice
from tempolite.calls import ActivityCall
from tempolite.core import saga_events
from tempolite.core.events import AnyBody
from tempolite.core.identifiers import StepKey
from tempolite.core.saga import (
    Finish,
    Progress,
    RunCompensation,
    RunTransaction,
    progress_of,
)
from tempolite.core.saga_steps import (
    SagaRecord,
    compensation_key,
    is_compensation,
    saga_in,
    saga_of,
    transaction_key,
    undo_key,
)
from tempolite.core.step_records import StepKind, StepRecord
from tempolite.errors import InvalidArguments, InvalidState, NonDeterminismError
from tempolite.execution.fence import Fenced
from tempolite.execution.infos import SagaInfo
from tempolite.execution.saga_outcomes import rolled_back, undo_failed
from tempolite.execution.steps import ANY_FUNCTION
from tempolite.saga import PlannedStep, Saga
from tempolite.saga_context import Role, StepInput, encode

if TYPE_CHECKING:
    from tempolite.execution.execution import Execution

Calls = dict[StepKey, ActivityCall]


class Sagas:
    """What a run's sagas do.

    A saga is a step of the run, and so is each transaction and compensation; these are activities in all but
    their name. Between two of them the coordinator is asked what comes next: at the end of the turn that
    left the saga there, and again after a crash, a pause or a cancel, whose advice was lost or is of no use.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._log, self._steps, self._services = execution.log, execution.steps, execution.services
        self._calls: dict[StepKey, Calls] = {}
        self._under_way: dict[StepKey, StepKey] = {}
        self._infos: dict[StepKey, SagaInfo[Any]] = {}
        self._undone: set[StepKey] = set()

    def begin(self) -> None:
        """The code begins anew; what is under way goes on."""
        self._infos.clear()
        self._undone.clear()

    def clear(self) -> None:
        """The run leaves memory."""
        self.begin()
        self._calls.clear()
        self._under_way.clear()

    # ── for the code ────────────────────────────────────────────────────────────────────────────────────

    def schedule(self, name: str, saga: Saga) -> SagaInfo[tuple[Any, ...]]:
        """The code asks for a saga; everything that can be wrong is refused before it is recorded."""
        self._execution.check_is_live()
        if not isinstance(saga, Saga):
            raise InvalidArguments(f"saga {name!r}: {saga!r} is no Saga")
        planned = saga.steps
        self._check_queues(name, planned)
        steps = tuple(self._recorded_form(step) for step in planned)
        key = self._steps.next_key(name)
        info: SagaInfo[tuple[Any, ...]] = SagaInfo(self._execution, key)
        known = self._steps.known(key, StepKind.SAGA, ANY_FUNCTION)
        if known is None:
            self._log.record(saga_events.SagaScheduled(steps), key)
        else:
            self._check_agrees(known, planned)
        if not self._log.is_sealed:
            self._calls[key] = _calls_of(key, planned)
            if self._log.state.steps[key].is_open:
                self._go_on(key, key)
        self._infos[key] = info
        self._steps.expect(info, key, known)
        return info

    def compensate(self, saga: str) -> SagaInfo[None]:
        """The code asks for a completed saga to be undone.

        Raises:
            InvalidState: it is not complete, as far as the code knows, or was asked for already.
        """
        self._execution.check_is_live()
        if not isinstance(saga, str):
            raise InvalidArguments(f"saga is {saga!r}, expected the name of its step")
        of = StepKey(saga)
        # Only what was delivered counts: what was recorded and not seen differs on a replay.
        done = self._infos.get(of)
        if done is None or not done.done or done.has_failed or of in self._undone:
            raise InvalidState(f"saga {saga!r} of workflow {self._log.workflow!r} {self._why_not(of)}")
        self._undone.add(of)
        key = undo_key(of)
        info: SagaInfo[None] = SagaInfo(self._execution, key)
        known = self._steps.known(key, StepKind.SAGA_UNDO, ANY_FUNCTION)
        is_live = not self._log.is_sealed and (known is None or known.is_open)
        if is_live:
            self._check_is_whole(of)
        if known is None:
            self._log.record(saga_events.SagaUndoScheduled(), key)
        if is_live:
            self._go_on(key, of)
        self._steps.expect(info, key, known)
        return info

    # ── for the run ─────────────────────────────────────────────────────────────────────────────────────

    def look(self) -> None:
        """At the end of a turn: asks for advice where a saga stands between two of its steps."""
        if not self._under_way or not self._may_go_on:
            return
        for key, saga in self._under_way.items():
            if key not in self._log.in_flight and not self._open_steps(saga):
                self._log.in_flight[key] = ""
                progress = self._progress(key, saga)
                self._log.send(AdviseSaga(self._log.actor, self._log.workflow, key, progress))

    def take_advice(self, message: SagaAdvice) -> None:
        """The coordinator says what comes next; not if the saga has moved, or must not."""
        key = message.step
        if self._log.in_flight.pop(key, None) is None or not self._may_go_on:
            return
        saga = self._under_way[key]
        if message.state != self._progress(key, saga):
            return
        decision = message.decision
        match decision:
            case RunTransaction():
                self._run(saga, decision.index, is_compensation=False)
            case RunCompensation():
                self._run(saga, decision.index, is_compensation=True)
            case Finish():
                del self._under_way[key]
                self._log.record(self._end_of(key, saga, decision), key)
                self._steps.offer(key)
            case _:
                assert_never(decision)

    def cancel(self) -> None:
        """The run is being cancelled: sagas that go forward turn back."""
        for step in list(self._log.state.steps.values()):
            if step.kind is StepKind.SAGA and step.is_open and self._goes_forward(step.key):
                self._log.record(saga_events.SagaCancelled(), step.key)
                self._execution.activities.stop(self._open_steps(step.key))

    @property
    def are_under_way(self) -> bool:
        """Whether one of them has not come to its end."""
        return bool(self._under_way)

    def input_of(self, step: StepRecord) -> bytes:
        """What a transaction or a compensation is given: its arguments, and what was stored before it."""
        saga, name = saga_of(step.key)
        index = [each.name for each in self._record(saga).steps].index(name)
        stored = {key: msgspec.Raw(value) for key, value in self._stored(saga).items()}
        role: Role = "compensation" if is_compensation(step.key) else "transaction"
        return encode(StepInput(role, index, msgspec.Raw(step.args), stored))

    # ── its parts ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def _may_go_on(self) -> bool:
        """Whether the run is neither paused, nor in line, nor over."""
        state = self._log.state
        is_resting = state.paused_seq is not None or state.is_held
        return not is_resting and not state.is_finished and self._log.ended is None

    def _go_on(self, key: StepKey, saga: StepKey) -> None:
        """From where it stands: with the step that runs, else with advice at the end of the turn."""
        self._under_way[key] = saga
        for record in self._open_steps(saga):
            self._dispatch(saga, record)

    def _run(self, saga: StepKey, index: int, *, is_compensation: bool) -> None:
        step = self._record(saga).steps[index]
        key = (compensation_key if is_compensation else transaction_key)(saga, step.name)
        function = step.compensation if is_compensation else step.transaction
        assert function is not None, "only what can be undone is"
        queue = self._queue_of(self._calls[saga][key])
        self._log.record(saga_events.SagaStepScheduled(saga, index, function, queue, is_compensation), key)
        self._dispatch(saga, self._log.state.steps[key])

    def _dispatch(self, saga: StepKey, record: StepRecord) -> None:
        call, codec = self._calls[saga][record.key], self._services.codec
        types = codec.payload_types(record.args)
        for value in self._stored(saga).values():
            types |= codec.payload_types(value)
        self._execution.activities.go_on(record, call.carrying(types), self._queue_of(call))

    def _end_of(self, key: StepKey, saga: StepKey, end: Finish) -> AnyBody:
        steps, is_undo = self._log.state.steps, key != saga
        match end:
            case Finish.COMPLETED:
                return saga_events.SagaCompleted()
            case Finish.COMPENSATED if is_undo:
                return saga_events.SagaUndone()
            case Finish.FAILED if is_undo:
                return saga_events.SagaUndoFailed(undo_failed(steps, saga))
            case _:
                return saga_events.SagaRolledBack(rolled_back(steps, saga))

    def _progress(self, key: StepKey, saga: StepKey) -> Progress:
        return progress_of(self._log.state.steps, saga, is_undo=key != saga)

    def _goes_forward(self, saga: StepKey) -> bool:
        outcomes = [step.outcome for step in self._known_steps(saga)]
        has_failed = any(outcome is not None and not outcome.is_success for outcome in outcomes)
        return not has_failed and not self._record(saga).is_cancelled

    def _known_steps(self, saga: StepKey) -> list[StepRecord]:
        steps = self._log.state.steps
        return [steps[key] for key in self._record(saga).keys(saga) if key in steps]

    def _open_steps(self, saga: StepKey) -> list[StepRecord]:
        """The one that runs, if one does."""
        return [step for step in self._known_steps(saga) if step.is_open]

    def _stored(self, saga: StepKey) -> dict[str, bytes]:
        """What its steps stored until now; of two values under one key, the later one."""
        ended = [(r.outcome.seq, r.stored) for r in self._known_steps(saga) if r.outcome is not None]
        found: dict[str, bytes] = {}
        for _, stored in sorted(ended, key=lambda item: item[0]):
            found.update(stored)
        return found

    def _record(self, saga: StepKey) -> SagaRecord:
        return saga_in(self._log.state.steps, saga)

    def _queue_of(self, call: ActivityCall) -> str:
        return call.options.queue or self._log.state.created.queue

    # ── what can be wrong ───────────────────────────────────────────────────────────────────────────────

    def _check_queues(self, name: str, planned: Sequence[PlannedStep]) -> None:
        for step in planned:
            for call in (step.transaction, step.compensation):
                if call is not None:
                    self._execution.activities.check_queue(name, self._queue_of(call))

    def _recorded_form(self, step: PlannedStep) -> saga_events.SagaStep:
        args = msgspec.Raw(self._services.encode_call(step.args, {}))
        undoing = None if step.compensation is None else step.compensation.name
        return saga_events.SagaStep(step.name, step.transaction.name, args, undoing)

    def _check_agrees(self, known: StepRecord, planned: Sequence[PlannedStep]) -> None:
        """The functions of recorded steps are still those of the code (P1); it may have more steps."""
        by_name = {step.name: step for step in planned}
        for recorded in self._record(known.key).steps:
            step = by_name.get(recorded.name)
            if step is None:
                if known.is_open:
                    self._disagree(known.key, f"step {recorded.name!r}", "no such step")
                continue
            pairs = (recorded.transaction, step.transaction), (recorded.compensation, step.compensation)
            for name, call in pairs:
                if name is not None and (call is None or name not in call.names):
                    asked = "nothing" if call is None else call.name
                    self._disagree(known.key, f"{name} in step {recorded.name!r}", asked)

    def _check_is_whole(self, saga: StepKey) -> None:
        """A saga that is to be undone has in the code what its record says undoes it."""
        for step in self._record(saga).steps:
            if step.compensation is not None and compensation_key(saga, step.name) not in self._calls[saga]:
                self._disagree(saga, f"{step.compensation} in step {step.name!r}", "no such step")

    def _disagree(self, saga: StepKey, recorded: str, asked: str) -> NoReturn:
        problem = f"the history of saga {saga!r} has {recorded}, the code has {asked}"
        self._log.halt(problem, NonDeterminismError.__name__)
        raise Fenced

    def _why_not(self, saga: StepKey) -> str:
        info = self._infos.get(saga)
        if info is None:
            return "was not asked for"
        if not info.done:
            return "is not complete, as far as the code knows: wait for it first"
        return "was compensated" if info.has_failed else "is compensated already"


def _calls_of(saga: StepKey, planned: Sequence[PlannedStep]) -> Calls:
    """What each of its transactions and compensations calls."""
    calls = {transaction_key(saga, step.name): step.transaction for step in planned}
    for step in planned:
        if step.compensation is not None:
            calls[compensation_key(saga, step.name)] = step.compensation
    return calls
