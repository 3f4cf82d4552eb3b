"""When all engines of a test are at rest; and their time, which moves when they are.

::

    a dispatcher falls asleep ─┐
    a caller begins to wait  ──┼──▶ all still, no work, somebody waits? ──▶ the clock moves to what is next
    an engine ends ────────────┘

Nothing polls: each of these looks once. A dispatcher that is asleep wakes up only under the lock, so whoever
holds it sees all of them as they are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from tempolite.actors.clock import MICROS_PER_S, VirtualClock
from tempolite.actors.futures import Reply

PATIENCE_S = 1.0
"""An activity that takes longer, machine time, is passed over when a test moves the clock."""

SETTLING_S = 60.0
"""After that long without any change something hangs."""


class Work(NamedTuple):
    """An activity or a side effect that is under way.

    Attributes:
        key: tells it from others.
        name: for people.
        has_begun: its code runs, and nobody is about to end it.
    """

    key: Any
    name: str
    has_begun: bool


class Member(Protocol):
    """A dispatcher, as seen by whoever watches several."""

    is_asleep: bool
    work: Callable[[], Iterable[Work]]

    @property
    def is_still(self) -> bool:
        """Whether it sleeps, and nothing is there for it to do now."""
        ...

    @property
    def has_due(self) -> bool:
        """Whether a timer is due."""
        ...

    def ahead_us(self) -> int | None:
        """How far ahead the next thing is that comes by virtual time alone."""
        ...

    def wake(self) -> None:
        """There is something to do."""
        ...


class Stillness:
    """Watches the dispatchers of one test, and moves their clock.

    It moves by itself only while somebody waits for an answer of an engine, every dispatcher is still, and no
    activity or side effect is under way; then to the next moment at which something is due.

    Args:
        clock: time of the engines; None where they live in the machine's.
    """

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.clock = clock
        self._changed = threading.Condition(threading.Lock())
        self._members: list[Member] = []
        self._waits: set[Reply[Any]] = set()
        self._is_moved = False
        self._seen: dict[Any, float] = {}

    # ── what dispatchers say ────────────────────────────────────────────────────────────────────────────

    def add(self, member: Member) -> None:
        """One more to watch."""
        with self._changed:
            self._members.append(member)

    def remove(self, member: Member) -> None:
        """It has ended; nobody waits for it any more."""
        with self._changed:
            if member in self._members:
                self._members.remove(member)
            self._move_on()
            self._changed.notify_all()

    def fall_asleep(self, member: Member) -> None:
        """It has nothing to do; told in its own thread."""
        with self._changed:
            member.is_asleep = True
            self._move_on()
            self._changed.notify_all()

    def wake_up(self, member: Member) -> None:
        """It is about to look what there is to do."""
        with self._changed:
            member.is_asleep = False

    # ── what callers say ────────────────────────────────────────────────────────────────────────────────

    def begin_wait(self, reply: Reply[Any]) -> None:
        """Somebody waits for this answer, whose question is on its way; until it is there."""
        self._waits.add(reply)
        reply.add_callback(lambda: self.end_wait(reply))
        if not reply.is_set and self.clock is not None:
            with self._changed:
                self._move_on()

    def end_wait(self, reply: Reply[Any]) -> None:
        """Nobody waits for it any more."""
        self._waits.discard(reply)

    def settle(self, timeout_s: float | None = None) -> None:
        """Returns when every dispatcher is still and no activity or side effect is under way.

        Raises:
            TimeoutError: ``timeout_s`` went by, machine time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._are_still and not self._work(), timeout_s):
                going_on = ", ".join(work.name for work in self._work()) or "actors that have mail"
                raise TimeoutError(f"still going on after {timeout_s} s: {going_on}")

    def advance(self, microseconds: int) -> None:
        """Moves the clock by that much, from due time to due time; returns when all that is handled.

        Before each move activities under way get ``PATIENCE_S`` to end; over one that takes longer it goes.

        Raises:
            TimeoutError: the engines did not come to rest.
        """
        assert self.clock is not None, "only virtual time can be moved"
        with self._changed:
            self._is_moved = True
        try:
            target_us = self.clock.now_us() + microseconds
            self._let_go_on()
            while (ahead_us := self._ahead_us()) is not None and self.clock.now_us() + ahead_us <= target_us:
                self._move_by(ahead_us)
                self._let_go_on()
            self._move_by(target_us - self.clock.now_us())
            self._let_go_on()
        finally:
            with self._changed:
                self._is_moved = False
                self._move_on()

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _are_still(self) -> bool:
        return all(member.is_still for member in self._members)

    def _work(self) -> list[Work]:
        return [work for member in self._members for work in member.work()]

    def _move_on(self) -> None:
        """Under the lock: moves the clock if nothing else can happen, and somebody waits."""
        if self.clock is None or self._is_moved or not self._waits or not self._are_still or self._work():
            return
        if (ahead_us := self._next_us()) is not None:
            self._move(ahead_us)

    def _next_us(self) -> int | None:
        aheads = (member.ahead_us() for member in self._members)
        return min((ahead for ahead in aheads if ahead is not None), default=None)

    def _move(self, microseconds: int) -> None:
        assert self.clock is not None
        self.clock.advance(microseconds / MICROS_PER_S)
        for member in self._members:
            if member.has_due:
                member.wake()

    def _ahead_us(self) -> int | None:
        with self._changed:
            return self._next_us()

    def _move_by(self, microseconds: int) -> None:
        with self._changed:
            self._move(microseconds)

    def _let_go_on(self) -> None:
        """Waits until all are still, and no activity is under way that hasn't taken long already."""
        with self._changed:
            while (pause_s := self._pause_s()) is not None:
                if not self._changed.wait(pause_s) and pause_s == SETTLING_S:
                    raise TimeoutError(f"the engines did not come to rest within {SETTLING_S:g} s")

    def _pause_s(self) -> float | None:
        """How long to wait for a change before looking again; None when there is nothing to wait for."""
        if not self._are_still:
            return SETTLING_S
        now_s, work = time.monotonic(), self._work()
        self._seen = {each.key: self._seen.get(each.key, now_s) for each in work if each.has_begun}
        if len(self._seen) < len(work):
            return SETTLING_S
        if not work:
            return None
        left_s = max(self._seen.values()) + PATIENCE_S - now_s
        return left_s if left_s > 0 else None
