"""One full sample of every kind of event: each field set, to something else than its default."""

from __future__ import annotations

import msgspec

from tempolite.core import events, saga_events
from tempolite.core.events import AnyBody
from tempolite.core.failure import Failure
from tempolite.core.retry import RetrySpec

FAILURE = Failure(
    type_name="shop.errors:CardDeclined",
    message="declined: 3 € short",
    traceback="Traceback (most recent call last): …",
    lineage=("shop.errors:CardDeclined", "builtins:ValueError", "builtins:Exception"),
    args=["declined", {"$": "tuple", "v": [1, 2]}],
    state={"short_by": 3},
    notes=("step 'charge'",),
    cause=Failure(type_name="builtins:KeyError", message="'card'"),
    cause_is_explicit=True,
    is_exception=False,
    retryable=False,
)

CREATED = events.RunCreated(
    workflow="order-1",
    function="shop.orders:process",
    args=msgspec.Raw(b'[[{"id":"order-1"}],{}]'),
    seed=2**63,
    run=2,
    queue="orders",
    run_group="group-1",
    parent="batch-1",
    parent_step="ship#2",
    parent_stream=7,
    on_parent_close="abandon",
    priority=-3,
    retry=RetrySpec(None, 0.5, 3.0, 10.0, False, ("builtins:OSError",), ("builtins:KeyError",)),
    timeout_s=30.5,
    deferred=True,
    paused=True,
    held=True,
    detached=True,
    versions={"new-tax": 2},
    retried_from="order-0",
    forked_from="order-00",
)

SAMPLES: tuple[AnyBody, ...] = (
    CREATED,
    events.RunEnqueued(),
    events.RunStarted(),
    events.RunAttemptFailed(FAILURE, 1_767_225_600_000_000),
    events.AttemptBegan("resume"),
    events.RunCompleted(msgspec.Raw(b'{"total":12.5}')),
    events.RunFailed(FAILURE),
    events.RunCancelled(FAILURE),
    events.RunContinued(msgspec.Raw(b'[["page-2"],{}]')),
    events.RunPaused(),
    events.RunResumed(held=True),
    events.CancelRequested(),
    events.SignalReceived("approval", msgspec.Raw(b'{"by":"ann"}'), "letter-1"),
    events.UpdateAccepted("add", msgspec.Raw(b"[[3],{}]"), msgspec.Raw(b"4"), FAILURE),
    events.StatusSet("half way", 0.5),
    events.RunStuck("step 'charge' was an activity", "NonDeterminismError"),
    events.RunUnstuck(),
    events.ActivityScheduled("shop.cards:charge", msgspec.Raw(b'[["card-1"],{}]'), "payments"),
    events.ActivityCompleted(msgspec.Raw(b"null")),
    events.ActivityFailed(FAILURE),
    events.ActivityAttemptStarted(),
    events.ActivityAttemptFailed(FAILURE, 1_767_225_600_000_001, msgspec.Raw(b'{"page":3}'), 1_767_225_599),
    events.ActivityWorkerLost("SIGKILL", msgspec.Raw(b"[7]"), 1_767_225_598),
    events.SideEffectCompleted(msgspec.Raw(b'"7f3a"')),
    events.SideEffectFailed(FAILURE),
    events.ChildScheduled("order-1/ship", "shop.orders:ship", msgspec.Raw(b"[[],{}]"), True, "abandon"),
    events.ChildCompleted(msgspec.Raw(b"[1,2]")),
    events.ChildFailed(FAILURE, True),
    events.SignalTaken(7),
    events.TimerStarted(1_767_225_600_000_002, is_timeout=True),
    events.TimerFired(),
    events.TimerCancelled(),
    events.ConditionDecided(is_met=True),
    events.ConditionFailed(FAILURE),
    events.VersionMarked(2),
    saga_events.SagaScheduled(
        (saga_events.SagaStep("charge", "shop.cards:charge", msgspec.Raw(b'[["card-1"],{}]'), "shop:refund"),)
    ),
    saga_events.SagaStepScheduled("checkout", 1, "shop.cards:refund", "payments", True),
    saga_events.SagaStepCompleted(msgspec.Raw(b"12.5"), {"receipt": msgspec.Raw(b'"r-1"')}),
    saga_events.SagaCancelled(),
    saga_events.SagaCompleted(),
    saga_events.SagaRolledBack(FAILURE),
    saga_events.SagaUndoScheduled(),
    saga_events.SagaUndone(),
    saga_events.SagaUndoFailed(FAILURE),
)
