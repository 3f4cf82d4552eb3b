"""Who is alive: workflow id -> actor.

Runs are brought to life on demand, by replay, and put away again. Everything that speaks to a run by its
id comes through here, so a message never gets lost between a run that is leaving and the same run coming.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

import msgspec

from tempolite.actors.actor import LATER, Actor, receives
from tempolite.actors.attempts import failure_of
from tempolite.actors.futures import Reply
from tempolite.actors.messages import (
    AwaitIdle,
    AwaitOutcome,
    Begin,
    ChildEnded,
    Commit,
    CommitFailed,
    Committed,
    Deliver,
    FunctionRegistered,
    Message,
    Recover,
    RunEnded,
    RunStopped,
    StartRun,
    TryAgain,
)
from tempolite.actors.run_store import RunStore, StoredRun
from tempolite.actors.workflow import Activeness, Execution, Routes, RunDiscarded, WorkflowActor
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId
from tempolite.errors import EngineClosed, WorkflowAlreadyExists

logger = logging.getLogger("tempolite")

RECOVERED_PER_ROUND = 64
"""Runs brought to life before other mail gets its turn."""

FAILURES_MAX = 3
"""Times that a run's actor may fail before the run is given up until the next start."""

RETRY_COMMIT_S = 0.5


class LiveRun(msgspec.Struct, frozen=True):
    """A run in memory.

    Attributes:
        actor: runs it.
        stream: which run of the workflow.
        function: recorded name of its function.
        parent: who started it.
    """

    actor: WorkflowActor
    stream: StreamId
    function: str
    parent: WorkflowId | None


class RecoverMore(Message, frozen=True):
    """The next part of a recovery."""


class Directory(Actor):
    """Brings runs to life and finds them again.

    Args:
        store: the runs in the file.
        routes: given to each workflow actor; set by whoever starts the actors.
    """

    def __init__(self, store: RunStore, **options: Any) -> None:
        super().__init__(**options)
        self._store = store
        self.routes: Routes
        self._live: dict[WorkflowId, LiveRun] = {}
        self._busy: set[WorkflowId] = set()
        self._outcome_waiters: dict[WorkflowId, list[Reply[RunEnded]]] = {}
        self._idle_waiters: list[Reply[None]] = []
        self._failures: dict[WorkflowId, int] = {}
        self._to_recover: deque[WorkflowId] = deque()
        self._kept: dict[WorkflowId, list[Any]] = {}
        self._notes: dict[StreamId, RunEnded] = {}
        self._given_up: dict[WorkflowId, RunEnded] = {}
        self._next_stream = store.last_stream() + 1
        self._closed: Exception | None = None

    # ── starting ────────────────────────────────────────────────────────────────────────────────────────

    @receives(StartRun)
    def on_start_run(self, message: StartRun) -> Any:
        """Starts a run, or finds the one that has the id."""
        if self._closed is not None:
            return self._refuse()
        workflow = message.workflow
        if message.starter is not None:
            self._store.learn(message.code)
        if (live := self._live.get(workflow)) is not None:
            return self._found(message, StoredRun(workflow, live.stream, live.function, "", live.parent))
        stored = None if message.is_made_up else self._store.find(workflow)
        if stored is not None:
            return self._found(message, stored)
        stream = StreamId(self._next_stream)
        self._next_stream += 1
        execution = self._store.create(message, stream)
        created, self.reply_to = self.reply_to, None
        parent = WorkflowId(message.created.parent) if message.created.parent else None
        self._bring_to_life(execution, message.created.function, parent, created)
        return LATER

    def _refuse(self) -> Any:
        """Who asked is told why; what was only told ends here, and is asked for again at the next start."""
        if self.reply_to is not None and self._closed is not None:
            self.reply_to.fail(self._closed)
        return LATER

    def _found(self, message: StartRun, found: StoredRun) -> Any:
        """The id is taken: by the run that is meant, or by another one."""
        is_same = not message.must_be_new and self._store.is_same_function(found, message.created.function)
        if message.starter is not None:
            self._found_by_parent(message, found, is_same=is_same)
        elif not is_same:
            raise _taken(message, found)
        elif (live := self._live.get(message.workflow)) is not None and self.reply_to is not None:
            live.actor.when_durable(self.reply_to)
            return LATER
        elif found.ended is None:
            self._activate(found)
        return message.workflow

    def _found_by_parent(self, message: StartRun, found: StoredRun, *, is_same: bool) -> None:
        """A parent asks for its child, perhaps again after a restart; it is told, not answered."""
        assert message.starter is not None, "called for parents only"
        step = StepKey(message.created.parent_step or "")
        if not is_same or found.parent != message.starter:
            failure = failure_of(WorkflowAlreadyExists, str(_taken(message, found)))
            self._tell_parent(message.starter, step, RunEnded(found.workflow, "FAILED", failure=failure))
        elif found.status in ("FAILED", "CANCELLED") and message.times:
            if (actor := self._activate(found)) is not None:
                actor.actor_ref.tell(TryAgain(message.times))
        elif found.ended is not None and found.status not in ("STUCK", "STRANDED"):
            self._tell_parent(message.starter, step, found.ended)
        elif message.workflow not in self._live:
            self._activate(found)

    def _bring_to_life(
        self, execution: Execution, function: str, parent: WorkflowId | None, created: Reply[Any] | None
    ) -> WorkflowActor:
        actor = WorkflowActor(execution, self.routes, created, on_actor_failure=self._on_workflow_failure)
        self._live[execution.workflow] = LiveRun(actor, execution.stream, function, parent)
        self._busy.add(execution.workflow)
        actor.launch(self.dispatcher)
        return actor

    def _activate(self, stored: StoredRun) -> WorkflowActor | None:
        """Brings a stored run to life; one that can't be is left alone, and the others go on."""
        try:
            execution = self._store.load(stored)
        except Exception as error:
            logger.error("workflow %r can't be read: %s", stored.workflow, error)
            execution = RunEnded(stored.workflow, "STUCK", problem=f"{type(error).__name__}: {error}")
        if isinstance(execution, RunEnded):
            self._note_problem(stored, execution)
            return None
        return self._bring_to_life(execution, stored.function, stored.parent, None)

    def _note_problem(self, stored: StoredRun, ended: RunEnded) -> None:
        """A run that can't come to life is listed so; its first turn, once it can, says otherwise."""
        if stored.status == ended.status:
            self._tell_waiters(ended)
            return
        write = self._store.problem_write(stored, ended)
        self._notes[stored.stream] = ended
        self.routes.persistence.tell(Commit(self.actor_ref, stored.stream, [write]))

    @receives(Committed, CommitFailed)
    def on_problem_noted(self, message: Committed | CommitFailed) -> None:
        """Only an index was written: after a failure it is found out again at the next start."""
        ended = self._notes.pop(StreamId(message.turn), None)
        if ended is not None:
            self._tell_waiters(ended)
        self._answer_if_idle()

    # ── finding ─────────────────────────────────────────────────────────────────────────────────────────

    @receives(Deliver)
    def on_deliver(self, message: Deliver) -> None:
        """Hands a message to a run, which is brought to life for it; to a finished one it means nothing."""
        if self._closed is not None:
            return
        live = self._live.get(message.workflow)
        if message.workflow in self._kept or (live is not None and not live.actor.actor_ref.is_alive()):
            # It is leaving, or coming again: behind what it had not finished.
            self._kept.setdefault(message.workflow, []).append(message.message)
            return
        actor = None if live is None else live.actor
        if actor is None:
            stored = self._store.find(message.workflow)
            if stored is None or stored.ended is not None:
                return
            actor = self._activate(stored)
        if actor is not None and actor.actor_ref.is_alive():
            self._busy.add(message.workflow)
            actor.actor_ref.tell(message.message)

    @receives(AwaitOutcome)
    def on_await_outcome(self, message: AwaitOutcome) -> Any:
        """Answers when the workflow is finished, stuck or stranded."""
        if self._closed is not None:
            return self._refuse()
        if message.workflow in self._given_up:
            return self._given_up[message.workflow]
        if message.workflow not in self._live:
            stored = self._store.find(message.workflow)
            if stored is not None and stored.status == "STRANDED":
                # Perhaps what it lacks is known by now.
                self._activate(stored)
            if stored is not None and stored.ended is not None and message.workflow not in self._live:
                return stored.ended
        assert self.reply_to is not None, "AwaitOutcome is asked, not told"
        self._outcome_waiters.setdefault(message.workflow, []).append(self.reply_to)
        return LATER

    @receives(AwaitIdle)
    def on_await_idle(self, _message: AwaitIdle) -> Any:
        """Answers when no run can go on by itself."""
        assert self.reply_to is not None, "AwaitIdle is asked, not told"
        self._idle_waiters.append(self.reply_to)
        self._answer_if_idle()
        return LATER

    # ── ending ──────────────────────────────────────────────────────────────────────────────────────────

    def _tell_waiters(self, ended: RunEnded) -> None:
        """The outcome is durable by now."""
        for waiter in self._outcome_waiters.pop(ended.workflow, ()):
            waiter.set(ended)

    @receives(RunStopped)
    def on_run_stopped(self, message: RunStopped) -> None:
        """Forgets a run that has stopped."""
        workflow = message.ended.workflow
        live = self._live.get(workflow)
        if live is not None and live.stream == message.stream:
            self._forget(workflow)
        self._tell_waiters(message.ended)
        for mail in self._kept.pop(workflow, ()):
            self.on_deliver(Deliver(workflow, mail))
        self._answer_if_idle()

    @receives(Activeness)
    def on_activeness(self, message: Activeness) -> None:
        """Notes whether a run goes on by itself."""
        if message.can_go_on:
            self._busy.add(message.workflow)
        else:
            self._busy.discard(message.workflow)
            self._answer_if_idle()

    @receives(RunDiscarded)
    def on_run_discarded(self, message: RunDiscarded) -> None:
        """Brings a run to life again whose last turn could not be committed, with the same mail."""
        self._forget(message.workflow)
        if message.is_final or self._closed is not None:
            return
        logger.warning(
            "workflow %r: a turn was not committed, it is tried again: %s", message.workflow, message.error
        )
        self._busy.add(message.workflow)
        self._kept[message.workflow] = [*message.mail, *self._kept.get(message.workflow, ())]
        due_s = self.dispatcher.clock.monotonic_s() + RETRY_COMMIT_S
        self.dispatcher.call_at(due_s, lambda: self._revive(message.workflow))

    def _revive(self, workflow: WorkflowId) -> None:
        mail = self._kept.pop(workflow, [])
        self._busy.discard(workflow)
        for message in mail or [Begin()]:
            self.on_deliver(Deliver(workflow, message))
        self._answer_if_idle()

    def _on_workflow_failure(self, actor: Actor, error: BaseException) -> None:
        """A run's actor failed, which is our fault: its history is the truth, it starts again from there."""
        assert isinstance(actor, WorkflowActor)
        workflow = WorkflowId(actor.actor_urn)
        logger.error("workflow %r: its actor failed", workflow, exc_info=error)
        failures = self._failures[workflow] = self._failures.get(workflow, 0) + 1
        actor.answer_creation(error)
        mail = actor.take_mail()
        live = self._live.get(workflow)
        stream = StreamId(0) if live is None else live.stream
        actor.stop_now()
        if failures <= FAILURES_MAX:
            self.actor_ref.tell(RunDiscarded(workflow, stream, mail, error, False))
            return
        problem = f"its actor failed {failures} times, the last with {type(error).__name__}: {error}"
        self._forget(workflow)
        ended = self._given_up[workflow] = RunEnded(workflow, "STUCK", problem=problem)
        self._tell_waiters(ended)
        self._answer_if_idle()

    def _forget(self, workflow: WorkflowId) -> None:
        self._live.pop(workflow, None)
        self._busy.discard(workflow)

    def _tell_parent(self, parent: WorkflowId, step: StepKey, ended: RunEnded) -> None:
        outcome = ChildEnded(
            step, ended.workflow, ended.result, ended.failure, cancelled=ended.status == "CANCELLED"
        )
        self.actor_ref.tell(Deliver(parent, outcome))

    # ── recovering and closing ──────────────────────────────────────────────────────────────────────────

    @receives(Recover)
    def on_recover(self, _message: Recover) -> None:
        """Brings to life what has work, a part at a time."""
        self._to_recover.extend(self._store.with_work())
        self.actor_ref.tell(RecoverMore())

    @receives(RecoverMore)
    def on_recover_more(self, _message: RecoverMore) -> None:
        """The next part."""
        if self._closed is not None:
            return
        for _ in range(min(RECOVERED_PER_ROUND, len(self._to_recover))):
            workflow = self._to_recover.popleft()
            if workflow not in self._live and (stored := self._store.find(workflow)) is not None:
                self._recover(stored)
        if self._to_recover:
            self.actor_ref.tell(RecoverMore())
        else:
            self._answer_if_idle()

    def _recover(self, stored: StoredRun) -> None:
        if stored.ended is None or stored.status == "STRANDED":
            self._activate(stored)
        elif stored.parent is not None and stored.parent_step is not None:
            # The child's outcome is durable, the parent's record of it may not be.
            self._tell_parent(stored.parent, stored.parent_step, stored.ended)

    @receives(FunctionRegistered)
    def on_function_registered(self, message: FunctionRegistered) -> None:
        """Lets stranded runs go on whose function is known now."""
        self._to_recover.extend(self._store.strand(message.names))
        if self._to_recover:
            self.actor_ref.tell(RecoverMore())

    def close(self, error: Exception | None = None) -> None:
        """Ends every live run without recording anything; runs in the dispatcher's thread."""
        self._closed = error or EngineClosed("the engine was closed")
        for live in list(self._live.values()):
            live.actor.stop_now()
        self._live.clear()
        self._busy.clear()
        waiters: list[Reply[Any]] = [reply for replies in self._outcome_waiters.values() for reply in replies]
        waiters.extend(self._idle_waiters)
        for reply in waiters:
            if not reply.is_set:
                reply.fail(self._closed)
        self._outcome_waiters.clear()
        self._idle_waiters.clear()

    def _answer_if_idle(self) -> None:
        if self._busy or self._to_recover or self._kept or self._notes:
            return
        waiters, self._idle_waiters = self._idle_waiters, []
        for reply in waiters:
            reply.set(None)


def _taken(message: StartRun, found: StoredRun) -> WorkflowAlreadyExists:
    return WorkflowAlreadyExists(
        f"workflow {message.workflow!r} exists, of function {found.function}; "
        f"asked for was {message.created.function}"
    )
