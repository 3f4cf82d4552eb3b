"""Keep a number of runs in flight and time them: the same loop for every side.

Standard library only, because the DBOS side imports it from its own environment.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

from tests.benchmarks.figures import Job, Measurement, SideResult, jobs_from_json, percentile, to_json

WARM_UP_SHARE = 0.05
WARM_UP_RUNS_MIN = 4

Call = Callable[[int], object]
AsyncCall = Callable[[int], Awaitable[object]]


def load_from_threads(job: Job, call: Call) -> Measurement:
    """Call `call(steps)` from as many threads as runs are to be in flight."""
    with ThreadPoolExecutor(job.in_flight) as callers:
        _call_all(callers, job, call, _warm_up_runs(job))
        began = time.perf_counter()
        latencies = _call_all(callers, job, call, job.runs)
        seconds = time.perf_counter() - began

    return measurement(job, seconds, latencies)


async def load_from_tasks(job: Job, call: AsyncCall) -> Measurement:
    """Await `call(steps)` in as many tasks as runs are to be in flight."""
    await _await_all(job, call, _warm_up_runs(job))
    began = time.perf_counter()
    latencies = await _await_all(job, call, job.runs)
    seconds = time.perf_counter() - began

    return measurement(job, seconds, latencies)


def measurement(job: Job, seconds: float, latencies_s: Sequence[float]) -> Measurement:
    """A measurement from the time that all runs took and the time that each took."""
    return Measurement(
        job=job,
        seconds=seconds,
        p50_ms=percentile(latencies_s, 0.50) * 1000,
        p99_ms=percentile(latencies_s, 0.99) * 1000,
        rows_per_run=job.rows_per_run,
    )


def side_arguments(description: str) -> argparse.Namespace:
    """The command line that every side has: the database file and the jobs."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--file", type=Path, required=True, help="the fresh database file")
    parser.add_argument("--jobs", type=jobs_from_json, required=True, help="a JSON list of jobs")
    parser.add_argument("--wal", action="store_true", help="switch the file to WAL before (DBOS only)")

    return parser.parse_args()


def write_result(result: SideResult) -> None:
    """Write the one line that the harness reads."""
    sys.stdout.write(f"\n{to_json(result)}\n")
    sys.stdout.flush()


def _warm_up_runs(job: Job) -> int:
    return max(WARM_UP_RUNS_MIN, round(job.runs * WARM_UP_SHARE))


def _call_all(callers: ThreadPoolExecutor, job: Job, call: Call, runs: int) -> list[float]:
    def timed(steps: int) -> float:
        if job.pause_s:
            time.sleep(job.pause_s)
        began = time.perf_counter()
        call(steps)

        return time.perf_counter() - began

    return list(callers.map(timed, repeat(job.steps, runs)))


async def _await_all(job: Job, call: AsyncCall, runs: int) -> list[float]:
    latencies: list[float] = []
    left: Iterator[int] = repeat(job.steps, runs)

    async def caller() -> None:
        for steps in left:
            if job.pause_s:
                await asyncio.sleep(job.pause_s)
            began = time.perf_counter()
            await call(steps)
            latencies.append(time.perf_counter() - began)

    await asyncio.gather(*(caller() for _ in range(job.in_flight)))

    return latencies
