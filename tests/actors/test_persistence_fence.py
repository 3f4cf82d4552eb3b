"""A writer that lost its file stops: to another engine, or because the file is not where it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tempolite.actors.database_file import DatabaseFile
from tempolite.actors.messages import CommitFailed
from tempolite.errors import StorageFailed
from tests.actors.desk import Desk, desk, event


def bump_epoch(file: DatabaseFile) -> None:
    """What a second engine does first, had it got past the lock."""
    connection = file.connect()
    file.take_over(connection)
    connection.close()


@pytest.mark.parametrize("on_disk", [True, False], ids=["file", "memory"])
def test_a_second_engine_s_epoch_stops_the_first(on_disk: bool, tmp_path: Path) -> None:
    """The commit after it is refused for good, leaves nothing, and is told upwards once."""
    with desk(tmp_path / "t.db" if on_disk else None) as at:
        at.commit(1, event(1))
        at.settle()

        bump_epoch(at.file)
        at.commit(2, event(2))
        at.settle()
        at.commit(3, event(3))
        at.settle()

        assert at.answers == [(1, "ok"), (2, "final"), (3, "final")]
        assert at.streams() == [1]
        assert len(at.fatal) == 1
        assert "another engine took over" in str(at.fatal[0])


def test_a_fenced_batch_is_refused_as_a_whole(tmp_path: Path) -> None:
    """Every commit in it, with the same reason."""
    with desk(tmp_path / "t.db") as at:
        bump_epoch(at.file)
        for turn in range(1, 6):
            at.commit(turn, event(turn))
        at.settle()

        assert at.answers == [(turn, "final") for turn in range(1, 6)]
        assert at.streams() == []


def test_a_bad_row_in_a_fenced_batch_changes_nothing(tmp_path: Path) -> None:
    """The fence is looked at for each commit that is tried by itself."""
    with desk(tmp_path / "t.db") as at:
        bump_epoch(at.file)
        for turn, writes in ((1, [event(1), event(1)]), (2, [event(2)])):
            at.commit(turn, *writes)
        at.settle()

        assert at.streams() == []
        assert [kind for _, kind in at.answers][-1] == "final"
        assert len(at.fatal) == 1


def test_a_fenced_writer_does_not_mark_the_file_as_clean(tmp_path: Path) -> None:
    """It is not its own any more."""
    with desk(tmp_path / "t.db", ends_cleanly=True) as at:
        bump_epoch(at.file)
        at.commit(1, event(1))
        at.settle()

    with desk(tmp_path / "t.db") as again:
        assert again.query("SELECT is_clean FROM engine") == [(0,)]


def lost_file(at: Desk) -> None:
    os.unlink(at.file.path)


def renamed_file(at: Desk) -> None:
    os.rename(at.file.path, f"{at.file.path}.old")


def another_file(at: Desk) -> None:
    """An engine's file, as old as ours, with one batch more than ours has."""
    path = Path(f"{at.file.path}.other")
    with desk(path, ends_cleanly=True) as other:
        other.commit(1, event(1_000))
        other.settle()
    os.rename(path, at.file.path)


@pytest.mark.parametrize("lose", [lost_file, renamed_file, another_file])
def test_a_file_that_is_not_where_it_was_is_noticed(lose: object, tmp_path: Path) -> None:
    """SQLite would go on writing into what nobody will ever open again; no commit is acknowledged."""
    assert callable(lose)
    with desk(tmp_path / "t.db") as at:
        lose(at)

        at.commit(1, event(1))
        at.settle()
        at.commit(2, event(2))
        at.settle()

        assert at.answers == [(1, "final"), (2, "final")]
        assert len(at.fatal) == 1
        assert isinstance(at.fatal[0], StorageFailed)
        assert "removed or renamed" in str(at.fatal[0])


def test_what_was_acknowledged_before_the_loss_was_in_the_file(tmp_path: Path) -> None:
    """The loss is found with the first commit after it, not later."""
    path = tmp_path / "t.db"
    with desk(path) as at:
        at.commit(1, event(1))
        at.settle()
        os.rename(path, tmp_path / "moved.db")
        os.rename(tmp_path / "t.db-wal", tmp_path / "moved.db-wal")
        at.commit(2, event(2))
        at.settle()
        refused = [answer for answer in at.sender.log if isinstance(answer, CommitFailed)]

        assert at.answers == [(1, "ok"), (2, "final")]
        assert all(answer.is_final for answer in refused)

    with desk(tmp_path / "moved.db") as again:
        assert again.streams()[0] == 1
