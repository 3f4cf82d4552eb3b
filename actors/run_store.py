"""What the directory asks of whoever keeps the runs: a protocol, implemented in ``tempolite.engine``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from tempolite.actors.messages import RunEnded, StartRun, Write
from tempolite.actors.workflow import Execution
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId


class StoredRun(msgspec.Struct, frozen=True):
    """What the file says of a workflow's latest run.

    Attributes:
        workflow, stream, function: which.
        status: as recorded.
        parent, parent_step: who is told its outcome.
        ended: the outcome, when it is finished (or stuck, or stranded).
    """

    workflow: WorkflowId
    stream: StreamId
    function: str
    status: str
    parent: WorkflowId | None = None
    parent_step: StepKey | None = None
    ended: RunEnded | None = None


class RunStore(Protocol):
    """Runs in the file, and how they come to life; implemented in ``tempolite.engine``."""

    def find(self, workflow: WorkflowId) -> StoredRun | None:
        """The latest run of a workflow, as last committed."""
        ...

    def create(self, request: StartRun, stream: StreamId) -> Execution:
        """A new run; its first turn records that it exists."""
        ...

    def load(self, stored: StoredRun) -> Execution | RunEnded:
        """A run from its history, or why it can't come to life."""
        ...

    def last_stream(self) -> StreamId:
        """The highest stream ever used."""
        ...

    def with_work(self) -> Iterable[WorkflowId]:
        """Workflows that have something to do without a message from outside."""
        ...

    def is_same_function(self, stored: StoredRun, function: str) -> bool:
        """Whether the recorded name and this one mean the same function, by name or alias."""
        ...

    def problem_write(self, stored: StoredRun, ended: RunEnded) -> Write:
        """Lists a run as stuck or stranded, with its problem."""
        ...

    def learn(self, code: Any) -> None:
        """A parent brings its child's function: it is known from now on."""
        ...

    def strand(self, names: tuple[str, ...]) -> list[WorkflowId]:
        """Stranded workflows whose function is one of these."""
        ...
