"""Runs the batch in a process of its own, watches the effect log, and kills on purpose.

First one worker process, then the engine with everything that it holds in memory; a second engine finishes on
the same file. What was done is written into the effect log too, for the judge.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tempolite.cli.demo.effects import EFFECTS_VARIABLE, ENGINE_VARIABLE, Effect, EffectTail, Kill, append
from tempolite.cli.demo.plan import Plan, Unit

BATCH_MODULE = "tempolite.cli.demo.batch"
WORKER_DIES_AT = 0.25
ENGINE_DIES_AT = 0.55
"""Shares of all steps that have been done by then."""

LOOK_S = 0.02
"""Between two looks at the effect log."""

STILL_S = 60.0
"""A batch without a new effect for so long has failed."""

LOG_TAIL = 2_000
"""Characters of the engine's own words that are shown when it fails."""


class DemoFailed(Exception):
    """The demo can't be carried through; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where the demo's files lie."""

    orders: Path
    database: Path
    effects: Path
    engine_log: Path


@dataclass(frozen=True, slots=True)
class EngineStarted:
    """An engine process opened the file; ``engine`` counts them from 1."""

    engine: int
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the batch is, as the effect log shows it."""

    engine: int
    steps_done: int
    steps_all: int
    orders_begun: int
    orders_done: int
    orders_all: int
    retries: int

    @property
    def share(self) -> float:
        """Of all steps."""
        return self.steps_done / self.steps_all


def drive(files: Files, plans: Mapping[str, Plan]) -> Generator[EngineStarted | Progress | Kill, None, None]:
    """Runs the whole batch, with both kills, and tells what happens while it does.

    Raises:
        DemoFailed: the engine ended by itself, or nothing goes on.
    """
    tally = Tally(plans, EffectTail(files.effects))
    with EngineProcess(files, 1) as first:
        yield EngineStarted(1, first.pid)
        yield from _watch(first, tally, until=WORKER_DIES_AT)
        yield _kill("worker", tally.last_pid, first, files)
        yield from _watch(first, tally, until=ENGINE_DIES_AT)
        yield _kill("engine", first.pid, first, files)
    with EngineProcess(files, 2) as second:
        yield EngineStarted(2, second.pid)
        yield from _watch(second, tally)


class Tally:
    """Counts what the effect log shows."""

    def __init__(self, plans: Mapping[str, Plan], tail: EffectTail) -> None:
        self._plans = plans
        self._tail = tail
        self._steps_all = sum(len(plan.units) for plan in plans.values())
        self._done: set[tuple[str, Unit]] = set()
        self._begun: set[str] = set()
        self._ended: set[str] = set()
        self.last_pid = 0

    def look(self, engine: int) -> Progress:
        """Takes in the new lines, and says how far the batch is."""
        for entry in self._tail.read_new():
            if isinstance(entry, Effect):
                self._count(entry)
        return Progress(
            engine=engine,
            steps_done=len(self._done),
            steps_all=self._steps_all,
            orders_begun=len(self._begun),
            orders_done=len(self._ended),
            orders_all=len(self._plans),
            retries=sum(unit.attempt > 1 for _, unit in self._done),
        )

    def _count(self, effect: Effect) -> None:
        unit = Unit(effect.step, effect.attempt)
        self._done.add((effect.order, unit))
        self._begun.add(effect.order)
        plan = self._plans.get(effect.order)
        if plan is not None and unit in plan.stages[-1]:
            self._ended.add(effect.order)
        self.last_pid = effect.pid


class EngineProcess:
    """``python -m tempolite.cli.demo.batch`` as a child; leaving the context kills it if it still runs."""

    def __init__(self, files: Files, number: int) -> None:
        self._log = files.engine_log
        variables = {EFFECTS_VARIABLE: str(files.effects), ENGINE_VARIABLE: str(number)}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", BATCH_MODULE, str(files.database), str(files.orders)],
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.number = number
        self.pid = self._process.pid

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def is_over(self, within_s: float) -> bool:
        """Whether it ends, with success, in so many seconds.

        Raises:
            DemoFailed: it ended otherwise.
        """
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        if code != 0:
            words = self._log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:]
            raise DemoFailed(f"engine {self.number} ended with exit code {code}:\n{words}")
        return True


def _watch(engine: EngineProcess, tally: Tally, until: float | None = None) -> Iterator[Progress]:
    """Tells how far the batch is until that share of it is done, or else until the engine is."""
    progress = tally.look(engine.number)
    changed_at = time.monotonic()
    while until is None or progress.share < until:
        is_over = engine.is_over(within_s=LOOK_S)
        before, progress = progress, tally.look(engine.number)
        if progress != before:
            changed_at = time.monotonic()
            yield progress
        if is_over and until is None:
            return
        if is_over:
            raise DemoFailed(f"engine {engine.number} was done before it could be killed")
        if time.monotonic() - changed_at > STILL_S:
            raise DemoFailed(f"no step was done for {STILL_S:g} s, after {progress.steps_done} steps")


def _kill(process: Literal["worker", "engine"], pid: int, engine: EngineProcess, files: Files) -> Kill:
    kill = Kill(process=process, pid=pid, engine=engine.number, at=time.time())
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        raise DemoFailed(f"{process} process {pid} ended by itself before it could be killed") from None
    append(files.effects, kill)
    return kill
