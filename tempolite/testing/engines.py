"""The engines of one test: made in one place, so that time, order and what is recorded are chosen once."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from tempolite.actors.clock import VirtualClock
from tempolite.actors.database_file import DatabaseFile
from tempolite.actors.dispatcher import ThreadDispatcher
from tempolite.actors.futures import Reply
from tempolite.actors.observed_system import ObservedSystem
from tempolite.actors.overhearing import Overhearing
from tempolite.actors.rehearsed_system import Rehearsal, RehearsedSystem
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tempolite.actors.stillness import Stillness
from tempolite.actors.system import ActorSystem
from tempolite.actors.system_options import SystemOptions
from tempolite.core.queues import Queue
from tempolite.engine.engine import Tempolite
from tempolite.engine.lifecycle import Phase
from tempolite.errors import Deadlock, EngineCrashed
from tempolite.store.schema import LAYOUT
from tempolite.testing.message_log import MessageTaker

if TYPE_CHECKING:
    from tempolite.actors.actor import Actor
    from tempolite.testing.clock import TestClock

CLOSE_S = 5.0
"""What a test has left running at its end gets this much time."""


@dataclass
class Direction:
    """How the engines of a test run.

    Attributes:
        stillness: watches them.
        rehearsal: all their actors run in the caller's thread, in its order; None for threads.
        ears: hear what the actors tell one another.
    """

    stillness: Stillness
    rehearsal: Rehearsal | None = None
    ears: Overhearing | None = None


class TestedEngine(Tempolite):
    """An engine that a test can kill, and whose actors it can see.

    Args:
        direction: how the engines of the test run.
        settings: arguments of ``Tempolite``.
    """

    __test__: ClassVar[bool] = False
    _system: ObservedSystem

    def __init__(self, direction: Direction, **settings: Any) -> None:
        super().__init__(**settings)
        self._direction = direction
        if direction.rehearsal is not None:
            order = direction.rehearsal.order
            self._seed = order.seed
            self._services.randomness = random.Random(order.random.getrandbits(64))
            self._random_bytes = self._services.randomness.randbytes

    def crash(self) -> None:
        """Drops the engine as SIGKILL would: no last commit, no checkpoint; its file is free at once.

        Calls that wait end with ``EngineCrashed``, and so does every call after this one. Worker processes
        are killed. Code that runs in threads of this process can't be: what it returns is dropped.
        """
        self._crash()

    def close(self, timeout: float | timedelta = 30) -> None:
        """Closes it; one that was killed is dropped."""
        if isinstance(self._failure, EngineCrashed):
            self._crash()
        else:
            super().close(timeout)

    def take_over_from(self, killed: TestedEngine) -> None:
        """Knows every function that the other one did; before its start."""
        self._registry.add_all_of(killed._registry)

    @property
    def queues_known(self) -> list[Queue]:
        """Settings of its queues, those that were created meanwhile among them."""
        return list(self._queues.values())

    @property
    def failure(self) -> Exception | None:
        """Why it can't go on, where it can't."""
        return self._failure

    def kill(self, why: str) -> None:
        """Has it die where it stands, told by its own actors; with a rehearsal only. ``crash`` buries it."""
        assert isinstance(self._system, RehearsedSystem), "another engine would go on in its thread"
        self._failure = EngineCrashed(why)
        self._system.kill(self._failure)

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

    def _open_file(self) -> DatabaseFile:
        if self._direction.rehearsal is None:
            return super()._open_file()
        # Whoever is killed here shares this process, which lives on, and so does what it gave to the system.
        return DatabaseFile(self._path, LAYOUT, may_wait=self._may_wait, synchronous="OFF")

    def _make_system(self, options: SystemOptions) -> ActorSystem:
        stillness, rehearsal = self._direction.stillness, self._direction.rehearsal
        if rehearsal is None:
            system = ObservedSystem(self._file, options, stillness)
        else:
            system = RehearsedSystem(self._file, options, stillness, rehearsal)
        system.dispatcher.ears = self._direction.ears
        return system

    def _ask(self, message: Any, timeout: float | None) -> Any:
        try:
            return super()._ask(message, timeout)
        except Deadlock as error:
            raise Deadlock(f"{error}; {self._unfinished()}") from None

    def _unfinished(self) -> str:
        unfinished = [info for info in self.workflows() if self.is_unfinished(info.id)]
        return ", ".join(f"{info.id!r} is {info.status}" for info in unfinished) or "every run has finished"

    def _rows(self, sql: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        # Where nothing runs by itself, a test that looks until something has happened must bring it about.
        rehearsal = self._direction.rehearsal
        if rehearsal is not None and rehearsal.order.is_at_home and not self.dispatcher.is_current_thread():
            self._check_started()
            rehearsal.order.step(advance_time=False)
        return super()._rows(sql, values)


class Engines:
    """What one test makes of engines.

    Args:
        settings: arguments of every engine, unless it is made with others.
        new_path: makes the path of a database that is not there yet.
        clock: virtual time of all of them; the machine's unless told.

    Attributes:
        made: all engines of the test, the oldest first.
        before_start: called with each engine before it starts.
        direction: how they run; what is set here counts for engines that are made later.
        virtual_clock: time of those that are rehearsed.
        new_path: makes the path of a database that is not there yet.
    """

    def __init__(
        self, settings: Mapping[str, Any], new_path: Callable[[], str], clock: TestClock | None = None
    ) -> None:
        # Not a copy: a test may change what its fixture gave it until it makes the engine.
        self.settings = settings
        self.made: list[TestedEngine] = []
        self.before_start: list[Callable[[TestedEngine], None]] = []
        self.direction = Direction(Stillness() if clock is None else clock.stillness)
        self._clock = clock
        self.virtual_clock = VirtualClock() if clock is None else clock.virtual
        self.new_path = new_path
        self._taker: MessageTaker | None = None
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
        if self.direction.rehearsal is not None and not isinstance(chosen.get("clock"), VirtualClock):
            chosen["clock"] = self.virtual_clock
        engine = TestedEngine(replace(self.direction), **chosen)
        for prepare in self.before_start:
            prepare(engine)
        # Before it is started: one that fails to has threads that must end, too.
        self.made.append(engine)
        return engine.start()

    def rehearse(self, rehearsal: Rehearsal | None) -> None:
        """Engines that are made from now on run in its order; in threads for None."""
        self.direction.rehearsal = rehearsal
        if self._clock is not None:
            self._clock.order = None if rehearsal is None else rehearsal.order

    def listen(self) -> MessageTaker:
        """What actors of engines that are made from now on tell one another is taken down."""
        if self._taker is None:
            self._taker = MessageTaker()
            self.direction.ears = Overhearing(self._taker.hear)
        return self._taker

    def make_alone(self) -> TestedEngine:
        """Makes and starts an engine on a file of its own, unless the settings name one."""
        return self.make() if "database" in self.settings else self.make(self.new_path())

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
        self.direction.stillness.settle(timeout_s)

    def close(self) -> None:
        """Closes all of them, the youngest first."""
        with ExitStack() as ends:
            for engine in self.made:
                ends.callback(engine.close, CLOSE_S)

    def _shared(self) -> str:
        if self._shared_path is None:
            self._shared_path = self.new_path()
        return self._shared_path
