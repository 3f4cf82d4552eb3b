"""What a turn records, and what it asks for outside: the one place where both are kept in step.

Whatever becomes true of a run goes through :meth:`RunLog.record`: the state takes it, and the writes of the
turn hold it. What is to happen outside goes into the outbox, which is sent once the turn is durable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tempolite.actors.messages import CancelActivities, RunEnded, Write
from tempolite.actors.workflow import Outgoing, ToQueue, Turn
from tempolite.core import events
from tempolite.core.events import AnyBody, Entry
from tempolite.core.history import RunState
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId
from tempolite.core.status import Status
from tempolite.store import statements

if TYPE_CHECKING:
    import pykka

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
    """

    actor: pykka.ActorRef[Any]

    def __init__(self, workflow: WorkflowId, stream: StreamId, state: RunState) -> None:
        self.workflow, self.stream = workflow, stream
        self.state = state
        self.now_us = 0
        self.in_flight: dict[StepKey, str] = {}
        self.ended: RunEnded | None = None
        self._writes: list[Write] = []
        self._outbox: list[Outgoing] = []
        self._written_status: Status | None = None

    def begin_turn(self, now_us: int) -> None:
        """Time goes on; the first turn of a new run records that it exists."""
        self.now_us = max(now_us, self.state.last_at)
        if self.state.seq == 0:
            self.record(self.state.created)

    def record(self, body: AnyBody, step: StepKey = RUN_STEP, attempt: int = 1) -> None:
        """Makes it true."""
        entry = Entry(self.state.seq + 1, self.now_us, body, step, attempt)
        self.state.apply(entry)
        self._writes.append(statements.insert_event(self.stream, entry))

    def write(self, write: Write) -> None:
        """Changes an index in the same commit."""
        self._writes.append(write)

    def send(self, message: Outgoing) -> None:
        """Once this turn is durable."""
        self._outbox.append(message)

    def halt(self, problem: str, kind: str) -> None:
        """Nothing goes on until a person acts."""
        if self.state.problem != f"{kind}: {problem}":
            self.record(events.RunStuck(f"{kind}: {problem}", kind))
        self.say_stuck()

    def say_stuck(self) -> None:
        """The run is stuck already: who waits is told."""
        self.ended = RunEnded(self.workflow, Status.STUCK, problem=self.state.problem)

    def strand(self, problem: str) -> None:
        """Nothing is recorded: whether a type or function is known is not a fact of the run."""
        self.ended = RunEnded(self.workflow, Status.STRANDED, problem=problem)

    def drop_work(self) -> None:
        """What is still under way is of no use any more."""
        for queue in {queue for queue in self.in_flight.values() if queue}:
            self.send(ToQueue(queue, CancelActivities(self.workflow)))
        self.in_flight.clear()

    def turn(self) -> Turn:
        """What this turn comes to."""
        status = self._status()
        if self._written_status is None and self._writes and self._is_creation:
            self._writes.append(self._run_row(status))
        elif status is not self._written_status:
            self._writes.append(statements.update_run(self.stream, status, *self._columns()))
        self._written_status = status
        turn = Turn(self._writes, self._outbox, self.ended, self.can_go_on)
        self._writes, self._outbox = [], []
        return turn

    @property
    def can_go_on(self) -> bool:
        """Whether something under way inside the engine will wake this run."""
        return bool(self.in_flight) or self.state.retry_at is not None

    @property
    def _is_creation(self) -> bool:
        return self._writes[0][1][1] == 1 and self._writes[0][0] is statements.INSERT_EVENT

    def _status(self) -> Status:
        state = self.state
        if state.finished is not None:
            return state.finished
        if self.ended is not None:
            return Status(self.ended.status)
        if state.began_at is None:
            return Status.PENDING
        return Status.RUNNING if self.can_go_on else Status.WAITING

    def _columns(self) -> tuple[int | None, str, bool]:
        finished_at = self.state.last_at if self.state.is_finished else None
        problem = self.ended.problem if self.ended is not None else ""
        owes_parent = self.state.is_finished and self.state.created.parent is not None
        return finished_at, problem, owes_parent

    def _run_row(self, status: Status) -> Write:
        return statements.insert_run(
            self.stream, self.workflow, self.state.created, self.now_us, (status.value, *self._columns())
        )
