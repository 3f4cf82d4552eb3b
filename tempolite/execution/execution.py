"""A live run: takes messages, runs the code as far as it goes, and says what must be written and sent.

Everything here happens in memory, within one turn. What is recorded goes through :meth:`_record`, which
keeps the state, the entries to write and nothing else in step; what is to happen outside goes into the
outbox, which the actor sends once the turn is durable.

Outcomes are delivered by one rule, live and on replay: *when the code can't go on, it gets the outcome that
was recorded first among those of steps that it has asked for.* So the order of delivery is the order of
recording, and code that was changed under a running workflow simply asks in another order.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pykka

from tempolite.actors.messages import (
    ActivityEnded,
    ActivityJob,
    ActivityLost,
    Begin,
    CancelActivities,
    ChildEnded,
    Deliver,
    Enqueue,
    RetryDue,
    RunActivity,
    RunEnded,
    RunSideEffect,
    SetTimer,
    SideEffectEnded,
    StartRun,
    Write,
)
from tempolite.actors.workflow import Outgoing, ToQueue, Turn
from tempolite.codec import TypeNotFound
from tempolite.core import events
from tempolite.core.events import AnyBody, Entry, RunCreated
from tempolite.core.failure import Failure
from tempolite.core.history import Outcome, RunState, StepKind, StepRecord
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId, step_key
from tempolite.core.retry import RetrySpec
from tempolite.core.status import Status
from tempolite.definitions import ActivityCall, WorkflowCall, activity_call, workflow_call
from tempolite.errors import (
    ActivityError,
    InvalidArguments,
    NonDeterminismError,
    WorkflowCancelled,
    WorkflowFailed,
)
from tempolite.execution.context import AsyncWorkflowContext, WorkflowContext
from tempolite.execution.infos import ActivityInfo, ChildWorkflowInfo, SideEffectInfo, StepInfo
from tempolite.execution.runner import CoroutineRunner, Fenced, GreenletRunner
from tempolite.execution.services import Services
from tempolite.failures import rebuild_failure
from tempolite.store import statements

LOSSES_MAX = 3
"""The third worker process that dies under the same activity fails it, whatever its policy."""

RUN_STEP = StepKey("")
"""Stands for the run itself where a step is expected."""

_OCCURRENCE_SUFFIX = re.compile(r"#\d+$")
_JITTERLESS = RetrySpec()


class Execution:
    """One run of one workflow, alive.

    Args:
        workflow: its id.
        stream: where its events go.
        call: its function.
        services: what it needs of the engine.
        created: the first event of a run that is new.
        state: what the history of an older run adds up to.
    """

    def __init__(
        self,
        workflow: WorkflowId,
        stream: StreamId,
        call: WorkflowCall,
        services: Services,
        *,
        created: RunCreated | None = None,
        state: RunState | None = None,
    ) -> None:
        assert (created is None) != (state is None), "a run is either new or has a history"
        self.workflow, self.stream = workflow, stream
        self._call, self._services = call, services
        self._created = created
        self._state = state or RunState(created)  # type: ignore[arg-type]
        self._actor: pykka.ActorRef[Any]
        self._now_us = 0
        self._writes: list[Write] = []
        self._outbox: list[Outgoing] = []
        self._ended: RunEnded | None = None
        self._written_status: Status | None = None
        self._calls: dict[StepKey, ActivityCall] = {}
        self._in_flight: dict[StepKey, str] = {}
        self._is_halted = False
        self._is_discarded = False
        self._reset_code()
        self.is_replaying = self._state.seq > 0

    # ── for the actor ───────────────────────────────────────────────────────────────────────────────────

    def attach(self, actor: pykka.ActorRef[Any]) -> None:
        """Says who gets the answers to what the outbox asks for."""
        self._actor = actor

    def advance(self, mail: list[Any], now_us: int) -> Turn:
        """Takes messages and runs the code as far as it goes, in memory only."""
        self._now_us = max(now_us, self._state.last_at)
        is_new = self._state.seq == 0
        if is_new:
            self._record(self._state.created)
        for message in mail:
            self._take(message)
        if self._code_may_run():
            self._run_code()
        return self._turn(is_new)

    def discard(self) -> None:
        """Ends the live code without recording anything."""
        self._is_discarded = True
        if self._runner is not None:
            self._runner.close()
            self._runner = None
        # Infos and contexts lead back here: without this every run would wait for the cycle collector.
        self._infos.clear()
        self._calls.clear()

    # ── for the context ─────────────────────────────────────────────────────────────────────────────────

    @property
    def attempt(self) -> int:
        return self._state.attempt

    @property
    def run_number(self) -> int:
        return self._state.created.run

    @property
    def seed(self) -> int:
        return self._state.created.seed

    def schedule_activity(
        self, name: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ActivityInfo[Any]:
        """The code asks for an activity."""
        self._check_is_live()
        call = activity_call(target)
        call.shape.check(call.name, args, kwargs)
        queue = call.options.queue or self._state.created.queue
        self._services.check_queue(queue)
        payload = self._services.encode_call(args, kwargs)
        key = self._next_key(name)
        info: ActivityInfo[Any] = ActivityInfo(self, key)
        step = self._known_step(key, StepKind.ACTIVITY, call.names)
        self._calls[key] = call
        if step is None:
            self._record(events.ActivityScheduled(call.name, msgspec.Raw(payload), queue), key)
            self._dispatch(self._state.steps[key], queue)
        elif step.is_open and key not in self._in_flight:
            self._dispatch_when_due(step, queue)
        self._expect(info, key, step)
        return info

    def schedule_side_effect(self, name: str, function: Callable[[], Any]) -> SideEffectInfo[Any]:
        """The code asks for a side effect."""
        self._check_is_live()
        if not callable(function):
            raise InvalidArguments(f"side effect {name!r}: {function!r} is not callable")
        key = self._next_key(name)
        info: SideEffectInfo[Any] = SideEffectInfo(self, key)
        step = self._known_step(key, StepKind.SIDE_EFFECT, frozenset({""}))
        if step is None and key not in self._in_flight:
            services = self._services
            self._in_flight[key] = ""
            self._outbox.append(RunSideEffect(self._actor, key, lambda: services.encode(function(), "result")))
        self._expect(info, key, step)
        return info

    def schedule_child(
        self, name: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ChildWorkflowInfo[Any]:
        """The code asks for a child workflow."""
        self._check_is_live()
        call = workflow_call(target)
        call.shape.check(call.name, args, kwargs)
        self._services.check_queue(call.options.queue or self._state.created.queue)
        payload = self._services.encode_call(args, kwargs)
        key = self._next_key(name)
        child = WorkflowId(call.options.id or f"{self.workflow}/{key}")
        info: ChildWorkflowInfo[Any] = ChildWorkflowInfo(self, key, child)
        step = self._known_step(key, StepKind.CHILD, call.names)
        if step is None:
            body = events.ChildScheduled(child, call.name, msgspec.Raw(payload), call.options.detach)
            self._record(body, key)
        recorded = self._state.steps[key]
        if recorded.is_open:
            info.id = recorded.child
            self._start_child(recorded, call)
        self._expect(info, key, step)
        return info

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """The code can't go on before this is true."""
        self._check_is_live()
        assert self._runner is not None
        self._runner.wait_until(is_ready)
        self._check_is_live()

    def new_future(self) -> Any:
        """Something that an ``async def`` waits on."""
        self._check_is_live()
        if not isinstance(self._runner, CoroutineRunner):
            raise InvalidArguments("`await` belongs in an `async def` workflow; in a `def` use .get()")
        return self._runner.new_future()

    # ── messages ────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, message: Any) -> None:
        match message:
            case ActivityEnded():
                self._take_activity_end(message)
            case SideEffectEnded():
                self._take_side_effect_end(message)
            case ActivityLost():
                self._take_loss(message)
            case ChildEnded():
                self._take_child_end(message)
            case RetryDue():
                self._take_retry(message)
            case Enqueue():
                if self._state.began_at is None:
                    self._record(events.RunStarted())
            case Begin():
                self._wait_for_run_retry()
                if self._state.problem:
                    self._ended = RunEnded(self.workflow, Status.STUCK, problem=self._state.problem)
            case _:
                raise AssertionError(f"{type(message).__name__} is no message to a run")

    def _take_activity_end(self, message: ActivityEnded) -> None:
        step = self._current_attempt(message.step, message.schedule, message.attempt)
        if step is None:
            return
        if message.failure is None:
            self._in_flight.pop(step.key, None)
            assert message.result is not None
            body: AnyBody = events.ActivityCompleted(msgspec.Raw(message.result))
            self._record(body, step.key, message.attempt)
            self._offer(step)
        else:
            self._fail_attempt(step, message.failure)

    def _fail_attempt(self, step: StepRecord, failure: Failure) -> None:
        attempt = step.attempts + 1
        call = self._calls[step.key]
        policy = call.options.retry or self._services.default_retry
        recorded = policy.recorded()
        if recorded.allows(failure, attempt):
            retry_at = self._now_us + round(recorded.delay_s(attempt, self._services.draw()) * 1e6)
            self._record(events.ActivityAttemptFailed(failure, retry_at), step.key, attempt)
            self._dispatch_when_due(step, self._in_flight[step.key])
        else:
            self._in_flight.pop(step.key, None)
            self._record(events.ActivityFailed(failure), step.key, attempt)
            self._offer(step)

    def _take_loss(self, message: ActivityLost) -> None:
        step = self._current_attempt(message.step, message.schedule, message.attempt)
        if step is None:
            return
        self._record(events.ActivityWorkerLost(message.cause), step.key, message.attempt)
        if step.losses < LOSSES_MAX:
            self._dispatch(step, self._in_flight[step.key])
            return
        text = f"{step.losses} worker processes died under it, the last by {message.cause}"
        self._in_flight.pop(step.key, None)
        self._record(events.ActivityFailed(worker_lost(text, message.cause)), step.key, message.attempt)
        self._offer(step)

    def _current_attempt(self, key: StepKey, schedule: int, attempt: int) -> StepRecord | None:
        """The step, if that is the attempt that we wait for; a late answer of another one is dropped (P6)."""
        step = self._state.steps.get(key)
        is_current = (
            step is not None
            and step.is_open
            and step.scheduled_seq == schedule
            and step.attempts + 1 == attempt
            and key in self._in_flight
        )
        return step if is_current else None

    def _take_side_effect_end(self, message: SideEffectEnded) -> None:
        if self._in_flight.pop(message.step, None) is None:
            return
        if message.failure is None:
            assert message.result is not None
            self._record(events.SideEffectCompleted(msgspec.Raw(message.result)), message.step)
        else:
            self._record(events.SideEffectFailed(message.failure), message.step)
        self._offer(self._state.steps[message.step])

    def _take_child_end(self, message: ChildEnded) -> None:
        # Whatever we make of it, the child need not tell us again.
        self._writes.append((statements.SETTLE_CHILD, (message.child,)))
        step = self._state.steps.get(message.step)
        if step is None or not step.is_open or step.child != message.child:
            return
        if message.failure is None:
            assert message.result is not None
            self._record(events.ChildCompleted(msgspec.Raw(message.result)), step.key)
        else:
            self._record(events.ChildFailed(message.failure, message.cancelled), step.key)
        self._offer(step)

    def _take_retry(self, message: RetryDue) -> None:
        if message.step == RUN_STEP:
            if self._state.retry_at is not None:
                self._begin_attempt("retry")
            return
        step = self._state.steps.get(message.step)
        if step is not None and step.is_open and message.step in self._in_flight:
            self._dispatch(step, self._in_flight[message.step])

    # ── the code ────────────────────────────────────────────────────────────────────────────────────────

    def _code_may_run(self) -> bool:
        state = self._state
        return not (
            state.is_finished
            or state.problem
            or self._is_halted
            or state.began_at is None
            or state.retry_at is not None
        )

    def _run_code(self) -> None:
        """Runs the code until it waits for something that has no outcome yet."""
        while True:
            runner = self._runner or self._make_runner()
            runner.run()
            if self._is_halted:
                runner.close()
                return
            if runner.is_done:
                self._runner = None
                self._conclude(runner.result, runner.error)
                return
            if not self._ready:
                # From here on everything is new.
                self.is_replaying = False
                return
            self._deliver_next()
            if self._is_halted:
                return

    def _reset_code(self) -> None:
        """Forgets what the code did: it begins anew, with the outcomes that stand."""
        self._runner: GreenletRunner | CoroutineRunner | None = None
        self._ready: list[tuple[int, StepKey]] = []
        self._held = {key: step.outcome for key, step in self._state.steps.items() if step.outcome is not None}
        self._infos: dict[StepKey, StepInfo[Any]] = {}
        self._occurrences: dict[str, int] = {}
        self.last_step = ""
        self.code_time_us = self._state.began_at or 0

    def _make_runner(self) -> GreenletRunner | CoroutineRunner:
        self.code_time_us = self._state.began_at or 0
        try:
            args, kwargs = self._services.codec.decode_call(bytes(self._state.created.args))
        except TypeNotFound as error:
            self._strand(str(error))
            args, kwargs = (), {}
        function, runner_class = self._call.callable, GreenletRunner
        context: WorkflowContext | AsyncWorkflowContext
        if self._call.is_async:
            context = AsyncWorkflowContext(self)
            self._runner = CoroutineRunner(lambda: function(context, *args, **kwargs))
        else:
            context = WorkflowContext(self)
            self._runner = runner_class(lambda: function(context, *args, **kwargs))
        return self._runner

    def _conclude(self, result: Any, error: BaseException | None) -> None:
        """The code returned or raised."""
        if error is None:
            try:
                payload = self._services.encode(result, "result")
            except Exception as refusal:
                error = refusal
            else:
                self._record(events.RunCompleted(msgspec.Raw(payload)))
                self._end(Status.COMPLETED)
                return
        self._fail(self._services.capture(error))

    def _fail(self, failure: Failure) -> None:
        retry = self._state.created.retry
        attempt = self._state.attempt
        if retry.allows(failure, attempt):
            retry_at = self._now_us + round(retry.delay_s(attempt, self._services.draw()) * 1e6)
            self._record(events.RunAttemptFailed(failure, retry_at), attempt=attempt)
            self._wait_for_run_retry()
        else:
            self._record(events.RunFailed(failure), attempt=attempt)
            self._end(Status.FAILED)

    def _begin_attempt(self, reason: Any) -> None:
        self._record(events.AttemptBegan(reason), attempt=self._state.attempt + 1)
        self._reset_code()

    def _wait_for_run_retry(self) -> None:
        if self._state.retry_at is not None:
            self._outbox.append(SetTimer(self.workflow, "run", self._state.retry_at, RetryDue(RUN_STEP)))

    # ── outcomes on their way to the code ───────────────────────────────────────────────────────────────

    def _offer(self, step: StepRecord) -> None:
        """A step's outcome was recorded: the code gets it if it has asked, else when it asks."""
        assert step.outcome is not None
        if step.key in self._infos:
            heapq.heappush(self._ready, (step.outcome.seq, step.key))
        self._held[step.key] = step.outcome

    def _expect(self, info: StepInfo[Any], key: StepKey, step: StepRecord | None) -> None:
        """The code has asked for a step."""
        self._infos[key] = info
        if step is not None and key in self._held:
            heapq.heappush(self._ready, (self._held[key].seq, key))

    def _deliver_next(self) -> None:
        _, key = heapq.heappop(self._ready)
        outcome = self._held.pop(key)
        # Never back: an outcome of an earlier attempt may be older than the attempt that gets it.
        self.code_time_us = max(self.code_time_us, outcome.at)
        try:
            value, error = self._decoded(key, outcome)
        except TypeNotFound as missing:
            self._strand(f"step {key!r}: {missing}")
            return
        self._infos[key].settle(value, error)

    def _decoded(self, key: StepKey, outcome: Outcome) -> tuple[Any, BaseException | None]:
        if outcome.failure is None:
            assert outcome.result is not None
            return self._services.codec.decode(outcome.result), None
        step = self._state.steps[key]
        is_child = step.kind is StepKind.CHILD
        if outcome.cancelled:
            return None, WorkflowCancelled(f"child workflow {step.child!r} was cancelled")
        attempt = step.attempts + 1 if step.kind is StepKind.ACTIVITY else 0
        error = rebuild_failure(
            outcome.failure,
            self._services.codec,
            step=key,
            attempt=attempt,
            fallback=WorkflowFailed if is_child else ActivityError,
        )
        return None, error

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────────

    def _check_is_live(self) -> None:
        if self._is_discarded or self._is_halted:
            raise Fenced

    def _next_key(self, name: str) -> StepKey:
        if not isinstance(name, str) or not name or _OCCURRENCE_SUFFIX.search(name):
            raise InvalidArguments(
                f"step name is {name!r}, expected a non-empty text that does not end in '#' and a number"
            )
        occurrence = self._occurrences[name] = self._occurrences.get(name, 0) + 1
        key = step_key(name, occurrence)
        self.last_step = key
        return key

    def _known_step(self, key: StepKey, kind: StepKind, names: frozenset[str]) -> StepRecord | None:
        """What is recorded of the step, if it stands; the code must agree with it (P1)."""
        step = self._state.steps.get(key)
        if step is None:
            self.is_replaying = False
            return None
        if step.kind is not kind or step.function not in names:
            asked = f"{kind} {key!r}" + (f" ({', '.join(sorted(names))})" if "" not in names else "")
            was = f"{step.kind} {key!r}" + (f" ({step.function})" if step.function else "")
            problem = f"the history has {was}, the code asks for {asked}"
            self._halt(problem, NonDeterminismError.__name__)
            raise Fenced
        if step.outcome is None and not step.is_open:
            # It failed in an earlier attempt of the run, and is run again.
            self.is_replaying = False
            return None
        return step

    def _dispatch_when_due(self, step: StepRecord, queue: str) -> None:
        self._in_flight[step.key] = queue
        if step.retry_at is None or step.retry_at <= self._now_us:
            self._dispatch(step, queue)
        else:
            key = f"step:{step.key}"
            self._outbox.append(SetTimer(self.workflow, key, step.retry_at, RetryDue(step.key)))

    def _dispatch(self, step: StepRecord, queue: str) -> None:
        """Sends the next attempt of an activity to its pool, once this turn is durable."""
        self._in_flight[step.key] = queue
        call = self._calls[step.key]
        options = call.options
        key = f"{self.workflow}:{self.run_number}:{step.key}:{step.scheduled_seq}"
        job = ActivityJob(
            self._actor,
            self.workflow,
            step.key,
            step.scheduled_seq,
            step.attempts + 1,
            call,
            step.args,
            key,
            options.timeout_s,
            options.grace,
            options.priority,
            step.losses > 0 or options.once or options.memory_limit is not None,
        )
        self._outbox.append(ToQueue(queue, RunActivity(job)))

    def _start_child(self, step: StepRecord, call: WorkflowCall) -> None:
        """Asks for the child; a second time is harmless, it is known by its id."""
        options, mine = call.options, self._state.created
        created = RunCreated(
            function=step.function,
            args=msgspec.Raw(step.args),
            seed=self._services.new_seed(),
            queue=options.queue or mine.queue,
            run_group=step.child if step.detached else mine.run_group,
            parent=self.workflow,
            parent_step=step.key,
            on_parent_close=options.on_parent_close,
            priority=options.priority,
            retry=options.retry.recorded() if options.retry else _JITTERLESS,
            timeout_s=options.timeout_s,
            deferred=options.defer,
            detached=step.detached,
            versions=dict(options.versions),
        )
        self._outbox.append(StartRun(WorkflowId(step.child), created, self.workflow, code=call))

    # ── recording ───────────────────────────────────────────────────────────────────────────────────────

    def _record(self, body: AnyBody, step: StepKey = RUN_STEP, attempt: int = 1) -> None:
        entry = Entry(self._state.seq + 1, self._now_us, body, step, attempt)
        self._state.apply(entry)
        self._writes.append(statements.insert_event(self.stream, entry))

    def _halt(self, problem: str, kind: str) -> None:
        """Nothing goes on until a person acts; the code is ended where it stands."""
        self._is_halted = True
        if self._state.problem != problem:
            self._record(events.RunStuck(problem, kind))
        self._ended = RunEnded(self.workflow, Status.STUCK, problem=problem)

    def _strand(self, problem: str) -> None:
        """Nothing is recorded: whether a type or function is known is not a fact of the run."""
        self._is_halted = True
        self._ended = RunEnded(self.workflow, Status.STRANDED, problem=problem)

    def _end(self, status: Status) -> None:
        """The outcome is recorded: what still runs is of no use, and the parent is told."""
        state = self._state
        for queue in {queue for queue in self._in_flight.values() if queue}:
            self._outbox.append(ToQueue(queue, CancelActivities(self.workflow)))
        self._in_flight.clear()
        self._ended = RunEnded(self.workflow, status, state.result, state.failure)
        if state.created.parent is not None and state.created.parent_step is not None:
            step = StepKey(state.created.parent_step)
            outcome = ChildEnded(step, self.workflow, state.result, state.failure, status is Status.CANCELLED)
            self._outbox.append(Deliver(WorkflowId(state.created.parent), outcome))

    def _status(self) -> Status:
        state = self._state
        if state.finished is not None:
            return state.finished
        if self._ended is not None:
            return Status(self._ended.status)
        if state.began_at is None:
            return Status.PENDING
        return Status.RUNNING if self._can_go_on() else Status.WAITING

    def _can_go_on(self) -> bool:
        return bool(self._in_flight) or self._state.retry_at is not None

    def _turn(self, is_new: bool) -> Turn:
        status = self._status()
        if is_new:
            self._writes.append(self._run_row(status))
        elif status is not self._written_status:
            self._writes.append(
                statements.update_run(self.stream, status, self._finished_at(), self._problem(), self._owes_parent())
            )
        self._written_status = status
        turn = Turn(self._writes, self._outbox, self._ended, self._can_go_on())
        self._writes, self._outbox = [], []
        return turn

    def _run_row(self, status: Status) -> Write:
        return statements.insert_run(
            self.stream,
            self.workflow,
            self._state.created,
            self._now_us,
            status=status.value,
            finished_at=self._finished_at(),
            problem=self._problem(),
            owes_parent=int(self._owes_parent()),
        )

    def _finished_at(self) -> int | None:
        return self._state.last_at if self._state.is_finished else None

    def _problem(self) -> str:
        return self._ended.problem if self._ended is not None else ""

    def _owes_parent(self) -> bool:
        return self._state.is_finished and self._state.created.parent is not None


def worker_lost(text: str, cause: str) -> Failure:
    """The failure of an activity whose worker processes died."""
    names = ("WorkerLost", "ActivityError", "OutcomeError", "TempoliteError")
    lineage = (*(f"tempolite.errors:{name}" for name in names), "builtins:Exception")
    return Failure(
        type_name=lineage[0], message=text, lineage=lineage, args=[text], state={"cause": cause}, retryable=False
    )
