"""Backups, and the check that finds what was changed."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from tempolite import InvalidArguments, StorageFailed, Tempolite, WorkflowContext
from tempolite.actors.database_file import DatabaseFile, run
from tempolite.store.schema import LAYOUT
from tests.engine.conftest import EngineMaker

MARK = "a text that stands nowhere else"


def echo(ctx: WorkflowContext, value: Any) -> Any:
    return value


def steps(ctx: WorkflowContext, value: str) -> int:
    number = ctx.activity("len", len, value).get()
    return ctx.workflow("child", echo, number).get() + int(ctx.side_effect("one", lambda: 1).get())


def start_all(engine: Tempolite, count: int) -> None:
    for number in range(count):
        engine.execute(f"w{number}", steps, f"{MARK} {number}")
    engine.wait(timeout=20)


def change(path: Path, sql: str, *values: Any) -> None:
    """Changes a file that no engine has open."""
    file = DatabaseFile(str(path), LAYOUT)
    connection = file.connect()
    run(connection, sql, values)
    run(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    file.close()


@pytest.fixture
def filled(make_engine: EngineMaker, path: Path) -> Path:
    """A file with finished runs in it, closed cleanly."""
    engine = make_engine(path)
    start_all(engine, 5)
    engine.close()
    return path


# ── copies ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_backup_is_a_database_of_its_own(
    engine: Tempolite, make_engine: EngineMaker, tmp_path: Path
) -> None:
    """One file, for its owner only; both engines go on, each with its own."""
    start_all(engine, 3)
    copy = tmp_path / "copy.db"

    engine.backup(copy)
    files = sorted(each.name for each in tmp_path.iterdir() if each.name.startswith("copy"))
    other = make_engine(copy)
    start_all(other, 5)

    assert files == ["copy.db"]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert (engine.count(), other.count()) == (6, 10)
    assert other.history("w0") == engine.history("w0")
    assert (engine.verify().problems, other.verify().problems) == ((), ())
    uuids = {each._rows("SELECT uuid FROM engine")[0][0] for each in (engine, other)}
    assert len(uuids) == 2


def test_a_backup_is_never_written_over_a_file(engine: Tempolite, tmp_path: Path) -> None:
    """Nor over the engine's own."""
    (tmp_path / "there.db").write_text("mine")

    with pytest.raises(InvalidArguments, match="exists"):
        engine.backup(tmp_path / "there.db")

    assert (tmp_path / "there.db").read_text() == "mine"
    if engine._path != ":memory:":
        with pytest.raises(InvalidArguments):
            engine.backup(engine._path)


def test_a_backup_that_fails_leaves_nothing(engine: Tempolite, tmp_path: Path) -> None:
    """There is no such folder."""
    with pytest.raises(StorageFailed):
        engine.backup(tmp_path / "nowhere" / "copy.db")

    assert not (tmp_path / "nowhere").exists()


def test_a_backup_beside_running_work_is_of_one_moment(
    engine: Tempolite, make_engine: EngineMaker, tmp_path: Path
) -> None:
    """Runs go on meanwhile; the copy holds whole commits only."""
    starter = threading.Thread(target=lambda: start_all(engine, 300))
    starter.start()

    copies = [tmp_path / f"copy{number}.db" for number in range(3)]
    for copy in copies:
        asyncio.run(engine.abackup(copy))
    starter.join()

    assert engine.count(status="COMPLETED") == 600
    for copy in copies:
        other = make_engine(copy, workflows=[steps, echo])
        other.wait(timeout=20)
        assert other.verify().problems == ()


# ── checks ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_sound_file_has_no_problems(engine: Tempolite) -> None:
    """Empty, with work in it, after deletions."""
    empty = engine.verify()
    start_all(engine, 5)
    filled = asyncio.run(engine.averify())
    engine.delete(["w1"])

    assert [(each.ok, each.problems) for each in (empty, filled, engine.verify())] == [(True, ())] * 3


def test_every_flipped_bit_in_a_payload_is_found(make_engine: EngineMaker, path: Path) -> None:
    """Each bit of a stored text, one at a time, on the disk."""
    engine = make_engine(path)
    # Long, so that it has pages of its own: others may hold old copies of what was moved.
    engine.execute("long", echo, "x" * 9_000 + MARK).get(timeout=20)
    engine.close()
    content = bytearray(path.read_bytes())
    at = content.index(MARK.encode())
    for place in range(at, at + len(MARK), 5):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            with Tempolite(path) as again:
                report = again.verify()

            assert not report.ok
            assert any("was changed" in problem for problem in report.problems)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("UPDATE events SET payload = payload || ' ' WHERE seq = 2", "was changed"),
        ("UPDATE events SET step = 'other' WHERE type = 'ActivityScheduled'", "was changed"),
        ("UPDATE events SET type = 'RunFailed' WHERE type = 'RunCompleted'", "was changed"),
        ("DELETE FROM events WHERE seq = 2", "event 2 is missing"),
        ("DELETE FROM events WHERE type = 'RunCompleted'", "its events say RUNNING or STRANDED or WAITING"),
        ("DELETE FROM events WHERE stream = 1", "has a row and no events"),
        ("DELETE FROM runs WHERE stream = 1", "has events and no row"),
        ("UPDATE runs SET status = 'RUNNING' WHERE stream = 1", "its events say 'COMPLETED'"),
        ("UPDATE runs SET status = 'SOLD' WHERE stream = 1", "its events say 'COMPLETED'"),
        ("UPDATE runs SET queue = 'other' WHERE stream = 1", "queue is 'other'"),
        ("UPDATE runs SET finished_at = finished_at + 1 WHERE stream = 1", "finished_at is"),
        ("UPDATE runs SET is_latest = 0 WHERE stream = 1", "is_latest is 0"),
        ("INSERT INTO timers VALUES (99, 'retry', 1)", "belongs to stream 99"),
        ("UPDATE engine SET chain = zeroblob(16)", "chain of"),
    ],
)
def test_what_does_not_agree_is_told(filled: Path, sql: str, told: str) -> None:
    """Events against their checksums, streams and histories; indexes against the events; the chain."""
    change(filled, sql)

    with Tempolite(filled) as engine:
        report = engine.verify()

    assert not report.ok
    assert any(told in problem for problem in report.problems), report.problems


def test_schedules_are_checked_too(make_engine: EngineMaker, path: Path) -> None:
    """Each is what its events say; one that was deleted left only those."""
    engine = make_engine(path)
    for name in ("daily", "gone"):
        engine.schedule(name, "0 3 * * *", echo, 1)
    engine.schedule("gone", "0 4 * * *", echo, 1).delete()
    sound = engine.verify()
    engine.close()
    change(path, "UPDATE schedules SET state = replace(state, '0 3', '0 5')")

    with Tempolite(path) as again:
        report = again.verify()

    assert sound.problems == ()
    assert report.problems == ("schedule 'daily': in its row state is not what its events say",)


def test_rows_that_went_without_a_trace_break_the_chain(filled: Path) -> None:
    """A whole run, with its events: nothing but the chain knows of it."""
    change(filled, "DELETE FROM events WHERE stream = 3")
    change(filled, "DELETE FROM runs WHERE stream = 3")

    with Tempolite(filled) as engine:
        report = engine.verify()

    assert [problem for problem in report.problems if "chain" in problem]


def test_a_history_that_can_not_have_been_is_told(filled: Path) -> None:
    """Each event is as it was written; they only don't follow from each other."""
    change(filled, "UPDATE events SET seq = seq + 100 WHERE stream = 1 AND seq IN (2, 3)")
    change(filled, "UPDATE events SET seq = 105 - seq WHERE stream = 1 AND seq > 100")

    with Tempolite(filled) as engine:
        report = engine.verify()

    assert any("does not follow" in problem for problem in report.problems), report.problems


def test_damaged_pages_are_told(filled: Path) -> None:
    """What SQLite can't read is a finding like any other."""
    content = bytearray(filled.read_bytes())
    at = content.index(MARK.encode()) // 4096 * 4096
    content[at + 1 : at + 12] = os.urandom(11)
    filled.write_bytes(content)

    with Tempolite(filled) as engine:
        report = engine.verify()

    assert not report.ok
