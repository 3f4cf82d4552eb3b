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
workflow code: see :meth:`Watchdog.run` and :meth:`Watchdog._shoot`. The thread sleeps while nothing runs.

Rejected: a signal (the host's main thread gets it), and a trace function (it costs more than all the rest).
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Protocol

import msgspec

LOOKS_PER_LIMIT = 2
"""Looks while stretches come and go; one that is found running is looked at again when its limit is over."""

ELSEWHERE_S = 0.002
"""Until the next look at code that is over its limit, but within a call of ours that must not be cut off."""

AGAIN_S = (0.05, 1.0)
"""Between shots at code that catches them, or that C code keeps; each pause is twice the one before."""

REPLAYED_LIMITS, REPLAYED_MIN_S = 10, 30.0
"""A stretch that was run before may take that many limits, and never less than that."""

# A prototype of our own: what is set on ``ctypes.pythonapi`` is seen by the whole process.
_raise_in_thread = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.py_object)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)


class StretchTooLong(BaseException):
    """Raised in workflow code that is over its limit; not an ``Exception``, which that code may catch."""


class Eyes(Protocol):
    """Sees what a thread is doing, which only the upper floors can tell."""

    def place_of(self, frame: FrameType) -> str | None:
        """``file:line`` in workflow code, or None while it is in a call that must not be cut off."""
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
        place: where it was when it was found over its limit.
        pause_s: until the next shot.
    """

    armed: list[int]
    started_s: float
    live_since_s: float
    is_replayed: bool
    ask_replayed: Callable[[], bool]
    place: str = ""
    pause_s: float = AGAIN_S[0]


class Watchdog:
    """Watches stretches of workflow code, from a thread of its own.

    Args:
        limit_s: what a stretch may take, wall time.
        eyes: see what its thread is doing.
    """

    def __init__(self, limit_s: float, eyes: Eyes) -> None:
        self._limit_s = limit_s
        self._eyes = eyes
        self._stretch: Stretch | None = None
        self._count = 0
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

    def run(self, code: Callable[[], None], is_replayed: Callable[[], bool]) -> str:
        """Runs a stretch of workflow code; returns why it was ended, or nothing.

        Args:
            code: to its next wait.
            is_replayed: whether the code is still on its way through what is recorded; from any thread.
        """
        thread, now_s = threading.get_ident(), time.monotonic()
        armed = [thread]
        stretch = self._stretch = Stretch(armed, now_s, now_s, is_replayed(), is_replayed)
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
            if stretch is not None and stretch.armed:
                self._bell.wait(self._look(stretch))
            elif count != seen:
                self._bell.wait(self._limit_s / LOOKS_PER_LIMIT)
            else:
                self._sleep(count)
            seen = count
            self._bell.clear()

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
            stretch.live_since_s = now_s
            return self._limit_s / LOOKS_PER_LIMIT
        place = self._eyes.place_of(frame)
        # A frame that is kept keeps the run's values alive.
        del frame
        if place is None:
            return ELSEWHERE_S
        stretch.place = stretch.place or place
        # In C, in one step: no other thread runs between finding it armed and shooting.
        deque(map(_raise_in_thread, stretch.armed, (StretchTooLong,)), maxlen=0)
        pause_s = stretch.pause_s
        stretch.pause_s = min(2 * pause_s, AGAIN_S[1])
        return pause_s
