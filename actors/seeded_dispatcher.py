"""All actors in one thread, in an order drawn from a seed: for tests.

Nothing runs by itself. Who waits for an answer, or steps, runs one message, hook or timer after the other
until the answer is there; which one is drawn. Several engines that share an order are run together, as one.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pykka import Timeout

from tempolite.actors.actor import Actor
from tempolite.actors.clock import Clock, VirtualClock
from tempolite.actors.dispatcher import TimerHandle, Timers
from tempolite.actors.futures import Reply
from tempolite.errors import Deadlock, InvalidState

if TYPE_CHECKING:
    from tempolite.actors.lost_threads import LostThread
    from tempolite.actors.overhearing import Overhearing

MESSAGES_AFTER_KILL = 10_000
"""What is read at most after a seeded dispatcher was killed."""


class SeededOrder:
    """What runs next, of everything that could: drawn from a seed, in the thread that asks for it.

    Attributes:
        seed: decides the order.
        random: what the order is drawn from; what else must repeat itself is drawn from it as well.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self._dispatchers: list[SeededDispatcher] = []
        self._home = threading.get_ident()

    def join(self, dispatcher: SeededDispatcher) -> None:
        """From now on it is asked, too, what it has to do."""
        self._dispatchers.append(dispatcher)

    def leave(self, dispatcher: SeededDispatcher) -> None:
        """It is asked no more; more than once is no error."""
        if dispatcher in self._dispatchers:
            self._dispatchers.remove(dispatcher)

    def step(self, *, advance_time: bool = True, until_s: float | None = None) -> bool:
        """Handles one message, hook or timer; False when there is none, or none before ``until_s``."""
        if not self.is_at_home:
            raise InvalidState(
                f"under seed {self.seed} the engine runs in the thread that seeded it, while the test waits "
                "there; this is another thread, which may only tell it something"
            )
        # One that is running an actor right now, which has come here by another engine, must not run two.
        free = [each for each in self._dispatchers if not each.is_current_thread()]
        choices = sum(each.choices for each in free)
        if not choices:
            return self._fire_next_timer(free, advance_time, until_s)
        pick = self.random.randrange(choices)
        for each in free:
            if pick < each.choices:
                each.run(pick)
                break
            pick -= each.choices
        return True

    @property
    def is_at_home(self) -> bool:
        """Whether the caller is in the thread that runs all actors: workflow code can't change threads."""
        return threading.get_ident() == self._home

    def run_for(self, seconds: float, clock: VirtualClock) -> None:
        """Moves the clock by so many seconds, and handles all that is there now and falls due meanwhile."""
        until_s = clock.monotonic_s() + seconds
        while self.step(until_s=until_s):
            pass
        clock.advance(max(0.0, until_s - clock.monotonic_s()))
        while self.step(advance_time=False):
            pass

    def _fire_next_timer(
        self, free: list[SeededDispatcher], advance_time: bool, until_s: float | None
    ) -> bool:
        first = min(free, key=lambda each: each.next_timer_s(), default=None)
        ahead_s = math.inf if first is None else first.next_timer_s()
        if first is None or ahead_s == math.inf:
            return False
        if ahead_s > 0:
            clock = first.clock
            if not advance_time or not isinstance(clock, VirtualClock):
                return False
            if until_s is not None and clock.monotonic_s() + ahead_s > until_s:
                return False
            clock.advance(ahead_s)
            if first.next_timer_s() > 0:
                # The clock has whole microseconds; one that is due between two of them is due at the second.
                clock.advance(1e-6)
        first.fire_timer()
        return True


class SeededDispatcher:
    """Runs its actors in the thread of whoever waits or steps, in an order drawn from a seed.

    The same seed and the same inputs give the same order. There is no I/O: workers must be in-process. Time
    is virtual and moves only when nobody has mail. Mail of one actor stays in order; between actors any order
    can come.

    Args:
        seed: decides the order.
        clock: virtual time, unless told.
        order: shared by the engines of a test; one of its own unless told.

    Attributes:
        killed: what who waits is told, once it was killed.
    """

    ears: Overhearing | None = None

    def __init__(
        self, seed: int, clock: VirtualClock | None = None, order: SeededOrder | None = None
    ) -> None:
        self.clock: Clock = clock or VirtualClock()
        self.order = order or SeededOrder(seed)
        self.ready: list[Actor] = []
        self.may_sleep = False
        self._timers = Timers()
        self._hooks: list[Callable[[], None]] = []
        self._is_running = False
        self.killed: BaseException | None = None
        self.order.join(self)

    def wake(self) -> None:
        """Never asleep: the caller's thread runs everything."""

    def call_at(self, monotonic_s: float, callback: Callable[[], None]) -> TimerHandle:
        """Calls back at that virtual time."""
        return self._timers.add(monotonic_s, callback)

    def before_sleep(self, hook: Callable[[], None], *, is_last: bool = False) -> None:
        """Runs ``hook`` once, before or after any mail that is there."""
        self._hooks.append(hook)

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Refused: nothing but the seed decides what comes next."""
        raise NotImplementedError("a seeded dispatcher has no I/O: use queues of kind 'inline'")

    def unwatch(self, fd: int) -> None:
        """Nothing is watched."""

    def start(self) -> None:
        """Nothing to start."""

    def stop(self, timeout_s: float) -> bool:
        """Runs nothing more, whatever there was left to do."""
        self.ready.clear()
        self._hooks.clear()
        self._timers = Timers()
        self.order.leave(self)
        return True

    def kill(self, error: BaseException) -> None:
        """Who waits is told this error, and no answer, once all mail that is left has been read."""
        self.killed = error

    def is_current_thread(self) -> bool:
        """Whether the caller is one of its actors, or called by one."""
        return self._is_running and self.order.is_at_home

    def lost_threads(self) -> list[LostThread]:
        """None: nobody watches code in the caller's thread."""
        return []

    def wait(self, reply: Reply[Any], timeout: float | None) -> Any:
        """Runs actors until the reply is there, or until so many seconds have passed in virtual time.

        Raises:
            Deadlock: nobody can run any more, and the reply isn't there.
            pykka.Timeout: the time is over.
        """
        until_s = None if timeout is None else self.clock.monotonic_s() + max(0.0, timeout)
        while not reply.is_set and self.killed is None:
            if not self.step(until_s=until_s):
                self._give_up(until_s)
        if self.killed is not None:
            self.read_what_is_left()
            raise self.killed
        return reply.get(timeout=0)

    def run_until_idle(self, *, advance_time: bool = True) -> int:
        """Runs until nobody has mail (and, unless told, no timer is left); returns the messages handled."""
        count = 0
        while self.step(advance_time=advance_time):
            count += 1
        return count

    def step(self, *, advance_time: bool = True, until_s: float | None = None) -> bool:
        """Handles one message, hook or timer; False when there is none."""
        assert not self.is_current_thread(), "an actor waits for another one: in one thread that never ends"
        return self.order.step(advance_time=advance_time, until_s=until_s)

    # ── what the order asks ─────────────────────────────────────────────────────────────────────────────

    @property
    def choices(self) -> int:
        """How many letters and hooks there are to choose from."""
        return len(self.ready) + len(self._hooks)

    def run(self, pick: int) -> None:
        """Handles one of them."""
        self._is_running = True
        try:
            if pick < len(self.ready):
                self.ready.pop(pick).handle_next()
            else:
                self._hooks.pop(pick - len(self.ready))()
        finally:
            self._is_running = False

    def next_timer_s(self) -> float:
        """Seconds from now until the next timer; infinite without any."""
        due_s = self._timers.next_due_s()
        return math.inf if due_s is None else due_s - self.clock.monotonic_s()

    def fire_timer(self) -> None:
        """Calls back what is due first, if its time has come."""
        handle = self._timers.pop_due(self.clock.monotonic_s())
        if handle is None:
            return
        self._is_running = True
        try:
            handle.callback()
        finally:
            self._is_running = False

    def _give_up(self, until_s: float | None) -> None:
        if until_s is None or not isinstance(self.clock, VirtualClock):
            raise Deadlock(
                f"deadlock under seed {self.order.seed}: no actor has mail and no timer is set, so what is "
                "waited for never comes"
            )
        self.clock.advance(max(0.0, until_s - self.clock.monotonic_s()))
        raise Timeout(f"{until_s} s of virtual time")

    def read_what_is_left(self) -> None:
        """What a killed engine had sent before it died, and whoever got it could still do."""
        for _ in range(MESSAGES_AFTER_KILL):
            if not self.choices:
                return
            self.run(self.order.random.randrange(self.choices))
