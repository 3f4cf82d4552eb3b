"""What each event does to the state of its run."""

from __future__ import annotations

import msgspec
import pytest

from tempolite.core import events
from tempolite.core.events import AnyBody
from tempolite.core.history import fold
from tempolite.core.identifiers import StepKey
from tempolite.core.status import Status
from tempolite.core.step_records import Outcome, StepKind
from tests.core.streams import (
    AGAIN,
    BEGAN_US,
    CHILD,
    COMPLETED,
    CREATED,
    DEFERRED,
    FAILED,
    FAILURE,
    HELD,
    SCHEDULED,
    TICK_US,
    stream_of,
)

CHARGE = StepKey("charge")


def at(seq: int) -> int:
    return BEGAN_US + seq * TICK_US


# ── the run ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_begins_when_it_is_created() -> None:
    """Its first entry is what it began with, and its time is the code's first time."""
    state = fold(stream_of(CREATED))

    assert state.created == CREATED
    assert (state.seq, state.last_at, state.began_at, state.attempt) == (1, at(1), at(1), 1)
    assert not state.is_finished
    assert state.steps == {}


def test_a_deferred_run_begins_when_it_is_started() -> None:
    """Until then it has no time of its own."""
    assert fold(stream_of(DEFERRED)).began_at is None
    assert fold(stream_of(DEFERRED, events.RunStarted())).began_at == at(2)


def test_a_completed_run_has_its_value() -> None:
    """As the codec's JSON."""
    state = fold(stream_of(CREATED, events.RunCompleted(msgspec.Raw(b'{"total":3}'))))

    assert (state.finished, state.result, state.failure) == (Status.COMPLETED, b'{"total":3}', None)
    assert state.is_finished


def test_a_failed_run_has_its_failure() -> None:
    """And no value."""
    state = fold(stream_of(CREATED, events.RunFailed(FAILURE)))

    assert (state.finished, state.result, state.failure) == (Status.FAILED, None, FAILURE)


def test_a_failed_attempt_of_the_run_says_when_the_next_one_is_due() -> None:
    """The run is not finished by it."""
    state = fold(stream_of(CREATED, events.RunAttemptFailed(FAILURE, retry_at=99)))

    assert (state.retry_at, state.attempt, state.is_finished) == (99, 1, False)


def test_a_stuck_run_says_why_until_it_goes_on() -> None:
    """The problem and the kind of error, both gone once a person acted."""
    stuck = events.RunStuck("charge is an activity", "NonDeterminismError")

    state = fold(stream_of(CREATED, stuck))
    after = fold(stream_of(CREATED, stuck, events.RunUnstuck()))

    assert (state.problem, state.problem_kind) == ("charge is an activity", "NonDeterminismError")
    assert (after.problem, after.problem_kind) == ("", "")


# ── activities ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_scheduled_activity_is_open() -> None:
    """With its function and arguments, and the number that tells this scheduling from another."""
    step = fold(stream_of(CREATED, ("charge", SCHEDULED))).steps[CHARGE]

    assert (step.key, step.kind, step.function, step.args) == (
        CHARGE,
        StepKind.ACTIVITY,
        "m:a",
        b"[[1],{}]",
    )
    assert (step.is_open, step.scheduled_seq, step.attempts, step.losses, step.outcome) == (
        True,
        2,
        0,
        0,
        None,
    )


def test_a_completed_activity_has_its_value() -> None:
    """With its place in the stream, which is the order of delivery on replay."""
    step = fold(stream_of(CREATED, ("charge", SCHEDULED), ("charge", COMPLETED))).steps[CHARGE]

    assert step.outcome == Outcome(3, at(3), b"41")
    assert step.outcome.is_success
    assert not step.is_open


def test_a_failed_activity_has_its_failure() -> None:
    """That is an outcome as well."""
    step = fold(stream_of(CREATED, ("charge", SCHEDULED), ("charge", FAILED))).steps[CHARGE]

    assert step.outcome == Outcome(3, at(3), failure=FAILURE)
    assert not step.outcome.is_success
    assert not step.is_open


def test_failed_attempts_of_an_activity_are_counted() -> None:
    """By the number that each entry has; the last one says when the next is due."""
    step = fold(
        stream_of(
            CREATED,
            ("charge", SCHEDULED),
            ("charge", events.ActivityAttemptFailed(FAILURE, 50), 1),
            ("charge", events.ActivityAttemptFailed(FAILURE, 70), 2),
        )
    ).steps[CHARGE]

    assert (step.attempts, step.retry_at, step.last_failure, step.is_open) == (2, 70, FAILURE, True)


def test_lost_workers_are_counted_apart_from_attempts() -> None:
    """A loss uses no attempt up (P7)."""
    lost = ("charge", events.ActivityWorkerLost("SIGKILL"))

    step = fold(stream_of(CREATED, ("charge", SCHEDULED), lost, lost)).steps[CHARGE]

    assert (step.losses, step.attempts, step.is_open) == (2, 0, True)


def test_an_attempt_that_ended_by_itself_forgets_the_losses_before_it() -> None:
    """Three losses in a row fail an activity, not three in its life."""
    lost = ("charge", events.ActivityWorkerLost("SIGKILL"))
    failed = ("charge", events.ActivityAttemptFailed(FAILURE, 50), 1)

    step = fold(stream_of(CREATED, ("charge", SCHEDULED), lost, lost, failed, lost)).steps[CHARGE]

    assert (step.losses, step.attempts) == (1, 1)


def test_an_outcome_ends_the_wait_for_a_retry() -> None:
    """Nothing falls due for a step that is done."""
    retry = ("charge", events.ActivityAttemptFailed(FAILURE, 50), 1)

    step = fold(stream_of(CREATED, ("charge", SCHEDULED), retry, ("charge", COMPLETED))).steps[CHARGE]

    assert step.retry_at is None


# ── side effects and children ───────────────────────────────────────────────────────────────────────────


def test_a_side_effect_is_its_outcome() -> None:
    """It has no scheduling in the stream: one entry says all."""
    state = fold(stream_of(CREATED, ("draw", events.SideEffectCompleted(msgspec.Raw(b"4")))))

    step = state.steps[StepKey("draw")]

    assert (step.kind, step.outcome, step.is_open) == (StepKind.SIDE_EFFECT, Outcome(2, at(2), b"4"), False)


def test_a_side_effect_can_fail() -> None:
    """With the failure as its outcome."""
    state = fold(stream_of(CREATED, ("draw", events.SideEffectFailed(FAILURE))))

    assert state.steps[StepKey("draw")].outcome == Outcome(2, at(2), failure=FAILURE)


def test_a_scheduled_child_is_open_and_known_by_its_id() -> None:
    """So that its outcome, and nobody else's, closes the step."""
    detached = msgspec.structs.replace(CHILD, detached=True)

    step = fold(stream_of(CREATED, ("ship", detached))).steps[StepKey("ship")]

    assert (step.kind, step.child, step.function, step.args) == (
        StepKind.CHILD,
        "run/child",
        "m:g",
        b"[[2],{}]",
    )
    assert (step.is_open, step.detached) == (True, True)


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (events.ChildCompleted(msgspec.Raw(b"5")), Outcome(3, at(3), b"5")),
        (events.ChildFailed(FAILURE), Outcome(3, at(3), failure=FAILURE)),
        (events.ChildFailed(FAILURE, cancelled=True), Outcome(3, at(3), failure=FAILURE, cancelled=True)),
    ],
)
def test_a_child_ends_in_one_of_three_ways(body: AnyBody, outcome: Outcome) -> None:
    """With a value, with a failure, or cancelled."""
    step = fold(stream_of(CREATED, ("ship", CHILD), ("ship", body))).steps[StepKey("ship")]

    assert (step.outcome, step.is_open) == (outcome, False)


# ── new attempts of the run ─────────────────────────────────────────────────────────────────────────────


def test_a_new_attempt_keeps_successes_and_forgets_failures() -> None:
    """What gave a value gives it again; what failed is asked for again (P3)."""
    state = fold(
        stream_of(
            CREATED,
            ("price", SCHEDULED),
            ("price", COMPLETED),
            ("charge", SCHEDULED),
            ("charge", FAILED),
            ("draw", events.SideEffectFailed(FAILURE)),
            ("ship", CHILD),
            ("ship", events.ChildFailed(FAILURE)),
            AGAIN,
        )
    )

    outcomes = {key: step.outcome for key, step in state.steps.items()}

    assert outcomes == {"price": Outcome(3, at(3), b"41"), "charge": None, "draw": None, "ship": None}
    assert not any(step.is_open for step in state.steps.values())


def test_a_new_attempt_lets_work_under_way_go_on() -> None:
    """It is not scheduled twice."""
    retry = ("charge", events.ActivityAttemptFailed(FAILURE, 50), 1)

    before = fold(stream_of(CREATED, ("charge", SCHEDULED), retry))
    after = fold(stream_of(CREATED, ("charge", SCHEDULED), retry, AGAIN))

    assert after.steps == before.steps
    assert after.steps[CHARGE].is_open


def test_a_new_attempt_begins_at_its_own_time_and_number() -> None:
    """The wait for it is over, and the code's time begins anew."""
    entries = stream_of(CREATED, events.RunAttemptFailed(FAILURE, 99), AGAIN)
    entries[-1] = msgspec.structs.replace(entries[-1], attempt=2)

    state = fold(entries)

    assert (state.attempt, state.retry_at, state.began_at) == (2, None, at(3))


def test_a_resumed_run_is_not_finished_any_more() -> None:
    """Its failure is history."""
    state = fold(stream_of(CREATED, events.RunFailed(FAILURE), events.AttemptBegan("resume")))

    assert (state.finished, state.failure, state.is_finished) == (None, None, False)


def test_a_step_that_is_scheduled_again_has_a_fresh_budget() -> None:
    """Attempts and losses of the scheduling before don't count."""
    state = fold(
        stream_of(
            CREATED,
            ("charge", SCHEDULED),
            ("charge", events.ActivityAttemptFailed(FAILURE, 50), 1),
            ("charge", events.ActivityWorkerLost("SIGKILL")),
            ("charge", FAILED, 2),
            AGAIN,
            ("charge", SCHEDULED),
        )
    )

    step = state.steps[CHARGE]

    assert (step.attempts, step.losses, step.last_failure, step.outcome) == (0, 0, None, None)
    assert (step.is_open, step.scheduled_seq) == (True, 7)


@pytest.mark.parametrize("created", [DEFERRED, HELD])
def test_a_run_that_was_cancelled_before_it_began_begins_when_it_is_resumed(created: AnyBody) -> None:
    """Nobody enqueues or admits it any more: it would wait for ever."""
    cancelled = (created, events.CancelRequested(), events.RunCancelled())

    state = fold(stream_of(*cancelled, events.AttemptBegan("resume")))

    assert (state.is_deferred, state.is_held, state.began_at) == (False, False, at(4))
