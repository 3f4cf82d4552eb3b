"""The reply of an ``ask``: a Pykka future that calls back instead of blocking a loop.

Pykka's own ``await future`` calls ``get()`` and blocks the event loop, and its ``ThreadingFuture`` makes a
condition for each ask. This one costs two attributes until somebody really waits.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import pykka
from pykka._future import _Unset

from tempolite.errors import EngineClosed

T = TypeVar("T")

_NO_RESULT: Any = _Unset()


class Reply(pykka.Future[T]):
    """A value that will be there, from any thread to any thread.

    ``deque.append`` and ``popleft`` are atomic, so no lock is needed: who adds a callback looks at the
    outcome afterwards, who sets the outcome looks at the callbacks afterwards, and each callback is
    popped, and so run, once.

    Attributes:
        process: where the outcome comes about; known of those that users hold.
    """

    process: int | None = None

    def __init__(self) -> None:
        # In place of Pykka's ``__init__``, which sets these two and makes an object for the second: every
        # question has a reply, and hardly one a hook. A contract test holds on to it.
        self._get_hook = None
        self._get_hook_result = _NO_RESULT
        self._outcome: tuple[Any, BaseException | None] | None = None
        self._callbacks: deque[Callable[[], None]] = deque()

    @property
    def is_set(self) -> bool:
        """Whether a value or an error is there."""
        return self._outcome is not None

    def get(self, *, timeout: float | None = None) -> Any:
        """Waits for the value.

        Raises:
            pykka.Timeout: ``timeout`` seconds went by.
        """
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        if self._outcome is None:
            self._check_is_ours()
            gate = threading.Lock()
            gate.acquire()
            self.add_callback(gate.release)
            if not gate.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
                raise pykka.Timeout(f"{timeout} seconds")
        assert self._outcome is not None
        value, error = self._outcome
        if error is not None:
            raise error
        return value

    def set(self, value: Any = None) -> None:
        """Gives the value; a second call raises ``queue.Full``, as Pykka's futures do."""
        self._settle((value, None))

    def set_exception(self, exc_info: Any = None) -> None:
        """Gives an error: the current one, or that of an ``exc_info`` triple."""
        error = (exc_info or sys.exc_info())[1]
        assert error is not None, "set_exception() outside of an except block"
        self._settle((None, error))

    def fail(self, error: BaseException) -> None:
        """Gives an error."""
        self._settle((None, error))

    def add_callback(self, callback: Callable[[], None]) -> None:
        """Runs ``callback`` once when the outcome is there: at once, or in the thread that sets it."""
        self._callbacks.append(callback)
        if self._outcome is not None:
            self._run_callbacks()

    def __await__(self) -> Generator[Any, None, T]:
        """Waits without blocking the running event loop."""
        if self._outcome is None and self._get_hook is None:
            self._check_is_ours()
            loop = asyncio.get_running_loop()
            waiter = loop.create_future()
            self.add_callback(partial(_bell_of(loop).ring, waiter))
            yield from waiter
        return self.get()  # type: ignore[no-any-return]

    def _check_is_ours(self) -> None:
        """Who would give the outcome is in the process that this one was forked from: it never comes.

        Raises:
            EngineClosed: so it is.
        """
        if self.process is not None and self.process != os.getpid():
            raise EngineClosed(f"the answer belongs to process {self.process}, and this is a fork of it")

    def _settle(self, outcome: tuple[Any, BaseException | None]) -> None:
        if self._outcome is not None:
            raise queue.Full
        self._outcome = outcome
        self._run_callbacks()

    def _run_callbacks(self) -> None:
        callbacks = self._callbacks
        while callbacks:
            try:
                callback = callbacks.popleft()
            except IndexError:  # another thread was faster
                return
            callback()


@contextmanager
def dead_is_closed() -> Iterator[None]:
    """An actor that is gone when it is asked is, to the caller, an engine that was closed."""
    try:
        yield
    except pykka.ActorDeadError:
        raise EngineClosed("the engine was closed") from None


class _Bell:
    """Wakes the coroutines of one event loop, many with one system call.

    A wake-up of a loop from another thread is a write to a socket. While the loop has not answered the
    last one, those that come after are only added to the list that it is going to read.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Weakly: the bell is kept for as long as its loop, and must not be the reason for that.
        self.loop = weakref.ref(loop)
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._is_ringing = False

    def ring(self, waiter: asyncio.Future[None]) -> None:
        """Wakes one; from any thread."""
        self._waiters.append(waiter)
        if self._is_ringing:
            return
        self._is_ringing = True
        dispatcher = getattr(_round, "dispatcher", None)
        if dispatcher is None:
            self._pull()
        else:
            # Once for all replies of this round: each write gives the interpreter to the other thread.
            dispatcher.before_sleep(self._pull)

    def _pull(self) -> None:
        loop = self.loop()
        if loop is None or loop.is_closed():
            # Whoever waited there is gone.
            self._waiters.clear()
        else:
            with suppress(RuntimeError):  # closed just now
                loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        # Lowered before the list is read: what is added after the reading rings again.
        self._is_ringing = False
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)


_round = threading.local()


def enter_round(dispatcher: Any) -> None:
    """This thread is that dispatcher's from now on: what can wait for the end of its round does."""
    _round.dispatcher = dispatcher


def _leave_round() -> None:
    """The thread that a host forks in may be a dispatcher's; in the child nobody's rounds go on."""
    _round.dispatcher = None


os.register_at_fork(after_in_child=_leave_round)


_bells: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Bell] = weakref.WeakKeyDictionary()


_latest = threading.local()
"""The bell that this thread asked for last: a thread has one loop, or one at a time."""


def _bell_of(loop: asyncio.AbstractEventLoop) -> _Bell:
    bell: _Bell | None = getattr(_latest, "bell", None)
    if bell is None or bell.loop() is not loop:
        bell = _bells.get(loop)
        if bell is None:
            bell = _bells.setdefault(loop, _Bell(loop))
        _latest.bell = bell
    return bell
