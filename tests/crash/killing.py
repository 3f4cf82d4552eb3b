"""Starts the program, looks at its logs, and kills it at a given number of lines."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.crash.logs import Effect, GrowingLog
from tests.crash.orders import leash_in, trap_in
from tests.workers.processes import Watched, children_of

ROOT = Path(__file__).parents[2]
MAIN = "import sys; from {} import main; main(*sys.argv[1:])"
LOOK_S = 0.002
"""Between two looks at the logs."""

LEASH_BYTES = 4_000
"""So much, about 20 lines, a program that is to be killed writes beyond what was looked at: on a busy machine
it does not get to its end unseen."""

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
        self._trap, self._leash = trap_in(folder, number), leash_in(folder, number)
        self._log, self._seen = folder / "effects", -1
        self._effects, self._acknowledged = (GrowingLog(folder / log) for log in ("effects", "acknowledged"))
        self._output = folder / f"output of life {number}"
        self._let_out()
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", MAIN.format(module), str(folder), str(number)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def kill_after(
        self,
        lines: int,
        until: Callable[[list[Effect]], bool] = lambda _: True,
        amid: Callable[[list[Effect]], str] | None = None,
    ) -> Kill:
        """Waits until so many lines have come in this life, then kills it and sees its workers end.

        Args:
            lines: of both logs together.
            until: must be true of all effects as well.
            amid: gives the kind of step that the kill interrupts: the next such one of an order is caught in
                its midst, however short it is. None: whatever is under way.

        Raises:
            AssertionError: it ended by itself, or nothing goes on.
        """
        goal = lines + self._lines()
        self._wait_until(lambda: self._lines() >= goal and until(self._effects.effects()))
        if amid is not None:
            self._trap.write_text(amid(self._effects.effects()))
            self._wait_until(lambda: not self._trap.exists())
        return self._kill()

    def ends_well(self) -> None:
        """Waits for its end.

        Raises:
            AssertionError: it fails, or does not end.
        """
        self._leash.unlink()
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
        return Kill(self._effects.count(), self._acknowledged.count(), len(workers), len(late))

    def _lines(self) -> int:
        return self._effects.count() + self._acknowledged.count()

    def _wait_until(self, is_true: Callable[[], bool]) -> None:
        for _ in range(round(LIFE_MAX_S / LOOK_S)):
            if is_true():
                return
            self._let_out()
            assert self._ends_within(LOOK_S) is None, f"it ended by itself: {self.output()}"
        raise AssertionError(f"nothing goes on after {self._lines()} lines: {self.output()}")

    def _let_out(self) -> None:
        """The program may write a little more than it has by now."""
        size = self._log.stat().st_size if self._log.exists() else 0
        if size != self._seen:
            following = self._leash.with_name(f"next {self._leash.name}")
            following.write_text(str(size + LEASH_BYTES))
            following.replace(self._leash)
            self._seen = size

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
