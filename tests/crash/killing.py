"""Starts the program, looks at its logs, and kills it at a given number of lines."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.crash.logs import Effect, count_lines, read_effects
from tests.workers.processes import Watched, children_of

ROOT = Path(__file__).parents[2]
MAIN = "import sys; from {} import main; main(*sys.argv[1:])"
LOOK_S = 0.002
"""Between two looks at the logs."""

LIFE_MAX_S = 60
WORKERS_END_S = 1.0
OUTPUT_TAIL = 4_000


@dataclass(frozen=True)
class Kill:
    """What a kill found.

    Attributes:
        effects, acknowledged: lines in the logs when all were dead.
        workers: processes that the engine had.
        late: of these, those that lived on for more than a second.
    """

    effects: int
    acknowledged: int
    workers: int
    late: int


class Life:
    """One start of a program in a folder of its own; ``main(folder, number)`` of a module."""

    def __init__(self, module: str, folder: Path, number: int) -> None:
        self._folder = folder
        self._output = folder / f"output of life {number}"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", MAIN.format(module), str(folder), str(number)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def kill_after(self, lines: int, until: Callable[[list[Effect]], bool] = lambda _: True) -> Kill:
        """Waits until so many lines have come in this life, then kills it and sees its workers end.

        Args:
            lines: of both logs together.
            until: must be true of all effects as well.

        Raises:
            AssertionError: it ended by itself, or nothing goes on.
        """
        goal = lines + self._lines()
        for _ in range(round(LIFE_MAX_S / LOOK_S)):
            if self._lines() >= goal and until(read_effects(self._folder / "effects")):
                return self._kill()
            assert self._ends_within(LOOK_S) is None, f"it ended by itself: {self.output()}"
        raise AssertionError(f"only {self._lines()} of {goal} lines: {self.output()}")

    def ends_well(self) -> None:
        """Waits for its end.

        Raises:
            AssertionError: it fails, or does not end.
        """
        code = self._ends_within(2 * LIFE_MAX_S)
        assert code == 0, f"exit code {code}: {self.output()}"

    def output(self) -> str:
        """What it said."""
        return self._output.read_text(errors="replace")[-OUTPUT_TAIL:]

    def _kill(self) -> Kill:
        with ExitStack() as stack:
            # Nothing else happens between this look and the kill: it must strike in the midst of things.
            workers = [stack.enter_context(Watched(child)) for child in children_of(self.process.pid)]
            self.process.kill()
            self.process.wait()
            late = [worker for worker in workers if not worker.ends_within(WORKERS_END_S)]
        effects = count_lines(self._folder / "effects")
        acknowledged = count_lines(self._folder / "acknowledged")
        return Kill(effects, acknowledged, len(workers), len(late))

    def _lines(self) -> int:
        return sum(count_lines(self._folder / name) for name in ("effects", "acknowledged"))

    def _ends_within(self, seconds: float) -> int | None:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


@contextmanager
def life(module: str, folder: Path, number: int) -> Iterator[Life]:
    """A start of the program, killed at the end if it still runs."""
    started = Life(module, folder, number)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()
