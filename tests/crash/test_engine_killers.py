"""An attempt that ends the engine again and again is given up."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.crash import engine_killer
from tests.crash.killing import LIFE_MAX_S, MAIN, ROOT


def live(folder: Path, number: int) -> int:
    """One life of the program; how it ended."""
    command = [sys.executable, "-c", MAIN.format(engine_killer.__name__), str(folder), str(number)]
    return subprocess.run(command, cwd=ROOT, timeout=LIFE_MAX_S, check=False).returncode


def test_an_activity_that_kills_its_engine_three_times_is_not_run_again(tmp_path: Path) -> None:
    """``WorkerLost`` at the fourth start: SIGKILL leaves the count, and the rest of the run goes on."""
    ends = [live(tmp_path, number) for number in range(4)]

    assert ends == [-signal.SIGKILL] * 3 + [0]
    assert (tmp_path / engine_killer.EFFECTS).read_text().splitlines() == ["killed it"] * 3
    assert (tmp_path / "result").read_text() == "1, WorkerLost: unclean ends of the engine"
