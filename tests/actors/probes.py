"""Small actors that tests tell things, and what tests wait with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tempolite.actors.actor import LATER, Actor, receives
from tempolite.actors.clock import SystemClock
from tempolite.actors.dispatcher import ThreadDispatcher
from tempolite.actors.futures import Reply

DEADLINE_S = 5.0
"""Longest that any test waits for anything; what takes so long hangs."""


@dataclass(frozen=True)
class Say:
    """Answered with its value."""

    value: Any = None


@dataclass(frozen=True)
class Raise:
    """Answered by raising this in the handler."""

    error: BaseException


@dataclass(frozen=True)
class Do:
    """Answered with what this returns when it is called in the actor."""

    action: Callable[[], Any]


@dataclass(frozen=True)
class Hold:
    """Answered by whoever takes the reply from ``Probe.held``."""


class Probe(Actor):
    """Does what it is told, and remembers it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.said: list[Any] = []
        self.held: list[Reply[Any]] = []
        self.stops = 0

    @receives(Say)
    def on_say(self, message: Say) -> Any:
        """Remembers a value and gives it back."""
        self.said.append(message.value)
        return message.value

    @receives(Raise)
    def on_raise(self, message: Raise) -> None:
        """Fails."""
        raise message.error

    @receives(Do)
    def on_do(self, message: Do) -> Any:
        """Calls something here."""
        return message.action()

    @receives(Hold)
    def on_hold(self, _message: Hold) -> Any:
        """Leaves the answer to somebody else."""
        assert self.reply_to is not None
        self.held.append(self.reply_to)
        return LATER

    def on_stop(self) -> None:
        """Counts how often it was stopped."""
        self.stops += 1


class Collector(Actor):
    """Keeps every message, whatever it is.

    Args:
        log: where to keep them; several may share one, to see an order.
        name: what stands before each message in a shared log.
    """

    def __init__(self, log: list[Any] | None = None, name: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.log: list[Any] = [] if log is None else log
        self._name = name

    def on_receive(self, message: Any) -> None:
        """Keeps it."""
        self.log.append((self._name, message) if self._name else message)


@contextmanager
def thread_dispatcher() -> Iterator[ThreadDispatcher]:
    """A dispatcher whose thread runs until the end of the block."""
    dispatcher = ThreadDispatcher("test-dispatcher", SystemClock())
    dispatcher.start()
    try:
        yield dispatcher
    finally:
        assert dispatcher.stop(DEADLINE_S), "the dispatcher's thread did not end"


def in_thread(*actions: Callable[[], Any]) -> list[threading.Thread]:
    """Runs each in a thread of its own, all begun at the same moment."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], Any]) -> None:
        barrier.wait(DEADLINE_S)
        action()

    threads = [threading.Thread(target=run, args=(action,), daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    return threads


def join(threads: list[threading.Thread]) -> None:
    """Waits for the end of all, within the deadline."""
    for thread in threads:
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), "a thread hangs"
