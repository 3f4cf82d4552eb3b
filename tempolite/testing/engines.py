"""The engines of one test: made in one place, so that time, order and what is recorded are chosen once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from tempolite.engine.engine import Tempolite

CLOSE_S = 5.0
"""What a test has left running at its end gets this much time."""


class TestedEngine(Tempolite):
    """An engine that a test can kill."""

    __test__ = False

    def crash(self) -> None:
        """Drops the engine as SIGKILL would: no last commit, no checkpoint; its file is free at once.

        Calls that wait end with ``EngineCrashed``, and so does every call after this one. Worker processes
        are killed. Code that runs in threads of this process can't be: what it returns is dropped.
        """
        self._crash()


class Engines:
    """What one test makes of engines.

    Args:
        settings: arguments of every engine, unless it is made with others.
        new_path: makes the path of a database that is not there yet.

    Attributes:
        made: all engines of the test, the oldest first.
        before_start: called with each engine before it starts.
        seed: all actors run in the caller's thread, in an order drawn from it; set before the first engine.
    """

    def __init__(self, settings: Mapping[str, Any], new_path: Callable[[], str]) -> None:
        self.settings = dict(settings)
        self.made: list[TestedEngine] = []
        self.before_start: list[Callable[[TestedEngine], None]] = []
        self.seed: int | None = None
        self._new_path = new_path
        self._shared_path: str | None = None

    def make(self, database: str | os.PathLike[str] | None = None, /, **settings: Any) -> TestedEngine:
        """Makes and starts an engine, on the file that this test's engines share unless told."""
        chosen = {**self.settings, **settings}
        if database is not None:
            chosen["database"] = database
        elif "database" not in chosen:
            chosen["database"] = self._shared()
        engine = TestedEngine(**chosen)
        engine._seed = self.seed
        for prepare in self.before_start:
            prepare(engine)
        engine.start()
        self.made.append(engine)
        return engine

    def make_alone(self) -> TestedEngine:
        """Makes and starts an engine on a file of its own, unless the settings name one."""
        return self.make() if "database" in self.settings else self.make(self._new_path())

    def close(self) -> None:
        """Closes all of them, the youngest first."""
        for engine in reversed(self.made):
            engine.close(CLOSE_S)

    def _shared(self) -> str:
        if self._shared_path is None:
            self._shared_path = self._new_path()
        return self._shared_path
