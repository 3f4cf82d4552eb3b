"""What messages from outside, timers and conditions do to the state of their run."""

from __future__ import annotations

import msgspec
import pytest

from tempolite.core import events
from tempolite.core.events import AnyBody
from tempolite.core.history import fold
from tempolite.core.identifiers import StepKey
from tempolite.core.status import Status
from tempolite.core.step_records import Outcome, Signal, StepKind
from tests.core.streams import (
    AGAIN,
    BEGAN_US,
    CREATED,
    DEFERRED,
    FAILURE,
    HELD,
    SIGNAL,
    TICK_US,
    TIME_OUT,
    TIMER,
    Fact,
    stream_of,
)

PAUSED, RESUMED = events.RunPaused(), events.RunResumed()
CANCEL = events.CancelRequested()
STARTED = events.RunStarted()


def at(seq: int) -> int:
    return BEGAN_US + seq * TICK_US


# ── beginning ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_that_waits_for_max_runs_has_no_time_of_its_own() -> None:
    """It begins when it is admitted."""
    waiting, begun = fold(stream_of(HELD)), fold(stream_of(HELD, STARTED))

    assert (waiting.is_held, waiting.began_at) == (True, None)
    assert (begun.is_held, begun.began_at, begun.began_seq) == (False, at(2), 2)


def test_an_enqueued_run_waits_for_max_runs_and_for_nobody_else() -> None:
    """It was deferred; now only its queue can hold it."""
    state = fold(stream_of(DEFERRED, events.RunEnqueued()))

    assert (state.is_deferred, state.is_held, state.began_at) == (False, True, None)


# ── pause, resume, cancel ───────────────────────────────────────────────────────────────────────────────


def test_a_paused_run_remembers_where_its_code_stopped_to_look() -> None:
    """What was recorded after that is delivered once it is resumed."""
    assert fold(stream_of(CREATED, PAUSED, SIGNAL)).paused_seq == 2
    assert fold(stream_of(CREATED, PAUSED, SIGNAL, RESUMED)).paused_seq is None


def test_a_resumed_run_may_have_to_wait_again() -> None:
    """Its place was given to another one; it has begun all the same."""
    state = fold(stream_of(CREATED, PAUSED, events.RunResumed(held=True)))

    assert (state.is_held, state.began_at) == (True, at(1))
    assert not fold(stream_of(CREATED, PAUSED, events.RunResumed(held=True), STARTED)).is_held


def test_admission_after_a_pause_does_not_begin_the_run_anew() -> None:
    """The code's time goes on from where it began."""
    state = fold(stream_of(CREATED, PAUSED, events.RunResumed(held=True), STARTED))

    assert (state.began_at, state.began_seq) == (at(1), 1)


@pytest.mark.parametrize(
    ("facts", "is_held"),
    [
        ((CREATED, PAUSED), False),
        ((CREATED, PAUSED, events.RunResumed(held=True)), False),
        ((HELD,), True),
    ],
)
def test_a_run_that_is_being_cancelled_rests_no_longer(facts: tuple[Fact, ...], is_held: bool) -> None:
    """Its code has its say at once, unless it never began."""
    state = fold(stream_of(*facts, CANCEL))

    assert state.is_cancelling
    assert state.cancel_seq == len(facts) + 1
    assert (state.paused_seq, state.is_held) == (None, is_held)


def test_a_cancelled_run_that_is_resumed_is_not_cancelled_again() -> None:
    """The request was for the attempt before."""
    state = fold(stream_of(CREATED, CANCEL, events.RunCancelled(), events.AttemptBegan("resume")))

    assert (state.is_cancelling, state.finished, state.resumes) == (False, None, 1)


def test_a_cancelled_run_tells_what_its_code_raised_meanwhile() -> None:
    """It is cancelled for all that."""
    state = fold(stream_of(CREATED, CANCEL, events.RunCancelled(FAILURE)))

    assert (state.finished, state.failure) == (Status.CANCELLED, FAILURE)


def test_a_resume_renews_the_budget_and_a_retry_does_not() -> None:
    """Attempts before the last resume don't count against the policy."""
    entries = stream_of(CREATED, events.RunFailed(FAILURE), events.AttemptBegan("resume"), AGAIN)
    entries[2] = msgspec.structs.replace(entries[2], attempt=2)
    entries[3] = msgspec.structs.replace(entries[3], attempt=3)

    state = fold(entries)

    assert (state.attempt, state.budget_from, state.resumes) == (3, 1, 1)


def test_a_run_that_continued_as_new_is_over() -> None:
    """Its outcome is the next run's."""
    state = fold(stream_of(CREATED, events.RunContinued(msgspec.Raw(b"[[],{}]"))))

    assert (state.finished, state.is_continued, state.result) == (Status.COMPLETED, True, None)


# ── signals and updates ─────────────────────────────────────────────────────────────────────────────────


def test_signals_wait_in_the_order_of_their_coming() -> None:
    """By their numbers in the stream, whatever their names."""
    other = events.SignalReceived("stop", msgspec.Raw(b'"now"'), "letter-1")

    state = fold(stream_of(CREATED, SIGNAL, other, SIGNAL))

    assert list(state.signals) == [2, 3, 4]
    assert state.signals[3] == Signal("stop", b'"now"', "letter-1")
    assert state.dedups == {("stop", "letter-1")}


def test_a_signal_that_was_taken_is_the_value_of_its_step() -> None:
    """And waits no longer."""
    state = fold(stream_of(CREATED, SIGNAL, SIGNAL, ("approval", events.SignalTaken(2))))

    step = state.steps[StepKey("approval")]
    assert (step.kind, step.outcome) == (StepKind.SIGNAL, Outcome(4, at(4), b"true"))
    assert list(state.signals) == [3]


def test_a_signal_is_taken_once() -> None:
    """A second step that took it would have what the first one has (P10)."""
    taken = events.SignalTaken(2)

    with pytest.raises(KeyError):
        fold(stream_of(CREATED, SIGNAL, ("approval", taken), ("approval#2", taken)))


def test_a_dedup_mark_is_known_after_its_signal_was_taken() -> None:
    """Resending is safe for the life of the run, not only until somebody reads."""
    marked = events.SignalReceived("approval", msgspec.Raw(b"true"), "letter-1")

    state = fold(stream_of(CREATED, marked, ("approval", events.SignalTaken(2))))

    assert state.dedups == {("approval", "letter-1")}


def test_updates_stand_where_they_were_handled() -> None:
    """A replay repeats each at its place."""
    update = events.UpdateAccepted("add", msgspec.Raw(b"[[3],{}]"), msgspec.Raw(b"4"))

    assert fold(stream_of(CREATED, SIGNAL, update)).updates == {3: update}


# ── timers, conditions, versions ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("started", "kind"), [(TIMER, StepKind.TIMER), (TIME_OUT, StepKind.TIMEOUT)])
def test_a_timer_is_open_until_it_fires(started: AnyBody, kind: StepKind) -> None:
    """With its time; it gives nothing but that."""
    running = fold(stream_of(CREATED, ("nap", started)))
    fired = fold(stream_of(CREATED, ("nap", started), ("nap", events.TimerFired())))

    assert [(step.kind, step.due_at) for step in running.open_timers] == [(kind, 99)]
    assert running.timers_open == 1
    assert (fired.timers_open, fired.open_timers) == (0, [])
    assert fired.steps[StepKey("nap")].outcome == Outcome(3, at(3), b"null")


def test_a_cancelled_timer_is_neither_open_nor_over() -> None:
    """Nobody waits for it; it may be asked for again."""
    cancelled: tuple[Fact, ...] = (CREATED, ("nap", TIMER), ("nap", events.TimerCancelled()))

    state, again = fold(stream_of(*cancelled)), fold(stream_of(*cancelled, ("nap", TIMER)))

    assert (state.timers_open, state.steps[StepKey("nap")].outcome) == (0, None)
    assert again.timers_open == 1


def test_a_new_attempt_lets_timers_run_and_forgets_time_outs() -> None:
    """A wait that was too long is tried again in full; a sleep is not slept twice."""
    state = fold(
        stream_of(
            CREATED, ("nap", TIMER), ("a", TIME_OUT), ("b", TIME_OUT), ("b", events.TimerFired()), AGAIN
        )
    )

    assert [step.key for step in state.open_timers] == ["nap"]
    assert state.steps[StepKey("b")].outcome is None


@pytest.mark.parametrize(("is_met", "value"), [(True, b"true"), (False, None)])
def test_a_new_attempt_asks_again_only_for_a_condition_that_was_not_met(
    is_met: bool, value: bytes | None
) -> None:
    """False says that its time was over, which is a failure of that attempt."""
    state = fold(stream_of(CREATED, ("ready", events.ConditionDecided(is_met)), AGAIN))

    outcome = state.steps[StepKey("ready")].outcome
    assert (outcome and outcome.result) == value


def test_a_condition_that_raised_has_failed() -> None:
    """With what it raised."""
    state = fold(stream_of(CREATED, ("ready", events.ConditionFailed(FAILURE))))

    assert state.steps[StepKey("ready")].outcome == Outcome(2, at(2), failure=FAILURE)


def test_versions_are_those_that_were_given_and_those_that_were_asked_for() -> None:
    """A continuation inherits both; what the code recorded counts."""
    created = msgspec.structs.replace(CREATED, versions={"old": 1, "both": 1})
    marked = ("version:both", events.VersionMarked(2)), ("version:new", events.VersionMarked(3))

    assert fold(stream_of(created, *marked)).versions == {"old": 1, "both": 2, "new": 3}
