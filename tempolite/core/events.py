"""The closed set of facts that a run's stream is made of.

An :class:`Entry` is one line of history: where it stands, which step it speaks of, and a body. Bodies are
past tense, frozen and complete; a body's class name is the ``type`` column, its fields are the ``payload``
column as JSON. Values of user code stand in it as JSON of the codec (``Raw``), so that SQL can read them.

Adding a kind of event is adding a class here (a saga's stand in ``saga_events.py``) and to ``AnyBody``; the
type checker then names every place that has to know it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

import msgspec

from tempolite.core.event_body import Body
from tempolite.core.failure import Failure
from tempolite.core.identifiers import StepKey
from tempolite.core.queues import DEFAULT_QUEUE
from tempolite.core.retry import RetrySpec
from tempolite.core.saga_events import (
    SagaCancelled,
    SagaCompleted,
    SagaRolledBack,
    SagaScheduled,
    SagaStepCompleted,
    SagaStepScheduled,
    SagaUndoFailed,
    SagaUndone,
    SagaUndoScheduled,
)

OnParentClose = Literal["cancel", "abandon"]

NO_VALUE = msgspec.Raw()
"""Stands for a value that there isn't; a field that holds it is not written."""


def optional_value(encoded: bytes) -> msgspec.Raw:
    """A value of user code, or none where it is empty."""
    return msgspec.Raw(encoded) if encoded else NO_VALUE


# ── the run ─────────────────────────────────────────────────────────────────────────────────────────────


class RunCreated(Body, frozen=True):
    """The run exists: everything that its code may depend on."""

    workflow: str
    """The id that it goes by: the rest of the stream names only itself."""
    function: str
    args: msgspec.Raw
    seed: int
    """Feeds ``ctx.random``; a fork keeps it, a clone gets its own."""
    run: int = 1
    queue: str = DEFAULT_QUEUE
    run_group: str = ""
    parent: str | None = None
    parent_step: str | None = None
    parent_stream: int | None = None
    """Of the parent's run that asked for it; one that has the id later, anew or continued, is another."""
    on_parent_close: OnParentClose = "cancel"
    priority: int = 0
    retry: RetrySpec = RetrySpec()
    timeout_s: float | None = None
    deferred: bool = False
    held: bool = False
    """It waits for its queue's ``max_runs``."""
    paused: bool = False
    """The run before it was; its code does not begin before it is resumed."""
    detached: bool = False
    versions: dict[str, int] = msgspec.field(default_factory=dict)
    retried_from: str | None = None
    forked_from: str | None = None


class RunEnqueued(Body, frozen=True):
    """A deferred run may start, and waits for its queue's ``max_runs``."""


class RunStarted(Body, frozen=True):
    """A run that was created without being started began; its time is what ``ctx.now()`` tells there."""


class RunAttemptFailed(Body, frozen=True):
    """The code raised, and the run's policy allows another attempt at ``retry_at`` (µs since the epoch)."""

    failure: Failure
    retry_at: int


class AttemptBegan(Body, frozen=True):
    """A new attempt of the code: successes so far stand, what had failed is run again."""

    reason: Literal["retry", "resume"]


class RunCompleted(Body, frozen=True):
    """The code returned."""

    result: msgspec.Raw


class RunFailed(Body, frozen=True):
    """The code raised, and nothing tries again by itself."""

    failure: Failure


class RunCancelled(Body, frozen=True):
    """The run was cancelled, and its code has had its say."""

    failure: Failure | None = None
    """What its code raised while it was ending, where that was something else."""


class RunContinued(Body, frozen=True):
    """The run ended by beginning the next run of the same workflow, which is in the same commit."""

    args: msgspec.Raw


class RunPaused(Body, frozen=True):
    """Outcomes are recorded and not delivered, until the run is resumed."""


class RunResumed(Body, frozen=True):
    """A paused run goes on."""

    held: bool = False
    """It waits for its queue's ``max_runs`` first."""


class CancelRequested(Body, frozen=True):
    """``Cancelled`` is raised in the code, where it waits at this point of the history."""


class SignalReceived(Body, frozen=True):
    """A signal was acknowledged; some step of the code will take it."""

    name: str
    value: msgspec.Raw
    dedup: str | None = None


class UpdateAccepted(Body, frozen=True):
    """An update passed its validator and was handled, at this point of the history."""

    name: str
    args: msgspec.Raw
    result: msgspec.Raw = NO_VALUE
    failure: Failure | None = None


class StatusSet(Body, frozen=True):
    """The code said how far it is."""

    text: str
    progress: float | None = None


class RunStuck(Body, frozen=True):
    """The run can't go on until a person acts."""

    problem: str
    kind: str = ""
    """Name of the error class that a ``get`` shows as the reason."""


class RunUnstuck(Body, frozen=True):
    """A person said: try again from where it stopped."""


# ── steps ───────────────────────────────────────────────────────────────────────────────────────────────


class ActivityScheduled(Body, frozen=True):
    """The code asked for an activity; its arguments are these, whatever the code would pass today."""

    function: str
    args: msgspec.Raw
    queue: str


class ActivityCompleted(Body, frozen=True):
    """The activity returned."""

    result: msgspec.Raw


class ActivityFailed(Body, frozen=True):
    """The activity failed, and its policy gives up."""

    failure: Failure


class ActivityAttemptStarted(Body, frozen=True):
    """An at-most-once attempt is about to begin: from now on it may have had its effect."""


class ActivityAttemptFailed(Body, frozen=True):
    """One attempt failed; the next begins at ``retry_at`` (µs since the epoch)."""

    failure: Failure
    retry_at: int
    heartbeat: msgspec.Raw = NO_VALUE
    """Details of its last heartbeat; empty where it gave none."""
    began_at: int | None = None
    """When it began, where the activity has a deadline."""


class ActivityWorkerLost(Body, frozen=True):
    """A worker process died under the activity and nobody else shared it; the attempt is not used up."""

    cause: str
    heartbeat: msgspec.Raw = NO_VALUE
    began_at: int | None = None


class SideEffectCompleted(Body, frozen=True):
    """A side effect ran once, with this value."""

    result: msgspec.Raw


class SideEffectFailed(Body, frozen=True):
    """A side effect raised."""

    failure: Failure


class ChildScheduled(Body, frozen=True):
    """The code asked for a child workflow."""

    child: str
    function: str
    args: msgspec.Raw
    detached: bool = False
    on_parent_close: OnParentClose = "cancel"


class ChildCompleted(Body, frozen=True):
    """The child returned."""

    result: msgspec.Raw


class ChildFailed(Body, frozen=True):
    """The child failed or was cancelled."""

    failure: Failure
    cancelled: bool = False


class SignalTaken(Body, frozen=True):
    """A step of the code got a signal."""

    signal: int
    """Sequence number of its ``SignalReceived``."""


class TimerStarted(Body, frozen=True):
    """The code asked for a timer, or for a time-out."""

    due_at: int
    """µs since the epoch."""
    is_timeout: bool = False


class TimerFired(Body, frozen=True):
    """A timer's time had come."""


class TimerCancelled(Body, frozen=True):
    """Nobody waits for the timer any more."""


class ConditionDecided(Body, frozen=True):
    """A condition of ``wait_until`` was met, or its time was over."""

    is_met: bool


class ConditionFailed(Body, frozen=True):
    """A condition raised."""

    failure: Failure


class VersionMarked(Body, frozen=True):
    """The code asked for its version of a change for the first time."""

    version: int


AnyBody = (
    RunCreated
    | RunEnqueued
    | RunStarted
    | RunAttemptFailed
    | AttemptBegan
    | RunCompleted
    | RunFailed
    | RunCancelled
    | RunContinued
    | RunPaused
    | RunResumed
    | CancelRequested
    | SignalReceived
    | UpdateAccepted
    | StatusSet
    | RunStuck
    | RunUnstuck
    | ActivityScheduled
    | ActivityCompleted
    | ActivityFailed
    | ActivityAttemptStarted
    | ActivityAttemptFailed
    | ActivityWorkerLost
    | SideEffectCompleted
    | SideEffectFailed
    | ChildScheduled
    | ChildCompleted
    | ChildFailed
    | SignalTaken
    | TimerStarted
    | TimerFired
    | TimerCancelled
    | ConditionDecided
    | ConditionFailed
    | VersionMarked
    | SagaScheduled
    | SagaStepScheduled
    | SagaStepCompleted
    | SagaCancelled
    | SagaCompleted
    | SagaRolledBack
    | SagaUndoScheduled
    | SagaUndone
    | SagaUndoFailed
)

CANCELLED_FAILURE = Failure(type_name="tempolite.errors:WorkflowCancelled", message="it was cancelled")
"""Stands in a parent's stream for a child that was cancelled."""

BODIES: MappingProxyType[str, type[AnyBody]] = MappingProxyType(
    {kind.__name__: kind for kind in AnyBody.__args__}
)
"""Body class by the text of the ``type`` column."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One event of a stream."""

    seq: int
    """From 1, without gaps, within the stream."""
    at: int
    """µs since the epoch, UTC; never less than the entry before."""
    body: AnyBody
    step: StepKey = StepKey("")
    """Empty for events of the run itself."""
    attempt: int = 1
    """Of the activity where a step is named, else of the run."""


_DECODERS = {name: msgspec.json.Decoder(kind) for name, kind in BODIES.items()}


encode_body = msgspec.json.Encoder().encode
"""A body's fields as JSON."""


def decode_body(type_name: str, payload: bytes | str) -> AnyBody:
    """The body that ``type_name`` and ``payload`` were recorded from.

    Raises:
        KeyError: no such type of event.
        msgspec.DecodeError: the payload is not of that type.
    """
    return _DECODERS[type_name].decode(payload)
