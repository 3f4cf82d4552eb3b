"""What is due when: starts a run for each due time, once.

    due ──▶ Commit(ScheduleFired, next due time) ──▶ Committed ──▶ StartRun ──▶ its answer ──▶ Commit(started)

The id of the run is made of the due time and recorded before anybody is asked to start it; starting an id
twice starts one run. So a crash anywhere in between leaves a due time that has fired and is not known to
have its run, and the next start asks for it again. One that is known to have it is never asked for again,
also when the run was deleted meanwhile.

What follows from time and state is decided in ``tempolite.core.schedule``; here it is committed and done, one
commit of a schedule at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pykka

from tempolite.actors.actor import LATER, Actor, receives, tell_if_alive
from tempolite.actors.clock import MICROS_PER_S, VirtualClock
from tempolite.actors.controls import Cancel, GiveUp, ToRun
from tempolite.actors.futures import Reply
from tempolite.actors.live_schedule import (
    COMMANDS,
    Change,
    Command,
    DirectoryIdle,
    LiveSchedule,
    Look,
    RunBeforeEnded,
    SetSchedule,
    StartAnswered,
    TriggerSchedule,
    Wish,
    due_of_trigger,
    outcome_of,
    settle,
    unknown_schedule,
)
from tempolite.actors.messages import (
    AwaitIdle,
    AwaitOutcome,
    Commit,
    CommitFailed,
    Committed,
    FunctionRegistered,
    Message,
    RunEnded,
)
from tempolite.actors.run_store import RunStore
from tempolite.actors.schedule_store import ScheduleStore
from tempolite.core.identifiers import WorkflowId
from tempolite.core.schedule import ScheduleState, Situation, apply, what_is_due
from tempolite.core.schedule_events import (
    ScheduleBody,
    ScheduleEntry,
)
from tempolite.core.status import FINISHED
from tempolite.errors import EngineClosed, NotRegistered, ScheduleNotFound, WorkflowAlreadyExists

logger = logging.getLogger("tempolite")

LOOK_AGAIN_S = 60.0
"""Longest sleep: waits are measured by the monotonic clock, and nothing tells of a wall clock that is set."""

RETRY_S = 0.5
"""Pause after a commit or a start that failed."""


class SchedulerActor(Actor):
    """Keeps the schedules' time.

    Args:
        runs: runs in the file.
        schedules: schedules in the file.
        persistence: makes facts durable.
        directory: starts runs, and tells of their ends.
    """

    def __init__(
        self,
        runs: RunStore,
        schedules: ScheduleStore,
        persistence: pykka.ActorRef[Any],
        directory: pykka.ActorRef[Any],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._runs, self._schedules = runs, schedules
        self._persistence, self._directory = persistence, directory
        self._live: dict[str, LiveSchedule] = {}
        self._turns: dict[int, LiveSchedule] = {}
        self._moving: set[LiveSchedule] = set()
        self._idle_waiters: list[Reply[Any]] = []
        self._asked_for_rest: dict[Reply[Any], Reply[Any]] = {}
        self._changes = 0
        self._closed: Exception | None = None

    def on_start(self) -> None:
        """Goes on where the file says: starts what has fired, makes up for what was missed."""
        now = self.dispatcher.clock.now_us()
        for stored in self._schedules.schedules():
            name = stored.state.name
            live = self._live[name] = LiveSchedule(name, stored.stream, stored.seq, stored.state)
            live.away_until = now
            self._go_on(live)

    # ── asked for ───────────────────────────────────────────────────────────────────────────────────────

    @receives(*COMMANDS)
    def on_command(self, message: Command) -> Any:
        """Does what was asked, behind what is under way; answers when it is durable."""
        if self._closed is not None:
            raise self._closed
        live = self._live.get(message.name)
        if live is None:
            if not isinstance(message, SetSchedule):
                raise unknown_schedule(message.name)
            live = LiveSchedule(message.name, self._runs.new_stream(), 0, None)
            self._live[message.name] = live
        live.mail.append(Wish(message, self.reply_to))
        self._go_on(live)
        return LATER

    def _obey(self, live: LiveSchedule, wish: Wish) -> None:
        situation = self._situation(live, has_to_know=isinstance(wish.command, TriggerSchedule))
        wish.now = situation.now
        try:
            facts = live.facts_of(wish.command, situation, self._schedules.problem_of)
        except (ScheduleNotFound, NotRegistered) as error:
            settle(wish.reply, error)
            return
        if facts:
            self._commit(live, facts, wish)
        else:
            self._reply(live, wish)

    def _reply(self, live: LiveSchedule, wish: Wish) -> None:
        state, reply = live.state, wish.reply
        if not isinstance(wish.command, TriggerSchedule) or state is None:
            settle(reply, live.name)
            return
        due = due_of_trigger(state, wish.now)
        if due in state.unstarted and reply is not None:
            live.waiting.setdefault(due, []).append(reply)
        else:
            settle(reply, state.run_id(due))

    # ── turn, commit, act ───────────────────────────────────────────────────────────────────────────────

    def _go_on(self, live: LiveSchedule) -> None:
        """Does what there is to do now; while a commit is under way nothing, until that is answered."""
        if self._closed is not None:
            return
        if live.change is None and (answers := live.acknowledgements()):
            self._commit(live, answers)
        while live.change is None and live.mail:
            self._obey(live, live.mail.popleft())
        if live.change is None and live.state is not None and self._is_known(live, live.state):
            for due in live.state.unstarted:
                self._start(live, live.state, due)
            if facts := what_is_due(live.state, self._situation(live)):
                self._commit(live, facts)
            elif live.state.queued:
                self._watch_run_before(live, live.state)
        if live.state is None and not live.is_moving:
            self._live.pop(live.name, None)
        self._sleep(live)
        self._note_moving(live)

    def _is_known(self, live: LiveSchedule, state: ScheduleState) -> bool:
        """Whether its runs can be started; told once when they can't, and what passes meanwhile is missed."""
        if state.is_paused and not state.unstarted:
            # Nothing of it starts before it is resumed, so there is nothing to warn of.
            return True
        problem = self._schedules.problem_of(state)
        if problem and problem != live.problem:
            logger.warning("schedule %r can't go on: %s", state.name, problem)
        if live.problem and not problem:
            live.away_until = self.dispatcher.clock.now_us()
        live.problem = problem
        return not problem

    def _situation(self, live: LiveSchedule, *, has_to_know: bool = False) -> Situation:
        now, state = self.dispatcher.clock.now_us(), live.state
        if state is not None and not has_to_know:
            has_to_know = bool(state.queued) or (state.next_due is not None and state.next_due <= now)
        is_running = has_to_know and self._is_running(state)
        return Situation(now=now, is_running=is_running, away_until=live.away_until)

    def _is_running(self, state: ScheduleState | None) -> bool:
        if state is None or state.last_workflow is None:
            return False
        found = self._runs.find(WorkflowId(state.last_workflow))
        return found is not None and found.status not in FINISHED

    def _commit(self, live: LiveSchedule, facts: Sequence[ScheduleBody], wish: Wish | None = None) -> None:
        now, after = self.dispatcher.clock.now_us(), live.state
        entries = [ScheduleEntry(live.seq + n, now, fact) for n, fact in enumerate(facts, start=1)]
        for fact in facts:
            after = apply(after, fact)
        live.change = Change(entries, after, wish)
        self._changes += 1
        self._turns[self._changes] = live
        writes = self._schedules.writes(live.stream, live.name, entries, after)
        self._persistence.tell(Commit(self.actor_ref, self._changes, writes))

    @receives(Committed)
    def on_committed(self, message: Committed) -> None:
        """The facts are durable: now, and not before, runs are started and callers answered."""
        live = self._turns.pop(message.turn)
        change, live.change = live.change, None
        assert change is not None, "a commit that nobody waits for"
        live.state, live.seq = change.after, change.entries[-1].seq
        if change.wish is not None:
            self._reply(live, change.wish)
        self._go_on(live)

    @receives(CommitFailed)
    def on_commit_failed(self, message: CommitFailed) -> None:
        """Nothing has happened; who asked is told, and what is due is tried again."""
        live = self._turns.pop(message.turn)
        change, live.change = live.change, None
        assert change is not None, "a commit that nobody waits for"
        if change.wish is not None:
            settle(change.wish.reply, message.error)
        self._note_moving(live)
        if not message.is_final:
            self._wake_in(RETRY_S, live)

    # ── runs ────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, live: LiveSchedule, state: ScheduleState, due: int) -> None:
        """Asks for the run of a due time that has fired; asking twice starts one run."""
        if due in live.starting:
            return
        live.starting.add(due)
        reply: Any = self._directory.ask(self._schedules.request(state, due), block=False)
        reply.add_callback(lambda: self._post(StartAnswered(live, due, reply)))

    @receives(StartAnswered)
    def on_start_answered(self, message: StartAnswered) -> None:
        """The run is durable, or will never be; without such an answer it is asked for again."""
        live, due = message.live, message.due
        live.starting.discard(due)
        outcome = outcome_of(message.reply)
        for waiter in live.waiting.pop(due, ()):
            settle(waiter, outcome)
        if isinstance(outcome, Exception) and not isinstance(outcome, WorkflowAlreadyExists):
            logger.warning("schedule %r: a run did not start, it is tried again: %s", live.name, outcome)
            self._wake_in(RETRY_S, live)
            self._note_moving(live)
            return
        if isinstance(outcome, Exception):
            logger.error("schedule %r: %s", live.name, outcome)
        live.answered[due] = outcome
        self._go_on(live)

    def _watch_run_before(self, live: LiveSchedule, state: ScheduleState) -> None:
        """Due times wait for the end of a run: asks to be told of it, and hurries it where that is wanted."""
        workflow = state.last_workflow
        if workflow is None or state.unstarted:
            return
        if state.is_cancelling and live.cancelled != workflow:
            live.cancelled = workflow
            # One that has ended meanwhile refuses: its end is what is waited for.
            self._directory.ask(ToRun(WorkflowId(workflow), Cancel()), block=False)
        if live.watched != workflow:
            live.watched = workflow
            reply: Any = self._directory.ask(AwaitOutcome(WorkflowId(workflow)), block=False)
            reply.add_callback(lambda: self._post(RunBeforeEnded(live, reply)))

    @receives(RunBeforeEnded)
    def on_run_before_ended(self, message: RunBeforeEnded) -> None:
        """The next one can start; a run that is stuck is looked at again from time to time."""
        live, outcome = message.live, outcome_of(message.reply)
        if isinstance(outcome, RunEnded) and outcome.status in FINISHED:
            live.watched = None
            self._go_on(live)
        else:
            live.is_stalled = True
            self._sleep(live)

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────

    @receives(Look)
    def on_look(self, message: Look) -> None:
        """Asks the wall clock again: it may have been set, and a wait is measured by the other one."""
        live = message.live
        if live.is_stalled:
            live.watched, live.is_stalled = None, False
        self._go_on(live)

    @receives(FunctionRegistered)
    def on_function_registered(self, _message: FunctionRegistered) -> None:
        """Schedules that could not go on may be able to now."""
        for live in [live for live in self._live.values() if live.problem]:
            self._go_on(live)

    def _sleep(self, live: LiveSchedule) -> None:
        state = live.state
        if state is None or live.change is not None or (state.is_paused and not state.unstarted):
            self._wake_in(None, live)
            return
        # Virtual time is never set: there is nothing to look again for, but at what is stalled.
        is_looked_at = live.is_stalled or type(self.dispatcher.clock) is not VirtualClock
        waits_s = [LOOK_AGAIN_S] if is_looked_at else []
        ahead_us = 0 if state.next_due is None else state.next_due - self.dispatcher.clock.now_us()
        if ahead_us > 0:
            waits_s.append(ahead_us / MICROS_PER_S)
        self._wake_in(min(waits_s, default=None), live)

    def _wake_in(self, wait_s: float | None, live: LiveSchedule) -> None:
        if live.wake_up is not None:
            live.wake_up.cancel()
            live.wake_up = None
        if wait_s is not None and self._closed is None:
            due_s = self.dispatcher.clock.monotonic_s() + wait_s
            live.wake_up = self.dispatcher.call_at(due_s, lambda: self._post(Look(live)))

    # ── waiting for quiet ───────────────────────────────────────────────────────────────────────────────

    @receives(AwaitIdle)
    def on_await_idle(self, _message: AwaitIdle) -> Any:
        """Answers when no run can go on by itself, and none is about to be started.

        A schedule alone is nothing to wait for, but what it has begun is: while the directory is asked, a
        run may end that another one waits for here.
        """
        assert self.reply_to is not None, "AwaitIdle is asked, not told"
        self._await_idle(self.reply_to)
        return LATER

    @receives(DirectoryIdle)
    def on_directory_idle(self, message: DirectoryIdle) -> None:
        """Quiet there; if it was here all the time, it is quiet."""
        outcome = outcome_of(message.reply)
        if self._asked_for_rest.pop(message.waiter, None) is None:
            return
        if isinstance(outcome, Exception):
            settle(message.waiter, outcome)
        elif message.changes == self._changes and not self._moving:
            settle(message.waiter, None)
        else:
            self._await_idle(message.waiter)

    @receives(GiveUp)
    def on_give_up(self, message: GiveUp) -> None:
        """Who waited for quiet has stopped waiting."""
        self._idle_waiters = [waiter for waiter in self._idle_waiters if waiter is not message.reply]
        if (reply := self._asked_for_rest.pop(message.reply, None)) is not None:
            self._directory.tell(GiveUp(reply))

    def _await_idle(self, waiter: Reply[Any]) -> None:
        if self._closed is not None:
            waiter.fail(self._closed)
        elif self._moving:
            self._idle_waiters.append(waiter)
        else:
            changes = self._changes
            reply: Any = self._directory.ask(AwaitIdle(), block=False)
            self._asked_for_rest[waiter] = reply
            reply.add_callback(lambda: self._post(DirectoryIdle(waiter, changes, reply)))

    def _note_moving(self, live: LiveSchedule) -> None:
        if live.is_moving:
            self._moving.add(live)
            return
        self._moving.discard(live)
        if not self._moving:
            waiters, self._idle_waiters = self._idle_waiters, []
            for waiter in waiters:
                self._await_idle(waiter)

    # ── closing ─────────────────────────────────────────────────────────────────────────────────────────

    def close(self, error: Exception | None = None) -> None:
        """Starts nothing more, and tells whoever waits; runs in the dispatcher's thread."""
        self._closed = error or EngineClosed("the engine was closed")
        waiters = [*self._idle_waiters, *self._asked_for_rest]
        for live in {*self._live.values(), *self._moving}:
            self._wake_in(None, live)
            wishes = [*live.mail, *([live.change.wish] if live.change and live.change.wish else [])]
            waiters += [each.reply for each in wishes if each.reply is not None]
            waiters += [reply for replies in live.waiting.values() for reply in replies]
        for waiter in waiters:
            settle(waiter, self._closed)
        self._idle_waiters.clear()
        self._asked_for_rest.clear()
        self._live.clear()

    def _post(self, message: Message) -> None:
        """Tells itself, from a callback; at the end there is nobody any more who goes on."""
        if self._closed is None:
            tell_if_alive(self.actor_ref, message)
