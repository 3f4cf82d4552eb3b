"""The Tempolite side: no-op activities in worker processes, an engine with default arguments."""

import asyncio
import importlib.metadata
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import apsw

from tempolite import Tempolite
from tests.benchmarks.figures import Job, Measurement, SideResult
from tests.benchmarks.loading import load_from_tasks, load_from_threads, side_arguments, write_result
from tests.benchmarks.tempolite_workload import run_steps, run_steps_async


def main() -> None:
    """Open an engine on the file, do the jobs, write the figures."""
    arguments = side_arguments("measure Tempolite")
    with Tempolite(arguments.file) as engine:
        measurements = [measure(engine, job) for job in arguments.jobs]
        workers = engine.queue("default").workers
    write_result(SideResult(configuration=configuration(arguments.file, workers), measurements=measurements))


def measure(engine: Tempolite, job: Job) -> Measurement:
    """Do one job in the way that it asks for, and count the event rows of one of its runs."""
    if job.mode == "tasks":
        measured = asyncio.run(load_from_tasks(job, awaited(engine, run_steps_async)))
    elif job.mode == "tasks_plain":
        measured = asyncio.run(load_from_tasks(job, awaited(engine, run_steps)))
    elif job.mode == "threads":
        measured = load_from_threads(job, lambda steps: engine.execute(None, run_steps, steps).get())
    else:
        raise ValueError(f"unknown way to call: {job.mode!r}, expected tasks, tasks_plain or threads")

    return replace(measured, rows_per_run=rows_of_one_run(engine, job.steps))


def awaited(engine: Tempolite, workflow: Callable[..., object]) -> Callable[[int], Awaitable[object]]:
    """Start a run and await its result."""

    async def start_and_await(steps: int) -> object:
        info = await engine.aexecute(None, workflow, steps)

        return await info

    return start_and_await


def rows_of_one_run(engine: Tempolite, steps: int) -> int:
    """The events that one run of that many steps leaves in the log."""
    info = engine.execute(None, run_steps, steps)
    info.get()

    return len(engine.history(info.id))


def configuration(file: Path, workers: int) -> dict[str, str]:
    """What the figures were measured with; the journal mode is read from the closed file."""
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    journal_mode = connection.pragma("journal_mode")
    connection.close()

    return {
        "version": importlib.metadata.version("tempolite"),
        "sqlite": apsw.sqlite_lib_version(),
        "journal_mode": str(journal_mode),
        "synchronous": "FULL (its contract)",
        "steps run in": f"{workers} worker processes",
    }


if __name__ == "__main__":
    main()
