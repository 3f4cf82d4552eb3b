"""Who runs the actors: one thread for all that have mail (in tests, a seed: ``seeded_dispatcher.py``).

A dispatcher is a small reactor. Its thread sleeps in ``epoll`` on the file descriptors of the workers, the
next timer, and a wake-up descriptor that other threads write to when they post mail. Each time round:

    mail (bounded) ──▶ timers that are due ──▶ hooks "before sleep" ──▶ epoll

The hooks are where batching happens: frames to workers and writes to the database are collected while
there is mail, and go out once it is done, so that a loaded engine makes larger batches by itself.

Rejected: a thread per actor (20 KB and 0.6 ms each), and a queue with a lock (``deque`` is enough: every
post appends one ready mark, and one mark is popped for each message).
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from tempolite.actors.actor import Actor
from tempolite.actors.clock import Clock
from tempolite.actors.futures import Reply, enter_round
from tempolite.actors.lost_threads import LostThread, ThreadLost
from tempolite.errors import NotAllowedInWorkflow

if TYPE_CHECKING:
    from tempolite.actors.overhearing import Overhearing
    from tempolite.actors.seeded_dispatcher import SeededDispatcher

logger = logging.getLogger("tempolite")

MESSAGES_PER_ROUND = 512
"""Mail handled before timers, hooks and I/O get their turn."""

POLL_MAX_S = 3_600.0


class TimerHandle:
    """A call that a dispatcher will make; ``cancel`` takes it back."""

    __slots__ = ("callback", "is_cancelled")

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        """The call will not be made."""
        self.is_cancelled = True


class Dispatcher(Protocol):
    """What actors need of whoever runs them."""

    clock: Clock
    ready: Any
    """Has an ``append`` that takes an actor once for each letter in its inbox; from any thread."""

    @property
    def may_sleep(self) -> bool:
        """Whether who appended must call ``wake``."""
        ...

    @property
    def ears(self) -> Overhearing | None:
        """Hears what its actors tell one another; None where nobody listens."""
        ...

    def wake(self) -> None:
        """There is mail."""
        ...

    def call_at(self, monotonic_s: float, callback: Callable[[], None]) -> TimerHandle:
        """Calls back at that time of the monotonic clock; from the dispatcher's own thread."""
        ...

    def before_sleep(self, hook: Callable[[], None], *, is_last: bool = False) -> None:
        """Runs ``hook`` once, when the mail of this round is done; from the dispatcher's own thread.

        ``is_last`` is for what blocks: it runs after all others.
        """
        ...

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Calls back with the epoll mask when the descriptor is ready; from its own thread."""
        ...

    def unwatch(self, fd: int) -> None:
        """Takes ``watch`` back, before the descriptor is closed."""
        ...

    def wait(self, reply: Reply[Any], timeout: float | None) -> Any:
        """Waits for a reply of one of these actors; from any other thread."""
        ...


class Timers:
    """Calls in the order of their due times; equal times in the order they were made."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, TimerHandle]] = []
        self._count = itertools.count()

    def add(self, due_s: float, callback: Callable[[], None]) -> TimerHandle:
        """One more call."""
        handle = TimerHandle(callback)
        heapq.heappush(self._heap, (due_s, next(self._count), handle))
        return handle

    def next_due_s(self) -> float | None:
        """When the next one is due; None when there is none."""
        while self._heap and self._heap[0][2].is_cancelled:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_s: float) -> TimerHandle | None:
        """Takes out the first one that is due by then."""
        due = self.next_due_s()
        if due is None or due > now_s:
            return None
        return heapq.heappop(self._heap)[2]


def check_is_outside(dispatcher: ThreadDispatcher | SeededDispatcher) -> None:
    """Looks whether the caller may wait for what actors do.

    Raises:
        NotAllowedInWorkflow: the actors run in the caller's own thread, and it is one of them that calls.
    """
    if dispatcher.is_current_thread():
        raise NotAllowedInWorkflow(
            "the engine was called by code that it runs itself, and would wait for itself: in workflow code "
            "use ctx.workflow(step, fn) and the like, or call the engine in ctx.side_effect(step, fn)"
        )


class ThreadDispatcher:
    """Runs its actors in one thread of its own."""

    ears: Overhearing | None = None

    def __init__(self, name: str, clock: Clock) -> None:
        self.clock = clock
        self._name = name
        self.ready: deque[Actor] = deque()
        self.may_sleep = False
        self._timers = Timers()
        self._hooks: list[Callable[[], None]] = []
        self._last_hooks: list[Callable[[], None]] = []
        self._watched: dict[int, Callable[[int], None]] = {}
        self._is_stopping = False
        self._lost: list[LostThread] = []
        self._epoll = select.epoll()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake_fd, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Ends the thread after the round under way; False if it did not end in time."""
        self._is_stopping = True
        self.wake()
        if threading.current_thread() is not self._thread and self._thread.ident is not None:
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        if self._wake_fd >= 0:
            # Forgotten before it is closed: its number may soon be somebody else's.
            wake_fd, self._wake_fd = self._wake_fd, -1
            self._epoll.close()
            os.close(wake_fd)
        return True

    def change_thread(self, lost: LostThread, take_over: Callable[[LostThread], None]) -> bool:
        """Has a new thread go on where the present one does not come back; from any other thread.

        Args:
            lost: the present one, unless it comes back now.
            take_over: called first in the new one.
        """
        began = threading.Event()

        def run() -> None:
            began.wait()
            if threading.current_thread() is self._thread:
                take_over(lost)
                self._run()

        following = threading.Thread(target=run, name=self._name, daemon=True)
        # Before the other one is given up: a process can have too many threads.
        following.start()
        # Known before it is lost: it may come back at once.
        self._lost = [*self.lost_threads(), lost]
        is_lost = not self._is_stopping and lost.take(self._thread)
        if is_lost:
            self._thread = following
        else:
            self._lost.remove(lost)
        began.set()
        return is_lost

    def lost_threads(self) -> list[LostThread]:
        """Those that code still blocks."""
        return [each for each in self._lost if each.is_there]

    def call_at(self, monotonic_s: float, callback: Callable[[], None]) -> TimerHandle:
        return self._timers.add(monotonic_s, callback)

    def before_sleep(self, hook: Callable[[], None], *, is_last: bool = False) -> None:
        (self._last_hooks if is_last else self._hooks).append(hook)

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        if fd in self._watched:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._watched[fd] = callback

    def unwatch(self, fd: int) -> None:
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def wait(self, reply: Reply[Any], timeout: float | None) -> Any:
        return reply.get(timeout=timeout)

    def is_current_thread(self) -> bool:
        """Whether the caller runs in this dispatcher's thread, or in one that was."""
        if threading.current_thread() is self._thread:
            return True
        return any(lost.is_current() for lost in self._lost)

    def wake(self) -> None:
        with suppress(OSError, ValueError):  # closed: nobody sleeps there any more
            os.eventfd_write(self._wake_fd, 1)

    def _run(self) -> None:
        enter_round(self)
        try:
            while not self._is_stopping:
                self._deliver_mail()
                self._run_due_timers()
                self._run_hooks()
                self._poll()
        except ThreadLost:
            # Another thread runs all this now.
            for lost in filter(LostThread.is_current, self._lost):
                lost.end()

    def _deliver_mail(self) -> None:
        ready = self.ready
        for _ in range(MESSAGES_PER_ROUND):
            if not ready:
                return
            try:
                ready.popleft().handle_next()
            except ThreadLost:
                raise
            except BaseException:
                # An actor contains its own failures; this is a report or a callback that failed.
                logger.exception("what an actor's failure was reported to failed")

    def _run_due_timers(self) -> None:
        while (handle := self._timers.pop_due(self.clock.monotonic_s())) is not None:
            contained(handle.callback)

    def _run_hooks(self) -> None:
        hooks, self._hooks, self._last_hooks = self._hooks + self._last_hooks, [], []
        for hook in hooks:
            contained(hook)

    def _poll(self) -> None:
        self.may_sleep = True
        events = self._epoll.poll(self._sleep_s())
        self.may_sleep = False
        self._handle(events)

    def _handle(self, events: list[tuple[int, int]]) -> None:
        for fd, mask in events:
            if fd == self._wake_fd:
                os.eventfd_read(fd)
            elif (callback := self._watched.get(fd)) is not None:
                contained(lambda callback=callback, mask=mask: callback(mask))  # type: ignore[misc]

    @property
    def _has_more(self) -> bool:
        """Whether there is something to do, timers aside."""
        return bool(self.ready or self._hooks or self._last_hooks or self._is_stopping)

    def _sleep_s(self) -> float:
        if self._has_more:
            return 0.0
        due = self._timers.next_due_s()
        if due is None:
            return -1.0
        return min(POLL_MAX_S, max(0.0, due - self.clock.monotonic_s()))


def contained(call: Callable[[], None]) -> None:
    """Calls it; what it raises is logged, and goes no further."""
    try:
        call()
    except BaseException:
        # A reactor that dies of one callback would take every run with it.
        logger.exception("a callback of the dispatcher failed")
