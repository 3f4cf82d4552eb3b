"""The persistence actor: many commits with one sync, each all or nothing, answered in order."""

from __future__ import annotations

import os
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tempolite.actors import persistence
from tempolite.actors.clock import SystemClock
from tempolite.actors.database_file import DatabaseFile
from tempolite.actors.dispatcher import ThreadDispatcher
from tempolite.actors.messages import Commit, CommitFailed, Flush, GiveSpaceBack, Statement, Write
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tempolite.errors import StorageFailed
from tempolite.store import statements
from tempolite.store.schema import LAYOUT
from tests.actors.desk import ROWS, Desk, desk, event
from tests.actors.probes import DEADLINE_S, Do, Probe

BAD_WRITES: list[tuple[str, Write]] = [
    ("a stream and number that exist", event(99, 1)),
    ("no text where there must be one", (statements.INSERT_EVENT, (7, 1, "T", "s", 1, None, 0, 1))),
    ("a text where there must be a number", (statements.INSERT_EVENT, (7, 1, "T", "s", 1, "{}", "now", 1))),
    ("a number that is too large", (statements.INSERT_EVENT, (2**63, 1, "T", "s", 1, "{}", 0, 1))),
    ("a text that can't be encoded", (statements.INSERT_EVENT, (7, 1, "T", "\udc80", 1, "{}", 0, 1))),
    ("a value that no column takes", (statements.INSERT_EVENT, (7, 1, "T", "s", 1, object(), 0, 1))),
    ("a checksum that is none", (statements.INSERT_EVENT, (7, 1, "T", "s", 1, "{}", 0, -1))),
]


# ── group commit ────────────────────────────────────────────────────────────────────────────────────────


def test_commits_of_one_round_share_a_transaction(tmp_path: Path) -> None:
    """Fifty senders, one sync: the batch closes when the mail of the round is done."""
    file, dispatcher = DatabaseFile(str(tmp_path / "t.db"), LAYOUT), ThreadDispatcher("test", SystemClock())
    at, probe = Desk(file, dispatcher), Probe()
    probe.launch(dispatcher)
    for turn in range(1, 51):
        probe.actor_ref.tell(Do(partial(at.commit, turn, event(turn))))
    all_told = probe.actor_ref.ask(Do(lambda: None), block=False)

    dispatcher.start()
    all_told.get(timeout=DEADLINE_S)
    at.actor.actor_ref.ask(Flush(), timeout=DEADLINE_S)
    assert dispatcher.stop(DEADLINE_S)

    assert len(at.query(ROWS)) == 50
    assert {row[3] for row in at.query(ROWS)} == {1}
    at.actor.close(is_clean=True)
    file.close()


@pytest.mark.parametrize("seed", range(10))
def test_everything_is_committed_and_answered_however_batches_fall(seed: int, tmp_path: Path) -> None:
    """Batches begin and end anywhere between the commits; none is lost, none is answered twice."""
    with desk(tmp_path / "t.db", seed) as at:
        for turn in range(1, 41):
            at.commit(turn, event(turn))
        at.settle()

        assert at.answers == [(turn, "ok") for turn in range(1, 41)]
        assert at.streams() == list(range(1, 41))


def test_nothing_is_answered_before_it_is_written(tmp_path: Path) -> None:
    """Until the batch is closed there is no answer and no row; after it there are both."""
    with desk(tmp_path / "t.db") as at:
        at.actor.on_commit(Commit(at.sender.actor_ref, 1, [event(1)]))
        assert (at.streams(), len(at.sender.actor_inbox.mail)) == ([], 0)  # type: ignore[attr-defined]

        at.actor.flush()

        assert (at.streams(), len(at.sender.actor_inbox.mail)) == ([1], 1)  # type: ignore[attr-defined]


def test_a_flush_is_answered_when_what_waited_is_written(tmp_path: Path) -> None:
    """Whoever closes an engine relies on it."""
    with desk(tmp_path / "t.db") as at:
        at.commit(1, event(1))
        flushed = at.actor.actor_ref.ask(Flush(), block=False)

        assert isinstance(at.dispatcher, SeededDispatcher)
        at.dispatcher.wait(flushed, timeout=None)  # type: ignore[arg-type]

        assert at.streams() == [1]


def test_rows_lie_in_the_order_of_their_commits() -> None:
    """And within a commit in the order in which they were given; each batch after the one before."""
    with desk(None, seed=5) as at:
        for turn in range(1, 31):
            at.commit(turn, *(event(turn, seq) for seq in range(1, 1 + turn % 4)))
        at.settle()
        rows = at.query(ROWS)

    assert [row[:2] for row in rows] == [(t, s) for t in range(1, 31) for s in range(1, 1 + t % 4)]
    assert [row[3] for row in rows] == sorted(row[3] for row in rows)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 63, 64, 65, 84, 85, 200])
def test_any_number_of_rows_is_written_whole_and_in_order(count: int) -> None:
    """However they are cut into statements."""
    with desk(None) as at:
        at.commit(1, *(event(1, seq) for seq in range(1, count + 1)))
        at.settle()

        assert [row[1] for row in at.query(ROWS)] == list(range(1, count + 1))


def test_statements_of_a_lower_rank_come_first() -> None:
    """A row is inserted before something of the same batch changes it, however they were given."""
    touch = Statement("touch", "UPDATE events SET attempt = 7 WHERE stream = ?1", columns=1, rank=3)
    with desk(None) as at:
        at.commit(1, (touch, (1,)), event(1))
        at.settle()

        assert at.query("SELECT attempt FROM events") == [(7,)]


def test_every_row_carries_who_wrote_it_and_when() -> None:
    """The epoch of the engine and the number of the batch, which is also the engine's."""
    with desk(None) as at:
        for turn in (1, 2, 3):
            at.commit(turn, event(turn))
            at.settle()

        assert [row[2:] for row in at.query(ROWS)] == [(1, 1), (1, 2), (1, 3)]
        assert at.query("SELECT epoch, batch FROM engine") == [(1, 3)]


def test_the_chain_depends_on_every_row() -> None:
    """The same rows give the same digest, one changed value gives another."""

    def chain(value: str) -> Any:
        with desk(None) as at:
            at.commit(1, event(1), event(2, value=value))
            at.settle()
            at.commit(2, event(3))
            at.settle()
            return at.query("SELECT chain FROM engine")[0][0]

    assert chain("1") == chain("1")
    assert chain("1") != chain("2")


# ── a bad row ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("bad", [write for _, write in BAD_WRITES], ids=[name for name, _ in BAD_WRITES])
def test_a_bad_row_fails_its_own_commit_only(bad: Write, tmp_path: Path) -> None:
    """Others of the batch are written and answered, the bad one leaves nothing, and writing goes on."""
    with desk(tmp_path / "t.db") as at:
        at.commit(1, event(99))
        at.settle()
        at.actor.on_commit(Commit(at.sender.actor_ref, 2, [event(2)]))
        at.actor.on_commit(Commit(at.sender.actor_ref, 3, [event(3), bad, event(3, 2)]))
        at.actor.on_commit(Commit(at.sender.actor_ref, 4, [event(4)]))
        at.settle()
        at.commit(5, event(5))
        at.settle()

        assert at.answers == [(1, "ok"), (2, "ok"), (3, "failed"), (4, "ok"), (5, "ok")]
        assert at.streams() == [99, 2, 4, 5]
        assert at.fatal == []


def test_a_refused_commit_says_why() -> None:
    """With an error that is about storage, and the cause in its text."""
    with desk(None) as at:
        at.commit(1, event(1), event(1))
        at.settle()

        (answer,) = at.sender.log
        assert isinstance(answer, CommitFailed)
        assert isinstance(answer.error, StorageFailed)
        assert "UNIQUE" in str(answer.error)


def test_many_bad_rows_fail_as_many_commits() -> None:
    """Each is tried by itself."""
    with desk(None) as at:
        for turn in range(1, 9):
            writes = [event(turn), event(turn)] if turn % 2 else [event(turn)]
            at.actor.on_commit(Commit(at.sender.actor_ref, turn, writes))
        at.settle()

        assert at.answers == [(turn, "failed" if turn % 2 else "ok") for turn in range(1, 9)]


# ── senders that are gone, memory, ends ─────────────────────────────────────────────────────────────────


def test_a_sender_that_is_gone_is_not_told() -> None:
    """Its rows are written all the same, and so are those of others."""
    with desk(None) as at:
        gone = Probe()
        gone.launch(at.dispatcher)
        at.actor.on_commit(Commit(gone.actor_ref, 1, [event(1)]))
        at.commit(2, event(2))
        gone.stop_now()
        at.settle()

        assert (at.answers, at.streams()) == ([(2, "ok")], [1, 2])


def test_a_database_in_memory_behaves_alike() -> None:
    """Commits, readers in other threads, and nothing on disk."""
    with desk(None) as at:
        at.commit(1, event(1))
        at.settle()
        seen: list[list[int]] = []
        reader = threading.Thread(target=lambda: seen.append(at.streams()))
        reader.start()
        reader.join(DEADLINE_S)

        assert (at.answers, seen) == ([(1, "ok")], [[1]])
        assert at.file.workers_lock_path is None


def test_two_databases_in_memory_share_nothing() -> None:
    """Several engines can live in one process."""
    with desk(None) as one, desk(None) as other:
        one.commit(1, event(1))
        one.settle()

        assert (one.streams(), other.streams()) == ([1], [])


def test_an_abandoned_writer_writes_and_answers_nothing(tmp_path: Path) -> None:
    """As if the process had ended before the batch was closed."""
    with desk(tmp_path / "t.db") as at:
        at.commit(1, event(1))
        at.actor.abandon()
        at.settle()

        assert (at.answers, at.streams()) == ([], [])


@pytest.mark.parametrize(("is_clean", "kept"), [(True, [1]), (False, [])])
def test_a_clean_end_writes_what_waits(is_clean: bool, kept: list[int], tmp_path: Path) -> None:
    """An unclean one leaves it, as a kill would; the run does that turn again."""
    with desk(tmp_path / "t.db", ends_cleanly=is_clean) as at:
        at.actor.on_commit(Commit(at.sender.actor_ref, 1, [event(1)]))

    with desk(tmp_path / "t.db") as again:
        assert again.streams() == kept


def test_batches_go_on_where_they_were(tmp_path: Path) -> None:
    """The next engine has the next epoch, and numbers its batches from the last one."""
    for turn in (1, 2):
        with desk(tmp_path / "t.db") as at:
            at.commit(turn, event(turn))
            at.settle()

    with desk(tmp_path / "t.db") as at:
        assert at.query(ROWS) == [(1, 1, 1, 1), (2, 1, 2, 2)]
        assert (at.actor.epoch, at.actor.batch) == (3, 2)


def test_a_writer_knows_whether_the_last_one_ended_cleanly(tmp_path: Path) -> None:
    """A new file counts as clean."""
    ends = []
    for ends_cleanly in (True, False, True):
        with desk(tmp_path / "t.db", ends_cleanly=ends_cleanly) as at:
            ends.append(at.actor.was_clean)

    assert ends == [True, True, False]


def test_the_log_does_not_grow_without_end(tmp_path: Path) -> None:
    """It is brought into the database at a bound, and used again from its start."""
    path = tmp_path / "t.db"
    with desk(path) as at:
        at.actor.checkpoint_pages = 20
        for turn in range(1, 201):
            at.commit(turn, event(turn, value=f'"{"x" * 2_000}"'))
            at.settle()

        assert os.stat(f"{path}-wal").st_size < 60 * 4_200
        assert os.stat(path).st_size > 100 * 2_000
        assert len(at.streams()) == 200


def test_a_statement_that_changes_rows_is_executed_for_each() -> None:
    """Not only inserts are gathered."""
    sweep = Statement("sweep", "DELETE FROM events WHERE stream = ?1", columns=1, rank=9)
    with desk(None) as at:
        at.commit(1, *(event(stream) for stream in range(1, 6)))
        at.commit(2, (sweep, (2,)), (sweep, (4,)))
        at.settle()

        assert at.streams() == [1, 3, 5]


def test_space_is_given_back_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits get their turn in between; the last part cuts the log off, and nothing is left to give."""
    monkeypatch.setattr(persistence, "FREE_PAGES_PER_PART", 10)
    with desk(tmp_path / "t.db") as at:
        at.commit(1, *(event(stream, value=f'"{"x" * 4_000}"') for stream in range(1, 60)))
        at.commit(2, (Statement("empty", "DELETE FROM events", columns=0, rank=9), ()))
        at.settle()
        left = []
        while not left or left[-1]:
            reply: Any = at.actor.actor_ref.ask(GiveSpaceBack(), block=False)
            at.commit(3 + len(left), event(100 + len(left)))
            at.settle()
            left.append(reply.get(timeout=0))

        assert left == sorted(left, reverse=True)
        assert len(left) > 4
        assert [kind for _, kind in at.answers] == ["ok"] * (2 + len(left))
        assert at.actor.commits == at.actor.batch


def test_the_bell_rings_when_something_is_durable() -> None:
    """Once for who waits; after the end it says that nothing will come."""
    with desk(None) as at:
        first = at.actor.bell.next_commit()
        assert not first.is_set
        at.commit(1, event(1))
        at.settle()
        waiting = at.actor.bell.next_commit()
        late = waiting.is_set

    assert (first.get(timeout=0), late, waiting.get(timeout=0)) == (True, False, False)
    assert at.actor.bell.next_commit().get(timeout=0) is False
