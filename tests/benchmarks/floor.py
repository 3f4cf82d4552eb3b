"""The floor: APSW inserts as many event rows as the Tempolite run wrote, and does nothing else.

One connection, WAL, `synchronous=FULL`, 100 rows a transaction: what SQLite and the disk give to anyone who
writes such rows in such batches, without any engine around them.
"""

import time
from pathlib import Path

import apsw

from tests.benchmarks.figures import Job, Measurement, SideResult
from tests.benchmarks.loading import measurement, side_arguments, write_result
from tests.benchmarks.plan import FLOOR_BATCH_ROWS, FLOOR_PAYLOAD_BYTES, IN_FLIGHT, rows_assumed

CREATE_EVENTS = """
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    payload TEXT NOT NULL,
    at REAL NOT NULL
)
"""
CREATE_INDEX = "CREATE UNIQUE INDEX IF NOT EXISTS events_by_stream ON events (stream, seq)"
INSERT_EVENT = "INSERT INTO events (stream, seq, type, payload, at) VALUES (?, ?, ?, ?, ?)"

Row = tuple[str, int, str, str, float]


def main() -> None:
    """Insert the rows of every job, write the figures."""
    arguments = side_arguments("measure the floor: plain inserts through APSW")
    connection = open_file(arguments.file)
    measurements = [insert(connection, job) for job in arguments.jobs]
    result = SideResult(configuration=configuration(connection), measurements=measurements)
    connection.close()
    write_result(result)


def open_file(file: Path) -> apsw.Connection:
    """A new file that commits as durably as Tempolite does."""
    connection = apsw.Connection(str(file))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(CREATE_EVENTS)
    connection.execute(CREATE_INDEX)

    return connection


def insert(connection: apsw.Connection, job: Job) -> Measurement:
    """Insert the rows of a job, a hundred a transaction; a latency here is that of one transaction."""
    rows = rows_of(job)
    latencies: list[float] = []
    began = time.perf_counter()
    for start in range(0, len(rows), FLOOR_BATCH_ROWS):
        batch_began = time.perf_counter()
        with connection:
            connection.executemany(INSERT_EVENT, rows[start : start + FLOOR_BATCH_ROWS])
        latencies.append(time.perf_counter() - batch_began)

    return measurement(job, time.perf_counter() - began, latencies)


def rows_of(job: Job) -> list[Row]:
    """The rows in the order in which 200 runs in flight would write them: one of each of the 200 in turn."""
    rows_per_run = job.rows_per_run or rows_assumed(job.steps)
    payload = '{"value": "' + "x" * (FLOOR_PAYLOAD_BYTES - 13) + '"}'

    return [
        (f"{job.workload}-{run:08d}", seq, "ActivityCompleted", payload, 1_700_000_000.0)
        for first in range(0, job.runs, IN_FLIGHT)
        for seq in range(rows_per_run)
        for run in range(first, min(first + IN_FLIGHT, job.runs))
    ]


def configuration(connection: apsw.Connection) -> dict[str, str]:
    """What the figures were measured with, as the connection says."""
    synchronous = connection.pragma("synchronous")

    return {
        "version": apsw.apsw_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "journal_mode": str(connection.pragma("journal_mode")),
        "synchronous": {1: "NORMAL", 2: "FULL"}.get(synchronous, str(synchronous)),
        "steps run in": f"no steps: {FLOOR_PAYLOAD_BYTES}-byte rows, {FLOOR_BATCH_ROWS} a transaction",
    }


if __name__ == "__main__":
    main()
