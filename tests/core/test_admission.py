"""Who of a queue's root runs may be active: a line by priority, then by who came first."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempolite.core.admission import RunLine
from tempolite.core.identifiers import WorkflowId

A, B, C, D = (WorkflowId(name) for name in "abcd")


def test_runs_are_active_as_long_as_there_is_room() -> None:
    """The others wait in line."""
    line = RunLine(2)

    assert [line.enter(run) for run in (A, B, C)] == [True, True, False]
    assert (line.active, len(line), line.is_active(C)) == (2, 1, False)


def test_a_queue_without_limit_holds_nobody() -> None:
    """None is no limit."""
    line = RunLine(None)

    assert all(line.enter(WorkflowId(str(number))) for number in range(100))


def test_who_leaves_makes_room_for_the_first_in_line() -> None:
    """One place, one run."""
    line = RunLine(1)
    for run in (A, B, C):
        line.enter(run)

    line.leave(A)

    assert line.admit() == [B]
    assert line.admit() == []
    assert (line.is_active(B), len(line)) == (True, 1)


def test_higher_priority_goes_first_and_equals_in_the_order_of_coming() -> None:
    """However they came."""
    line = RunLine(1)
    line.enter(D)
    for run, priority in ((A, 0), (B, 5), (C, 5)):
        line.enter(run, priority)

    admitted = []
    for leaving in (D, B, C):
        line.leave(leaving)
        admitted += line.admit()

    assert admitted == [B, C, A]


def test_entering_twice_changes_nothing() -> None:
    """Who is active stays so; who waits keeps its place."""
    line = RunLine(1)
    line.enter(A)
    line.enter(B)
    line.enter(C)

    assert (line.enter(A), line.enter(B)) == (True, False)
    line.leave(A)

    assert line.admit() == [B]
    assert line.admit() == []


def test_nobody_gets_past_those_who_wait() -> None:
    """There is room, and it is theirs: they have not been told yet."""
    line = RunLine(1)
    line.enter(A)
    line.enter(B)
    line.leave(A)

    assert not line.enter(C, priority=-1)
    assert line.admit() == [B]


def test_who_left_the_line_is_not_admitted() -> None:
    """It was cancelled while it waited."""
    line = RunLine(1)
    for run in (A, B, C):
        line.enter(run)
    line.leave(B)
    line.leave(A)

    assert line.admit() == [C]


def test_who_left_the_line_and_came_again_stands_at_its_end() -> None:
    """Its old place is void."""
    line = RunLine(1)
    for run in (A, B, C):
        line.enter(run)
    line.leave(B)
    line.enter(B)
    line.leave(A)

    assert line.admit() == [C]


def test_who_rests_gives_its_place_back() -> None:
    """A paused run holds nobody up."""
    line = RunLine(1)
    line.enter(A)
    line.enter(B)

    line.rest(A)

    assert line.admit() == [B]
    assert not line.enter(A)


def test_who_rests_in_line_keeps_standing_there() -> None:
    """It is not active yet, which is why it waits."""
    line = RunLine(1)
    line.enter(A)
    line.enter(B)

    line.rest(B)
    line.leave(A)

    assert line.admit() == [B]


@pytest.mark.parametrize("count", [1, 3])
def test_runs_that_were_active_before_keep_their_places(count: int) -> None:
    """Even where the limit is lower now; nobody else is admitted until there is room again."""
    line = RunLine(1)
    for number in range(count):
        line.take_back(WorkflowId(str(number)))
    line.enter(A)

    admitted = []
    for number in range(count):
        assert admitted == []
        line.leave(WorkflowId(str(number)))
        admitted = line.admit()

    assert admitted == [A]


# ── against a model ─────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Model:
    """The line as two lists."""

    max_runs: int
    active: set[str] = field(default_factory=set)
    waiting: list[tuple[str, int]] = field(default_factory=list)

    def enter(self, run: str, priority: int) -> bool:
        """Whether it may be active now."""
        if run not in self.active and not self.waiting and len(self.active) < self.max_runs:
            self.active.add(run)
        if run not in self.active and run not in dict(self.waiting):
            self.waiting.append((run, priority))
        return run in self.active

    def leave(self, run: str) -> None:
        """It is gone."""
        self.active.discard(run)
        self.waiting = [each for each in self.waiting if each[0] != run]

    def admit(self) -> list[str]:
        """Those with a place now."""
        admitted = []
        while self.waiting and len(self.active) < self.max_runs:
            run, _ = first = max(self.waiting, key=lambda each: each[1])
            self.waiting.remove(first)
            self.active.add(run)
            admitted.append(run)
        return admitted


RUNS = st.sampled_from("abcdef")
MOVES = st.lists(
    st.tuples(st.just("enter"), RUNS, st.integers(-1, 1))
    | st.tuples(st.sampled_from(["leave", "rest", "admit"]), RUNS, st.just(0)),
    max_size=40,
)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 3), st.sets(RUNS, max_size=4), MOVES)
def test_any_sequence_of_moves_keeps_the_limit_the_order_and_everybody(
    max_runs: int, taken_back: set[str], moves: list[tuple[str, str, int]]
) -> None:
    """Never more active than the limit, but for those taken back; admitted in order; nobody lost."""
    line, model, inside = RunLine(max_runs), Model(max_runs, set(taken_back)), set(taken_back)
    for run in taken_back:
        line.take_back(WorkflowId(run))
    for move, name, priority in moves:
        run = WorkflowId(name)
        if move == "enter":
            assert line.enter(run, priority) == model.enter(name, priority)
            inside.add(name)
        elif move == "leave" or (move == "rest" and name in model.active):
            getattr(line, move)(run)
            model.leave(name)
            inside.discard(name)
        elif move == "rest":
            line.rest(run)
        else:
            assert line.admit() == model.admit()
        assert line.active <= max(max_runs, len(taken_back))
        assert {each for each in "abcdef" if line.is_active(WorkflowId(each))} == model.active
        assert line.active + len(line) == len(inside)
