"""What becomes true of a saga; part of the closed set in ``events.py``.

What happens to the attempts of a transaction or a compensation is told by the same events as an activity's:
``ActivityAttemptFailed``, ``ActivityWorkerLost``, ``ActivityFailed``.
"""

from __future__ import annotations

import msgspec

from tempolite.core.event_body import Body
from tempolite.core.failure import Failure


class SagaStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of a saga, as the code asked for it.

    Attributes:
        name: unique within the saga.
        transaction: name of the function that does it.
        args: of the transaction and of the compensation, as the codec's JSON of a call.
        compensation: name of the function that undoes it; None where nothing does.
    """

    name: str
    transaction: str
    args: msgspec.Raw
    compensation: str | None = None


class SagaScheduled(Body, frozen=True):
    """The code asked for a saga; its steps are these, whatever the code would pass today."""

    steps: tuple[SagaStep, ...]


class SagaStepScheduled(Body, frozen=True):
    """A transaction or a compensation is to run."""

    saga: str
    """Step of the saga in its run."""
    index: int
    """From 0, within the saga."""
    function: str
    queue: str
    is_compensation: bool = False


class SagaStepCompleted(Body, frozen=True):
    """A transaction or a compensation returned."""

    result: msgspec.Raw
    stored: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict)
    """What it stored for the steps after it."""


class SagaCancelled(Body, frozen=True):
    """The run is being cancelled: the saga begins no transaction more, and is compensated."""


class SagaCompleted(Body, frozen=True):
    """Every transaction returned; the saga's value is made of theirs."""


class SagaRolledBack(Body, frozen=True):
    """The saga failed and was compensated, as far as it could be."""

    failure: Failure


class SagaUndoScheduled(Body, frozen=True):
    """The code asked for a completed saga to be compensated."""


class SagaUndone(Body, frozen=True):
    """A completed saga was compensated."""


class SagaUndoFailed(Body, frozen=True):
    """A completed saga was compensated, but not all of it could be."""

    failure: Failure
