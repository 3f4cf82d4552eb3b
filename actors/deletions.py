"""Deletions under way: which workflows are on their way out of the file, and who waits for that.

While a workflow is being deleted, nothing that speaks to it by its id is looked at: a start of the same id
comes after the deletion, and makes a new workflow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from pykka._envelope import Envelope

from tempolite.actors.actor import LATER, Actor
from tempolite.actors.futures import Reply
from tempolite.actors.messages import (
    Commit,
    CommitFailed,
    Committed,
    DeleteRuns,
    Deliver,
    ForgetTimers,
    RetryDue,
    TimerDue,
    Write,
)
from tempolite.core.identifiers import WorkflowId

if TYPE_CHECKING:
    from tempolite.actors.workflow import Routes


class DeletionStore(Protocol):
    """What can be deleted, and how; implemented in ``tempolite.engine``."""

    def deletable(self, workflows: Iterable[WorkflowId]) -> set[WorkflowId]:
        """Those that are finished, and whose outcome nobody in the file has still to hear."""
        ...

    def deletion(self, workflows: list[WorkflowId], now_us: int) -> list[Write]:
        """Deletes everything that belongs to them, and records that."""
        ...

    def expired(self, before_us: int, limit: int) -> tuple[WorkflowId, ...]:
        """Finished workflows that ended until then, and can be deleted; the oldest first."""
        ...

    def first_end(self) -> int | None:
        """When the oldest workflow that can be deleted ended, µs since the epoch."""
        ...


class Deletion(msgspec.Struct):
    """One commit that deletes."""

    workflows: list[WorkflowId]
    reply: Reply[int] | None


class Deletions:
    """Takes finished workflows out of the file, on behalf of the directory.

    Args:
        directory: sends the commits, and reads what was held back.
        store: knows what is finished.
    """

    def __init__(self, directory: Actor, store: DeletionStore) -> None:
        self._directory = directory
        self._store = store
        self._leaving: set[WorkflowId] = set()
        self._under_way: dict[int, Deletion] = {}
        self._held: list[Any] = []
        self._last_turn = 0

    def begin(
        self,
        message: DeleteRuns,
        homes: Iterable[Collection[WorkflowId]],
        routes: Routes,
    ) -> Any:
        """Sends the commit that deletes what can be; answers with the count once it is durable.

        Args:
            message: what is asked for.
            homes: where live workflows are.
            routes: the way to the writer, and the time.
        """
        asked = [each for each in dict.fromkeys(message.workflows) if each not in self._leaving]
        finished = self._store.deletable(asked)
        live = {each for each in finished if any(each in home for home in homes)}
        if live and message.patience:
            # Its outcome is in the file, its actor has not left yet, or a person has it go on just now.
            self._look_again(message)
            return LATER
        workflows = [each for each in asked if each in finished and each not in live]
        if not workflows:
            return 0
        # Negative: the directory's other commits are numbered by their streams.
        self._last_turn -= 1
        self._leaving.update(workflows)
        routes.timers.tell(ForgetTimers(frozenset(workflows)))
        self._under_way[self._last_turn] = Deletion(workflows, self._directory.reply_to)
        writes = self._store.deletion(workflows, routes.now_us())
        routes.persistence.tell(Commit(self._directory.actor_ref, self._last_turn, writes))
        return LATER

    def hold_next(self) -> bool:
        """Whether the directory's oldest letter speaks to a workflow on its way out; then it is kept here."""
        mail = self._directory.actor_inbox.mail
        if not self._leaving or not mail:
            return False
        letter = mail[0]
        message = letter.message if type(letter) is Envelope else letter
        if getattr(message, "workflow", None) not in self._leaving:
            return False
        self._held.append(mail.popleft())
        return True

    def settle(self, message: Committed | CommitFailed) -> None:
        """They are gone, or stay: who asked is told, and what was held back is read."""
        deletion = self._under_way.pop(message.turn, None)
        if deletion is None:
            return
        self._leaving.difference_update(deletion.workflows)
        if deletion.reply is not None:
            if isinstance(message, CommitFailed):
                deletion.reply.fail(message.error)
            else:
                deletion.reply.set(len(deletion.workflows))
        held, self._held = self._held, []
        if isinstance(message, Committed):
            # Timers of the old workflows are not for the new ones, whose starts wait here too.
            held = [letter for letter in held if not _is_due(letter)]
        self._directory.actor_inbox.put_back(held)

    def fail(self, error: Exception) -> None:
        """The engine ends: who still waits is told."""
        waiting: list[Any] = [deletion.reply for deletion in self._under_way.values()]
        waiting.extend(letter.reply_to for letter in self._held if type(letter) is Envelope)
        self._leaving.clear()
        self._under_way.clear()
        self._held.clear()
        for reply in waiting:
            if reply is not None and not reply.is_set:
                reply.fail(error)

    def _look_again(self, message: DeleteRuns) -> None:
        again = Envelope(msgspec.structs.replace(message, patience=message.patience - 1))
        again.reply_to = self._directory.reply_to
        self._directory.dispatcher.before_sleep(lambda: self._directory.actor_inbox.put(again))


def _is_due(letter: Any) -> bool:
    return isinstance(letter, Deliver) and isinstance(letter.message, (TimerDue, RetryDue))
