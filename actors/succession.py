"""The part of the directory that ends a thread's time: by the next thread, or with the engine.

Code of the user's runs in letters to its own run's actor, and in launches, which the directory does when all
else of a letter is done. So nobody else's work is cut off where a thread does not come back from it.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from tempolite.actors.actor import Actor, receives
from tempolite.actors.deletions import Deletions
from tempolite.actors.futures import Reply
from tempolite.actors.letters import fail_asked
from tempolite.actors.lost_threads import LetCome, LostThread
from tempolite.actors.messages import RunEnded
from tempolite.actors.recovery import Recovery
from tempolite.actors.residents import LiveRun, Residents
from tempolite.actors.run_lines import RunLines
from tempolite.actors.run_store import RunStore
from tempolite.actors.waiters import Waiters
from tempolite.actors.workflow import End, Execution, Routes, WorkflowActor
from tempolite.core.identifiers import WorkflowId
from tempolite.errors import EngineClosed, TurnTooLong


class Succession(Recovery):
    """What a directory has in memory, and what becomes of it.

    Args:
        store: the runs in the file.
        lines: root runs of the queues that limit them.
        residents_max: beyond this many in memory, runs that only wait leave it.
    """

    routes: Routes

    def __init__(self, store: RunStore, lines: RunLines, residents_max: int, **options: Any) -> None:
        super().__init__(store, lines, **options)
        self._closed: Exception | None = None
        self._residents = Residents(residents_max)
        self._waiters = Waiters()
        self._deletions = Deletions(self, store)
        self._coming: deque[WorkflowActor] = deque()

    # ── coming ──────────────────────────────────────────────────────────────────────────────────────────

    def _launch(self, actor: WorkflowActor, run: LiveRun) -> None:
        self._residents.add(WorkflowId(actor.actor_urn), run)
        self._coming.append(actor)
        self._make_room()

    def _let_come(self) -> None:
        """Launches those that are coming, when all else is done: their code may never come back from it."""
        while self._coming:
            self._coming.popleft().launch(self.dispatcher)

    @receives(LetCome)
    def on_let_come(self, _message: LetCome) -> None:
        """Any letter does."""

    # ── the next thread ─────────────────────────────────────────────────────────────────────────────────

    def take_over(self, lost: LostThread) -> None:
        """The first thing that is done in the thread that comes after a lost one."""
        try:
            self._take_over(lost)
        except Exception as error:
            self._contain(error, None)
        finally:
            lost.settle()

    def _take_over(self, lost: LostThread) -> None:
        execution = lost.execution
        lost.leave(execution.abandon())
        blocked = self._residents.live.get(execution.workflow)
        for live in self._residents.live.values():
            if live is not blocked and (end := live.actor.move()) is not None:
                lost.leave(end)
        if blocked is not None and blocked.is_leaving:
            # Everybody knows that it goes; only the end of its code did not come to an end.
            blocked.actor.answer_end()
        elif blocked is not None:
            self._begin_again(blocked.actor, lost)
        # Those whom the lost thread did not come to.
        self.actor_ref.tell(LetCome())

    def _begin_again(self, actor: WorkflowActor, lost: LostThread) -> None:
        """The run whose code blocks takes its turn once more, from what is recorded."""
        try:
            stored = self._store.find(lost.execution.workflow)
            following: Execution | RunEnded = lost.execution.anew()
            if stored is not None:
                following = self._store.load(stored, has_mail=True)
        except Exception as error:
            self._on_workflow_failure(actor, error)
            return
        assert not isinstance(following, RunEnded), "with mail it comes to life"
        asked = actor.begin_again(following, lost.problem)
        fail_asked([asked], TurnTooLong(lost.problem))

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────

    def live_actors(self) -> list[Actor]:
        """Runs that are in memory."""
        return [live.actor for live in self._residents.live.values()]

    def close(self, error: Exception | None = None) -> list[Reply[Any]]:
        """Ends every live run without recording anything; in the dispatcher's thread.

        Returns what is answered when their code has ended.
        """
        self._closed = error or EngineClosed("the engine was closed")
        while self._coming:
            # Nothing has run of them.
            self._coming.popleft().stop_now()
        endings: list[Reply[Any]] = []
        for live in list(self._residents.live.values()):
            fail_asked(live.actor.take_mail(), self._closed)
            endings.append(live.actor.actor_ref.ask_nowait(End()))
        for letters in self._residents.kept.values():
            fail_asked(letters, self._closed)
        self._residents.kept.clear()
        self._waiters.fail(self._closed)
        self._deletions.fail(self._closed)
        return endings

    # ── said by the directory ───────────────────────────────────────────────────────────────────────────

    def _make_room(self) -> None:
        raise NotImplementedError

    def _on_workflow_failure(self, actor: Actor, error: BaseException) -> None:
        raise NotImplementedError
