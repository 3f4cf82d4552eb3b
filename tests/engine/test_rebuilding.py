"""History is the truth: every other table can be made again from the events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tempolite import Tempolite
from tempolite.actors.database_file import run
from tests.engine.timelines import HOUR, Timeline
from tests.engine.varied_file import KNOWN, QUEUES, TABLES, Rebuilt, fill, table


@pytest.fixture
def varied(nothing_left: None, path: Path) -> Iterator[Timeline]:
    """An engine in virtual time, with runs and schedules of all kinds."""
    line = Timeline(path)
    fill(line)
    yield line
    line.tp.close()


def disagreements(tp: Tempolite) -> list[str]:
    """What the tables say that their events don't."""
    rebuilt, found = Rebuilt(tp), {row["stream"]: row for row in table(tp, "runs")}
    assert found.keys() == rebuilt.runs.keys()
    assert all(found[stream].keys() == each.row.keys() for stream, each in rebuilt.runs.items())
    told = [text for stream, each in rebuilt.runs.items() for text in each.differences(found[stream])]
    timers = {(stream, key, due) for stream, r in rebuilt.runs.items() for key, due in r.timers.items()}
    for name, expected in (("timers", timers), ("signal_ids", rebuilt.signal_ids)):
        told += [f"{name}: {row}" for row in expected ^ {tuple(row.values()) for row in table(tp, name)}]
    spawns = {tuple(row.values()) for row in table(tp, "spawns")}
    told += [f"spawns: {row}" for row in spawns - rebuilt.spawns.keys()]
    told += [f"no spawns: {row}" for row, must in rebuilt.spawns.items() if must and row not in spawns]
    if sorted(rebuilt.schedules, key=str) != sorted(table(tp, "schedules"), key=str):
        told.append("schedules")
    return told


def test_every_table_follows_from_the_events(varied: Timeline) -> None:
    """Each row and each column, whatever the runs went through."""
    tp = varied.tp

    statuses = Counter(row["status"] for row in table(tp, "runs"))

    assert disagreements(tp) == []
    assert tp.verify().problems == ()
    assert statuses.keys() >= {"PENDING", "RUNNING", "WAITING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED"}
    assert {name: bool(table(tp, name)) for name in ("timers", "signal_ids", "schedules")} == {
        "timers": True,
        "signal_ids": True,
        "schedules": True,
    }


@pytest.mark.parametrize("known", [KNOWN, []], ids=["known", "stranded"])
def test_so_it_is_after_crashes(varied: Timeline, known: list[Any]) -> None:
    """An engine that was killed; one that knows none of the functions; and one that goes on."""
    for functions in (known, KNOWN):
        varied.crash()
        varied.open(*functions, queues=QUEUES)
        varied.settle()
        assert disagreements(varied.tp) == []

    varied.tp.signal("stuck", "go")
    varied.pass_time(200 * HOUR)

    assert disagreements(varied.tp) == []
    assert {row["status"] for row in table(varied.tp, "runs")} >= {"STUCK"}


def test_a_row_that_was_changed_is_found(varied: Timeline) -> None:
    """Any column of any table; also one that is missing, and one too many."""
    tp, unseen = varied.tp, []
    connection = tp._file.connect()
    run(connection, "PRAGMA synchronous = OFF")
    before = {name: table(tp, name) for name in TABLES}

    for statement in [*changes_of_columns(tp), *MISSING, *TOO_MANY]:
        run(connection, statement)
        assert connection.changes(), statement
        if tp.verify().ok:
            unseen.append(statement)
        put_back(connection, before)
    connection.close()

    assert unseen == []
    assert tp.verify().problems == ()


MISSING = [f"DELETE FROM {name} WHERE {which}" for name, which in TABLES.items() if name != "spawns"]
TOO_MANY = [
    "INSERT INTO timers SELECT stream, 'other', 1 FROM runs WHERE workflow = 'napping'",
    "INSERT INTO signal_ids VALUES ('root', 'go', 'other')",
    "INSERT INTO spawns SELECT 'napping', stream FROM runs WHERE workflow = 'family'",
    "INSERT INTO schedules SELECT 'other', 999, seq, function, next_due, is_paused, state FROM schedules"
    " WHERE name = 'daily'",
]


def changes_of_columns(tp: Tempolite) -> Iterator[str]:
    """Statements that change a column of some row each."""
    for name, which in TABLES.items():
        for _, column, kind, *_ in tp._rows(f"PRAGMA table_info({name})"):
            if name != "spawns":
                value = "'other'" if kind == "TEXT" else 999
                yield f"UPDATE {name} SET {column} = {value} WHERE {which}"


def put_back(connection: Any, tables: dict[str, list[dict[str, Any]]]) -> None:
    """The rows that there were."""
    run(connection, "BEGIN")
    for name, rows in tables.items():
        run(connection, f"DELETE FROM {name}")
        for row in rows:
            run(connection, f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
    run(connection, "COMMIT")
