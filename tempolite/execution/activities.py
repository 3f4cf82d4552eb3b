"""Activities of a run: scheduling, attempts, losses, and what their ends mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from tempolite.actors.attempts import failure_of
from tempolite.actors.messages import (
    ActivityEnded,
    ActivityJob,
    ActivityLost,
    ActivityNext,
    CancelActivities,
    CancelTimer,
    RetryDue,
    RunActivity,
    SetTimer,
)
from tempolite.actors.workflow import ToQueue
from tempolite.calls import ActivityCall, activity_call
from tempolite.core import events, saga_events
from tempolite.core.failure import Failure
from tempolite.core.identifiers import StepKey, idempotency_key
from tempolite.core.retry import type_name
from tempolite.core.step_records import StepKind, StepRecord
from tempolite.core.terms import Terms
from tempolite.errors import (
    ActivityError,
    ActivityTimeout,
    DeadlineExceeded,
    HeartbeatTimeout,
    QueueNotFound,
    UnknownOutcome,
    WorkerLost,
    WorkflowCancelled,
)
from tempolite.execution.fence import Fenced
from tempolite.execution.infos import ActivityInfo
from tempolite.saga_context import decode_output

if TYPE_CHECKING:
    from tempolite.execution.execution import Execution

DEADLINE_TYPE = type_name(DeadlineExceeded)
TIMEOUT_TYPES = frozenset({type_name(ActivityTimeout), type_name(HeartbeatTimeout), DEADLINE_TYPE})

LOSSES_MAX = 3
"""The third worker process that dies under the same activity fails it, whatever its policy."""


class Activities:
    """What a run's activities do.

    Attributes:
        calls: what they call, as the code said.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._log, self._steps, self._services = execution.log, execution.steps, execution.services
        self.calls: dict[StepKey, ActivityCall] = {}

    def schedule(
        self, name: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ActivityInfo[Any]:
        """The code asks for an activity; everything that can be wrong is refused before it is recorded."""
        self._execution.check_is_live()
        call = activity_call(target)
        call.shape.check(call.name, args, kwargs)
        queue = call.options.queue or self._log.state.created.queue
        self.check_queue(name, queue)
        payload = self._services.encode_call(args, kwargs)
        key = self._steps.next_key(name)
        info: ActivityInfo[Any] = ActivityInfo(self._execution, key)
        step = self._steps.known(key, StepKind.ACTIVITY, call.names)
        if types := self._services.codec.payload_types(payload):
            call = call.carrying(types)
        self.calls[key] = call
        if step is None:
            self._log.record(events.ActivityScheduled(call.name, msgspec.Raw(payload), queue), key)
            self._dispatch(self._log.state.steps[key], queue)
        elif step.is_open and not self._log.is_sealed:
            self.go_on(step, call, queue)
        self._steps.expect(info, key, step)
        return info

    def check_queue(self, name: str, queue: str) -> None:
        """A new step is refused; a recorded one waits for the queue that this engine was started without."""
        try:
            self._services.check_queue(queue)
        except QueueNotFound:
            if not self._steps.is_recorded(name):
                raise
            self._log.strand(self._services.why_stranded(queue))
            raise Fenced from None

    def clear(self) -> None:
        """The run is over."""
        self.calls.clear()

    def cancel(self) -> None:
        """The run is being cancelled: what runs is stopped, and that is its outcome."""
        steps = self._log.state.steps.values()
        self.stop([step for step in steps if step.kind is StepKind.ACTIVITY and step.is_open])

    def go_on(self, step: StepRecord, call: ActivityCall, queue: str) -> None:
        """A recorded step runs, from where it stands; one under way is left alone."""
        self.calls[step.key] = call
        if step.key in self._log.in_flight:
            return
        if step.is_started:
            self._give_up(step, unknown_outcome("it was interrupted with the engine"))
        else:
            self._dispatch_when_due(step, queue)

    def stop(self, steps: Sequence[StepRecord]) -> None:
        """Ends these, wherever they run; that is their outcome."""
        by_queue: dict[str, list[StepKey]] = {}
        for step in steps:
            if step.key in self._log.in_flight:
                by_queue.setdefault(self._log.in_flight[step.key], []).append(step.key)
        for queue, keys in by_queue.items():
            self._log.send(ToQueue(queue, CancelActivities(self._log.workflow, tuple(keys))))
        for step in steps:
            self._log.send(CancelTimer(self._log.workflow, f"retry {step.key}"))
            self._give_up(step, failure_of(WorkflowCancelled, f"{step.kind} {step.key!r} was cancelled"))

    def take_end(self, message: ActivityEnded) -> None:
        """An attempt returned or failed."""
        step = self._current_attempt(message.step, message.schedule, message.attempt)
        if step is None:
            return
        if message.failure is not None:
            self._take_failure(step, message.failure, message)
            return
        assert message.result is not None, "an attempt ends with a value or a failure"
        self._log.in_flight.pop(step.key, None)
        self._log.record(_completed(step, message.result), step.key, message.attempt)
        self._offer(step)

    def take_loss(self, message: ActivityLost) -> None:
        """A worker process died under an attempt, which is not used up by that."""
        step = self._current_attempt(message.step, message.schedule, message.attempt)
        if step is None:
            return
        heartbeat = events.optional_value(message.heartbeat)
        lost = events.ActivityWorkerLost(message.cause, heartbeat, message.began_at)
        self._log.record(lost, step.key, message.attempt)
        if self.calls[step.key].options.once:
            self._give_up(step, unknown_outcome(f"its worker process died by {message.cause}"))
        elif step.losses < LOSSES_MAX:
            self._dispatch(step, self._log.in_flight[step.key])
        else:
            self._give_up(step, worker_lost(step.losses, message.cause))

    def take_next(self, message: ActivityNext) -> None:
        """An at-most-once attempt is next in line: that it starts is durable before it does."""
        step = self._current_attempt(message.step, message.schedule, message.attempt)
        if step is not None:
            self._log.record(events.ActivityAttemptStarted(), step.key, message.attempt)
            self._dispatch(step, self._log.in_flight[step.key])

    def take_retry(self, key: StepKey) -> None:
        """The wait before the next attempt is over."""
        step = self._log.state.steps.get(key)
        if step is not None and step.is_open and key in self._log.in_flight:
            self._dispatch(step, self._log.in_flight[key])

    def _take_failure(self, step: StepRecord, failure: Failure, ended: ActivityEnded) -> None:
        attempt, options = step.attempts + 1, self.calls[step.key].options
        if failure.type_name == DEADLINE_TYPE and step.last_failure is not None:
            # Why it was not done in time.
            failure = structs.replace(failure, cause=step.last_failure, cause_is_explicit=True)
        if options.once and failure.type_name in TIMEOUT_TYPES:
            self._give_up(step, unknown_outcome("it was stopped", failure))
            return
        policy = (options.retry or self._services.default_retry).recorded()
        if not policy.allows(failure, attempt):
            self._give_up(step, failure)
            return
        retry_at = self._log.now_us + round(policy.delay_s(attempt, self._services.draw()) * 1e6)
        deadline_at = deadline_of(options.terms, step.began_at or ended.began_at)
        if deadline_at is not None and retry_at >= deadline_at:
            self._give_up(step, deadline_exceeded(attempt, failure))
            return
        heartbeat = events.optional_value(ended.heartbeat)
        failed = events.ActivityAttemptFailed(failure, retry_at, heartbeat, ended.began_at)
        self._log.record(failed, step.key, attempt)
        self._dispatch_when_due(step, self._log.in_flight[step.key])

    def _give_up(self, step: StepRecord, failure: Failure) -> None:
        self._log.in_flight.pop(step.key, None)
        self._log.record(events.ActivityFailed(failure), step.key, step.attempts + 1)
        self._offer(step)

    def _offer(self, step: StepRecord) -> None:
        # The code never asks for a saga's step: it waits for the saga.
        if step.kind is not StepKind.SAGA_STEP:
            self._steps.offer(step.key)

    def _current_attempt(self, key: StepKey, schedule: int, attempt: int) -> StepRecord | None:
        """The step, if that is the attempt that we wait for; a late answer of another one is dropped (P6)."""
        step = self._log.state.steps.get(key)
        if step is None or not step.is_open or key not in self._log.in_flight:
            return None
        return step if step.scheduled_seq == schedule and step.attempts + 1 == attempt else None

    def _dispatch_when_due(self, step: StepRecord, queue: str) -> None:
        if step.retry_at is None or step.retry_at <= self._log.now_us:
            self._dispatch(step, queue)
            return
        self._log.in_flight[step.key] = queue
        self._log.send(SetTimer(self._log.workflow, f"retry {step.key}", step.retry_at, RetryDue(step.key)))

    def _dispatch(self, step: StepRecord, queue: str) -> None:
        """Sends the next attempt to its pool, once this turn is durable."""
        log, call = self._log, self.calls[step.key]
        log.in_flight[step.key] = queue
        terms, run = call.options.terms, log.state.created.run
        is_of_saga = step.kind is StepKind.SAGA_STEP
        args = self._execution.sagas.input_of(step) if is_of_saga else step.args
        job = ActivityJob(
            log.actor,
            log.workflow,
            step.key,
            step.scheduled_seq,
            step.attempts + 1,
            call,
            args,
            idempotency_key(log.workflow, run, step.key, step.scheduled_seq),
            terms,
            step.losses > 0,
            deadline_of(terms, step.began_at),
            step.heartbeat,
            step.is_started,
        )
        log.send(ToQueue(queue, RunActivity(job)))


def deadline_of(terms: Terms, began_at: int | None) -> int | None:
    """When all attempts have had their time, in µs since the epoch; None where that is not known yet."""
    if terms.deadline_s is None or began_at is None:
        return None
    return began_at + round(terms.deadline_s * 1e6)


def _completed(step: StepRecord, result: bytes) -> events.ActivityCompleted | saga_events.SagaStepCompleted:
    if step.kind is not StepKind.SAGA_STEP:
        return events.ActivityCompleted(msgspec.Raw(result))
    output = decode_output(result)
    return saga_events.SagaStepCompleted(output.result, output.stored)


def worker_lost(losses: int, cause: str) -> Failure:
    """The failure of an activity whose worker processes died."""
    text = f"{losses} worker processes died under it, the last by {cause}"
    return _final(WorkerLost, text, {"cause": cause})


def unknown_outcome(why: str, cause: Failure | None = None) -> Failure:
    """The failure of an at-most-once activity that was interrupted."""
    return _final(UnknownOutcome, f"{why}; it may or may not have had its effect", cause=cause)


def deadline_exceeded(attempt: int, cause: Failure) -> Failure:
    """The failure of an activity whose next attempt would come too late."""
    text = f"attempt {attempt} failed, and the next one would begin after the deadline"
    return _final(DeadlineExceeded, text, cause=cause)


def _final(
    kind: type[ActivityError], text: str, state: dict[str, Any] | None = None, *, cause: Failure | None = None
) -> Failure:
    """A failure that no other try follows, as if it had been raised."""
    lineage = tuple(type_name(base) for base in kind.__mro__ if base is not object)
    return Failure(
        type_name=lineage[0],
        message=text,
        lineage=lineage,
        args=[text],
        state={"message": text, **(state or {})},
        cause=cause,
        cause_is_explicit=cause is not None,
        retryable=False,
    )
