"""Start the sides in turn, A B C D A B C D, each in a process and on a file of its own."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.figures import Job, Record, Round, SideResult, from_json, jobs_to_json
from tests.benchmarks.plan import (
    DBOS,
    DBOS_WAL,
    FLOOR,
    QUICK_SHARE,
    TEMPOLITE,
    floor_jobs,
    needs_trial,
    round_jobs,
    trial_jobs,
)

PROJECT = Path(__file__).resolve().parents[2]
SIDE_TIMEOUT_S = 180
MODULES = {
    TEMPOLITE: "tests.benchmarks.tempolite_side",
    DBOS: "tests.benchmarks.dbos_side",
    DBOS_WAL: "tests.benchmarks.dbos_side",
    FLOOR: "tests.benchmarks.floor",
}


class SideFailed(Exception):
    """A side ended with an error, took too long, or wrote no figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Runs sides; `folder` holds their database files, `dbos_python` is the interpreter that has DBOS."""

    sides: Sequence[str]
    folder: Path
    dbos_python: Path

    def measure(self, *, rounds: int, quick: bool) -> Record:
        """The trial (left out when quick), then the rounds."""
        began = time.monotonic()
        trial = {} if quick else self._trial()
        share = QUICK_SHARE if quick else 1.0
        measured = [self._round(trial, number, share) for number in range(1, rounds + 1)]

        return Record(rounds=measured, trial=trial, seconds=time.monotonic() - began)

    def _trial(self) -> Round:
        return {side: self._run(side, trial_jobs(side), "trial") for side in self.sides if needs_trial(side)}

    def _round(self, trial: Round, number: int, share: float) -> Round:
        done: dict[str, SideResult] = {}
        for side in self.sides:
            if side == FLOOR:
                jobs = floor_jobs(done.get(TEMPOLITE), share)
            else:
                jobs = round_jobs(side, trial.get(side), share)
            done[side] = self._run(side, jobs, f"round {number}")

        return done

    def _run(self, side: str, jobs: Sequence[Job], title: str) -> SideResult:
        began = time.monotonic()
        place = Path(tempfile.mkdtemp(dir=self.folder, prefix="run-"))
        try:
            result = self._finished(side, jobs, place)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        sys.stderr.write(f"{title}: {side}, {time.monotonic() - began:.1f} s\n")

        return result

    def _finished(self, side: str, jobs: Sequence[Job], place: Path) -> SideResult:
        python = str(self.dbos_python if side in (DBOS, DBOS_WAL) else sys.executable)
        command = [python, "-m", MODULES[side], "--file", str(place / "benchmark.sqlite")]
        command += ["--jobs", jobs_to_json(jobs)] + (["--wal"] if side == DBOS_WAL else [])
        try:
            done = subprocess.run(
                command, cwd=PROJECT, capture_output=True, text=True, timeout=SIDE_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as late:
            raise SideFailed(f"{side}: no figures within {SIDE_TIMEOUT_S} s") from late
        if done.returncode:
            raise SideFailed(f"{side}: ended with {done.returncode}: {done.stderr.strip()[-2000:]}")

        return result_in(done.stdout, side)


def result_in(output: str, side: str) -> SideResult:
    """The figures in what a side wrote: its last line that is a JSON object."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise SideFailed(f"{side}: expected a line of JSON, got {output.strip()[-200:]!r}")

    return from_json(lines[-1])
