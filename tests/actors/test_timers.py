"""The timer actor: delivers when something is due, never before, whatever the clocks do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tempolite.actors.clock import MICROS_PER_S, VirtualClock
from tempolite.actors.messages import CancelTimer, Deliver, ForgetTimers, SetTimer
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tempolite.actors.timers import TimerActor
from tempolite.core.identifiers import WorkflowId
from tests.actors.probes import Collector

START_US = 1_000 * MICROS_PER_S


class ShiftedClock(VirtualClock):
    """A wall clock that somebody sets; the monotonic one goes on as before."""

    shift_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.shift_us


class Bench:
    """A timer actor and a directory that notes when what was delivered."""

    def __init__(self, seed: int = 1) -> None:
        self.clock = ShiftedClock(START_US)
        self.dispatcher = SeededDispatcher(seed, self.clock)
        self.delivered: list[tuple[Any, float]] = []
        bench = self

        class Directory(Collector):
            def on_receive(self, message: Deliver) -> None:
                bench.delivered.append((message.message, bench.now_s()))

        directory = Directory()
        directory.launch(self.dispatcher)
        self.timers = TimerActor(directory.actor_ref)
        self.timers.launch(self.dispatcher)

    def now_s(self) -> float:
        """Seconds of wall time since the start."""
        return (self.clock.now_us() - START_US) / MICROS_PER_S

    def set(self, after_s: float, message: Any, workflow: str = "w", key: str | None = None) -> None:
        """Sets a timer that far from the start; with a key of its own unless told."""
        due_us = START_US + round(after_s * MICROS_PER_S)
        name = WorkflowId(workflow)
        self.timers.actor_ref.tell(SetTimer(name, str(message) if key is None else key, due_us, message))

    def cancel(self, key: str, workflow: str = "w") -> None:
        """Forgets one."""
        self.timers.actor_ref.tell(CancelTimer(WorkflowId(workflow), key))

    def run(self) -> list[Any]:
        """Until no timer is left; gives what was delivered, in order."""
        self.dispatcher.run_until_idle()
        return [message for message, _ in self.delivered]


def test_timers_of_a_deleted_workflow_are_forgotten() -> None:
    """Those in memory; others, and what a new workflow of that id sets later, are delivered."""
    bench = Bench()
    for name in ("gone", "stays"):
        bench.set(30.0, f"old of {name}", workflow=name)
        bench.set(40.0, f"older of {name}", workflow=name)

    bench.timers.actor_ref.tell(ForgetTimers(frozenset([WorkflowId("gone")])))
    bench.set(35.0, "new", workflow="gone", key="old of gone")

    assert bench.run() == ["old of stays", "new", "older of stays"]


def test_a_timer_delivers_its_message_when_it_is_due() -> None:
    """To the workflow that it was set for, at its time and not before."""
    bench = Bench()
    bench.set(30.0, "wake up")

    assert bench.run() == ["wake up"]
    assert 30.0 <= bench.delivered[0][1] < 30.001


def test_a_timer_of_the_past_is_delivered_at_once() -> None:
    """It fell due while nobody was there."""
    bench = Bench()
    bench.set(-3600.0, "overdue")

    assert bench.run() == ["overdue"]
    assert bench.delivered[0][1] < 0.001


@pytest.mark.parametrize("seed", range(5))
def test_timers_deliver_in_the_order_of_their_due_times(seed: int) -> None:
    """However they were set; equal times in the order of setting."""
    bench = Bench(seed)
    for after_s, name in ((3.0, "d"), (1.0, "b"), (2.0, "c"), (0.5, "a"), (3.0, "e")):
        bench.set(after_s, name)

    assert bench.run() == ["a", "b", "c", "d", "e"]


def test_a_timer_set_later_can_be_due_earlier() -> None:
    """The one wake-up of the actor moves forward."""
    bench = Bench()
    bench.set(100.0, "late")
    bench.dispatcher.run_until_idle(advance_time=False)
    bench.set(1.0, "early")

    assert bench.run() == ["early", "late"]
    assert bench.delivered[0][1] < 1.001


@pytest.mark.parametrize(("first_s", "second_s"), [(5.0, 50.0), (50.0, 5.0), (5.0, 5.0)])
def test_the_same_key_replaces_the_timer(first_s: float, second_s: float) -> None:
    """Only the last one is delivered, at its own time, be it sooner or later."""
    bench = Bench()
    bench.set(first_s, "first", key="retry")
    bench.set(second_s, "second", key="retry")

    assert bench.run() == ["second"]
    assert bench.delivered[0][1] == pytest.approx(second_s, abs=0.001)


def test_the_same_key_of_another_workflow_is_another_timer() -> None:
    """Keys are the workflow's own."""
    bench = Bench()
    bench.set(1.0, "one", workflow="a", key="retry")
    bench.set(2.0, "two", workflow="b", key="retry")

    assert bench.run() == ["one", "two"]


def test_a_key_can_be_used_again_after_its_timer_fired() -> None:
    """The wait before each retry has the same key."""
    bench = Bench()
    bench.set(1.0, "first", key="retry")
    bench.run()
    bench.set(2.0, "second", key="retry")

    assert bench.run() == ["first", "second"]


def test_a_cancelled_timer_is_not_delivered() -> None:
    """Others of its workflow are."""
    bench = Bench()
    for name in ("a", "b", "c"):
        bench.set(1.0, name)
    bench.cancel("b")

    assert bench.run() == ["a", "c"]


def test_cancelling_what_is_not_set_does_nothing() -> None:
    """It may have fired just now."""
    bench = Bench()
    bench.cancel("never set")
    bench.set(1.0, "a")
    bench.run()
    bench.cancel("a")
    bench.set(2.0, "b")

    assert bench.run() == ["a", "b"]


def test_a_cancelled_key_can_be_set_again() -> None:
    """The cancellation was of the timer before."""
    bench = Bench()
    bench.set(5.0, "old", key="k")
    bench.cancel("k")
    bench.set(5.0, "new", key="k")

    assert bench.run() == ["new"]


def test_a_wall_clock_that_is_set_back_makes_nothing_early() -> None:
    """What is due at a time is due when that time comes."""
    bench = Bench()
    bench.set(60.0, "due")
    bench.dispatcher.run_until_idle(advance_time=False)
    bench.clock.shift_us = -600 * MICROS_PER_S

    assert bench.run() == ["due"]
    assert bench.delivered[0][1] >= 60.0
    assert bench.clock.monotonic_s() >= 660.0


def test_a_wall_clock_that_is_set_forward_makes_the_next_look_deliver() -> None:
    """Everything that is due by then comes with the next wake-up."""
    bench = Bench()
    bench.set(1.0, "first")
    bench.set(500.0, "second")
    bench.dispatcher.run_until_idle(advance_time=False)
    bench.clock.shift_us = 3_600 * MICROS_PER_S

    assert bench.run() == ["first", "second"]
    assert bench.clock.monotonic_s() < 1.1


# In milliseconds: a wake-up is not moved for less than its slack, and one due sooner may be replaced by then.
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["set", "set", "set", "cancel", "wait"]),
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 20_000).map(lambda millis: millis / 1_000),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=60)
@given(ACTIONS, st.integers(0, 1_000))
@example([("wait", "a", 2.672), ("set", "a", 0.003), ("wait", "a", 0.003), ("set", "a", 0.0)], 0)
def test_any_sequence_of_settings_delivers_what_is_set_at_its_time(
    actions: list[tuple[str, str, float]], seed: int
) -> None:
    """Against a model that keeps one due time a key: each delivered once, never early, none forgotten."""
    bench, current, expected = Bench(seed), dict[str, tuple[float, int]](), list[tuple[float, int]]()
    for number, (action, key, seconds) in enumerate(actions):
        if action == "cancel":
            current.pop(key, None)
            bench.cancel(key)
        elif action == "set":
            due_s = round(bench.now_s() + seconds, 6)
            current[key] = (due_s, number)
            bench.set(due_s, number, key=key)
        bench.dispatcher.run_until_idle(advance_time=False)
        if action == "wait":
            bench.clock.advance(seconds)
        bench.dispatcher.run_until_idle(advance_time=False)
        for key_due in [name for name, (due_s, _) in current.items() if due_s <= bench.now_s()]:
            expected.append(current.pop(key_due))
    expected += current.values()

    bench.run()

    due = {number: due_s for due_s, number in expected}
    assert sorted(number for number, _ in bench.delivered) == sorted(due)
    assert all(at_s >= due[number] for number, at_s in bench.delivered)
