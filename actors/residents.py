"""Which runs are in memory, which of them go on by themselves, and who leaves when there are too many."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec

from tempolite.actors.run_store import Asker
from tempolite.actors.workflow import Activeness, WorkflowActor
from tempolite.core.identifiers import StreamId, WorkflowId

RESIDENTS_MAX = 10_000


class LiveRun(msgspec.Struct, frozen=True):
    """A run in memory.

    Attributes:
        actor: runs it.
        stream: which run of the workflow.
        function: recorded name of its function.
        asker: who is told its outcome; None for a root run.
        queue: whose line it stands in, if it is a root run.
        priority: its place in that line.
    """

    actor: WorkflowActor
    stream: StreamId
    function: str
    asker: Asker | None
    queue: str
    priority: int = 0

    @property
    def parent(self) -> WorkflowId | None:
        """Who started it; None for a root run."""
        return None if self.asker is None else self.asker.workflow

    @property
    def is_leaving(self) -> bool:
        """Whether its actor has stopped, and nobody has been told yet."""
        return not self.actor.actor_ref.is_alive()


class Residents:
    """Runs in memory.

    Args:
        limit: beyond this many, runs that only wait leave; those with work under way never do.

    Attributes:
        kept: mail for runs that are leaving, or coming again.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.live: dict[WorkflowId, LiveRun] = {}
        self.kept: dict[WorkflowId, list[Any]] = {}
        self._busy: set[WorkflowId] = set()
        self._idle: OrderedDict[WorkflowId, None] = OrderedDict()

    @property
    def is_busy(self) -> bool:
        """Whether some run goes on by itself, or is between two lives."""
        return bool(self._busy or self.kept)

    def add(self, workflow: WorkflowId, run: LiveRun) -> None:
        """A run has come to life."""
        self.live[workflow] = run
        self.touch(workflow)

    def touch(self, workflow: WorkflowId) -> None:
        """Something is told to it: until it says otherwise, it goes on."""
        self._busy.add(workflow)
        self._idle.pop(workflow, None)

    def note(self, activeness: Activeness) -> None:
        """What a run says of itself after a turn."""
        workflow = activeness.workflow
        if workflow not in self.live:
            return
        if activeness.can_go_on:
            self._busy.add(workflow)
        else:
            self._busy.discard(workflow)
        if activeness.has_work:
            self._idle.pop(workflow, None)
        else:
            self._idle[workflow] = None

    def surplus(self) -> list[LiveRun]:
        """Runs that may leave, the longest idle first, so that no more stay than the limit."""
        leaving: list[LiveRun] = []
        while self._idle and len(self.live) - len(leaving) > self.limit:
            workflow, _ = self._idle.popitem(last=False)
            leaving.append(self.live[workflow])
        return leaving

    def forget(self, workflow: WorkflowId) -> LiveRun | None:
        """A run has left memory."""
        self._busy.discard(workflow)
        self._idle.pop(workflow, None)
        return self.live.pop(workflow, None)

    def keep(self, workflow: WorkflowId, *mail: Any) -> None:
        """Mail for a run that is leaving, or coming again: behind what it had not finished."""
        self.kept.setdefault(workflow, []).extend(mail)

    def clear(self) -> None:
        """The engine ends."""
        self.live.clear()
        self.kept.clear()
        self._busy.clear()
        self._idle.clear()
