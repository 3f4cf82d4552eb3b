"""What a saga does next, against a saga written as plain code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tempolite.core.saga import (
    MOVES,
    Decision,
    Finish,
    Progress,
    RunCompensation,
    RunTransaction,
    StepState,
    Way,
    decide,
    way_of,
)

TO_DO, DONE, FINAL = StepState.TO_DO, StepState.DONE, StepState.FINAL
FAILED, UNDONE, NOT_UNDONE = StepState.FAILED, StepState.UNDONE, StepState.NOT_UNDONE


@dataclass(frozen=True)
class Step:
    """How a step of a drawn saga behaves."""

    succeeds: bool
    can_be_undone: bool
    undoing_succeeds: bool


STEPS = st.lists(st.builds(Step, st.booleans(), st.booleans(), st.booleans()), max_size=6)


@pytest.mark.parametrize(
    ("states", "decision"),
    [
        ((), Finish.COMPLETED),
        ((TO_DO, TO_DO), RunTransaction(0)),
        ((DONE, TO_DO), RunTransaction(1)),
        ((FINAL, TO_DO), RunTransaction(1)),
        ((DONE, FINAL), Finish.COMPLETED),
        ((FAILED, TO_DO), Finish.COMPENSATED),
        ((DONE, DONE, FAILED, TO_DO), RunCompensation(1)),
        ((DONE, UNDONE, FAILED), RunCompensation(0)),
        ((DONE, NOT_UNDONE, FAILED), RunCompensation(0)),
        ((DONE, FINAL, FAILED), RunCompensation(0)),
        ((UNDONE, UNDONE, FAILED), Finish.COMPENSATED),
        ((UNDONE, NOT_UNDONE, FAILED), Finish.FAILED),
    ],
)
def test_what_comes_next_follows_from_the_steps(states: tuple[StepState, ...], decision: Decision) -> None:
    """Forward in order; after a failure backward, past what failed to be undone (P11)."""
    assert decide(Progress(states)) == decision


@pytest.mark.parametrize(
    ("states", "decision"),
    [
        ((TO_DO, TO_DO), Finish.COMPENSATED),
        ((DONE, TO_DO), RunCompensation(0)),
        ((DONE, DONE), RunCompensation(1)),
        ((UNDONE, NOT_UNDONE), Finish.FAILED),
    ],
)
def test_what_is_to_be_undone_begins_nothing_more(states: tuple[StepState, ...], decision: Decision) -> None:
    """Cancelled, or complete and no longer wanted."""
    assert decide(Progress(states, is_backward=True)) == decision


@given(STEPS)
def test_every_saga_does_what_plain_code_would_do(steps: Sequence[Step]) -> None:
    """The same calls in the same order, and the same end."""
    assert list(planned(steps)) == list(plain(steps))


@given(STEPS, st.integers(0, 6))
def test_a_saga_that_is_cancelled_undoes_what_it_did(steps: Sequence[Step], after: int) -> None:
    """Cancelled after any number of its calls: nothing is begun, everything done is undone in reverse."""
    calls = list(planned(steps, cancelled_after=after))

    assume(len(calls) > after)
    before, rest = calls[:after], calls[after:-1]
    done = [
        call.index
        for call in before
        if isinstance(call, RunTransaction) and steps[call.index].succeeds and steps[call.index].can_be_undone
    ]
    undone = [call.index for call in before if isinstance(call, RunCompensation)]
    assert rest == [RunCompensation(index) for index in reversed(done) if index not in undone]


@given(st.lists(st.sampled_from(StepState), max_size=6).map(tuple), st.booleans())
def test_a_decision_names_a_step_that_is_ready_for_it(
    states: tuple[StepState, ...], is_backward: bool
) -> None:
    """In any state at all, also in one that no saga comes to."""
    saga = Progress(states, is_backward)

    decision = decide(saga)

    if isinstance(decision, Finish):
        assert not any(state in MOVES[way_of(saga)] for state in states)
    else:
        ready = TO_DO if isinstance(decision, RunTransaction) else DONE
        assert states[decision.index] is ready


def test_nothing_is_moved_both_ways() -> None:
    """A transaction is run going forward only, a compensation going backward only."""
    assert set(MOVES) == set(Way)
    assert set(MOVES[Way.FORWARD].values()) == {RunTransaction}
    assert set(MOVES[Way.BACKWARD].values()) == {RunCompensation}


def plain(steps: Sequence[Step]) -> Iterator[Decision]:
    """A saga as one would write it by hand."""
    done = []
    for index, step in enumerate(steps):
        yield RunTransaction(index)
        if not step.succeeds:
            break
        done.append(index)
    else:
        yield Finish.COMPLETED
        return
    undoing = [index for index in reversed(done) if steps[index].can_be_undone]
    yield from (RunCompensation(index) for index in undoing)
    yield Finish.COMPENSATED if all(steps[i].undoing_succeeds for i in undoing) else Finish.FAILED


def planned(steps: Sequence[Step], cancelled_after: int | None = None) -> Iterator[Decision]:
    """The same saga, by asking what comes next until it is at its end."""
    states, calls = [TO_DO] * len(steps), 0
    while True:
        is_cancelled = cancelled_after is not None and calls >= cancelled_after
        decision = decide(Progress(tuple(states), is_cancelled))
        yield decision
        calls += 1
        match decision:
            case Finish():
                return
            case RunTransaction(index=index):
                states[index] = after_transaction(steps[index])
            case RunCompensation(index=index):
                states[index] = UNDONE if steps[index].undoing_succeeds else NOT_UNDONE


def after_transaction(step: Step) -> StepState:
    """Where a step stands when its transaction has ended."""
    if not step.succeeds:
        return FAILED
    return DONE if step.can_be_undone else FINAL
