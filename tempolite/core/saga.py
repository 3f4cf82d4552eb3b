"""What a saga does next: values in, a decision out.

A saga goes forward, transaction by transaction, until one fails or the saga is cancelled; then it goes
backward and compensates what was done, the latest first. Whatever state it is found in (after a crash, say),
the decision follows from its steps alone:

============= =================== ====================
step          going forward       going backward
============= =================== ====================
``TO_DO``     run its transaction pass
``DONE``      pass                run its compensation
anything else pass                pass
============= =================== ====================

``pass`` goes on to the next step; after the last one the saga is at its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import assert_never

import msgspec

from tempolite.core.identifiers import StepKey
from tempolite.core.saga_steps import compensation_key, saga_in, transaction_key
from tempolite.core.step_records import StepRecord


class StepState(StrEnum):
    """Where a step of a saga stands, while none of them runs."""

    TO_DO = "to do"
    DONE = "done"
    FINAL = "done, and nothing undoes it"
    FAILED = "failed"
    UNDONE = "undone"
    NOT_UNDONE = "not undone"


class Progress(msgspec.Struct, frozen=True):
    """Where a saga stands, while none of its steps runs.

    Attributes:
        steps: each of them, in order.
        is_backward: it is to be compensated, although nothing failed: it was cancelled, or is complete and
            the code wants it undone.
    """

    steps: tuple[StepState, ...]
    is_backward: bool = False


class RunTransaction(msgspec.Struct, frozen=True):
    """The transaction of that step is next."""

    index: int


class RunCompensation(msgspec.Struct, frozen=True):
    """The compensation of that step is next."""

    index: int


class Finish(StrEnum):
    """The saga is at its end: how."""

    COMPLETED = "completed"
    COMPENSATED = "compensated"
    FAILED = "failed"


Decision = RunTransaction | RunCompensation | Finish


class Way(StrEnum):
    """Which way a saga goes."""

    FORWARD = "forward"
    BACKWARD = "backward"


MOVES: Mapping[Way, Mapping[StepState, type[RunTransaction] | type[RunCompensation]]] = {
    Way.FORWARD: {StepState.TO_DO: RunTransaction},
    Way.BACKWARD: {StepState.DONE: RunCompensation},
}
"""What a step in that state needs; where there is nothing, it is passed over."""

TURNING = frozenset({StepState.FAILED, StepState.UNDONE, StepState.NOT_UNDONE})
"""One step in such a state, and the saga goes backward."""


def way_of(saga: Progress) -> Way:
    """Which way it goes."""
    is_backward = saga.is_backward or not TURNING.isdisjoint(saga.steps)
    return Way.BACKWARD if is_backward else Way.FORWARD


def decide(saga: Progress) -> Decision:
    """What it does next."""
    way = way_of(saga)
    order = range(len(saga.steps))
    for index in order if way is Way.FORWARD else reversed(order):
        move = MOVES[way].get(saga.steps[index])
        if move is not None:
            return move(index)
    return _end(saga, way)


def _end(saga: Progress, way: Way) -> Finish:
    match way:
        case Way.FORWARD:
            return Finish.COMPLETED
        case Way.BACKWARD:
            return Finish.FAILED if StepState.NOT_UNDONE in saga.steps else Finish.COMPENSATED
        case _:
            assert_never(way)


def progress_of(steps: Mapping[StepKey, StepRecord], saga: StepKey, *, is_undo: bool = False) -> Progress:
    """Where a recorded saga stands.

    Args:
        steps: all of the run's.
        saga: which.
        is_undo: it is complete, and the code wants it undone.
    """
    record = saga_in(steps, saga)
    states = tuple(
        _state_of(
            steps.get(transaction_key(saga, step.name)),
            steps.get(compensation_key(saga, step.name)),
            is_final=step.compensation is None,
        )
        for step in record.steps
    )
    return Progress(states, record.is_cancelled or is_undo)


def _state_of(
    transaction: StepRecord | None, compensation: StepRecord | None, *, is_final: bool
) -> StepState:
    if transaction is None:
        return StepState.TO_DO
    assert transaction.outcome is not None, "none of its steps runs"
    if not transaction.outcome.is_success:
        return StepState.FAILED
    if compensation is None:
        return StepState.FINAL if is_final else StepState.DONE
    assert compensation.outcome is not None, "none of its steps runs"
    return StepState.UNDONE if compensation.outcome.is_success else StepState.NOT_UNDONE
