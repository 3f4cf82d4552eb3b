"""What a run knows of its sagas: what they consist of, and how their steps are called among the run's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from tempolite.core.identifiers import StepKey
from tempolite.core.saga_events import SagaStep

if TYPE_CHECKING:
    from tempolite.core.step_records import StepRecord

TRANSACTION_PREFIX = "saga:"
COMPENSATION_PREFIX = "compensation:"
UNDO_PREFIX = "compensate:"
"""Beginnings of keys: so no name that the code gives a step is ever that of a saga's step."""


class SagaRecord(msgspec.Struct, gc=False):
    """What the stream says of one saga, beyond its steps' own records.

    Attributes:
        steps: what it consists of.
        is_cancelled: it begins no transaction more.
    """

    steps: tuple[SagaStep, ...]
    is_cancelled: bool = False

    def keys(self, saga: StepKey) -> list[StepKey]:
        """Of all its transactions and compensations."""
        transactions = [transaction_key(saga, step.name) for step in self.steps]
        return transactions + [compensation_key(saga, step.name) for step in self.steps]


def transaction_key(saga: StepKey, name: str) -> StepKey:
    """The step that a saga's transaction is, within the run; ``name`` holds no ``/``."""
    return StepKey(f"{TRANSACTION_PREFIX}{saga}/{name}")


def compensation_key(saga: StepKey, name: str) -> StepKey:
    """The step that a saga's compensation is, within the run."""
    return StepKey(f"{COMPENSATION_PREFIX}{saga}/{name}")


def undo_key(saga: StepKey) -> StepKey:
    """The step that compensates a completed saga."""
    return StepKey(UNDO_PREFIX + saga)


def undone_saga(undo: StepKey) -> StepKey:
    """The saga that such a step compensates."""
    return StepKey(undo.removeprefix(UNDO_PREFIX))


def saga_of(step: StepKey) -> tuple[StepKey, str]:
    """The saga that a transaction or a compensation belongs to, and the name of its step there."""
    saga, _, name = step.partition(":")[2].rpartition("/")
    return StepKey(saga), name


def is_compensation(step: StepKey) -> bool:
    """Whether a saga's step undoes."""
    return step.startswith(COMPENSATION_PREFIX)


def saga_in(steps: Mapping[StepKey, StepRecord], key: StepKey) -> SagaRecord:
    """What that step of the run consists of, which is a saga."""
    record = steps[key].saga
    assert record is not None, f"step {key!r} is no saga"
    return record


def forget_steps(steps: dict[StepKey, StepRecord], saga: StepKey) -> None:
    """The saga begins anew, with all its steps."""
    for key in _keys(steps, saga):
        steps.pop(key, None)


def forget_failed_steps(steps: dict[StepKey, StepRecord], saga: StepKey) -> None:
    """Its compensation begins anew: with what had failed, and no more."""
    for key in _keys(steps, saga):
        step = steps.get(key)
        if step is not None and step.outcome is not None and not step.outcome.is_success:
            del steps[key]


def _keys(steps: dict[StepKey, StepRecord], saga: StepKey) -> list[StepKey]:
    known = steps.get(saga)
    return [] if known is None or known.saga is None else known.saga.keys(saga)
