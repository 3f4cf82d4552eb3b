"""Engines in virtual time: all actors in the caller's thread, and hours that pass at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tempolite import Queue, Tempolite, WorkflowContext, workflow
from tempolite.actors.clock import MICROS_PER_S, VirtualClock
from tempolite.actors.seeded_dispatcher import SeededDispatcher

HOUR = 3_600.0
DAY = 24 * HOUR
START = datetime(2026, 11, 21, tzinfo=UTC)
HELD = Queue("held", kind="inline", workers=0)


def double(ctx: WorkflowContext, number: int = 1) -> int:
    """Ends at once."""
    return number * 2


def nothing(number: int) -> int:
    """An activity."""
    return number


@workflow(queue="held")
def waiting(ctx: WorkflowContext) -> int:
    """Goes on when its queue has a worker."""
    return ctx.activity("wait", nothing, 1).get()


class Timeline:
    """One file, one clock, and the engine that is open on it.

    Attributes:
        tp: the engine.
        clock: its time, which goes on while no engine is there.
    """

    def __init__(self, path: Path | str, start: datetime = START, seed: int = 1) -> None:
        self.clock = VirtualClock(round(start.timestamp()) * MICROS_PER_S)
        self._path, self._seed = path, seed
        self.tp: Tempolite

    def open(self, *workflows: Callable[..., Any], queues: Iterable[Queue] = ()) -> Tempolite:
        """Starts an engine on the file."""
        inline = [Queue("default", kind="inline"), *queues]
        self.tp = Tempolite(self._path, queues=inline, clock=self.clock, workflows=workflows)
        self.tp._seed = self._seed
        return self.tp.start()

    def crash(self, away_s: float = 0) -> None:
        """Kills the engine; nobody is there for a while."""
        self.tp._crash()
        self.clock.advance(away_s)

    def settle(self) -> None:
        """Until nobody has anything to do at this moment."""
        dispatcher = self.tp._system._dispatcher
        assert isinstance(dispatcher, SeededDispatcher)
        dispatcher.run_until_idle(advance_time=False)

    def pass_time(self, seconds: float) -> None:
        """Time goes by, and the engine does what there is to do then."""
        self.clock.advance(seconds)
        self.settle()

    def ids(self) -> list[str]:
        """Ids of all runs, oldest first."""
        return [info.id for info in reversed(self.tp.workflows(limit=1_000))]
