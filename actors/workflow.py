"""One running workflow: its mail, its turns, and the order turn - commit - act.

    mail ──▶ Execution.advance ──▶ Turn(writes, outbox)
                                      │ Commit                       ▲ more mail meanwhile waits
                                      ▼                              │
                               PersistenceActor ── Committed ──▶ outbox is sent, next turn

The actor knows nothing of workflow functions: whatever a message means is decided by its ``Execution``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec
import pykka

from tempolite.actors.actor import Actor, receives
from tempolite.actors.controls import Answer, Asked
from tempolite.actors.futures import Reply
from tempolite.actors.lost_threads import CutOff
from tempolite.actors.messages import (
    ActivityEnded,
    ActivityLost,
    ActivityNext,
    AdviseSaga,
    Begin,
    CancelActivities,
    CancelTimer,
    ChildEnded,
    Commit,
    CommitFailed,
    Committed,
    Deliver,
    Message,
    PutAway,
    RetryDue,
    RunActivity,
    RunEnded,
    RunLeft,
    RunSideEffect,
    RunStopped,
    SagaAdvice,
    SetTimer,
    SideEffectEnded,
    StartRun,
    TimerDue,
    TryAgain,
    Write,
)
from tempolite.core.identifiers import StreamId, WorkflowId
from tempolite.errors import EngineClosed

BEGIN = Begin()


class Turn(msgspec.Struct, gc=False):
    """What one turn of a run comes to.

    Attributes:
        writes: must be durable before anything of the outbox is sent.
        outbox: messages, each with the queue's name where it goes to a pool.
        ended: the run is over, or can't go on: who waits is told, and the actor stops.
        can_go_on: it will go on without anything from outside.
        has_work: something is under way inside the engine that must find this run in memory.
        is_active: its code may run: it is neither paused nor waiting to begin.
    """

    writes: list[Write]
    outbox: list[Outgoing]
    ended: RunEnded | None = None
    can_go_on: bool = True
    has_work: bool = True
    is_active: bool = True


class ToQueue(msgspec.Struct, frozen=True, gc=False):
    """A message for the pool of that queue."""

    queue: str
    message: RunActivity | CancelActivities


Outgoing = ToQueue | RunSideEffect | AdviseSaga | SetTimer | CancelTimer | StartRun | Deliver | Answer


class Execution(Protocol):
    """A run brought to life; implemented in ``tempolite.execution``."""

    workflow: WorkflowId
    stream: StreamId

    def attach(self, actor: pykka.ActorRef[Any]) -> None:
        """Says who gets the answers to what the outbox asks for."""
        ...

    def advance(self, mail: list[Any], now_us: int) -> Turn:
        """Takes messages and runs the code as far as it goes, in memory only."""
        ...

    def unanswered(self) -> Sequence[Any]:
        """Requests of turns before that wait for the code to begin, still unanswered."""
        ...

    def discard(self) -> None:
        """Ends the live code without recording anything: put away, close, failed commit."""
        ...

    def abandon(self) -> Callable[[], None]:
        """Fences code that another thread does not come back from; gives what ends it there."""
        ...

    def cut_off(self, mail: list[Any], problem: str) -> tuple[CutOff, Asked | None]:
        """Says how the turn under way began; and what the code was being asked, which must not be again."""
        ...

    def moved(self) -> tuple[Execution, Callable[[], None]] | None:
        """The same run for another thread, and what ends the code that can't follow it, in the old one.

        None where nothing stays behind.
        """
        ...

    def anew(self) -> Execution:
        """The same run before its first turn."""
        ...


class Routes(msgspec.Struct):
    """Where a workflow actor's messages go.

    Attributes:
        persistence, directory, timers, side_effects, sagas: their refs.
        pool_of: ref of a queue's pool.
        now_us: wall time.
        retention: told of each end, where finished runs are deleted by themselves.
    """

    persistence: pykka.ActorRef[Any]
    directory: pykka.ActorRef[Any]
    timers: pykka.ActorRef[Any]
    side_effects: pykka.ActorRef[Any]
    sagas: pykka.ActorRef[Any]
    pool_of: Callable[[str], pykka.ActorRef[Any]]
    now_us: Callable[[], int]
    retention: pykka.ActorRef[Any] | None = None


class RunDiscarded(Message, frozen=True):
    """A turn could not be committed, or failed: the run must be brought to life again from its history.

    Attributes:
        workflow: whose.
        stream: of which run.
        mail: messages that the turn and the ones after it had taken.
        error: why.
        is_final: writing is of no use any more.
    """

    workflow: WorkflowId
    stream: StreamId
    mail: list[Any]
    error: BaseException
    is_final: bool


class End(Message, frozen=True):
    """The engine ends: so does the run's code."""


class Activeness(Message, frozen=True):
    """Whether a run goes on by itself, and must stay in memory for that.

    Told after each turn that leaves it waiting, and after the turn that changes it: whoever tells it
    something takes it for going on until then.

    Attributes:
        workflow: whose.
        can_go_on, has_work, is_active: as in ``Turn``.
    """

    workflow: WorkflowId
    can_go_on: bool
    has_work: bool
    is_active: bool


class WorkflowActor(Actor):
    """A live run.

    Args:
        execution: its code and state.
        routes: where its messages go.
        created: answered with the workflow id once the run is durable.
        mail: what it was brought to life for; taken in its first turn.
    """

    def __init__(
        self,
        execution: Execution,
        routes: Routes,
        created: Iterable[Reply[Any]] = (),
        mail: Iterable[Any] = (),
        **options: Any,
    ) -> None:
        super().__init__(urn=execution.workflow, **options)
        self._execution = execution
        self._routes = routes
        self._created: Sequence[Reply[Any]] = tuple(created)
        self._is_durable = False
        self._mail: list[Any] = [BEGIN, *mail]
        self._taken: list[Any] = []
        self._unanswered: Sequence[Any] = ()
        self._turn: Turn | None = None
        self._turn_number = 0
        self._has_work = True
        self._last_word: Activeness | None = None
        execution.attach(self.actor_ref)

    def on_start(self) -> None:
        """The first turn: the code from its start, or through its history to where it was."""
        self._take_turn()

    @receives(
        ActivityEnded,
        ActivityLost,
        ActivityNext,
        SideEffectEnded,
        SagaAdvice,
        ChildEnded,
        RetryDue,
        TimerDue,
        TryAgain,
        Asked,
    )
    def on_mail(self, message: Any) -> None:
        """Takes a turn, or waits for the one under way to be committed."""
        self._mail.append(message)
        if self._turn is None:
            self._take_turn()

    @receives(Committed)
    def on_committed(self, message: Committed) -> None:
        """The turn is durable: now, and not before, its outbox is sent."""
        turn, self._turn = self._turn, None
        assert turn is not None, "a commit that nobody waits for"
        assert message.turn == self._turn_number, "commits are answered in order"
        self._act(turn)
        if self._mail and not self.actor_stopped.is_set():
            self._take_turn()

    @receives(CommitFailed)
    def on_commit_failed(self, message: CommitFailed) -> None:
        """Forgets everything since the last commit: the code has run ahead of the truth."""
        self.answer_creation(message.error)
        self._discard(message.error, message.is_final)

    @receives(PutAway)
    def on_put_away(self, _message: PutAway) -> None:
        """Leaves memory; the directory knows of it before anything else can be told to this actor."""
        if not self.is_under_way and not self._has_work:
            self._routes.directory.tell(RunLeft(self._execution.workflow, self._execution.stream))
            self.stop_now()

    @receives(End)
    def on_end(self, _message: End) -> None:
        """Ends the code, in a letter of its own: it may take its time."""
        self.stop_now()

    @property
    def is_under_way(self) -> bool:
        """Whether a turn is being committed, or mail waits for the next one."""
        return bool(self._mail) or self._turn is not None or not self.actor_inbox.empty()

    def stands_by(self, activeness: Activeness) -> bool:
        """Whether that is its last word, and nothing was told to it since."""
        return activeness is self._last_word and not self.is_under_way

    def on_stop(self) -> None:
        """Fences the code, so that what still runs of it records nothing."""
        self.answer_creation(EngineClosed("the engine was closed before the run was durable"))
        self._execution.discard()

    def move(self) -> Callable[[], None] | None:
        """Another thread runs it from now on; gives what ends the code that stays in the old one."""
        moved = self._execution.moved()
        if moved is None:
            return None
        self._execution, end = moved
        return end

    def begin_again(self, execution: Execution, problem: str) -> Asked | None:
        """Takes the turn under way once more, whose code another thread does not come back from.

        Returns what that code was being asked; nobody asks it again.
        """
        before, self._execution = self._execution, execution
        execution.attach(self.actor_ref)
        mail = [*self._unanswered, *self._taken, *self._mail]
        cut_off, asked = before.cut_off(mail, problem)
        rest = [message for message in mail if message is not asked and not isinstance(message, Begin)]
        self._mail, self._taken, self._unanswered = [BEGIN, cut_off, *rest], [], ()
        self.actor_inbox.put(BEGIN)
        return asked

    @receives(Begin)
    def on_begin(self, _message: Begin) -> None:
        """Takes a turn that is begun again."""
        if self._turn is None and self._mail:
            self._take_turn()

    def answer_end(self) -> None:
        """Who waits for its end need not wait for its code."""
        if self.reply_to is not None and not self.reply_to.is_set:
            self.reply_to.set(None)

    def when_durable(self, reply: Reply[Any]) -> None:
        """Answers with the workflow id once the run exists in the file, or with why it does not."""
        self._created = (*self._created, reply)
        if self._is_durable:
            self.answer_creation(None)

    def answer_creation(self, error: BaseException | None) -> None:
        """Tells who waits for the run to be durable that it is, or why it will not be."""
        replies, self._created = self._created, ()
        for reply in replies:
            if error is None:
                reply.set(self._execution.workflow)
            else:
                reply.fail(error)

    def take_mail(self) -> list[Any]:
        """What was taken and is not durable, and what waits; used when the run is brought to life anew."""
        unread = self.actor_inbox.take_told()
        mail = [*self._unanswered, *self._taken, *self._mail, *unread]
        return [message for message in mail if not isinstance(message, (Begin, Committed, CommitFailed))]

    def _take_turn(self) -> None:
        self._taken, self._mail, self._last_word = self._mail, [], None
        turn = self._execution.advance(self._taken, self._routes.now_us())
        if turn.writes:
            # One uncommitted turn per run: what comes meanwhile waits for the next one.
            self._turn = turn
            self._turn_number += 1
            self._routes.persistence.tell(Commit(self._ref, self._turn_number, turn.writes))
        else:
            self._act(turn)

    def _act(self, turn: Turn) -> None:
        # As of this turn, not of one that may yet fail: that one may have answered some, or taken more.
        self._taken, self._unanswered = [], self._execution.unanswered()
        self._is_durable = True
        if self._created:
            self.answer_creation(None)
        for message in turn.outbox:
            self._send(message)
        if turn.ended is not None:
            stopped = RunStopped(self._execution.stream, turn.ended, self.take_mail())
            self._routes.directory.tell(stopped)
            self.stop_now()
        elif not turn.has_work or not self._has_work:
            self._has_work = turn.has_work
            workflow = self._execution.workflow
            self._last_word = Activeness(workflow, turn.can_go_on, turn.has_work, turn.is_active)
            self._routes.directory.tell(self._last_word)

    def _send(self, message: Outgoing) -> None:
        match message:
            case ToQueue():
                self._routes.pool_of(message.queue).tell(message.message)
            case RunSideEffect():
                self._routes.side_effects.tell(message)
            case AdviseSaga():
                self._routes.sagas.tell(message)
            case SetTimer() | CancelTimer():
                self._routes.timers.tell(message)
            case StartRun() | Deliver():
                self._routes.directory.tell(message)
            case Answer():
                answer(message)

    def _discard(self, error: BaseException, is_final: bool) -> None:
        workflow, stream = self._execution.workflow, self._execution.stream
        self._routes.directory.tell(RunDiscarded(workflow, stream, self.take_mail(), error, is_final))
        self.stop_now()


def answer(message: Answer) -> None:
    """Gives an answer to whoever still waits for it."""
    if message.reply.is_set:
        return
    if message.error is not None:
        message.reply.fail(message.error)
    else:
        message.reply.set(message.value)
