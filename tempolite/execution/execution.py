"""A live run: takes messages, runs the code as far as it goes, and says what must be written and sent.

Everything here happens in memory, within one turn: :class:`RunLog` gathers what the turn comes to, and the
run's actor commits it before it acts on it. What a kind of step means stands in a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from tempolite.actors.messages import (
    ActivityEnded,
    ActivityLost,
    Begin,
    ChildEnded,
    Deliver,
    Enqueue,
    RetryDue,
    RunEnded,
    SetTimer,
    SideEffectEnded,
    TryAgain,
)
from tempolite.codec import TypeNotFound
from tempolite.core import events
from tempolite.core.events import RunCreated
from tempolite.core.failure import Failure
from tempolite.core.history import RunState
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId
from tempolite.core.status import Status
from tempolite.errors import InvalidArguments, TurnTooLong
from tempolite.execution.activities import Activities
from tempolite.execution.children import Children
from tempolite.execution.context import AsyncWorkflowContext, WorkflowContext
from tempolite.execution.run_log import RUN_STEP, RunLog
from tempolite.execution.runner import CoroutineRunner, Fenced, GreenletRunner
from tempolite.execution.side_effects import SideEffects
from tempolite.execution.steps import Steps

if TYPE_CHECKING:
    import pykka

    from tempolite.actors.workflow import Turn
    from tempolite.calls import WorkflowCall
    from tempolite.execution.services import Services


class Execution:
    """One run of one workflow, alive.

    Args:
        workflow: its id.
        stream: where its events go.
        call: its function.
        services: what it needs of the engine.
        run: what its history adds up to, or the first event of a run that is new.
    """

    def __init__(
        self,
        workflow: WorkflowId,
        stream: StreamId,
        call: WorkflowCall,
        services: Services,
        run: RunState | RunCreated,
    ) -> None:
        self.workflow, self.stream = workflow, stream
        self.services = services
        self.log = RunLog(workflow, stream, RunState(run) if isinstance(run, RunCreated) else run)
        self.steps = Steps(self.log, services)
        self.activities = Activities(self)
        self.side_effects = SideEffects(self)
        self.children = Children(self)
        self._call = call
        self._runner: GreenletRunner | CoroutineRunner | None = None
        self._is_discarded = False

    # ── for the actor ───────────────────────────────────────────────────────────────────────────────────

    def attach(self, actor: pykka.ActorRef[Any]) -> None:
        """Says who gets the answers to what the outbox asks for."""
        self.log.actor = actor

    def advance(self, mail: list[Any], now_us: int) -> Turn:
        """Takes messages and runs the code as far as it goes, in memory only."""
        self.log.begin_turn(now_us)
        for message in mail:
            self._take(message)
        if self._code_may_run():
            self._run_code()
        return self.log.turn()

    def discard(self) -> None:
        """Ends the live code without recording anything."""
        self._is_discarded = True
        if self._runner is not None:
            self.services.watch.run(self._runner.close, self.steps.is_rerun)
            self._runner = None
        self.steps.clear()
        self.activities.clear()

    # ── for the context ─────────────────────────────────────────────────────────────────────────────────

    @property
    def attempt(self) -> int:
        """Which attempt of the code this is, from 1."""
        return self.log.state.attempt

    @property
    def created(self) -> RunCreated:
        """What the run began with."""
        return self.log.state.created

    def check_is_live(self) -> None:
        """Code that is being ended records nothing more.

        Raises:
            Fenced: it is.
        """
        if self._is_discarded or self.log.ended is not None:
            raise Fenced

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """The code can't go on before this is true."""
        self.check_is_live()
        assert self._runner is not None, "only running code waits"
        self._runner.wait_until(is_ready)
        self.check_is_live()

    def new_future(self) -> Any:
        """Something that an ``async def`` waits on."""
        self.check_is_live()
        if not isinstance(self._runner, CoroutineRunner):
            raise InvalidArguments("`await` belongs in an `async def` workflow; in a `def` use .get()")
        return self._runner.new_future()

    # ── messages ────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, message: Any) -> None:
        match message:
            case ActivityEnded():
                self.activities.take_end(message)
            case SideEffectEnded():
                self.side_effects.take_end(message)
            case ActivityLost():
                self.activities.take_loss(message)
            case ChildEnded():
                self.children.take_end(message)
            case RetryDue():
                self._take_retry(message.step)
            case Enqueue():
                if self.log.state.began_at is None:
                    self.log.record(events.RunStarted())
            case TryAgain():
                self._take_try_again(message.times)
            case Begin():
                self._take_begin()
            case _:
                raise AssertionError(f"{type(message).__name__} is no message to a run")

    def _take_try_again(self, times: int) -> None:
        """A parent asks for its failed child; asked again after a restart, it counts once."""
        finished = self.log.state.finished
        if finished not in (Status.FAILED, Status.CANCELLED):
            return
        if self.log.state.resumes < times:
            self._begin_attempt("resume")
        else:
            self._tell_end(finished)

    def _take_begin(self) -> None:
        self._wait_for_retry()
        if self.log.state.problem:
            self.log.say_stuck()

    def _take_retry(self, step: StepKey) -> None:
        if step != RUN_STEP:
            self.activities.take_retry(step)
        elif self.log.state.retry_at is not None:
            self._begin_attempt("retry")

    # ── the code ────────────────────────────────────────────────────────────────────────────────────────

    def _code_may_run(self) -> bool:
        state = self.log.state
        return (
            not state.is_finished
            and self.log.ended is None
            and state.began_at is not None
            and state.retry_at is None
        )

    def _run_code(self) -> None:
        """Runs the code until it waits for something that has no outcome yet."""
        try:
            runner = self._runner or self._make_runner()
            while True:
                with self.services.guard:
                    problem = self.services.watch.run(runner.run, self.steps.is_rerun)
                if problem:
                    self.log.halt(problem, TurnTooLong.__name__)
                if self.log.ended is not None:
                    # It must not go on: its history disagrees with it, or it took too long.
                    self._runner = None
                    self.services.watch.run(runner.close, self.steps.is_rerun)
                    return
                if runner.is_done:
                    self._runner = None
                    self._conclude(runner.result, runner.error)
                    return
                if not self.steps.deliver_next():
                    return
        except TypeNotFound as error:
            self.log.strand(str(error))

    def _make_runner(self) -> GreenletRunner | CoroutineRunner:
        args, kwargs = self.services.codec.decode_call(bytes(self.created.args))
        self.steps.code_time_us = self.log.state.began_at or 0
        function = self._call.callable
        if self._call.is_async:
            ctx = AsyncWorkflowContext(self)
            self._runner = CoroutineRunner(lambda: function(ctx, *args, **kwargs))
        else:
            context = WorkflowContext(self)
            self._runner = GreenletRunner(lambda: function(context, *args, **kwargs))
        return self._runner

    def _conclude(self, result: Any, error: BaseException | None) -> None:
        """The code returned or raised."""
        if error is not None:
            self._fail(self.services.capture(error))
            return
        try:
            payload = self.services.encode(result, "result")
        except Exception as refusal:
            self._fail(self.services.capture(refusal))
        else:
            self.log.record(events.RunCompleted(msgspec.Raw(payload)))
            self._end(Status.COMPLETED)

    def _fail(self, failure: Failure) -> None:
        policy, attempt = self.created.retry, self.attempt
        used = attempt - self.log.state.budget_from
        if policy.allows(failure, used):
            retry_at = self.log.now_us + round(policy.delay_s(used, self.services.draw()) * 1e6)
            self.log.record(events.RunAttemptFailed(failure, retry_at), attempt=attempt)
            self._wait_for_retry()
        else:
            self.log.record(events.RunFailed(failure), attempt=attempt)
            self._end(Status.FAILED)

    def _begin_attempt(self, reason: Any) -> None:
        self.log.record(events.AttemptBegan(reason), attempt=self.attempt + 1)
        self.steps.begin()

    def _wait_for_retry(self) -> None:
        if (retry_at := self.log.state.retry_at) is not None:
            self.log.send(SetTimer(self.workflow, "retry", retry_at, RetryDue(RUN_STEP)))

    def _end(self, status: Status) -> None:
        """The outcome is recorded: what still runs is of no use, and the parent is told."""
        self.log.drop_work()
        self._tell_end(status)

    def _tell_end(self, status: Status) -> None:
        state, created = self.log.state, self.created
        self.log.ended = RunEnded(self.workflow, status, state.result, state.failure)
        if created.parent is not None and created.parent_step is not None:
            step = StepKey(created.parent_step)
            outcome = ChildEnded(step, self.workflow, state.result, state.failure, status is Status.CANCELLED)
            self.log.send(Deliver(WorkflowId(created.parent), outcome))
