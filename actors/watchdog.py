"""Ends workflow code that keeps the actors' thread to itself for too long.

::

    actors' thread                          tempolite-watchdog
    ──────────────                          ──────────────────
    run: a stretch of code, armed ─────▶    looks now and then, while stretches come
    the code runs …                         over its limit, in the user's own code: shoots
    the code ends, or is ended
    disarmed: what was shot and has
    not hit is let through and caught

A shot is an exception that Python raises in the other thread. It must never hit anything but that stretch of
workflow code: see :meth:`Watchdog.run` and :meth:`Watchdog._shoot`. Code that blocks, or catches every shot,
is given up with its thread: see ``lost_threads.py``. The watchdog sleeps while nothing runs.

Rejected: a signal (the host's main thread gets it), and a trace function (it costs more than all the rest).
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Protocol

import msgspec

from tempolite.actors.lost_threads import LOST_THREADS_MAX, LostThread, ThreadLost

logger = logging.getLogger("tempolite")

LOOKS_PER_LIMIT = 2
"""Looks while stretches come and go; one that is found running is looked at again when its limit is over."""

ELSEWHERE_S = 0.002
"""Until the next look at code that is over its limit, but within a call of ours that must not be cut off."""

AGAIN_S = (0.05, 1.0)
"""Between shots at code that catches them, or that C code keeps; each pause is twice the one before."""

LOST_S = 0.7
"""From the first shot until the thread is given up: the others are to go on within a second."""

LAST_SHOTS_MAX, LAST_PAUSE_S = 20, 0.05
"""At lost code that runs on when the engine ends."""

REPLAYED_LIMITS, REPLAYED_MIN_S = 10, 30.0
"""A stretch that was run before may take that many limits, and never less than that."""

# A prototype of our own: what is set on ``ctypes.pythonapi`` is seen by the whole process.
_raise_in_thread = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.py_object)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)


class StretchTooLong(ThreadLost):
    """Raised in workflow code that is over its limit; not an ``Exception``, which that code may catch.

    Outside of that code it can be met in a thread that is lost only, and ends it like the other.
    """


class Eyes(Protocol):
    """Sees what a thread is doing, which only the upper floors can tell."""

    def place_of(self, frame: FrameType) -> str | None:
        """``file:line`` in workflow code, or None while it is in a call that must not be cut off."""
        ...

    def line_of(self, frame: FrameType) -> str | None:
        """The same, whatever it is that workflow code called; None where none is under way."""
        ...

    def is_held(self, frame: FrameType) -> bool:
        """Whether a person holds it there, with a debugger."""
        ...


class Stretch(msgspec.Struct):
    """Workflow code on its way to its next wait.

    Attributes:
        armed: the thread to shoot at; empty once it must not be.
        started_s: when it began.
        live_since_s: when it began to count.
        is_replayed: it was run before, when last looked at.
        ask_replayed: tells whether it still is.
        owner: whose it is.
        place: where it was when it was found over its limit.
        found_s: when that was.
        pause_s: until the next shot.
        lost: what is known of its thread where that is to be given up.
        taken: that thread, once it is, and until it ends; None while it is not to be.
    """

    armed: list[int]
    started_s: float
    live_since_s: float
    is_replayed: bool
    ask_replayed: Callable[[], bool]
    owner: Any = None
    place: str = ""
    found_s: float | None = None
    pause_s: float = AGAIN_S[0]
    lost: LostThread | None = None
    taken: list[int] | None = None

    def take(self, taken: list[int]) -> bool:
        """Takes its thread out of service, into that list, unless the code came back before."""
        self.taken = taken
        # In C, in one step: it is in one list or in the other, or the code has come back.
        with suppress(IndexError):
            taken.extend(iter(self.armed.pop, None))
        return bool(taken)


class Watchdog:
    """Watches stretches of workflow code, from a thread of its own.

    Args:
        limit_s: what a stretch may take, wall time.
        eyes: see what its thread is doing.

    Attributes:
        change_thread: has another thread take the place of one that is lost; False where it came back before.
    """

    change_thread: Callable[[LostThread], bool] | None = None

    def __init__(self, limit_s: float, eyes: Eyes) -> None:
        self._limit_s = limit_s
        self._eyes = eyes
        self._stretch: Stretch | None = None
        self._count = 0
        self._lost: list[LostThread] = []
        self._is_full = False
        self._bell = threading.Event()
        self._is_stopping = False
        self.is_asleep = False
        """Whether the thread waits for the next stretch, and for nothing else."""
        self._thread = threading.Thread(target=self._watch, name="tempolite-watchdog", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; stretches that still come run without a limit."""
        self._is_stopping = True
        self._bell.set()
        if self._thread.ident is not None:
            self._thread.join()

    def run(self, code: Callable[[], None], is_replayed: Callable[[], bool], owner: Any = None) -> str:
        """Runs a stretch of workflow code; returns why it was ended, or nothing.

        Args:
            code: to its next wait.
            is_replayed: whether the code is still on its way through what is recorded; from any thread.
            owner: whose it is; told to who takes the thread's place. Without one nobody does.

        Raises:
            ThreadLost: another thread has taken the place of this one.
        """
        thread, now_s = threading.get_ident(), time.monotonic()
        armed = [thread]
        stretch = self._stretch = Stretch(armed, now_s, now_s, is_replayed(), is_replayed, owner)
        self._count += 1
        # The sleeper sets the flag, then looks at the count; we count, then look at the flag.
        if self.is_asleep:
            self._bell.set()
        try:
            try:
                code()
            finally:
                # Nothing is shot from here on: the shooter takes its aim from this list, in one step. What
                # was shot before hits here, since Python looks for it after each call. (To take it back
                # instead leaves CPython 3.11 looking for it for ever, at every call of every thread.)
                armed.clear()
        except StretchTooLong:
            # It went through the code, or hit at the very end. No other is on its way: a thread has room
            # for one, and the one after this could only have hit where the list had just been cleared.
            pass
        except BaseException:
            if stretch.taken:
                raise ThreadLost from None
            raise
        if stretch.taken:
            # Nothing that this thread has in its hands is its business any more.
            raise ThreadLost
        self._stretch = None
        return self._problem(stretch.place) if stretch.place else ""

    def _problem(self, place: str) -> str:
        return (
            f"workflow code ran for more than turn_limit={self._limit_s:g} s without waiting, at {place}; "
            "long work belongs in an activity"
        )

    def _watch(self) -> None:
        seen = -1
        while not self._is_stopping:
            stretch, count = self._stretch, self._count
            lost_s = self._pursue() if self._lost else None
            if stretch is not None and stretch.armed:
                self._bell.wait(_sooner(self._look(stretch), lost_s))
            elif count != seen:
                self._bell.wait(_sooner(self._limit_s / LOOKS_PER_LIMIT, lost_s))
            elif lost_s is not None:
                self._bell.wait(lost_s)
            else:
                self._sleep(count)
            seen = count
            self._bell.clear()
        self._pursue_to_the_end()

    def _sleep(self, count: int) -> None:
        """Until the next stretch."""
        self.is_asleep = True
        if self._count == count:
            self._bell.wait()
        self.is_asleep = False

    def _look(self, stretch: Stretch) -> float:
        """Shoots if it must; returns how long to wait for the next look."""
        now_s = time.monotonic()
        if stretch.is_replayed and now_s - stretch.started_s < self._replayed_limit_s:
            stretch.is_replayed = stretch.ask_replayed()
            stretch.live_since_s = now_s
        left_s = stretch.live_since_s + self._limit_s - now_s
        if left_s > 0:
            return min(left_s, self._limit_s / LOOKS_PER_LIMIT)
        return self._shoot(stretch, now_s)

    @property
    def _replayed_limit_s(self) -> float:
        return max(REPLAYED_MIN_S, REPLAYED_LIMITS * self._limit_s)

    def _shoot(self, stretch: Stretch, now_s: float) -> float:
        """Shoots where the thread is in the user's code; returns how long to wait for the next look.

        From the look at its frame until the shot this thread keeps the interpreter lock, as good as always:
        it has only just got it. Were it to lose it, the shot could hit a call of ours within that stretch,
        whose run is stuck then as well, but never what comes after.
        """
        frame = sys._current_frames().get(next(iter(stretch.armed), -1))
        if frame is None:
            return self._limit_s / LOOKS_PER_LIMIT
        if self._eyes.is_held(frame):
            stretch.live_since_s, stretch.found_s = now_s, None
            return self._limit_s / LOOKS_PER_LIMIT
        place = self._eyes.place_of(frame)
        line = place or self._eyes.line_of(frame)
        # A frame that is kept keeps the run's values alive.
        del frame
        if stretch.found_s is None:
            stretch.found_s = now_s
        left_s = stretch.found_s + LOST_S - now_s
        if left_s <= 0 and self._give_up(stretch, stretch.place or line):
            return 0.0
        if place is None:
            return ELSEWHERE_S
        stretch.place = stretch.place or place
        _shoot_in_one_step(stretch.armed)
        pause_s = stretch.pause_s
        stretch.pause_s = min(2 * pause_s, AGAIN_S[1])
        return min(pause_s, left_s) if left_s > 0 else pause_s

    # ── threads that are given up ───────────────────────────────────────────────────────────────────────

    def _give_up(self, stretch: Stretch, line: str | None) -> bool:
        """Has another thread take the place of one that no shot ends; whether it did."""
        if line is None or stretch.owner is None or self.change_thread is None or not self._has_room():
            return False
        lost = stretch.lost = LostThread(stretch.owner, self._problem(line), stretch.take)
        try:
            is_lost = self.change_thread(lost)
        except RuntimeError as error:
            logger.error("workflow code blocks, and no other thread can be started for the others: %s", error)
            return False
        if is_lost:
            self._lost.append(lost)
            logger.warning("%s; its thread is left to it, the other workflows go on in a new one", lost)
        return is_lost

    def _has_room(self) -> bool:
        was_full, self._is_full = self._is_full, len(self._lost) >= LOST_THREADS_MAX
        if self._is_full and not was_full:
            logger.error(
                "workflow code blocks %d threads; until one of them comes back, the next holds up everybody",
                LOST_THREADS_MAX,
            )
        return not self._is_full

    def _pursue(self) -> float | None:
        """Shoots at lost code that goes on in Python, or comes back; when to do so again, if there is any."""
        now_s = time.monotonic()
        self._lost = [lost for lost in self._lost if lost.is_there]
        for lost in self._lost:
            if now_s >= lost.again_s:
                lost.again_s = now_s + lost.pause_s
                lost.pause_s = min(2 * lost.pause_s, AGAIN_S[1])
                self._shoot_at_lost(lost)
        return min((lost.again_s - now_s for lost in self._lost), default=None)

    def _pursue_to_the_end(self) -> None:
        """The engine ends: what is blocked is left behind, what runs on would do so for ever."""
        for _ in range(LAST_SHOTS_MAX):
            self._lost = [lost for lost in self._lost if lost.is_there and lost.has_run()]
            if not self._lost:
                return
            for lost in self._lost:
                self._shoot_at_lost(lost)
            time.sleep(LAST_PAUSE_S)

    def _shoot_at_lost(self, lost: LostThread) -> None:
        frame = sys._current_frames().get(next(iter(lost.armed), -1))
        is_users = frame is not None and self._eyes.place_of(frame) is not None
        del frame
        if is_users:
            _shoot_in_one_step(lost.armed)


def _sooner(one_s: float, other_s: float | None) -> float:
    return one_s if other_s is None else min(one_s, other_s)


def _shoot_in_one_step(armed: list[int]) -> None:
    """In C: no other thread runs between finding it armed and shooting.

    A shot at a thread that blocks leaves CPython 3.11 looking for it at every call of every thread; where one
    has a profile or trace function it gets no further. So the shooter takes one itself, which ends that; the
    other thread looks for its own as soon as it goes on.
    """
    deque(map(_raise_in_thread, armed, (StretchTooLong,)), maxlen=0)
    with suppress(_Recoil):
        _raise_in_thread(threading.get_ident(), _Recoil)
        time.sleep(0)


class _Recoil(BaseException):
    """What the shooter takes."""
