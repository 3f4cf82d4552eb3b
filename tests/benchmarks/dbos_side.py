"""The DBOS side: no-op steps on its SQLite system database. Runs in its own environment.

DBOS stays as its documentation shows it: a database URL and nothing else, steps in the caller's process.
A file that is to be in WAL is switched before DBOS opens it; DBOS leaves that as it finds it.
"""

import asyncio
import importlib.metadata
import sqlite3
from contextlib import closing
from pathlib import Path

from dbos import DBOS

from tests.benchmarks.figures import Job, Measurement, SideResult
from tests.benchmarks.loading import load_from_tasks, load_from_threads, side_arguments, write_result


@DBOS.step()
def do_nothing(step: int) -> int:
    """A step that does nothing."""
    return step


@DBOS.workflow()
def run_steps(steps: int) -> int:
    """Run that many steps, one after the other."""
    for step in range(steps):
        do_nothing(step)

    return steps


@DBOS.step()
async def do_nothing_async(step: int) -> int:
    """A coroutine step that does nothing."""
    return step


@DBOS.workflow()
async def run_steps_async(steps: int) -> int:
    """Await that many steps, one after the other."""
    for step in range(steps):
        await do_nothing_async(step)

    return steps


def main() -> None:
    """Open DBOS on the file, do the jobs, write the figures."""
    arguments = side_arguments("measure DBOS on SQLite")
    if arguments.wal:
        switch_to_wal(arguments.file)
    DBOS(
        config={
            "name": "benchmark",
            "system_database_url": f"sqlite:///{arguments.file}",
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    measurements = [measure(job) for job in arguments.jobs]
    write_result(SideResult(configuration=configuration(arguments.file), measurements=measurements))
    DBOS.destroy()


def measure(job: Job) -> Measurement:
    """Do one job in the way that it asks for."""
    if job.mode == "tasks":
        return asyncio.run(load_from_tasks(job, run_steps_async))
    if job.mode == "handles":
        return load_from_threads(job, lambda steps: DBOS.start_workflow(run_steps, steps).get_result())
    if job.mode == "calls":
        return load_from_threads(job, run_steps)

    raise ValueError(f"unknown way to call DBOS: {job.mode!r}, expected tasks, handles or calls")


def switch_to_wal(file: Path) -> None:
    """Make the journal mode of a new file WAL; the file remembers it."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def configuration(file: Path) -> dict[str, str]:
    """What the figures were measured with."""
    with closing(sqlite3.connect(file)) as connection:
        journal_mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]

    return {
        "version": importlib.metadata.version("dbos"),
        "sqlite": sqlite3.sqlite_version,
        "journal_mode": str(journal_mode),
        "synchronous": {1: "NORMAL", 2: "FULL"}.get(synchronous, str(synchronous)),
        "steps run in": "the caller's process",
    }


if __name__ == "__main__":
    main()
