"""A client's connection to the owner of a file, as its callers use it; what it does is in ``link_actor``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pykka

from tempolite.actors.actor import tell_if_alive
from tempolite.actors.clock import SystemClock
from tempolite.actors.control_socket import wire
from tempolite.actors.control_socket.link_actor import End, LinkActor, Put, Seek, TakeBack
from tempolite.actors.dispatcher import ThreadDispatcher
from tempolite.actors.futures import Reply, dead_is_closed
from tempolite.actors.life_lock import LifeLock
from tempolite.core.failure import Failure

STOP_S = 10.0


class Link:
    """A client's connection, which comes back after its owner's end; from any thread.

    Args:
        database: path of the file.
        patience_s: as of :class:`LinkActor`.
        error_of, on_lost: as of :class:`LinkActor`.
    """

    def __init__(
        self,
        database: str,
        patience_s: float,
        error_of: Callable[[Failure], BaseException],
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._pid = os.getpid()
        self._closing = LifeLock()
        self._dispatcher = ThreadDispatcher("tempolite-client", SystemClock())
        self._actor = LinkActor(database, patience_s, error_of, on_lost)
        self._ref = self._actor.actor_ref
        self._actor.launch(self._dispatcher)
        self._dispatcher.start()

    @property
    def is_of_this_process(self) -> bool:
        """Whether the host did not fork meanwhile."""
        return self._pid == os.getpid()

    @property
    def is_connected(self) -> bool:
        """Whether an owner is there, as far as is known."""
        return self._actor.welcome is not None

    def seek(self, patience_s: float) -> Reply[wire.Welcome]:
        """Connects, unless it is connected."""
        return self._ref.ask_nowait(Seek(patience_s))

    def ask(self, question: wire.Question, *, is_repeatable: bool) -> Reply[Any]:
        """Asks the owner, this one or the next."""
        return self._ref.ask_nowait(Put(question, is_repeatable))

    def wait(self, reply: Reply[Any], timeout: float | None) -> Any:
        """Waits for an answer.

        Raises:
            TimeoutError: ``timeout`` seconds went by; the answer is not waited for any more.
            EngineClosed: the link was closed.
        """
        try:
            with dead_is_closed():
                return reply.get(timeout=timeout)
        except pykka.Timeout:
            self.give_up(reply)
            raise TimeoutError(f"no answer within {timeout} s") from None

    def give_up(self, reply: Reply[Any]) -> None:
        """Nobody waits for that answer any more."""
        tell_if_alive(self._ref, TakeBack(reply))

    def close(self) -> None:
        """Ends it, and its thread; whoever waits is told."""
        if not self.is_of_this_process or self._closing.is_mine:
            return
        with self._closing:
            if not self._ref.actor_inbox.is_closed:
                self._ref.ask_nowait(End()).get(timeout=STOP_S)
                self._dispatcher.stop(STOP_S)
                self._actor.stop_now()
