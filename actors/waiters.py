"""Who waits for an outcome, or for all runs to rest."""

from __future__ import annotations

from typing import Any

from tempolite.actors.futures import Reply
from tempolite.actors.messages import RunEnded
from tempolite.core.identifiers import WorkflowId


class Waiters:
    """Replies that are given later."""

    def __init__(self) -> None:
        self._of_outcomes: dict[WorkflowId, list[Reply[Any]]] = {}
        self._of_rest: list[Reply[Any]] = []

    @property
    def want_rest(self) -> bool:
        """Whether somebody waits for all runs to rest."""
        return bool(self._of_rest)

    def add_for_outcome(self, workflow: WorkflowId, reply: Reply[Any]) -> None:
        """Answered when the workflow has ended, or can't go on."""
        self._of_outcomes.setdefault(workflow, []).append(reply)

    def add_for_rest(self, reply: Reply[Any]) -> None:
        """Answered when no run goes on by itself."""
        self._of_rest.append(reply)

    def tell_outcome(self, ended: RunEnded) -> None:
        """The outcome is durable by now."""
        for reply in self._of_outcomes.pop(ended.workflow, ()):
            reply.set(ended)

    def tell_rest(self) -> None:
        """Nothing goes on."""
        replies, self._of_rest = self._of_rest, []
        for reply in replies:
            reply.set(None)

    def give_up(self, workflow: WorkflowId | None, reply: Reply[Any]) -> None:
        """Who asked has stopped waiting; without this, a run that never ends would gather replies."""
        if workflow is None:
            self._of_rest = [other for other in self._of_rest if other is not reply]
            return
        left = [other for other in self._of_outcomes.pop(workflow, ()) if other is not reply]
        if left:
            self._of_outcomes[workflow] = left

    def fail(self, error: Exception) -> None:
        """The engine ends."""
        waiting = [*self._of_rest, *(reply for replies in self._of_outcomes.values() for reply in replies)]
        self._of_outcomes.clear()
        self._of_rest.clear()
        for reply in waiting:
            if not reply.is_set:
                reply.fail(error)
