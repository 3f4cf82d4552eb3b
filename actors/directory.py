"""Who is alive: workflow id -> actor.

Runs are brought to life on demand, by replay, and put away again. Everything that speaks to a run by its
id comes through here, so a message never gets lost between a run that is leaving and the same run coming.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from tempolite.actors.actor import LATER, Actor, receives
from tempolite.actors.attempts import failure_of
from tempolite.actors.controls import Asked, GiveUp, Resume, ToRun
from tempolite.actors.letters import (
    fail_asked,
    id_is_taken,
    id_is_taken_by_a_child,
    outcome_for_parent,
    refuse,
    refuse_finished,
    wakes_finished,
)
from tempolite.actors.lost_threads import LetCome
from tempolite.actors.messages import (
    CONTINUED,
    AwaitIdle,
    AwaitOutcome,
    Begin,
    ChildEnded,
    Commit,
    CommitFailed,
    Committed,
    DeleteRuns,
    Deliver,
    PutAway,
    RunEnded,
    RunFinished,
    RunLeft,
    RunStopped,
    StartRun,
    TryAgain,
)
from tempolite.actors.recovery import Revive
from tempolite.actors.residents import RESIDENTS_MAX, LiveRun
from tempolite.actors.run_lines import RunLines
from tempolite.actors.run_store import Asker, RunStore, StoredRun, asker_of
from tempolite.actors.succession import Succession
from tempolite.actors.workflow import Activeness, RunDiscarded, WorkflowActor
from tempolite.core.identifiers import StreamId, WorkflowId
from tempolite.core.log_fields import log_fields
from tempolite.errors import EngineClosed, WorkflowAlreadyExists, WorkflowNotFound, WorkflowStuck

logger = logging.getLogger("tempolite")

FAILURES_MAX = 3
"""Times that a run's actor may fail before the run is given up until the next start."""

RETRY_COMMIT_S = 0.5


class Directory(Succession):
    """Brings runs to life and finds them again.

    Args:
        store: the runs in the file.
        lines: root runs of the queues that limit them.
        residents_max: beyond this many in memory, runs that only wait leave it.
        routes: given to each workflow actor; set by whoever starts the actors.
    """

    def __init__(
        self,
        store: RunStore,
        *,
        lines: RunLines | None = None,
        residents_max: int = RESIDENTS_MAX,
        **options: Any,
    ) -> None:
        super().__init__(store, lines or RunLines({}), residents_max, **options)
        self._failures: dict[WorkflowId, int] = {}
        self._notes: dict[StreamId, RunEnded] = {}
        self._given_up: dict[WorkflowId, RunEnded] = {}

    def handle_next(self) -> None:
        """The oldest letter; what speaks to a workflow that is being deleted waits until that is decided."""
        if self._closed is not None and self.actor_inbox.mail:
            # What was only told is asked for again at the next start.
            refuse(self.actor_inbox.mail.popleft(), self._closed)
        elif not self._deletions.hold_next():
            super().handle_next()
            if self._coming:
                self._let_come()

    # ── starting ────────────────────────────────────────────────────────────────────────────────────────

    @receives(StartRun)
    def on_start_run(self, message: StartRun) -> Any:
        """Starts a run, or finds the one that has the id."""
        workflow = message.workflow
        if message.starter is not None:
            self._store.learn(message.code)
        if (live := self._residents.live.get(workflow)) is not None:
            if message.starter is not None and live.is_leaving:
                # Why it leaves is in the mail: a finished one was only looked at, and is no live child.
                self.actor_ref.tell(message)
                return LATER
            return self._found(message, StoredRun(workflow, live.stream, live.function, "", live.asker))
        stored = None if message.is_made_up else self._store.find(workflow)
        if stored is not None:
            return self._found(message, stored)
        message = self.lines.admit(message)
        execution = self._store.create(message, self._store.new_stream())
        replies, self.reply_to = [] if self.reply_to is None else [self.reply_to], None
        created = message.created
        actor = WorkflowActor(execution, self.routes, replies, on_actor_failure=self._on_workflow_failure)
        place = created.queue, created.priority
        self._launch(actor, LiveRun(actor, execution.stream, created.function, asker_of(created), *place))
        return LATER

    def _found(self, message: StartRun, found: StoredRun) -> Any:
        """The id is taken: by the run that is meant, or by another one."""
        is_same = not message.must_be_new and self._store.is_same_function(found, message.created.function)
        if message.starter is not None:
            self._found_by_parent(message, found, is_same=is_same)
        elif not is_same:
            raise id_is_taken(message, found)
        elif (live := self._residents.live.get(message.workflow)) is not None and self.reply_to is not None:
            live.actor.when_durable(self.reply_to)
            return LATER
        elif found.ended is None and found.status == "STRANDED":
            self._activate(found)
        return message.workflow

    def _found_by_parent(self, message: StartRun, found: StoredRun, *, is_same: bool) -> None:
        """A parent asks for its child, perhaps again after a restart; it is told, not answered."""
        asker = asker_of(message.created)
        assert asker is not None, "called for parents only"
        if not is_same or found.asker != asker:
            refusal = (id_is_taken_by_a_child if is_same else id_is_taken)(message, found)
            failure = failure_of(WorkflowAlreadyExists, str(refusal))
            self._tell_parent(asker, RunEnded(found.workflow, "FAILED", failure=failure))
        elif found.status in ("FAILED", "CANCELLED") and message.times:
            self._activate(found, [TryAgain(message.times)])
        elif found.is_finished and found.ended is not None:
            self._tell_parent(asker, found.ended)
        elif message.workflow not in self._residents.live:
            self._activate(found)

    def _activate(self, stored: StoredRun, mail: Iterable[Any] = ()) -> None:
        """Brings a stored run to life, with mail; one that can't be is left alone, and the others go on."""
        letters = list(mail)
        if self._closed is not None:
            fail_asked(letters, self._closed)
            return
        execution = self._brought_back(stored, letters)
        if isinstance(execution, RunEnded):
            fail_asked(letters, WorkflowStuck(f"workflow {stored.workflow!r}: {execution.problem}"))
            self._note_problem(stored, execution)
            return
        actor = WorkflowActor(execution, self.routes, (), letters, on_actor_failure=self._on_workflow_failure)
        place = stored.queue, stored.priority
        run = LiveRun(actor, execution.stream, stored.function, stored.asker, *place)
        self._launch(actor, run)

    def _note_problem(self, stored: StoredRun, ended: RunEnded) -> None:
        """A run that can't come to life is listed so; its first turn, once it can, says otherwise."""
        self._leave_line(stored.workflow, stored.queue)
        if stored.status == ended.status:
            self._waiters.tell_outcome(ended)
            return
        write = self._store.problem_write(stored, ended)
        self._notes[stored.stream] = ended
        self.routes.persistence.tell(Commit(self.actor_ref, stored.stream, [write]))

    @receives(Committed, CommitFailed)
    def on_index_written(self, message: Committed | CommitFailed) -> None:
        """Only an index was written: after a failure it is found out again at the next start."""
        self._deletions.settle(message)
        ended = self._notes.pop(StreamId(message.turn), None)
        if ended is not None and ended.workflow not in self._residents.live:
            self._waiters.tell_outcome(ended)
        self._answer_if_idle()

    # ── finding ─────────────────────────────────────────────────────────────────────────────────────────

    @receives(Deliver)
    def on_deliver(self, message: Deliver) -> None:
        """Hands a message to a run, which is brought to life for it; to a finished one it means nothing."""
        self._hand_over(message.workflow, message.message)

    @receives(ToRun)
    def on_to_run(self, message: ToRun) -> Any:
        """Hands a message to a run that somebody may wait for; answered by the run, once durable."""
        self._hand_over(message.workflow, Asked(message.message, self.reply_to))
        return LATER

    def _hand_over(self, workflow: WorkflowId, letter: Any) -> None:
        live = self._residents.live.get(workflow)
        if workflow in self._residents.kept or (live is not None and live.is_leaving):
            self._residents.keep(workflow, letter)
        elif live is not None:
            self._residents.touch(workflow)
            live.actor.actor_ref.tell(self.lines.hold_back(workflow, live, letter))
        elif (stored := self._store.find(workflow)) is None:
            fail_asked([letter], WorkflowNotFound(f"no workflow {workflow!r}"))
        elif stored.is_finished and not wakes_finished(letter, stored.status):
            self._tell_finished(stored, letter)
        else:
            if isinstance(letter, Asked) and isinstance(letter.message, Resume):
                self._failures.pop(workflow, None)
                self._given_up.pop(workflow, None)
            self._activate(stored, [self.lines.hold_back(workflow, stored, letter)])

    def _tell_finished(self, stored: StoredRun, letter: Any) -> None:
        """A letter to a run that has its outcome."""
        if isinstance(letter, ChildEnded):
            write = self._store.settle_write(letter)
            self.routes.persistence.tell(Commit(self.actor_ref, 0, [write]))
        else:
            refuse_finished(stored, letter)

    @receives(AwaitOutcome)
    def on_await_outcome(self, message: AwaitOutcome) -> Any:
        """Answers when the workflow is finished, stuck or stranded."""
        workflow = message.workflow
        if workflow in self._given_up:
            return self._given_up[workflow]
        if workflow not in self._residents.live:
            stored = self._store.find(workflow)
            if stored is not None and stored.status == "STRANDED":
                # Perhaps what it lacks is known by now.
                self._activate(stored)
            if stored is not None and stored.ended is not None and workflow not in self._residents.live:
                return stored.ended
            if stored is None and workflow not in self._residents.kept:
                raise WorkflowNotFound(f"no workflow {message.workflow!r}")
        assert self.reply_to is not None, "AwaitOutcome is asked, not told"
        self._waiters.add_for_outcome(workflow, self.reply_to)
        return LATER

    @receives(AwaitIdle)
    def on_await_idle(self, _message: AwaitIdle) -> Any:
        """Answers when no run can go on by itself."""
        assert self.reply_to is not None, "AwaitIdle is asked, not told"
        self._waiters.add_for_rest(self.reply_to)
        self._answer_if_idle()
        return LATER

    @receives(GiveUp)
    def on_give_up(self, message: GiveUp) -> None:
        """Who asked has stopped waiting."""
        self._waiters.give_up(message.workflow, message.reply)

    @receives(DeleteRuns)
    def on_delete_runs(self, message: DeleteRuns) -> Any:
        """Deletes finished workflows; answers with how many once that is durable."""
        homes = (self._residents.live, self._residents.kept, self._given_up)
        return self._deletions.begin(message, homes, self.routes)

    # ── ending ──────────────────────────────────────────────────────────────────────────────────────────

    @receives(RunStopped)
    def on_run_stopped(self, message: RunStopped) -> None:
        """Forgets a run that has stopped; its mail goes to the next run, or hears what became of this one."""
        workflow = message.ended.workflow
        live = self._residents.live.get(workflow)
        if live is not None and live.stream == message.stream:
            self._residents.forget(workflow)
            if message.ended.status != CONTINUED:
                self._leave_line(workflow, live.queue)
        letters = [*message.mail, *self._residents.kept.pop(workflow, ())]
        if message.ended.status == CONTINUED:
            following = self._store.find(workflow)
            assert following is not None, "the next run is in the same commit"
            self._activate(following, letters)
        else:
            self._waiters.tell_outcome(message.ended)
            if self.routes.retention is not None:
                self.routes.retention.tell(RunFinished())
            for letter in letters:
                self._hand_over(workflow, letter)
        self._answer_if_idle()

    @receives(Activeness)
    def on_activeness(self, message: Activeness) -> None:
        """Notes whether a run goes on by itself, and whether it may leave."""
        live = self._residents.live.get(message.workflow)
        if live is None or not live.actor.stands_by(message):
            # It was told something since then, and says so again after that.
            return
        if not message.is_active:
            self._admit(self.lines.rest(message.workflow, live.queue))
        self._residents.note(message)
        self._make_room()
        self._answer_if_idle()

    def _make_room(self) -> None:
        for run in self._residents.surplus():
            if not run.is_leaving:
                run.actor.actor_ref.tell(PutAway())

    @receives(RunLeft)
    def on_run_left(self, message: RunLeft) -> None:
        """A run has left memory; mail that came meanwhile brings it back."""
        self._residents.forget(message.workflow)
        self._revive(message.workflow)

    @receives(RunDiscarded)
    def on_run_discarded(self, message: RunDiscarded) -> None:
        """Brings a run to life again whose last turn could not be committed, with the same mail."""
        live = self._residents.forget(message.workflow)
        if message.is_final:
            fail_asked(message.mail, EngineClosed(f"the engine stopped: {message.error}"))
            return
        text = "workflow %r: a turn was not committed, it is tried again: %s"
        logger.warning(text, message.workflow, message.error, extra=log_fields(message.workflow))
        if live is not None and self._store.find(message.workflow) is None:
            # It was never made: there is nobody who could ever give the place back.
            self._leave_line(message.workflow, live.queue)
        waiting = self._residents.kept.pop(message.workflow, ())
        self._residents.keep(message.workflow, *message.mail, *waiting)
        due_s = self.dispatcher.clock.monotonic_s() + RETRY_COMMIT_S
        self.dispatcher.call_at(due_s, lambda: self.actor_ref.tell(Revive(message.workflow)))

    @receives(Revive)
    def on_revive(self, message: Revive) -> None:
        """A run that was discarded has waited long enough."""
        self._revive(message.workflow, [Begin()])

    def _revive(self, workflow: WorkflowId, if_none: Iterable[Any] = ()) -> None:
        for letter in self._residents.kept.pop(workflow, None) or if_none:
            self._hand_over(workflow, letter)
        self._answer_if_idle()

    def _on_workflow_failure(self, actor: Actor, error: BaseException) -> None:
        """A run's actor failed, which is our fault: its history is the truth, it starts again from there."""
        assert isinstance(actor, WorkflowActor)
        workflow = WorkflowId(actor.actor_urn)
        logger.error("workflow %r: its actor failed", workflow, exc_info=error, extra=log_fields(workflow))
        failures = self._failures[workflow] = self._failures.get(workflow, 0) + 1
        actor.answer_creation(error)
        mail = actor.take_mail()
        live = self._residents.live.get(workflow)
        stream = StreamId(0) if live is None else live.stream
        if failures <= FAILURES_MAX:
            # First: what stops is code of the user's, too.
            self.actor_ref.tell(RunDiscarded(workflow, stream, mail, error, False))
            actor.stop_now()
            return
        problem = f"its actor failed {failures} times, the last with {type(error).__name__}: {error}"
        self._residents.forget(workflow)
        if live is not None:
            self._leave_line(workflow, live.queue)
        ended = self._given_up[workflow] = RunEnded(workflow, "STUCK", problem=problem)
        fail_asked(mail, WorkflowStuck(f"workflow {workflow!r}: {problem}"))
        self._waiters.tell_outcome(ended)
        self._answer_if_idle()
        # The next in its line may be coming; last, because its code may block.
        self.actor_ref.tell(LetCome())
        actor.stop_now()

    def _leave_line(self, workflow: WorkflowId, queue: str) -> None:
        """A root run is not active any more: the next in line are."""
        self._admit(self.lines.leave(workflow, queue))

    def _is_live(self, workflow: WorkflowId) -> bool:
        return workflow in self._residents.live

    def _tell_parent(self, asker: Asker, ended: RunEnded) -> None:
        self.actor_ref.tell(Deliver(asker.workflow, outcome_for_parent(asker, ended)))

    def _answer_if_idle(self) -> None:
        if not self._waiters.want_rest or self._residents.is_busy or self._to_recover or self._notes:
            return
        # Runs that sleep may not be in memory: the file knows them.
        if not self._store.is_sleeping():
            self._waiters.tell_rest()
