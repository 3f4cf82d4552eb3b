"""What a saga's end means to the code: the values of its transactions, or why there are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from tempolite.actors.attempts import failure_of
from tempolite.codec import JsonCodec
from tempolite.core.failure import Failure
from tempolite.core.identifiers import StepKey
from tempolite.core.saga_steps import compensation_key, saga_in, saga_of, transaction_key, undone_saga
from tempolite.core.step_records import StepKind, StepRecord
from tempolite.errors import SagaCompensated, SagaFailed, WorkflowCancelled
from tempolite.failures import rebuild_failure

Records = Mapping[StepKey, StepRecord]


def values_of(steps: Records, saga: StepKey, codec: JsonCodec) -> tuple[Any, ...]:
    """What the transactions of a completed saga gave, in order.

    Raises:
        TypeNotFound: a value's type is not known here.
    """
    return tuple(codec.decode(_result(steps[transaction_key(saga, name)])) for name in _names(steps, saga))


def rolled_back(steps: Records, saga: StepKey) -> Failure:
    """How a saga failed that was compensated, as far as it could be."""
    failed = _failed(steps, saga, transaction_key)
    if failed:
        cause, where = _in_its_step(failed[0]), f"failed in step {saga_of(failed[0].key)[1]!r}"
    else:
        cause, where = failure_of(WorkflowCancelled, "the run was cancelled"), "was cancelled"
    errors = len(_failed(steps, saga, compensation_key))
    if errors:
        text = f"saga {saga!r} {where}, and {errors} of its compensations failed"
        return _raised_from(cause, failure_of(SagaFailed, text))
    return _raised_from(cause, failure_of(SagaCompensated, f"saga {saga!r} {where}, and was compensated"))


def undo_failed(steps: Records, saga: StepKey) -> Failure:
    """How the compensation of a completed saga failed."""
    failed = _failed(steps, saga, compensation_key)
    text = f"saga {saga!r} was to be compensated, and {len(failed)} of its compensations failed"
    return _raised_from(_in_its_step(failed[0]), failure_of(SagaFailed, text))


def add_errors(error: BaseException, steps: Records, step: StepRecord, codec: JsonCodec) -> None:
    """Gives a ``SagaFailed`` the errors of the compensations, which are recorded with them."""
    if not isinstance(error, SagaFailed) or step.kind not in (StepKind.SAGA, StepKind.SAGA_UNDO):
        return
    saga = undone_saga(step.key) if step.kind is StepKind.SAGA_UNDO else step.key
    failed = _failed(steps, saga, compensation_key)
    error.errors = [rebuild_failure(_in_its_step(each), codec) for each in failed]


def _failed(steps: Records, saga: StepKey, key_of: Any) -> list[StepRecord]:
    """Transactions or compensations that failed, in the order in which they did."""
    records = [steps[key] for name in _names(steps, saga) if (key := key_of(saga, name)) in steps]
    failed = [record for record in records if record.outcome is not None and not record.outcome.is_success]
    return sorted(failed, key=lambda record: record.outcome.seq if record.outcome is not None else 0)


def _in_its_step(step: StepRecord) -> Failure:
    """Its failure, which says where it happened."""
    failure = None if step.outcome is None else step.outcome.failure
    assert failure is not None, "asked of failures only"
    return structs.replace(
        failure, notes=(*failure.notes, f"in step {step.key!r}, attempt {step.attempts + 1}")
    )


def _raised_from(cause: Failure, failure: Failure) -> Failure:
    # The traceback of the whole chain stands at its top, as it does in what is captured.
    return structs.replace(failure, cause=cause, cause_is_explicit=True, traceback=cause.traceback)


def _names(steps: Records, saga: StepKey) -> list[str]:
    return [step.name for step in saga_in(steps, saga).steps]


def _result(step: StepRecord) -> bytes:
    result = None if step.outcome is None else step.outcome.result
    assert result is not None, "every transaction has returned"
    return result
