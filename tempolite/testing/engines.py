"""The engines of one test: made in one place, so that time, order and what is recorded are chosen once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar

from tempolite.actors.dispatcher import ThreadDispatcher
from tempolite.actors.futures import Reply
from tempolite.actors.observed_system import ObservedSystem
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tempolite.actors.stillness import Stillness
from tempolite.actors.system import ActorSystem
from tempolite.actors.system_options import SystemOptions
from tempolite.engine.engine import Tempolite
from tempolite.engine.lifecycle import Phase

if TYPE_CHECKING:
    from tempolite.actors.actor import Actor
    from tempolite.testing.clock import TestClock

CLOSE_S = 5.0
"""What a test has left running at its end gets this much time."""


class TestedEngine(Tempolite):
    """An engine that a test can kill, and whose actors it can see.

    Args:
        stillness: watches the engines of the test.
        seed: all actors run in the caller's thread, in an order drawn from it.
        settings: arguments of ``Tempolite``.
    """

    __test__: ClassVar[bool] = False
    _system: ObservedSystem

    def __init__(self, stillness: Stillness, seed: int | None, **settings: Any) -> None:
        super().__init__(**settings)
        self._stillness = stillness
        self._seed = seed

    def crash(self) -> None:
        """Drops the engine as SIGKILL would: no last commit, no checkpoint; its file is free at once.

        Calls that wait end with ``EngineCrashed``, and so does every call after this one. Worker processes
        are killed. Code that runs in threads of this process can't be: what it returns is dropped.
        """
        self._crash()

    @property
    def is_open(self) -> bool:
        """Whether it was started, and neither closed nor killed."""
        return self._phase is Phase.STARTED

    @property
    def dispatcher(self) -> ThreadDispatcher | SeededDispatcher:
        """Who runs its actors."""
        return self._system.dispatcher

    def actors(self) -> list[Actor]:
        """All of its actors that live now."""
        return self._system.actors()

    async def _await_bell(self, bell: Reply[bool]) -> bool:
        return bool(await self._system.await_for(bell))

    def _make_system(self, options: SystemOptions) -> ActorSystem:
        return ObservedSystem(self._file, options, self._stillness)


class Engines:
    """What one test makes of engines.

    Args:
        settings: arguments of every engine, unless it is made with others.
        new_path: makes the path of a database that is not there yet.
        clock: virtual time of all of them; the machine's unless told.

    Attributes:
        made: all engines of the test, the oldest first.
        before_start: called with each engine before it starts.
        seed: all actors run in the caller's thread, in an order drawn from it; set before the first engine.
    """

    def __init__(
        self, settings: Mapping[str, Any], new_path: Callable[[], str], clock: TestClock | None = None
    ) -> None:
        self.settings = dict(settings)
        self.made: list[TestedEngine] = []
        self.before_start: list[Callable[[TestedEngine], None]] = []
        self.seed: int | None = None
        self._clock = clock
        self._stillness = Stillness() if clock is None else clock.stillness
        self._new_path = new_path
        self._shared_path: str | None = None

    def make(self, database: str | os.PathLike[str] | None = None, /, **settings: Any) -> TestedEngine:
        """Makes and starts an engine, on the file that this test's engines share unless told."""
        chosen = {**self.settings, **settings}
        if database is not None:
            chosen["database"] = database
        elif "database" not in chosen:
            chosen["database"] = self._shared()
        if self._clock is not None and chosen.get("clock", self._clock) is self._clock:
            chosen["clock"] = self._clock.virtual
        engine = TestedEngine(self._stillness, self.seed, **chosen)
        for prepare in self.before_start:
            prepare(engine)
        # Before it is started: one that fails to has threads that must end, too.
        self.made.append(engine)
        return engine.start()

    def make_alone(self) -> TestedEngine:
        """Makes and starts an engine on a file of its own, unless the settings name one."""
        return self.make() if "database" in self.settings else self.make(self._new_path())

    def open(self) -> list[TestedEngine]:
        """Those that live."""
        return [engine for engine in self.made if engine.is_open]

    def settle(self, timeout_s: float) -> None:
        """Returns when nothing goes on in any of them at this moment.

        Raises:
            TimeoutError: ``timeout_s`` went by.
        """
        for engine in self.open():
            if isinstance(engine.dispatcher, SeededDispatcher):
                engine.dispatcher.run_until_idle(advance_time=False)
        self._stillness.settle(timeout_s)

    def close(self) -> None:
        """Closes all of them, the youngest first."""
        with ExitStack() as ends:
            for engine in self.made:
                ends.callback(engine.close, CLOSE_S)

    def _shared(self) -> str:
        if self._shared_path is None:
            self._shared_path = self._new_path()
        return self._shared_path
