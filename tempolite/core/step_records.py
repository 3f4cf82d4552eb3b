"""What the stream says of one step: what it asks for, how it goes, how it ended."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tempolite.core.failure import Failure
from tempolite.core.identifiers import StepKey
from tempolite.core.saga_steps import SagaRecord

VERSION_PREFIX = "version:"
"""Before the name of a change, in the key of its step."""

NOTHING = b"null"
"""Value of a step that gives none."""


class StepKind(StrEnum):
    """What a step asks for; a name keeps its kind for the life of the run."""

    ACTIVITY = "activity"
    SIDE_EFFECT = "side effect"
    CHILD = "child workflow"
    SIGNAL = "signal"
    TIMER = "timer"
    TIMEOUT = "time-out"
    CONDITION = "condition"
    VERSION = "version"
    SAGA = "saga"
    SAGA_STEP = "saga step"
    SAGA_UNDO = "saga compensation"


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How a step ended: a value (as the codec's JSON) or a failure."""

    seq: int
    at: int
    result: bytes | None = None
    failure: Failure | None = None
    cancelled: bool = False

    @property
    def is_success(self) -> bool:
        """Whether the step gave a value."""
        return self.failure is None


class Signal(msgspec.Struct, frozen=True, gc=False):
    """A signal that no step has taken yet."""

    name: str
    value: bytes
    dedup: str | None = None


class StepRecord(msgspec.Struct, gc=False):
    """What the stream says of one step."""

    key: StepKey
    kind: StepKind
    function: str = ""
    args: bytes = b""
    child: str = ""
    detached: bool = False
    on_parent_close: str = "cancel"
    scheduled_seq: int = 0
    """Sequence number of the latest scheduling: tells one schedule's attempts from another's."""
    attempts: int = 0
    """Attempts that ended in failure, of this scheduling."""
    losses: int = 0
    """Worker processes that died under it alone."""
    retry_at: int | None = None
    due_at: int = 0
    """When a timer fires, µs since the epoch."""
    version: int = 0
    last_failure: Failure | None = None
    heartbeat: bytes = b""
    """Details of the last heartbeat on record."""
    began_at: int | None = None
    """When the first attempt began, where that is on record."""
    is_started: bool = False
    """An at-most-once attempt may be under way."""
    outcome: Outcome | None = None
    schedulings: int = 0
    """How often the code asked for it anew, after it had failed in an earlier attempt of the run."""
    is_cancelled: bool = False
    """A timer that nobody waits for any more, in this attempt of the run."""
    is_open: bool = False
    """Scheduled, and neither ended nor given up by a new attempt of the run."""
    saga: SagaRecord | None = None
    """Of a saga: what it consists of."""
    stored: dict[str, bytes] = {}
    """Of a saga's step: what it stored for the steps after it."""

    def take_signs(self, heartbeat: bytes, began_at: int | None) -> None:
        """What an attempt that ended in vain leaves to the next one."""
        self.heartbeat = heartbeat or self.heartbeat
        if self.began_at is None:
            self.began_at = began_at
