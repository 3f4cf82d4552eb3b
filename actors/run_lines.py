"""Root runs of the queues that limit them: who has to wait, when it begins and when it is resumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from tempolite.actors.controls import Admit, Asked, Enqueue, Hold, Resume
from tempolite.actors.messages import StartRun
from tempolite.actors.run_store import InLine
from tempolite.core.admission import RunLine
from tempolite.core.identifiers import WorkflowId


class Root(Protocol):
    """What counts of a run, alive or stored, for its place in line."""

    @property
    def queue(self) -> str:
        """Its queue."""
        ...

    @property
    def parent(self) -> WorkflowId | None:
        """Who started it; None for a root run."""
        ...

    @property
    def priority(self) -> int:
        """Higher first."""
        ...


class RunLines:
    """The lines of all queues that have one.

    Args:
        max_runs: of each queue that limits its root runs.
    """

    def __init__(self, max_runs: Mapping[str, int]) -> None:
        self._lines = {queue: RunLine(limit) for queue, limit in max_runs.items()}

    @property
    def queues(self) -> list[str]:
        """Queues that limit their root runs."""
        return list(self._lines)

    def add(self, queue: str, max_runs: int) -> None:
        """A new queue limits its root runs."""
        self._lines[queue] = RunLine(max_runs)

    def admit(self, message: StartRun) -> StartRun:
        """A new root run may have to wait; a child never does."""
        created = message.created
        line = self._lines.get(created.queue)
        if line is None or created.parent is not None or created.deferred:
            return message
        if line.enter(message.workflow, created.priority):
            return message
        return msgspec.structs.replace(message, created=msgspec.structs.replace(created, held=True))

    def hold_back(self, workflow: WorkflowId, run: Root, letter: Any) -> Any:
        """A root run that is resumed or enqueued may have to wait."""
        line = self._lines.get(run.queue)
        if line is None or run.parent is not None or not isinstance(letter, Asked):
            return letter
        if not isinstance(letter.message, (Resume, Enqueue)) or line.enter(workflow, run.priority):
            return letter
        return Asked(msgspec.structs.replace(letter.message, held=True), letter.reply)

    def take_in(self, workflow: WorkflowId, run: Root) -> list[Asked]:
        """What a run is told that was stranded and can go on: whether it has a place, or waits in line."""
        line = self._lines.get(run.queue)
        if line is None or run.parent is not None or line.enter(workflow, run.priority):
            return [Asked(Admit())]
        return [Asked(Hold())]

    def rest(self, workflow: WorkflowId, queue: str) -> list[WorkflowId]:
        """A run is paused, or not begun: it keeps standing in line, and gives its place back; to these."""
        if (line := self._lines.get(queue)) is None:
            return []
        line.rest(workflow)
        return line.admit()

    def leave(self, workflow: WorkflowId, queue: str) -> list[WorkflowId]:
        """A run is gone; these are active, now."""
        if (line := self._lines.get(queue)) is None:
            return []
        line.leave(workflow)
        return line.admit()

    def recover(self, runs: Iterable[InLine]) -> list[WorkflowId]:
        """Those that the engine before had active keep their place; gives those that have one now."""
        admitted = []
        for run in sorted(runs, key=lambda run: (run.is_held, -run.priority)):
            line = self._lines.get(run.queue)
            if line is not None and not run.is_held:
                line.take_back(run.workflow)
            elif line is None or line.enter(run.workflow, run.priority):
                admitted.append(run.workflow)
        return admitted
