"""Dispatchers whose rest can be seen from outside, with the time of the machine or with that of a test.

In a test's time the timers of runs go by a virtual clock, which stands until it is moved. What has to do with
real code, which takes real time (an activity's limits, the grace of a worker that is to end), falls due by
that clock or by the machine's, whichever is first: an activity that hangs runs into its time-out, whoever
moves the time, and one that was told to end has the time to do so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tempolite.actors.clock import MICROS_PER_S, Clock, SystemClock, VirtualClock
from tempolite.actors.dispatcher import ThreadDispatcher, TimerHandle, Timers, contained
from tempolite.actors.stillness import Stillness, Work

if TYPE_CHECKING:
    from tempolite.actors.overhearing import Overhearing

ROUNDING_US = 0.5
"""Seconds as floats are not whole microseconds: what is due within half of one is due."""


class ObservedDispatcher(ThreadDispatcher):
    """A dispatcher that says when it has nothing to do.

    Args:
        name: of its thread.
        clock: where time comes from.
        stillness: is told.
        work: what is under way outside of its thread, as far as it knows.
    """

    def __init__(
        self, name: str, clock: Clock, stillness: Stillness, work: Callable[[], Iterable[Work]]
    ) -> None:
        super().__init__(name, clock)
        self.is_asleep = False
        self.work = work
        self._stillness = stillness

    def start(self) -> None:
        """Starts the thread; from now on it is watched."""
        self._stillness.add(self)
        super().start()

    def stop(self, timeout_s: float) -> bool:
        """Ends the thread; nobody waits for it any more."""
        has_ended = super().stop(timeout_s)
        self._stillness.remove(self)
        return has_ended

    @property
    def is_still(self) -> bool:
        """Whether it sleeps, and nothing is there for it to do now; as long as it can't wake up."""
        return self.is_asleep and not self.ready and not self.has_due

    @property
    def has_due(self) -> bool:
        """Whether a timer is due."""
        return is_due(self._timers, self.clock)

    def ahead_us(self) -> int | None:
        """How far ahead the next thing is that comes by virtual time alone."""
        return None

    def _poll(self) -> None:
        self.may_sleep = True
        if not self._has_more:
            self._stillness.fall_asleep(self)
        events = self._epoll.poll(self._sleep_s())
        if self.is_asleep:
            self._stillness.wake_up(self)
        self.may_sleep = False
        self._handle(events)


class VirtualTimeDispatcher(ObservedDispatcher):
    """A dispatcher in a test's time.

    Attributes:
        of_pools: how it looks to pools, whose timers are about real code.
        has_waiting: whether attempts wait in a pool; then time may bring them on.
    """

    clock: VirtualClock

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        self.of_pools = DispatcherOfPools(self)
        self.has_waiting: Callable[[], bool] = lambda: False

    @property
    def has_due(self) -> bool:
        return is_due(self._timers, self.clock) or self.of_pools.has_due

    def ahead_us(self) -> int | None:
        # What was left behind by work that is over is nothing that anybody waits for.
        counts = self.has_waiting() or any(True for _ in self.work())
        aheads = [ahead_us(self._timers, self.clock), self.of_pools.ahead_us() if counts else None]
        return min((ahead for ahead in aheads if ahead is not None), default=None)

    def _run_due_timers(self) -> None:
        run_due(self._timers, self.clock)
        self.of_pools.run_due()

    def _sleep_s(self) -> float:
        if self._has_more or self.has_due:
            return 0.0
        return self.of_pools.sleep_s()


class DispatcherOfPools:
    """The same dispatcher, with timers that are due by virtual time, or by the machine's if that is first."""

    def __init__(self, dispatcher: VirtualTimeDispatcher) -> None:
        self._pools_clock = _PushedClock(dispatcher.clock)
        self.clock: Clock = self._pools_clock
        self.ready = dispatcher.ready
        self.wake = dispatcher.wake
        self.before_sleep = dispatcher.before_sleep
        self.watch = dispatcher.watch
        self.unwatch = dispatcher.unwatch
        self.wait = dispatcher.wait
        self._dispatcher = dispatcher
        self._timers = Timers()
        self._machine_clock = SystemClock()
        self._machine_timers = Timers()

    @property
    def may_sleep(self) -> bool:
        """Whether who appended must call ``wake``."""
        return self._dispatcher.may_sleep

    @property
    def ears(self) -> Overhearing | None:
        """Hears what its actors tell one another; None where nobody listens."""
        return self._dispatcher.ears

    def call_at(self, monotonic_s: float, callback: Callable[[], None]) -> TimerHandle:
        """Calls back at that time of its clock, or when as much time has really passed."""
        handle = self._timers.add(monotonic_s, callback)

        def push() -> None:
            if not handle.is_cancelled:
                self._pools_clock.push_to(monotonic_s)

        ahead_s = max(0.0, monotonic_s - self.clock.monotonic_s())
        self._machine_timers.add(self._machine_clock.monotonic_s() + ahead_s, push)
        return handle

    @property
    def has_due(self) -> bool:
        """Whether a timer is due, by either time."""
        return is_due(self._timers, self.clock) or is_due(self._machine_timers, self._machine_clock)

    def ahead_us(self) -> int | None:
        """How far ahead the next timer is in virtual time."""
        return ahead_us(self._timers, self.clock)

    def run_due(self) -> None:
        """Calls back for all that is due."""
        run_due(self._machine_timers, self._machine_clock)
        run_due(self._timers, self.clock)

    def sleep_s(self) -> float:
        """How long until something is due by the machine's time; negative for ever."""
        due_s = self._machine_timers.next_due_s()
        return -1.0 if due_s is None else max(0.0, due_s - self._machine_clock.monotonic_s())


class _PushedClock:
    """A virtual clock that is also moved on where something has really taken as long."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._pushed_s = 0.0

    def now_us(self) -> int:
        return self._clock.now_us()

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s() + self._pushed_s

    def push_to(self, monotonic_s: float) -> None:
        """It is at least that late; a little more, so that no rounding error leaves it before that."""
        self._pushed_s += max(0.0, monotonic_s + 1 / MICROS_PER_S - self.monotonic_s())


def run_due(timers: Timers, clock: Clock) -> None:
    """Calls back for all timers that are due."""
    while (handle := timers.pop_due(_just_after(clock))) is not None:
        handle.cancel()
        contained(handle.callback)


def is_due(timers: Timers, clock: Clock) -> bool:
    """Whether one of them is due."""
    due_s = timers.next_due_s()
    return due_s is not None and due_s <= _just_after(clock)


def ahead_us(timers: Timers, clock: Clock) -> int | None:
    """How far ahead the next of them is."""
    due_s = timers.next_due_s()
    return None if due_s is None else max(0, round((due_s - clock.monotonic_s()) * MICROS_PER_S))


def _just_after(clock: Clock) -> float:
    return clock.monotonic_s() + ROUNDING_US / MICROS_PER_S
