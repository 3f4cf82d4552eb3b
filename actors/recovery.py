"""What comes to life by itself: at a start, and when what stranded runs lacked becomes known."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from typing import Any

from tempolite.actors.actor import Actor, receives
from tempolite.actors.controls import Admit, Asked, Cancel, Pause, Resume
from tempolite.actors.messages import FunctionRegistered, Message, QueueCreated, Recover, RunEnded, StartRun
from tempolite.actors.run_lines import RunLines
from tempolite.actors.run_store import Asker, RunStore, StoredRun
from tempolite.actors.workflow import Execution
from tempolite.core.identifiers import WorkflowId
from tempolite.core.log_fields import log_fields

logger = logging.getLogger("tempolite")

RECOVERED_PER_ROUND = 64
"""Runs brought to life before other mail gets its turn."""

BY_PARENT = {
    "pause": Pause(by_parent=True),
    "resume": Resume(by_parent=True),
    "cancel": Cancel(by_parent=True),
}
"""What a child is told that a crash kept from following its parent."""


class RecoverMore(Message, frozen=True):
    """The next part of a recovery."""


class Revive(Message, frozen=True):
    """A run that was discarded is to come to life again.

    Attributes:
        workflow: which.
    """

    workflow: WorkflowId


class Recovery(Actor):
    """The part of the directory that a start begins with; the directory says how runs come to life.

    Args:
        store: the runs in the file.
        lines: root runs of the queues that limit them.
    """

    def __init__(self, store: RunStore, lines: RunLines, **options: Any) -> None:
        super().__init__(**options)
        self._store = store
        self.lines = lines
        self._to_recover: deque[WorkflowId] = deque()

    @receives(Recover)
    def on_recover(self, _message: Recover) -> None:
        """Brings to life what has work, a part at a time."""
        self._admit(self.lines.recover(self._store.in_line(self.lines.queues)))
        for child, what in self._store.left_behind():
            self._hand_over(child, Asked(BY_PARENT[what]))
        for request in self._store.unstarted():
            self.on_start_run(request)
        self._to_recover.extend(self._store.with_work())
        self.actor_ref.tell(RecoverMore())

    @receives(RecoverMore)
    def on_recover_more(self, _message: RecoverMore) -> None:
        """The next part."""
        for _ in range(min(RECOVERED_PER_ROUND, len(self._to_recover))):
            workflow = self._to_recover.popleft()
            is_here = self._is_live(workflow)
            if not is_here and (stored := self._store.find(workflow)) is not None:
                self._recover(stored)
        if self._to_recover:
            self.actor_ref.tell(RecoverMore())
        else:
            self._answer_if_idle()

    def _recover(self, stored: StoredRun) -> None:
        if stored.ended is None or stored.status == "STRANDED":
            self._activate(stored)
        elif stored.is_finished and stored.asker is not None:
            # The child's outcome is durable, the parent's record of it may not be.
            self._tell_parent(stored.asker, stored.ended)

    def _brought_back(self, stored: StoredRun, letters: list[Any]) -> Execution | RunEnded:
        """A stored run, ready for these letters, or why it can't come to life.

        One that was stranded has given its place in its queue's line away: it hears whether it has one again.
        """
        was_stranded = stored.status == "STRANDED"
        try:
            execution = self._store.load(stored, has_mail=bool(letters) and not was_stranded)
            if was_stranded and not isinstance(execution, RunEnded):
                letters[:0] = self.lines.take_in(stored.workflow, stored)
            elif was_stranded and letters:
                execution = self._store.load(stored, has_mail=True)
        except Exception as error:
            extra = log_fields(stored.workflow)
            logger.error("workflow %r can't be read: %s", stored.workflow, error, extra=extra)
            execution = RunEnded(stored.workflow, "STUCK", problem=f"{type(error).__name__}: {error}")
        return execution

    @receives(FunctionRegistered)
    def on_function_registered(self, message: FunctionRegistered) -> None:
        """Lets stranded runs go on whose function is known now, and children begin that only it knows of."""
        for request in self._store.unstarted(message.names):
            self.on_start_run(request)
        self._to_recover.extend(self._store.strand(message.names))
        if self._to_recover:
            self.actor_ref.tell(RecoverMore())

    @receives(QueueCreated)
    def on_queue_created(self, message: QueueCreated) -> None:
        """Lets runs go on that were stranded without their queue."""
        if message.max_runs is not None:
            self.lines.add(message.queue, message.max_runs)
        self._to_recover.extend(self._store.stranded_on(message.queue))
        if self._to_recover:
            self.actor_ref.tell(RecoverMore())

    def _admit(self, admitted: Iterable[WorkflowId]) -> None:
        """These have a place in their queue's line now."""
        for workflow in admitted:
            self._hand_over(workflow, Asked(Admit()))

    # ── said by the directory ───────────────────────────────────────────────────────────────────────────

    def on_start_run(self, message: StartRun) -> Any:
        """Starts a run, or finds the one that has the id."""
        raise NotImplementedError

    def _is_live(self, workflow: WorkflowId) -> bool:
        raise NotImplementedError

    def _activate(self, stored: StoredRun, mail: Iterable[Any] = ()) -> None:
        raise NotImplementedError

    def _hand_over(self, workflow: WorkflowId, letter: Any) -> None:
        raise NotImplementedError

    def _tell_parent(self, asker: Asker, ended: RunEnded) -> None:
        raise NotImplementedError

    def _answer_if_idle(self) -> None:
        raise NotImplementedError
