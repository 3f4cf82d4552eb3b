"""Durable timers: in the file until they are near, then in memory; each fires once, in order, in time."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempolite.actors.clock import MICROS_PER_S, VirtualClock
from tempolite.actors.messages import CancelTimer, Deliver, SetTimer, TimerDue
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tempolite.actors.timers import HORIZON_US, ReadTimers, StoredTimer, TimerActor
from tempolite.core.identifiers import StepKey, WorkflowId
from tests.actors.probes import Collector

START_US = 1_767_225_600 * MICROS_PER_S
HORIZON_S = HORIZON_US // MICROS_PER_S
DAY_S = 86_400.0
SEEDS = pytest.mark.parametrize("seed", range(8))


class ShiftedClock(VirtualClock):
    """A wall clock that somebody sets; the monotonic one goes on as before."""

    shift_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.shift_us


class Bench:
    """A timer actor, a file of timers that is a dict, and runs that take them out of it when they fire.

    Attributes:
        rows: due time by key, in the file.
        fired: keys, with the second after the start at which they were delivered.
        reads: how many rows each read took into memory.
    """

    def __init__(self, seed: int = 1) -> None:
        self.clock = ShiftedClock(START_US)
        self.dispatcher = SeededDispatcher(seed, self.clock)
        self.rows: dict[str, int] = {}
        self.fired: list[tuple[str, float]] = []
        self.reads: list[int] = []
        bench = self

        class Directory(Collector):
            def on_receive(self, message: Deliver) -> None:
                assert isinstance(message.message, TimerDue)
                bench.fired.append((message.message.key, bench.now_s()))
                bench.rows.pop(message.message.key, None)

        directory = Directory()
        directory.launch(self.dispatcher)
        self.timers = TimerActor(directory.actor_ref, self._read, self._next_due)
        self.timers.launch(self.dispatcher)

    def _read(self, from_us: int, before_us: int) -> Iterable[StoredTimer]:
        near = sorted((due, key) for key, due in self.rows.items() if from_us <= due < before_us)
        self.reads.append(len(near))
        return [(WorkflowId("w"), StepKey(key), due) for due, key in near]

    def _next_due(self, from_us: int) -> int | None:
        return min((due for due in self.rows.values() if due >= from_us), default=None)

    def now_s(self) -> float:
        """Seconds of wall time since the start."""
        return (self.clock.now_us() - START_US) / MICROS_PER_S

    def store(self, key: str, after_s: float) -> None:
        """One that lies in the file from before the start."""
        self.rows[key] = START_US + round(after_s * MICROS_PER_S)

    def start(self) -> None:
        """The engine starts."""
        self.timers.actor_ref.tell(ReadTimers())

    def set(self, key: str, at_s: float) -> None:
        """A run's commit is durable: the row lies in the file, then the actor is told."""
        self.store(key, at_s)
        message = TimerDue(StepKey(key))
        self.timers.actor_ref.tell(SetTimer(WorkflowId("w"), key, self.rows[key], message, is_durable=True))

    def cancel(self, key: str) -> None:
        """The same for a cancellation."""
        self.rows.pop(key, None)
        self.timers.actor_ref.tell(CancelTimer(WorkflowId("w"), key))

    def settle(self) -> None:
        """Until nobody has mail; time stands still."""
        self.dispatcher.run_until_idle(advance_time=False)

    def run_until(self, at_s: float) -> None:
        """Lets time go on until then, from one thing that is due to the next."""
        end_s = at_s - self.now_s() + self.clock.monotonic_s()
        self.dispatcher.call_at(end_s, lambda: None)
        while self.clock.monotonic_s() < end_s:
            self.dispatcher.step()
        self.settle()

    def run(self) -> list[str]:
        """Until no timer is left; gives the keys that fired, in order."""
        self.dispatcher.run_until_idle()
        return [key for key, _ in self.fired]

    @property
    def in_memory(self) -> int:
        """How many timers the actor holds."""
        return len(self.timers._current)


# ── start ───────────────────────────────────────────────────────────────────────────────────────────────


def test_timers_in_the_file_fire_at_their_times() -> None:
    """Near ones and far ones, each once and in order."""
    bench = Bench()
    for key, after_s in (("far", 30 * DAY_S), ("near", 5.0), ("middle", 1_000.0)):
        bench.store(key, after_s)
    bench.start()

    assert bench.run() == ["near", "middle", "far"]
    assert [at_s for _, at_s in bench.fired] == pytest.approx([5.0, 1_000.0, 30 * DAY_S], abs=0.01)


def test_overdue_timers_fire_at_start_in_the_order_of_their_times() -> None:
    """They fell due while no engine was there."""
    bench = Bench()
    for key, after_s in (("b", -10.0), ("a", -30 * DAY_S), ("c", 0.0)):
        bench.store(key, after_s)
    bench.start()
    bench.settle()

    assert [key for key, _ in bench.fired] == ["a", "b", "c"]


def test_timers_beyond_the_horizon_are_not_in_memory() -> None:
    """However many there are; they cost one row each, and no wake-up but the next one's."""
    bench = Bench()
    bench.store("near", 10.0)
    for number in range(1_000):
        bench.store(f"far-{number}", HORIZON_S + 1.0 + number)
    bench.start()
    bench.settle()

    assert bench.in_memory == 1
    assert bench.reads == [1]


def test_an_actor_without_timers_sets_no_wake_up() -> None:
    """Nothing polls."""
    bench = Bench()
    bench.start()

    assert bench.run() == []
    assert bench.now_s() == 0.0


# ── while it runs ───────────────────────────────────────────────────────────────────────────────────────


@SEEDS
@pytest.mark.parametrize("after_s", [0.0, 1.0, HORIZON_S - 0.001, HORIZON_S, HORIZON_S + 0.001, 7 * DAY_S])
def test_a_timer_that_is_set_fires_once_at_its_time(after_s: float, seed: int) -> None:
    """Within the horizon, beyond it, and right on it."""
    bench = Bench(seed)
    bench.start()
    bench.settle()
    bench.set("nap", after_s)

    assert bench.run() == ["nap"]
    assert after_s <= bench.fired[0][1] < after_s + 0.01


def test_a_far_timer_is_not_held_in_memory_until_its_time_comes_nearer() -> None:
    """It is read well before it is due."""
    bench = Bench()
    bench.start()
    bench.set("nap", DAY_S)
    bench.settle()
    far = bench.in_memory
    bench.run_until(DAY_S - 1.0)

    assert (far, bench.in_memory, bench.fired) == (0, 1, [])


@SEEDS
def test_a_timer_that_is_set_before_the_first_read_fires_once(seed: int) -> None:
    """A run that comes to life at start may be faster than the read, which then finds its row."""
    bench = Bench(seed)
    bench.start()
    bench.set("nap", 5.0)
    bench.set("overdue", -5.0)

    assert sorted(bench.run()) == ["nap", "overdue"]


@pytest.mark.parametrize(("first_s", "second_s"), [(5.0, DAY_S), (DAY_S, 5.0), (DAY_S, 2 * DAY_S)])
def test_a_timer_that_is_set_anew_fires_at_its_new_time_only(first_s: float, second_s: float) -> None:
    """Near or far: the row was replaced, and so is what is in memory."""
    bench = Bench()
    bench.start()
    bench.set("nap", first_s)
    bench.settle()
    bench.set("nap", second_s)

    assert bench.run() == ["nap"]
    assert bench.fired[0][1] == pytest.approx(second_s, abs=0.01)


@pytest.mark.parametrize("when_s", [0.0, DAY_S - 1.0])
def test_a_cancelled_timer_does_not_fire(when_s: float) -> None:
    """Cancelled while it is in the file only, or after it was read."""
    bench = Bench()
    bench.start()
    bench.set("nap", DAY_S)
    bench.set("other", DAY_S)
    bench.run_until(when_s)
    bench.cancel("nap")

    assert bench.run() == ["other"]


# ── clocks ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_clock_that_is_set_back_makes_no_durable_timer_early_or_double() -> None:
    """Those that are in memory already, and those still in the file."""
    bench = Bench()
    for key, after_s in (("near", 60.0), ("far", 2_000.0)):
        bench.store(key, after_s)
    bench.start()
    bench.settle()
    bench.clock.shift_us = -7_200 * MICROS_PER_S

    assert bench.run() == ["near", "far"]
    assert [at_s for _, at_s in bench.fired] == pytest.approx([60.0, 2_000.0], abs=0.01)


def test_a_clock_that_is_set_forward_makes_the_next_look_fire_all_that_is_due_in_order() -> None:
    """Also what was far away, and lies in the file only."""
    bench = Bench()
    for key, after_s in (("near", 1.0), ("middle", 5_000.0), ("far", 10 * DAY_S), ("later", 40 * DAY_S)):
        bench.store(key, after_s)
    bench.start()
    bench.settle()
    bench.clock.shift_us = round(20 * DAY_S) * MICROS_PER_S
    bench.run_until(20 * DAY_S + 2.0)

    assert [key for key, _ in bench.fired] == ["near", "middle", "far"]
    assert bench.run() == ["near", "middle", "far", "later"]


def test_a_timer_that_is_set_after_the_clock_was_set_forward_is_not_late() -> None:
    """A wake-up in ten days of the old time is no reason to sleep so long.

    A machine without a battery learns the date after it has started.
    """
    bench = Bench()
    bench.store("old", 10 * DAY_S)
    bench.start()
    bench.settle()
    bench.clock.shift_us = round(20 * DAY_S) * MICROS_PER_S
    bench.set("new", 20 * DAY_S + 5.0)

    assert bench.run() == ["old", "new"]
    assert bench.clock.monotonic_s() < 6.0


# ── against a model ─────────────────────────────────────────────────────────────────────────────────────

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["set", "set", "set", "cancel", "wait", "back"]),
        st.sampled_from("abcd"),
        st.sampled_from([0.0, 1.0, 299.0, 300.0, 599.0, 600.0, 601.0, 5_000.0]) | st.floats(0, 2_000),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=80)
@given(st.dictionaries(st.sampled_from("wxyz"), st.floats(-2_000, 4_000)), MOVES, st.integers(0, 1_000))
def test_any_sequence_of_settings_fires_each_timer_once_and_never_early(
    stored: dict[str, float], moves: list[tuple[str, str, float]], seed: int
) -> None:
    """Whatever fires was in the file, was due, and is there no more; in the end nothing is left."""
    bench, due = Bench(seed), dict[str, float]()
    for key, after_s in stored.items():
        bench.store(key, after_s)
        due[key] = round(after_s, 6)
    bench.start()
    for number, (move, name, seconds) in enumerate(moves):
        if move == "set":
            due[f"{name}{number}"] = round(bench.now_s() + seconds, 6)
            bench.set(f"{name}{number}", due[f"{name}{number}"])
        elif move == "cancel":
            for key in [key for key in bench.rows if key[0] == name]:
                del due[key]
                bench.cancel(key)
        elif move == "back":
            bench.clock.shift_us -= round(seconds * MICROS_PER_S)
        else:
            bench.run_until(bench.now_s() + seconds)
        bench.settle()
    bench.run()

    assert sorted(key for key, _ in bench.fired) == sorted(due)
    assert all(at_s >= due[key] - 1e-6 for key, at_s in bench.fired)
    assert (bench.rows, bench.in_memory) == ({}, 0)
