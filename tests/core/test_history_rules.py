"""What no stream can be, and what holds for every stream that a run can write."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempolite.core import events
from tempolite.core.events import AnyBody
from tempolite.core.history import RunState, fold
from tempolite.core.identifiers import StepKey
from tests.core.samples import SAMPLES
from tests.core.streams import (
    AGAIN,
    CHILD,
    COMPLETED,
    CREATED,
    FAILED,
    FAILURE,
    SCHEDULED,
    DrawnStream,
    Fact,
    stream_of,
    streams,
)

RUN_KINDS = (
    events.RunCreated,
    events.RunEnqueued,
    events.RunStarted,
    events.RunAttemptFailed,
    events.AttemptBegan,
    events.RunCompleted,
    events.RunFailed,
    events.RunCancelled,
    events.RunContinued,
    events.RunPaused,
    events.RunResumed,
    events.CancelRequested,
    events.SignalReceived,
    events.UpdateAccepted,
    events.StatusSet,
    events.RunStuck,
    events.RunUnstuck,
)
OF_RUN = [pytest.param(body, id=type(body).__name__) for body in SAMPLES if isinstance(body, RUN_KINDS)]
OF_STEP = [pytest.param(body, id=type(body).__name__) for body in SAMPLES if not isinstance(body, RUN_KINDS)]

DRAWN = ("draw", events.SideEffectCompleted(msgspec.Raw(b"4")))


# ── order ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_without_entries_is_refused() -> None:
    """There is no run without its creation."""
    with pytest.raises(ValueError, match="empty"):
        fold([])


@pytest.mark.parametrize(
    "first", [events.RunStarted(), ("charge", SCHEDULED), events.RunCompleted(msgspec.Raw(b"1"))]
)
def test_a_stream_that_does_not_begin_with_its_creation_is_refused(first: Fact) -> None:
    """And says what it began with."""
    with pytest.raises(ValueError, match="not with RunCreated"):
        fold(stream_of(first))


@pytest.mark.parametrize("seq", [0, 1, 2, 4, 5])
def test_an_entry_that_is_not_the_next_one_is_refused(seq: int) -> None:
    """Neither a gap nor the same number twice: an entry is missing, or was written by two."""
    entries = stream_of(CREATED, ("charge", SCHEDULED), ("charge", COMPLETED))
    entries[-1] = msgspec.structs.replace(entries[-1], seq=seq)

    with pytest.raises(AssertionError, match=f"entry {seq} after 2"):
        fold(entries)


def test_a_stream_does_not_begin_in_its_middle() -> None:
    """The first entry has the number 1."""
    with pytest.raises(AssertionError, match="entry 2 after 0"):
        fold([msgspec.structs.replace(stream_of(CREATED)[0], seq=2)])


def test_time_within_a_stream_never_goes_back() -> None:
    """Whoever writes takes the later of the clock and the entry before."""
    entries = stream_of(CREATED, ("charge", SCHEDULED))
    entries[1] = msgspec.structs.replace(entries[1], at=entries[0].at - 1)

    with pytest.raises(AssertionError, match="before its predecessor"):
        fold(entries)


def test_two_entries_of_one_turn_have_the_same_time() -> None:
    """Equal times are in order."""
    entries = [msgspec.structs.replace(entry, at=5) for entry in stream_of(CREATED, ("charge", SCHEDULED))]

    assert fold(entries).last_at == 5


# ── steps and runs ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("body", OF_STEP)
def test_an_event_of_a_step_needs_its_step(body: AnyBody) -> None:
    """It names one, or the stream is damaged."""
    with pytest.raises(AssertionError, match="names no step"):
        fold(stream_of(CREATED, body))


@pytest.mark.parametrize("body", OF_RUN)
def test_an_event_of_the_run_names_no_step(body: AnyBody) -> None:
    """It belongs to the run."""
    with pytest.raises(AssertionError, match="belongs to the run"):
        fold(stream_of(CREATED, ("charge", body)))


@pytest.mark.parametrize("body", [COMPLETED, FAILED, events.ActivityAttemptFailed(FAILURE, 5)])
def test_a_step_that_nobody_scheduled_has_no_outcome(body: AnyBody) -> None:
    """An outcome needs a scheduling before it."""
    with pytest.raises((KeyError, AssertionError)):
        fold(stream_of(CREATED, ("charge", body)))


@pytest.mark.parametrize("first", [COMPLETED, FAILED])
@pytest.mark.parametrize("second", [COMPLETED, FAILED])
def test_the_outcome_of_an_activity_is_recorded_once(first: AnyBody, second: AnyBody) -> None:
    """A second one is a fault of ours, whatever it says (P2)."""
    with pytest.raises(AssertionError, match="has an outcome already"):
        fold(stream_of(CREATED, ("charge", SCHEDULED), ("charge", first), ("charge", second)))


def test_the_outcome_of_a_child_is_recorded_once() -> None:
    """A child that tells its parent twice is heard once (P2)."""
    ended = ("ship", events.ChildCompleted(msgspec.Raw(b"5")))

    with pytest.raises(AssertionError, match="has an outcome already"):
        fold(stream_of(CREATED, ("ship", CHILD), ended, ended))


@pytest.mark.parametrize("second", [DRAWN, ("draw", events.SideEffectFailed(FAILURE))])
def test_the_outcome_of_a_side_effect_is_recorded_once(second: Fact) -> None:
    """Its first value stands: code has seen it (P2)."""
    with pytest.raises(AssertionError, match="outcome"):
        fold(stream_of(CREATED, DRAWN, second))


@pytest.mark.parametrize("again", [(), (AGAIN,)])
def test_a_step_that_gave_a_value_is_not_scheduled_again(again: tuple[AnyBody, ...]) -> None:
    """Not in this attempt of the run, nor in a later one: the value would be lost (P2, P3)."""
    facts: tuple[Fact, ...] = (("charge", SCHEDULED), ("charge", COMPLETED), *again, ("charge", SCHEDULED))

    with pytest.raises(AssertionError):
        fold(stream_of(CREATED, *facts))


def test_an_outcome_of_an_earlier_attempt_is_not_recorded_twice() -> None:
    """A success that a new attempt keeps can't be given once more."""
    with pytest.raises(AssertionError, match="has an outcome already"):
        fold(stream_of(CREATED, ("charge", SCHEDULED), ("charge", COMPLETED), AGAIN, ("charge", COMPLETED)))


# ── for every stream ────────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None, max_examples=60)
@given(streams(), st.data())
def test_a_prefix_and_the_rest_add_up_to_the_whole(stream: DrawnStream, data: st.DataObject) -> None:
    """A run in memory that takes entries one by one is what replay makes of all of them."""
    cut = data.draw(st.integers(1, len(stream.entries)))

    state = fold(stream.entries[:cut])
    for entry in stream.entries[cut:]:
        state.apply(entry)

    assert state == fold(stream.entries)


@settings(deadline=None, max_examples=60)
@given(streams())
def test_every_stream_adds_up_to_what_its_events_say(stream: DrawnStream) -> None:
    """Open steps, values, failures, attempt, problem and outcome, against a model that only keeps sets."""
    state, expected = fold(stream.entries), stream.expected

    assert open_of(state) == expected.open
    assert values_of(state) == expected.succeeded
    assert failures_of(state) == expected.failed
    assert (state.attempt, state.problem, state.finished or "") == (
        expected.attempt,
        expected.problem,
        expected.finished,
    )
    assert (state.seq, state.last_at) == (len(stream.entries), stream.entries[-1].at)


@settings(deadline=None, max_examples=60)
@given(streams())
def test_every_stream_says_what_its_run_may_do_and_what_waits_for_it(stream: DrawnStream) -> None:
    """Deferred, held, begun, paused, being cancelled; signals nobody took, updates, timers, versions."""
    state, expected = fold(stream.entries), stream.expected

    assert (state.is_deferred, state.is_held) == (expected.is_deferred, expected.is_held)
    assert (state.began_at is not None) == expected.has_begun
    assert (state.paused_seq is not None, state.is_cancelling) == (expected.is_paused, expected.is_cancelling)
    assert {seq: signal.value for seq, signal in state.signals.items()} == expected.unread
    assert (state.dedups, list(state.updates)) == (expected.dedups, expected.updates)
    assert {step.key for step in state.open_timers} == {key for key in expected.open if key[:4] == "time"}
    assert state.timers_open == len(state.open_timers)
    assert (state.versions, state.statuses) == (expected.versions, expected.statuses)


@settings(deadline=None, max_examples=60)
@given(streams())
def test_a_stream_is_only_read_by_its_fold(stream: DrawnStream) -> None:
    """The same entries give the same state again, and two states share nothing."""
    first, second = fold(stream.entries), fold(stream.entries)
    first.steps.clear()

    assert second == fold(stream.entries)


def open_of(state: RunState) -> set[StepKey]:
    return {key for key, step in state.steps.items() if step.is_open}


def values_of(state: RunState) -> dict[StepKey, bytes | None]:
    outcomes = {key: step.outcome for key, step in state.steps.items()}
    return {key: outcome.result for key, outcome in outcomes.items() if outcome and outcome.is_success}


def failures_of(state: RunState) -> set[StepKey]:
    outcomes = {key: step.outcome for key, step in state.steps.items()}
    return {key for key, outcome in outcomes.items() if outcome and not outcome.is_success}
