"""Files that are not ours, or newer than we are: refused, and left as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest

from tempolite.actors.database_file import DatabaseFile, Layout, run
from tempolite.errors import NotADatabase, SchemaTooNew, StorageError
from tempolite.store.schema import LAYOUT
from tests.actors.desk import desk, event


def foreign_database(path: Path, *statements: str, keeps_log: bool = False) -> None:
    """A SQLite file of somebody else, closed; with its log where that was not brought in."""
    connection = apsw.Connection(str(path))
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(keeps_log))
    for statement in ("CREATE TABLE notes (text)", "INSERT INTO notes VALUES ('mine')", *statements):
        run(connection, statement)
    connection.close()


def state_of(path: Path) -> dict[str, Any]:
    """Bytes and file number of a database and its log."""
    files = [path, Path(f"{path}-wal")]
    return {file.name: (file.read_bytes(), file.stat().st_ino) for file in files if file.exists()}


def refused(path: Path, layout: Layout = LAYOUT) -> StorageError:
    with pytest.raises(StorageError) as raised:
        DatabaseFile(str(path), layout)
    assert str(path) in str(raised.value)
    return raised.value


# ── somebody else's ─────────────────────────────────────────────────────────────────────────────────────


NO_DATABASES = {
    "text": b"notes\n",
    "zeroes": b"\0" * 4096,
    "a header cut off": b"SQLite format 3\0",
    "a header and noise": b"SQLite format 3\0" + b"\xff" * 4080,
    "a document": b"%PDF-1.7" * 600,
}


@pytest.mark.parametrize("content", NO_DATABASES.values(), ids=NO_DATABASES)
def test_a_file_that_is_no_database_is_left_untouched(content: bytes, tmp_path: Path) -> None:
    """Not a byte of it changes, and nothing is put beside it."""
    path = tmp_path / "t.db"
    path.write_bytes(content)

    error = refused(path)

    assert isinstance(error, NotADatabase)
    assert path.read_bytes() == content
    assert [item.name for item in tmp_path.iterdir()] == ["t.db"]


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("PRAGMA application_id = 1",),
        ("PRAGMA user_version = 1",),
        ("PRAGMA user_version = 99",),
        ("PRAGMA journal_mode = wal",),
    ],
    ids=lambda settings: " ".join(settings) or "plain",
)
def test_somebody_else_s_database_is_left_untouched(settings: tuple[str, ...], tmp_path: Path) -> None:
    """Whatever its version and journal; nothing is put beside it either."""
    path = tmp_path / "t.db"
    foreign_database(path, *settings)
    before = state_of(path)

    error = refused(path)

    assert isinstance(error, NotADatabase)
    assert state_of(path) == before
    assert [item.name for item in tmp_path.iterdir()] == ["t.db"]


@pytest.mark.parametrize("version", [0, 1, 2, 99])
def test_somebody_else_s_log_is_left_untouched(version: int, tmp_path: Path) -> None:
    """Its owner may have it open: neither its bytes nor the file that they lie in may change."""
    path = tmp_path / "t.db"
    foreign_database(
        path,
        f"PRAGMA user_version = {version}",
        "PRAGMA journal_mode = wal",
        "INSERT INTO notes VALUES ('in the log')",
        keeps_log=True,
    )
    before = state_of(path)
    assert len(before) == 2

    error = refused(path)

    assert isinstance(error, NotADatabase)
    assert state_of(path) == before


def test_a_foreign_database_that_is_open_keeps_working(tmp_path: Path) -> None:
    """Its owner's next commit is where its owner looks for it."""
    path = tmp_path / "t.db"
    owner = apsw.Connection(str(path))
    owner.pragma("journal_mode", "wal")
    run(owner, "CREATE TABLE notes (text)")
    number = Path(f"{path}-wal").stat().st_ino

    refused(path)
    run(owner, "INSERT INTO notes VALUES ('after')")

    assert Path(f"{path}-wal").stat().st_ino == number
    owner.close()
    reader = apsw.Connection(str(path))
    assert run(reader, "SELECT text FROM notes") == [("after",)]
    reader.close()


# ── newer than we are ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("journal_mode", ["wal", "delete"])
def test_a_newer_schema_is_left_untouched(journal_mode: str, tmp_path: Path) -> None:
    """Byte for byte, in whatever journal mode it was left, a backup's for example."""
    path = tmp_path / "t.db"
    with desk(path, ends_cleanly=True) as at:
        at.commit(1, event(1))
        at.settle()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", len(LAYOUT.migrations) + 1)
    connection.pragma("journal_mode", journal_mode)
    connection.close()
    before = path.read_bytes()

    error = refused(path)

    assert isinstance(error, SchemaTooNew)
    assert str(len(LAYOUT.migrations) + 1) in str(error)
    assert path.read_bytes() == before


def test_a_refused_file_is_free_for_the_engine_that_knows_it(tmp_path: Path) -> None:
    """The lock is given back with the refusal."""
    path = tmp_path / "t.db"
    newer = newer_layout("CREATE TABLE later (x)")
    DatabaseFile(str(path), newer).close()

    refused(path)

    DatabaseFile(str(path), newer).close()


# ── older than we are ───────────────────────────────────────────────────────────────────────────────────


def newer_layout(*statements: str) -> Layout:
    """Today's schema, and a step beyond."""
    fields = {name: getattr(LAYOUT, name) for name in LAYOUT.__dataclass_fields__}
    return Layout(**fields | {"migrations": (*LAYOUT.migrations, statements)})


def test_an_older_schema_is_brought_to_this_one(tmp_path: Path) -> None:
    """By the steps that it lacks; what was in it stays."""
    path = tmp_path / "t.db"
    with desk(path) as at:
        at.commit(1, event(1))
        at.settle()

    file = DatabaseFile(str(path), newer_layout("CREATE TABLE later (x)", "INSERT INTO later VALUES (7)"))

    with file.reader() as connection:
        assert run(connection, "SELECT x, stream FROM later, events") == [(7, 1)]
        assert run(connection, "PRAGMA user_version") == [(len(LAYOUT.migrations) + 1,)]
    file.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    """All its steps are one transaction; the engine of before can still open the file."""
    path = tmp_path / "t.db"
    DatabaseFile(str(path), LAYOUT).close()

    with pytest.raises(apsw.SQLError):
        DatabaseFile(str(path), newer_layout("CREATE TABLE later (x)", "INSERT INTO nowhere VALUES (1)"))

    file = DatabaseFile(str(path), LAYOUT)
    with file.reader() as connection:
        assert not connection.table_exists("main", "later")
    file.close()


def test_the_layout_names_ours_by_its_application_id(tmp_path: Path) -> None:
    """It stands in the header, so that others, ``file`` for example, can tell."""
    path = tmp_path / "t.db"
    with desk(path, ends_cleanly=True):
        pass

    assert path.read_bytes()[68:72] == LAYOUT.application_id.to_bytes(4, "big")
