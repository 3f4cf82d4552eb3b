"""The few connections that all callers' threads read the file with."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from tempolite.actors.forking import Undivided
from tempolite.errors import EngineClosed

READERS_MAX = 8


class Connection(Protocol):
    """What the pool needs of one."""

    def close(self) -> None:
        """No more reading."""
        ...


C = TypeVar("C", bound=Connection)


class ReaderPool(Generic[C]):
    """Connections that only read; made when they are needed, the one used last is used first.

    Args:
        connect: makes one.
    """

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._idle: deque[tuple[C, Undivided]] = deque()
        # As a semaphore, but without a moment in which a signal handler finds it locked by its own thread.
        self._tickets: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(READERS_MAX):
            self._tickets.put(None)
        self._is_closed = False

    @contextmanager
    def reader(self) -> Iterator[C]:
        """One of them; from any thread. A fork of the process waits until it is given back.

        Raises:
            EngineClosed: the file is closed.
        """
        ticket = self._tickets.get()
        try:
            # A connection to a file that is given free could be one to somebody else's.
            if self._is_closed:
                raise EngineClosed("the engine was closed")
            connection, undivided = self._take()
            with undivided:
                try:
                    yield connection
                finally:
                    self._put_back(connection, undivided)
        finally:
            self._tickets.put(ticket)

    def close(self) -> None:
        """No more of them; one that is used now is closed when it is given back."""
        self._is_closed = True
        while self._idle:
            connection, _ = self._idle.pop()
            connection.close()

    def _take(self) -> tuple[C, Undivided]:
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect(), Undivided()

    def _put_back(self, connection: C, undivided: Undivided) -> None:
        if self._is_closed:
            connection.close()
        else:
            self._idle.append((connection, undivided))
