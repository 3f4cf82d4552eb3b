"""The actors of a test's engine in its caller's thread, in an order drawn from a seed, one turn a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from tempolite.actors.clock import Clock, VirtualClock
from tempolite.actors.database_file import DatabaseFile
from tempolite.actors.futures import Reply
from tempolite.actors.messages import Commit
from tempolite.actors.observed_system import ObservedSystem
from tempolite.actors.persistence import PersistenceActor
from tempolite.actors.seeded_dispatcher import SeededDispatcher, SeededOrder
from tempolite.actors.stillness import Stillness
from tempolite.actors.system_options import SystemOptions
from tempolite.actors.turn_writer import TurnWriter
from tempolite.core.queues import Queue


class Rehearsal(msgspec.Struct):
    """How engines are rehearsed.

    Attributes:
        order: says which of their actors runs next; shared by engines that run together.
        on_commit: told of each commit when it is durable and nobody has heard of it yet.
    """

    order: SeededOrder
    on_commit: Callable[[Commit], None] | None = None


class RehearsedSystem(ObservedSystem):
    """All actors in the thread of whoever waits for them; activities run there too, whatever their queue."""

    _dispatcher: SeededDispatcher

    def __init__(
        self, file: DatabaseFile, options: SystemOptions, stillness: Stillness, rehearsal: Rehearsal
    ) -> None:
        self._rehearsal = rehearsal
        super().__init__(file, options, stillness)
        self._awaited: list[Reply[Any]] = []
        self._is_driven = False

    def add_queue(self, queue: Queue) -> None:
        """Starts a queue's pool, whose activities run in the caller's thread."""
        super().add_queue(replace(queue, kind="inline"))

    def ask_nowait(self, message: Any) -> Reply[Any]:
        """Asks; where the answer is awaited, the event loop runs the actors until it is there."""
        reply = super().ask_nowait(message)
        self._drive_for(reply)
        return reply

    async def await_for(self, reply: Reply[Any]) -> Any:
        """Awaits a reply, for which the event loop runs the actors."""
        self._drive_for(reply)
        return await super().await_for(reply)

    def kill(self, error: Exception) -> None:
        """Nothing more is written; who waits is told this error, and so is whoever asks from now on.

        What was sent before still reaches whom it was sent to: a process that is killed takes back nothing
        of what has left it.
        """
        self.persistence.abandon()
        self._dispatcher.kill(error)

    def crash(self, error: Exception) -> None:
        """Drops everything as SIGKILL would: nobody reads what he was sent."""
        self.persistence.abandon()
        self._dispatcher.stop(0)
        self.marks.close()
        self.scheduler.close(error)
        self.directory.close(error)
        self.persistence.close(is_clean=False)
        self.supervisor.stop_children()
        self.supervisor.stop_now()

    def _make_dispatcher(self, clock: Clock, seed: int | None) -> SeededDispatcher:
        assert isinstance(clock, VirtualClock), "an order drawn from a seed needs time that it can move"
        return SeededDispatcher(self._rehearsal.order.seed, clock, self._rehearsal.order)

    def _make_writer(self, **options: Any) -> PersistenceActor:
        return TurnWriter(self.file, on_durable=self._rehearsal.on_commit, **options)

    # ── for who awaits ──────────────────────────────────────────────────────────────────────────────────

    def _drive_for(self, reply: Reply[Any]) -> None:
        """Who awaits an answer blocks nothing, so the event loop runs the actors, between its other work."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._awaited.append(reply)
        if not self._is_driven:
            self._is_driven = True
            loop.call_soon(self._drive, loop, False)

    def _drive(self, loop: asyncio.AbstractEventLoop, is_idle: bool) -> None:
        if self._dispatcher.killed is not None:
            self._tell_killed(self._dispatcher.killed)
        self._awaited = [reply for reply in self._awaited if not reply.is_set]
        # Time moves only when the other coroutines have had their say.
        went_on = bool(self._awaited) and self._dispatcher.step(advance_time=is_idle)
        self._is_driven = went_on or (bool(self._awaited) and not is_idle)
        if self._is_driven:
            loop.call_soon(self._drive, loop, not went_on)

    def _tell_killed(self, error: BaseException) -> None:
        self._dispatcher.read_what_is_left()
        for reply in self._awaited:
            if not reply.is_set:
                reply.fail(error)
