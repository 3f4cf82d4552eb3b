"""The actors of a test's engine: they say when they are at rest, and live in the test's time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tempolite.actors.actor import Actor, receives
from tempolite.actors.clock import Clock
from tempolite.actors.database_file import DatabaseFile
from tempolite.actors.dispatcher import Dispatcher, ThreadDispatcher
from tempolite.actors.futures import Reply
from tempolite.actors.messages import RunSideEffect
from tempolite.actors.observed_dispatcher import ObservedDispatcher, VirtualTimeDispatcher
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tempolite.actors.side_effects import SideEffectActor
from tempolite.actors.stillness import Stillness, Work
from tempolite.actors.system import ActorSystem
from tempolite.actors.system_options import SystemOptions


class ObservedSystem(ActorSystem):
    """The actors of one engine, watched.

    Args:
        file: the open file.
        options: as for every engine; with a seed nothing is watched: all runs in the caller's thread.
        stillness: watches the engines of one test.
    """

    side_effects: ObservedSideEffects

    def __init__(self, file: DatabaseFile, options: SystemOptions, stillness: Stillness) -> None:
        self._stillness = stillness
        super().__init__(file, options)

    def work(self) -> Iterator[Work]:
        """Activities and side effects under way."""
        for name, pool in list(self.pools.items()):
            for seat, attempt in pool.under_way():
                has_begun = attempt.started_s is not None and not seat.is_leaving
                text = f"activity {attempt.job.step!r} of {attempt.job.workflow!r}"
                yield Work((id(self), name, attempt.job_id), text, has_begun)
        for message in list(self.side_effects.under_way):
            yield Work((id(self), id(message)), f"side effect {message.step!r}", True)

    @property
    def dispatcher(self) -> ThreadDispatcher | SeededDispatcher:
        """Who runs the actors."""
        return self._dispatcher

    def actors(self) -> list[Actor]:
        """All that live now: the supervisor and what it started, and the runs in memory."""
        if isinstance(self._dispatcher, SeededDispatcher):
            # Nothing goes on meanwhile, and a question would change the order of what does.
            runs = self.directory.live_actors()
        else:
            runs = self._perform(self.directory.live_actors)
        return [self.supervisor, *self.supervisor.children, *runs]

    def ask_nowait(self, message: Any) -> Reply[Any]:
        """Asks; until the answer is there, somebody waits."""
        reply = super().ask_nowait(message)
        self._stillness.begin_wait(reply)
        return reply

    def give_up(self, message: Any, reply: Reply[Any]) -> None:
        """Nobody waits for this answer any more."""
        self._stillness.end_wait(reply)
        super().give_up(message, reply)

    def wait_for(self, reply: Reply[Any]) -> Any:
        """Waits for a reply; from any thread but the actors' own."""
        self._stillness.begin_wait(reply)
        return super().wait_for(reply)

    async def await_for(self, reply: Reply[Any]) -> Any:
        """Awaitable twin of :meth:`wait_for`."""
        self._stillness.begin_wait(reply)
        return await reply

    def _make_dispatcher(self, clock: Clock, seed: int | None) -> ThreadDispatcher | SeededDispatcher:
        if seed is not None:
            return super()._make_dispatcher(clock, seed)
        if clock is not self._stillness.clock:
            return ObservedDispatcher("tempolite-actors", clock, self._stillness, self.work)
        dispatcher = VirtualTimeDispatcher("tempolite-actors", clock, self._stillness, self.work)
        dispatcher.has_waiting = lambda: any(pool.has_waiting for pool in self.pools.values())
        return dispatcher

    def _make_side_effects(self, **options: Any) -> ObservedSideEffects:
        is_inline = self._options.seed is not None
        return ObservedSideEffects(self._options.interpreter, is_inline=is_inline, **options)

    def _dispatcher_of_pools(self) -> Dispatcher:
        if isinstance(self._dispatcher, VirtualTimeDispatcher):
            return self._dispatcher.of_pools
        return self._dispatcher


class ObservedSideEffects(SideEffectActor):
    """Side effects, of which it can be seen which are under way."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.under_way: list[RunSideEffect] = []

    @receives(RunSideEffect)
    def on_run(self, message: RunSideEffect) -> None:
        """Runs it; it is under way until its sender was told."""
        if not self._is_inline:
            self.under_way.append(message)
        super().on_run(message)

    def _run(self, message: RunSideEffect) -> None:
        super()._run(message)
        if not self._is_inline:
            self.under_way.remove(message)
            # What it led to may have been handled by now: the dispatcher looks once more if all is still.
            self.dispatcher.wake()
