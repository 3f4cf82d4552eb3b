"""A live run: takes messages, runs the code as far as it goes, and says what must be written and sent.

Everything here happens in memory, within one turn: :class:`RunLog` gathers what the turn comes to, and the
run's actor commits it before it acts on it. What a kind of step means stands in a file of its own.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from tempolite.actors.controls import Asked
from tempolite.actors.lost_threads import CutOff
from tempolite.actors.messages import (
    ActivityEnded,
    ActivityLost,
    ActivityNext,
    Begin,
    ChildEnded,
    RetryDue,
    SagaAdvice,
    SetTimer,
    SideEffectEnded,
    TimerDue,
    TryAgain,
)
from tempolite.core import events
from tempolite.core.events import Entry, RunCreated
from tempolite.core.history import RunState
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId, is_text
from tempolite.core.status import Status
from tempolite.errors import InvalidArguments, NotAllowedInWorkflow
from tempolite.execution.activities import Activities
from tempolite.execution.code import Code
from tempolite.execution.ending import Ending
from tempolite.execution.fence import FENCE, Fenced
from tempolite.execution.parts import Parts
from tempolite.execution.run_log import RUN_STEP, RunLog
from tempolite.execution.steps import Steps
from tempolite.registry import unknown_function
from tempolite.store import statements

if TYPE_CHECKING:
    import pykka

    from tempolite.actors.workflow import Turn
    from tempolite.calls import WorkflowCall
    from tempolite.execution.services import Services
    from tempolite.store.statements import Latest


class Execution(Parts):
    """One run of one workflow, alive.

    Args:
        workflow: its id.
        stream: where its events go.
        call: its function; None where it is not known here: mail is taken, and no code runs.
        services: what it needs of the engine.
        run: what its history adds up to, or the first event of a run that is new.
        written: what its row says; None for a run that is new.

    Attributes:
        prelude: entries that the history of a new run begins with, behind the first.
        is_async: the code is an ``async def``.
    """

    prelude: tuple[Entry, ...] = ()

    def __init__(
        self,
        workflow: WorkflowId,
        stream: StreamId,
        call: WorkflowCall | None,
        services: Services,
        run: RunState | RunCreated,
        written: Latest | None = None,
    ) -> None:
        super().__init__()
        self.workflow, self.stream = workflow, stream
        self.services = services
        self.log = RunLog(workflow, stream, RunState(run) if isinstance(run, RunCreated) else run, written)
        self.steps = Steps(self.log, services)
        self.activities = Activities(self)
        self.ending = Ending(self)
        self.code = Code(self, call)
        self.is_async = call is not None and call.is_async
        self._is_discarded = False
        self._is_reading = False
        self._places = self._statuses = 0

    # ── for the actor ───────────────────────────────────────────────────────────────────────────────────

    def attach(self, actor: pykka.ActorRef[Any]) -> None:
        """Says who gets the answers to what the outbox asks for."""
        self.log.actor = actor

    def advance(self, mail: list[Any], now_us: int) -> Turn:
        """Takes messages and runs the code as far as it goes, in memory only."""
        is_new = self.log.state.seq == 0
        self.log.begin_turn(now_us)
        if is_new and self.prelude:
            self._take_prelude()
        if is_new and self.log.state.began_at is not None:
            self.set_run_timeout()
        # Before the mail, so that who asks the code is told; and after it, a finished run may be resumed.
        self._strand_if_unknown()
        for message in mail:
            self._take(message)
        self.code.run()
        if self.made:
            self._look_at_parts()
        self._strand_if_unknown()
        turn = self.log.turn()
        if "requests" in self.made:
            turn.has_work = turn.has_work or self.requests.are_waiting
        if self.services.is_forgetful and turn.ended is None:
            self.code.restart()
        return turn

    def _look_at_parts(self) -> None:
        self.ending.take_postponed()
        if "requests" in self.made:
            self.requests.take_waiting()
        if "sagas" in self.made:
            self.sagas.look()

    def unanswered(self) -> Sequence[Any]:
        """Requests that wait for the code's first turn; whoever discards the run has to keep them."""
        return self.requests.unanswered() if "requests" in self.made else ()

    def _take_prelude(self) -> None:
        """What a fork keeps is recorded in its first turn, and the code gets it as on replay."""
        for entry in self.prelude:
            assert entry.seq == self.log.state.seq + 1, "numbered for this place"
            self.log.record(entry.body, entry.step, entry.attempt)
        self.steps.begin_replay()

    def discard(self) -> None:
        """Ends the live code without recording anything."""
        self._is_discarded = True
        self.code.stop()
        self.steps.clear()
        self.activities.clear()
        if "sagas" in self.made:
            self.sagas.clear()

    def abandon(self) -> Callable[[], None]:
        """Fences code that another thread does not come back from; gives what ends it there."""
        self._is_discarded = True
        # Also what only reads: the time, randomness.
        self.steps = cast("Steps", FENCE)
        return self.code.give_up()

    def cut_off(self, mail: list[Any], problem: str) -> tuple[CutOff, Asked | None]:
        """Says how the turn under way began; and what the code was being asked, which must not be again."""
        asked = self.requests.asked if "requests" in self.made else None
        # A query or validator has changed nothing: the run goes on without it.
        is_harmless = asked is not None and self._is_reading
        calls = dict(self.activities.calls)
        in_flight = self.log.in_flight_before(mail, {key: call.options.queue for key, call in calls.items()})
        return CutOff("" if is_harmless else problem, in_flight, calls), asked

    def moved(self) -> tuple[Execution, Callable[[], None]] | None:
        """The same run for another thread, and what ends the code that can't follow it, in the old one."""
        end = self.code.leave()
        if end is None:
            return None
        following = copy.copy(self)
        for part in (following.code, following.activities, following.ending, *following.made.values()):
            part._execution = following
        # Whatever the code that stays behind holds leads here: to a run that is over, and records nothing.
        vars(self).clear()
        call, services = following.code.call, following.services
        Execution.__init__(self, following.workflow, following.stream, call, services, following.created)
        self._is_discarded = True
        self.steps = cast("Steps", FENCE)
        following.begin_code()
        following.steps.begin_replay()
        return following, end

    def anew(self) -> Execution:
        """The same run before its first turn."""
        execution = Execution(self.workflow, self.stream, self.code.call, self.services, self.created)
        execution.prelude = self.prelude
        return execution

    # ── for the parts ───────────────────────────────────────────────────────────────────────────────────

    @property
    def attempt(self) -> int:
        """Which attempt of the code this is, from 1."""
        return self.log.state.attempt

    @property
    def created(self) -> RunCreated:
        """What the run began with."""
        return self.log.state.created

    @property
    def is_fenced(self) -> bool:
        """Whether what the code does now is not recorded: it is being ended."""
        return self._is_discarded or self.code.is_ending or self.log.ended is not None

    def check_is_live(self) -> None:
        """Code that is being ended records nothing more, nor does code that is only asked.

        Raises:
            Fenced: it is being ended.
            NotAllowedInWorkflow: a query, a validator or a condition uses the context.
        """
        # What `is_fenced` says, without a call: every use of the context comes through here.
        if self._is_discarded or self.code.is_ending or self.log.ended is not None:
            raise Fenced
        if self._is_reading:
            raise NotAllowedInWorkflow(
                "a query handler, a validator or a condition only reads: it can't use the workflow's context"
            )

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Code that is asked within this changes nothing."""
        self._is_reading = True
        try:
            yield
        finally:
            self._is_reading = False

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """The code can't go on before this is true."""
        self.check_is_live()
        self.code.wait_until(is_ready)
        self.check_is_live()

    def new_future(self) -> Any:
        """Something that an ``async def`` waits on."""
        self.check_is_live()
        return self.code.new_future()

    def begin_code(self) -> None:
        """The code begins anew: it asks for everything once more."""
        self._statuses = 0
        self.steps.begin()
        self.begin_parts()
        self.ending.begin()

    def set_status(self, text: str, progress: float | None) -> None:
        """The code says how far it is; on a replay it has said so before."""
        self.check_is_live()
        if not is_text(text) or not (progress is None or _is_share(progress)):
            raise InvalidArguments(f"status is {text!r}, {progress!r}, expected a text and a number")
        self._statuses += 1
        if self._statuses > self.log.state.statuses and not self.log.is_sealed:
            share = None if progress is None else float(progress)
            self.log.record(events.StatusSet(text, share))
            self.log.write((statements.SET_STATUS_TEXT, (self.stream, text, share)))

    def next_place(self) -> int:
        """Numbers outcomes in the order in which the code is given them."""
        self._places += 1
        return self._places

    def encode_own_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Arguments for another run of the same function.

        Raises:
            InvalidArguments, NotStorable: they don't fit, or can't be carried.
        """
        assert self.code.call is not None, "asked by code that runs"
        self.code.call.shape.check(self.code.call.name, args, kwargs)
        return self.services.encode_call(args, kwargs)

    def begin_attempt(self, reason: Any) -> None:
        """A new attempt of the code."""
        self.code.stop()
        self.log.record(events.AttemptBegan(reason), attempt=self.attempt + 1)
        # The outcome that it had is void, and its parent will be told of the next one.
        self.log.owes_parent = False
        self.begin_code()
        self.steps.begin_attempt()
        if reason == "resume":
            self.set_run_timeout()
            # Its end took them out of the index; they are due when they were.
            for timer in self.log.state.open_timers:
                self.log.set_timer(timer.key, timer.due_at)

    def wait_for_retry(self) -> None:
        """The next attempt begins when its time has come."""
        if (retry_at := self.log.state.retry_at) is not None:
            self.log.send(SetTimer(self.workflow, "retry", retry_at, RetryDue(RUN_STEP)))

    def set_run_timeout(self) -> None:
        """The run's time begins."""
        if self.created.timeout_s is not None:
            self.log.set_timer(RUN_STEP, self.log.now_us + round(self.created.timeout_s * 1e6))

    def look_at_code(self) -> None:
        """Brings a finished run's code to where it ended, recording nothing, so that it can be asked."""
        if self.log.state.is_finished:
            self.code.replay()
        else:
            self.code.run()

    # ── messages ────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, message: Any) -> None:
        match message:
            case ActivityEnded():
                self.activities.take_end(message)
            case SideEffectEnded():
                self.side_effects.take_end(message)
            case SagaAdvice():
                self.sagas.take_advice(message)
            case ActivityLost():
                self.activities.take_loss(message)
            case ActivityNext():
                self.activities.take_next(message)
            case ChildEnded():
                self.children.take_end(message)
            case RetryDue():
                self._take_retry(message.step)
            case TimerDue():
                self._take_timer(message.key)
            case Asked():
                self.requests.take(message)
            case TryAgain():
                self._take_try_again(message.times)
            case Begin():
                self._take_begin()
            case CutOff():
                self._take_cut_off(message)
            case _:
                raise AssertionError(f"{type(message).__name__} is no message to a run")

    def _strand_if_unknown(self) -> None:
        if self.code.call is None and not self.log.state.is_finished:
            created = self.created
            self.log.strand(self.services.why_stranded(created.queue) or unknown_function(created.function))

    def _take_try_again(self, times: int) -> None:
        """A parent asks for its failed child; asked again after a restart, it counts once."""
        self.log.write((statements.SPAWNED, (self.workflow, self.created.parent_stream)))
        finished = self.log.state.finished
        if finished not in (Status.FAILED, Status.CANCELLED):
            return
        if self.log.state.resumes < times:
            self.log.ended = None
            self.begin_attempt("resume")
        else:
            self.ending.tell(finished)

    def _take_begin(self) -> None:
        state = self.log.state
        if state.seq > 1:
            self.wait_for_retry()
        if state.problem:
            self.log.say_stuck()
        elif state.finished is not None:
            self.log.say_finished(state.finished)

    def _take_cut_off(self, message: CutOff) -> None:
        self.log.in_flight.update(message.in_flight)
        self.activities.calls.update(message.calls)
        self.code.bar(message.problem)

    def _take_retry(self, step: StepKey) -> None:
        if step != RUN_STEP:
            self.activities.take_retry(step)
        elif self.log.state.retry_at is not None:
            self.begin_attempt("retry")

    def _take_timer(self, key: StepKey) -> None:
        if key == RUN_STEP:
            self.ending.time_out()
        else:
            self.timers.take_due(key)

    # ── the code ────────────────────────────────────────────────────────────────────────────────────────


def _is_share(progress: Any) -> bool:
    is_number = isinstance(progress, (int, float)) and not isinstance(progress, bool)
    # Neither a column nor an event holds more than a float does, and JSON has no infinity.
    return is_number and abs(progress) <= sys.float_info.max
