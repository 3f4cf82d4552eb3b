"""Threads that are lost to code which blocks, and what becomes of them when it comes back.

::

    actors' thread                    watchdog                     the next actors' thread
    ──────────────                    ────────                     ───────────────────────
    in a stretch of code, armed ◀──── over its limit: shoots
    the code blocks …                 in vain: takes its place ──▶ fences what the first one is at
    …                                                              the others' code begins anew; all goes on
    the code comes back, fenced
    no longer armed: ``ThreadLost``
    ends the code that was left to it, and itself

A thread that blocks can't be interrupted, and greenlets can't change threads. So the run whose code blocks is
stuck; the code of the other ``def`` workflows that live in that thread is left there, and replayed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tempolite.actors.messages import Message
from tempolite.core.identifiers import StepKey

if TYPE_CHECKING:
    from tempolite.actors.workflow import Execution

logger = logging.getLogger("tempolite")

LOST_THREADS_MAX = 64
"""Threads that may be lost at a time; with so many, the next code that blocks holds up everybody."""

FIRST_PAUSE_S = 0.002
"""Until the next shot at its code, if that goes on; each pause is twice the one before."""

NAME = "tempolite-abandoned"
"""What the names of lost threads begin with; the workflow's id follows."""


class ThreadLost(BaseException):
    """Ends a thread that is the actors' no longer: passes through every frame of ours untouched."""


class CutOff(Message, frozen=True):
    """The run's last turn never came to its end, because its code blocked: the same turn begins anew.

    Attributes:
        problem: with the line; its code must not run again. Empty where it was only asked.
        in_flight: steps whose work was under way when that turn began, with their queue.
        calls: what the run's activities call.
    """

    problem: str
    in_flight: dict[StepKey, str]
    calls: dict[StepKey, Any]


class LetCome(Message, frozen=True):
    """Runs are to be launched that somebody else than a letter to the directory asked for."""


class LostThread:
    """One of them.

    Args:
        execution: whose code blocks.
        problem: with the line.
        take: takes the thread out of service, into a list; False if the code came back before.

    Attributes:
        armed: the thread, for as long as its code may be shot at.
        again_s, pause_s: not before then, and after that not for so long.
    """

    def __init__(self, execution: Execution, problem: str, take: Callable[[list[int]], bool]) -> None:
        self.execution = execution
        self.problem = problem
        self.armed: list[int] = []
        self.again_s, self.pause_s = 0.0, FIRST_PAUSE_S
        self._take = take
        self._spent = ""
        self._thread: threading.Thread | None = None
        self._left: list[Callable[[], None]] = []
        self._is_settled = threading.Event()

    def __str__(self) -> str:
        return f"workflow {self.execution.workflow!r}: {self.problem}"

    @property
    def is_there(self) -> bool:
        """Whether it has not ended."""
        return self._thread is not None and self._thread.is_alive()

    def has_run(self) -> bool:
        """Whether it has had a processor since this was asked last: what blocks has not."""
        if self._thread is None or self._thread.native_id is None:
            return False
        try:
            spent = Path(f"/proc/self/task/{self._thread.native_id}/schedstat").read_text()
        except OSError:  # it has ended
            return False
        was, self._spent = self._spent, spent
        return spent != was

    def is_current(self) -> bool:
        """Whether it is the caller's."""
        return threading.current_thread() is self._thread

    def take(self, thread: threading.Thread) -> bool:
        """That is the one; False if the code came back before."""
        self._thread = thread
        is_lost = self._take(self.armed)
        if is_lost:
            thread.name = f"{NAME} {self.execution.workflow}"
        return is_lost

    def leave(self, end: Callable[[], None]) -> None:
        """Code that can't leave this thread: ended by it, when it comes back."""
        self._left.append(end)

    def settle(self) -> None:
        """All that it was at is fenced."""
        self._is_settled.set()

    def end(self) -> None:
        """In that thread, which came back: ends the code that was left to it."""
        self.armed.clear()
        self._is_settled.wait()
        while self._left:
            try:
                self._left.pop()()
            except BaseException as error:
                logger.error("code that was left in a blocked thread went on after it was ended: %r", error)
        logger.info("workflow %r: its code that blocked came back, the thread ends", self.execution.workflow)
