"""What the directory asks of whoever keeps the runs: a protocol, implemented in ``tempolite.engine``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from tempolite.actors.deletions import DeletionStore
from tempolite.actors.messages import ChildEnded, RunEnded, StartRun, Write
from tempolite.actors.workflow import Execution
from tempolite.core.events import RunCreated
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId


class Asker(msgspec.Struct, frozen=True):
    """Who asked for a child.

    Attributes:
        workflow, stream: the parent, and which run of it: the same id may come again, made anew or continued.
        step: what the run calls it.
    """

    workflow: WorkflowId
    step: StepKey
    stream: int | None = None


def asker_of(created: RunCreated) -> Asker | None:
    """Who asked for a run; None for a root run."""
    if created.parent is None:
        return None
    step = StepKey(created.parent_step or "")
    return Asker(WorkflowId(created.parent), step, created.parent_stream)


class StoredRun(msgspec.Struct, frozen=True):
    """What the file says of a workflow's latest run.

    Attributes:
        workflow, stream, function: which.
        status: as recorded.
        asker: who is told its outcome; None for a root run.
        ended: the outcome, when it is finished (or stuck, or stranded).
        queue: whose line it stands in, if it is a root run.
        priority: its place in that line.
    """

    workflow: WorkflowId
    stream: StreamId
    function: str
    status: str
    asker: Asker | None = None
    ended: RunEnded | None = None
    queue: str = ""
    priority: int = 0

    @property
    def parent(self) -> WorkflowId | None:
        """Who started it; None for a root run."""
        return None if self.asker is None else self.asker.workflow

    @property
    def is_finished(self) -> bool:
        """Whether its outcome is recorded."""
        return self.status in ("COMPLETED", "FAILED", "CANCELLED")


class InLine(msgspec.Struct, frozen=True):
    """A root run that is active, or waits to be, as the engine before left it."""

    workflow: WorkflowId
    queue: str
    priority: int
    is_held: bool


class RunStore(DeletionStore, Protocol):
    """Runs in the file, and how they come to life; implemented in ``tempolite.engine``."""

    def find(self, workflow: WorkflowId) -> StoredRun | None:
        """The latest run of a workflow, as last committed."""
        ...

    def create(self, request: StartRun, stream: StreamId) -> Execution:
        """A new run; its first turn records that it exists."""
        ...

    def load(self, stored: StoredRun, *, has_mail: bool = False) -> Execution | RunEnded:
        """A run from its history, or why it can't come to life.

        One whose function is not known can still take mail: it is recorded, and no code runs.
        """
        ...

    def new_stream(self) -> StreamId:
        """A stream that was never used."""
        ...

    def with_work(self) -> Iterable[WorkflowId]:
        """Workflows that have something to do without a message from outside."""
        ...

    def in_line(self, limited: Iterable[str]) -> Iterable[InLine]:
        """Root runs of these queues that are active, and all that wait to be; oldest first."""
        ...

    def left_behind(self) -> Iterable[tuple[WorkflowId, str]]:
        """Children that don't follow their parent yet, and what they are to do: pause, resume or cancel."""
        ...

    def unstarted(self, names: tuple[str, ...] | None = None) -> list[StartRun]:
        """Children that outlive their parent, and may not have come to be before it ended.

        Only those of parents whose function is known, and is one of these names, where they are given.
        """
        ...

    def is_sleeping(self) -> bool:
        """Whether a run waits for a timer, and for no person."""
        ...

    def timers(self, from_us: int, before_us: int) -> Iterable[tuple[WorkflowId, StepKey, int]]:
        """Durable timers that are due from a time on and before another one, the earliest first."""
        ...

    def next_timer(self, from_us: int) -> int | None:
        """When the first durable timer is due, from a time on."""
        ...

    def is_same_function(self, stored: StoredRun, function: str) -> bool:
        """Whether the recorded name and this one mean the same function, by name or alias."""
        ...

    def problem_write(self, stored: StoredRun, ended: RunEnded) -> Write:
        """Lists a run as stuck or stranded, with its problem."""
        ...

    def settle_write(self, ended: ChildEnded) -> Write:
        """Notes that nobody waits for a child's outcome any more."""
        ...

    def learn(self, code: Any) -> None:
        """A parent brings its child's function: it is known from now on."""
        ...

    def stranded_on(self, queue: str) -> list[WorkflowId]:
        """Stranded workflows of a queue."""
        ...

    def strand(self, names: tuple[str, ...]) -> list[WorkflowId]:
        """Stranded workflows whose function is one of these."""
        ...
