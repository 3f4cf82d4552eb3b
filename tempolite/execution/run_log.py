"""What a turn records, and what it asks for outside: the one place where both are kept in step.

Whatever becomes true of a run goes through :meth:`RunLog.record`: the state takes it, and the writes of the
turn hold it. What is to happen outside goes into the outbox, which is sent once the turn is durable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tempolite.actors.messages import (
    ActivityEnded,
    ActivityLost,
    ActivityNext,
    CancelActivities,
    CancelTimer,
    RetryDue,
    RunActivity,
    RunEnded,
    RunSideEffect,
    SetTimer,
    SideEffectEnded,
    TimerDue,
    Write,
)
from tempolite.actors.workflow import Outgoing, ToQueue, Turn
from tempolite.core import events
from tempolite.core.events import AnyBody, Entry
from tempolite.core.history import RunState
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId
from tempolite.core.status import Status
from tempolite.core.step_records import StepKind
from tempolite.errors import NonDeterminismError
from tempolite.store import statements
from tempolite.store.statements import Latest

if TYPE_CHECKING:
    import pykka

RUNNING, WAITING = ACTIVE = (Status.RUNNING, Status.WAITING)

OF_ACTIVITIES = (ActivityEnded, ActivityLost, ActivityNext, RetryDue)

RUN_STEP = StepKey("")
"""Stands for the run itself where a step is expected."""


class RunLog:
    """A run's state, and what the turn under way adds to it.

    Attributes:
        state: what the stream says, with what this turn recorded.
        now_us: time of this turn; never before the last entry.
        in_flight: steps whose work is under way inside the engine, with their queue.
        ended: set when the run is over, or can't go on.
        actor: gets the answers to what the outbox asks for.
        is_sealed: the code is only looked at: what is not recorded can't be asked for any more.
        owes_parent: its outcome was sent to its parent, and may not have come there.
    """

    actor: pykka.ActorRef[Any]

    def __init__(
        self, workflow: WorkflowId, stream: StreamId, state: RunState, written: Latest | None = None
    ) -> None:
        self.workflow, self.stream = workflow, stream
        self.state = state
        self.now_us = 0
        self.in_flight: dict[StepKey, str] = {}
        self.ended: RunEnded | None = None
        self.is_sealed = False
        self.owes_parent = written is not None and written.owes_parent
        self._writes: list[Write] = []
        self._outbox: list[Outgoing] = []
        self._written = written

    def begin_turn(self, now_us: int) -> None:
        """Time goes on; the first turn of a new run records that it exists."""
        self.now_us = max(now_us, self.state.last_at)
        if self.state.seq == 0:
            assert self.state.created.workflow == self.workflow, "a run is created under its own id"
            self.record(self.state.created)
            if self.state.created.parent is not None:
                self.write((statements.SPAWNED, (self.workflow, self.state.created.parent_stream)))

    def record(self, body: AnyBody, step: StepKey = RUN_STEP, attempt: int = 1) -> None:
        """Makes it true.

        Raises:
            NonDeterminismError: the code is only looked at, and asks for what is not in its history.
        """
        if self.is_sealed:
            raise NonDeterminismError(f"the history has no {_described(body, step)}, the code asks for it")
        state = self.state
        entry = Entry(state.seq + 1, self.now_us, body, step, attempt)
        # Made first: what can't be written has not happened, and leaves no gap.
        write = statements.insert_event(self.stream, entry)
        state.apply(entry)
        self._writes.append(write)

    def write(self, write: Write) -> None:
        """Changes an index in the same commit."""
        self._writes.append(write)

    def send(self, message: Outgoing) -> None:
        """Once this turn is durable."""
        self._outbox.append(message)

    def halt(self, problem: str, kind: str) -> None:
        """Nothing goes on until a person acts.

        Raises:
            NonDeterminismError: the code is only looked at; that is what was to be found out.
        """
        if self.is_sealed:
            raise NonDeterminismError(problem)
        if self.state.problem != f"{kind}: {problem}":
            self.record(events.RunStuck(f"{kind}: {problem}", kind))
        self.say_stuck()

    def say_stuck(self) -> None:
        """The run is stuck already: who waits is told."""
        self.ended = RunEnded(self.workflow, Status.STUCK, problem=self.state.problem)

    def say_finished(self, status: Status) -> None:
        """The run has its outcome already: it came to life to be asked."""
        self.ended = RunEnded(self.workflow, status, self.state.result, self.state.failure)

    def strand(self, problem: str) -> None:
        """Nothing is recorded: whether a type or function is known is not a fact of the run."""
        self.ended = RunEnded(self.workflow, Status.STRANDED, problem=problem)

    def drop_work(self) -> None:
        """What is still under way is of no use any more."""
        for queue in {queue for queue in self.in_flight.values() if queue}:
            self.send(ToQueue(queue, CancelActivities(self.workflow)))
        self.in_flight.clear()
        if self.state.timers_open or self.state.created.timeout_s is not None:
            self._unwrite_timers()
            self.write((statements.CLEAR_TIMERS, (self.stream,)))
            for timer in self.state.open_timers:
                self.send(CancelTimer(self.workflow, timer.key))
            self.send(CancelTimer(self.workflow, RUN_STEP))

    def drop_timeouts(self) -> None:
        """The attempt of the code that waited no longer than that is over; the next one has its own."""
        if self.state.timers_open:
            for timer in self.state.open_timers:
                if timer.kind is StepKind.TIMEOUT:
                    self.clear_timer(timer.key)
                    self.send(CancelTimer(self.workflow, timer.key))

    def set_timer(self, key: StepKey, due_us: int) -> None:
        """Wakes the run at that time, in memory or not; the row lies in the same commit."""
        self._unwrite_timers(key)
        self.write((statements.SET_TIMER, (self.stream, key, due_us)))
        self.send(SetTimer(self.workflow, key, due_us, TimerDue(key), is_durable=True))

    def clear_timer(self, key: StepKey) -> None:
        """It has fired, or is of no use any more."""
        self._unwrite_timers(key)
        self.write((statements.CLEAR_TIMER, (self.stream, key)))

    def _unwrite_timers(self, key: StepKey | None = None) -> None:
        """What this turn has said of a timer, or of all, counts no more: a later word comes.

        A batch executes each kind of statement at once, not in the order in which a turn wrote them.
        """
        kinds = (statements.SET_TIMER, statements.CLEAR_TIMER)
        self._writes = [
            write for write in self._writes if write[0] not in kinds or key not in (None, write[1][1])
        ]

    def in_flight_before(self, mail: list[Any], queues: dict[StepKey, str | None]) -> dict[StepKey, str]:
        """What was under way when this turn began: not what it was to send, but what its mail tells of.

        Args:
            mail: of this turn, and of later ones.
            queues: where each activity goes, if not to the run's own queue.
        """
        before = dict(self.in_flight)
        for message in self._outbox:
            if isinstance(message, RunSideEffect):
                before.pop(message.step, None)
            elif isinstance(message, ToQueue) and isinstance(message.message, RunActivity):
                before.pop(message.message.job.step, None)
        for message in mail:
            if isinstance(message, SideEffectEnded):
                before[message.step] = ""
            elif isinstance(message, OF_ACTIVITIES) and message.step in queues:
                before[message.step] = queues[message.step] or self.state.created.queue
        return before

    def turn(self) -> Turn:
        """What this turn comes to."""
        # Asked for once: every turn comes through here.
        has_work = self.has_work
        latest = self._latest(has_work)
        if self._written is None and self._writes and self._is_creation:
            self._writes.append(
                statements.insert_run(self.stream, self.workflow, self.state.created, self.now_us, latest)
            )
        elif latest != self._written:
            self._writes.append(statements.update_run(self.stream, latest))
        self._written = latest
        is_active = latest.status in ACTIVE
        can_go_on = has_work or self._has_live_timers
        turn = Turn(self._writes, self._outbox, self.ended, can_go_on, has_work, is_active)
        self._writes, self._outbox = [], []
        return turn

    @property
    def has_work(self) -> bool:
        """Whether something under way inside the engine will wake this run."""
        return bool(self.in_flight) or self.state.retry_at is not None

    @property
    def _has_live_timers(self) -> bool:
        """Whether a timer will wake it."""
        return self.state.timers_open > 0 and self.state.paused_seq is None

    @property
    def _is_creation(self) -> bool:
        return self._writes[0][1][1] == 1 and self._writes[0][0] is statements.INSERT_EVENT

    def _latest(self, has_work: bool) -> Latest:
        state = self.state
        is_finished = state.finished is not None
        return Latest(
            self._status(has_work),
            state.last_at if is_finished else None,
            self.ended.problem if self.ended is not None else "",
            is_finished and self.owes_parent,
            state.is_held,
        )

    def status(self) -> Status:
        """What the run's row says after this turn."""
        return self._status(self.has_work)

    def _status(self, has_work: bool) -> Status:
        state = self.state
        if state.finished is not None:
            return state.finished
        if self.ended is not None:
            return Status(self.ended.status)
        if state.paused_seq is not None:
            return Status.PAUSED
        if state.began_at is None or state.is_held:
            return Status.PENDING
        return RUNNING if has_work else WAITING


def _described(body: AnyBody, step: StepKey) -> str:
    return f"{type(body).__name__} of step {step!r}" if step else type(body).__name__
