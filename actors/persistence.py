"""The only writer: takes commits from all actors and makes them durable, many with one sync.

    Commit ─┐
    Commit ─┼─▶ one transaction, one fsync ──▶ Committed to each sender
    Commit ─┘

Nobody is answered before the batch is on the disk. After any error that is not the fault of a row, the
outcome counts as unknown until a fresh connection has read the batch number back: a COMMIT that raises
may have committed.
"""

from __future__ import annotations

import hashlib
import logging
from array import array
from collections.abc import Callable
from itertools import chain
from typing import Any

import apsw

from tempolite.actors.actor import Actor, receives, tell_if_alive
from tempolite.actors.commit_bell import CommitBell
from tempolite.actors.database_file import BUSY_TIMEOUT_MS, DatabaseFile, run
from tempolite.actors.messages import Commit, CommitFailed, Committed, Flush, GiveSpaceBack, Statement
from tempolite.errors import DatabaseDamaged, StorageFailed, StorageFull

logger = logging.getLogger("tempolite")

ROWS_PER_STATEMENT = (64, 16, 4, 1)
"""Inserts are executed in chunks of these sizes: each execution releases and takes the GIL once."""

CHECKPOINT_PAGES = 2_000
"""Pages in the log at which it is brought into the database, 8 MB."""

COMMITS_PER_BATCH = 4_096

PAUSE_FACTOR_MAX = 4.0
"""How many times as long as a batch took the next one waits for company, at the most."""

PAUSE_MAX_S = 0.01
"""Longest time that commits of a loaded engine wait for company, however slow the disk is."""

DIGEST_SIZE = 16

FREE_PAGES_PER_PART = 2_000
"""Pages given back at once, 8 MB: others' commits get their turn in between."""

_ROW_FAULTS = (
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.TooBigError,
    apsw.RangeError,
    TypeError,
    ValueError,
    OverflowError,
)


class PersistenceActor(Actor):
    """Serialises all writes to one file.

    Args:
        file: the open file.
        on_fatal: told once when the file can't be written any more.

    Attributes:
        commits: transactions that became durable.
        bell: rings after each of them.
    """

    def __init__(
        self, file: DatabaseFile, *, on_fatal: Callable[[Exception], None] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._file = file
        self._on_fatal = on_fatal
        self._connection = file.connect()
        state = file.take_over(self._connection)
        self.epoch, self.batch = state.epoch, state.batch
        self.was_clean = state.is_clean
        self.commits = 0
        self.bell = CommitBell()
        self._uuid = state.uuid
        self._chain = state.chain
        self._waiting: list[Commit] = []
        self._is_hooked = False
        self._last_size, self._last_took_s, self._last_end_s = 1, 0.0, 0.0
        self._wal_pages = 0
        self.checkpoint_pages = CHECKPOINT_PAGES
        self._fatal: Exception | None = None
        self._is_abandoned = False
        self._insert_texts: dict[tuple[str, int], str] = {}
        self._watch_log()

    @receives(Commit)
    def on_commit(self, message: Commit) -> None:
        """Joins the next batch."""
        self._waiting.append(message)
        if len(self._waiting) >= COMMITS_PER_BATCH:
            self.flush()
        elif not self._is_hooked:
            self._is_hooked = True
            self._schedule_flush()

    @receives(Flush)
    def on_flush(self, _message: Flush) -> None:
        """Writes what waits, now."""
        self.flush()

    @receives(GiveSpaceBack)
    def on_give_space_back(self, _message: GiveSpaceBack) -> int:
        """Gives back a part of the pages that hold nothing; answers with how many are left.

        With the last part the log is cut off too, unless somebody is reading it.
        """
        self.flush()
        self._make_durable([], free_pages=FREE_PAGES_PER_PART)
        if self._fatal is not None:
            raise self._fatal
        left: int = run(self._connection, "PRAGMA freelist_count")[0][0]
        if not left and not self._file.is_memory:
            self._cut_log()
        return left

    def _schedule_flush(self) -> None:
        """When this round's mail is done; under load after a pause, so that more commits share the sync.

        The pause grows with the size of the last batch, up to a few times of what that took: a loaded engine
        spends a fifth of its time in syncs, and a commit that comes alone never waits.
        """
        company = min(PAUSE_FACTOR_MAX, (self._last_size - 1) / 2)
        due_s = self._last_end_s + min(PAUSE_MAX_S, self._last_took_s * company)
        if due_s <= self.dispatcher.clock.monotonic_s():
            self.dispatcher.before_sleep(self._flush_hook, is_last=True)
        else:
            self.dispatcher.call_at(due_s, self._flush_hook)

    def _flush_hook(self) -> None:
        self._is_hooked = False
        began_s = self.dispatcher.clock.monotonic_s()
        self._last_size = len(self._waiting)
        self.flush()
        self._last_end_s = self.dispatcher.clock.monotonic_s()
        self._last_took_s = self._last_end_s - began_s

    def flush(self) -> None:
        """Makes everything that waits durable, and tells the senders."""
        batch, self._waiting = self._waiting, []
        if batch:
            self._make_durable(batch)

    def _make_durable(self, batch: list[Commit], *, free_pages: int = 0) -> None:
        if self._is_abandoned:
            return
        if self._fatal is not None:
            self._refuse(batch, self._fatal)
            return
        try:
            self._write(batch, free_pages=free_pages)
        except _ROW_FAULTS as error:
            self._roll_back()
            self._write_one_by_one(batch, error)
        except apsw.FullError as error:
            self._settle_unknown(batch, StorageFull(f"{self._file.path}: no space left: {error}"))
        except Exception as error:
            self._settle_unknown(
                batch, StorageFailed(f"{self._file.path}: a write failed: {error}"), fatal=True
            )
        else:
            for commit in batch:
                tell_if_alive(commit.sender, Committed(commit.turn))
            self.bell.ring()
            self._checkpoint_if_due()

    def abandon(self) -> None:
        """Writes nothing more and answers nobody, as if the process had ended; from any thread."""
        self._is_abandoned = True

    def close(self, *, is_clean: bool) -> None:
        """Ends writing; after a clean end the next start needs no recovery."""
        if is_clean and self._fatal is None:
            self.flush()
        self.bell.close()
        if is_clean and self._fatal is None:
            run(self._connection, self._file.layout.mark_clean, (self.epoch,))
            if not self._file.is_memory:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self._file.end_cleanly(self._connection)
        self._connection.close()

    def _write(self, batch: list[Commit], *, free_pages: int = 0) -> None:
        with self._file.undivided:
            self._write_transaction(batch, free_pages)

    def _write_transaction(self, batch: list[Commit], free_pages: int) -> None:
        number = self.batch + 1
        groups, digest = _grouped(batch), hashlib.blake2b(self._chain, digest_size=DIGEST_SIZE)
        run(self._connection, "BEGIN IMMEDIATE")
        for statement in sorted(groups, key=lambda statement: statement.rank):
            self._execute(statement, groups[statement], number, digest)
        if free_pages:
            run(self._connection, f"PRAGMA incremental_vacuum({free_pages})")
        link = digest.digest()
        self._advance(number, link)
        run(self._connection, "COMMIT")
        self._check_place()
        # Only now is the batch durable; before this line nothing may be told to anybody.
        self.batch, self._chain = number, link
        self.commits += 1

    def _execute(self, statement: Statement, rows: list[tuple[Any, ...]], number: int, digest: Any) -> None:
        if statement.is_stamped:
            digest.update(array("Q", [row[-1] for row in rows]).tobytes())
        start, stamp = 0, (self.epoch, number) if statement.is_stamped else ()
        if not statement.is_insert:
            self._connection.executemany(statement.sql, [stamp + row for row in rows] if stamp else rows)
            return
        for size in ROWS_PER_STATEMENT:
            while len(rows) - start >= size:
                parameters = list(chain(stamp, *rows[start : start + size]))
                run(self._connection, self._insert_text(statement, size), parameters)
                start += size

    def _insert_text(self, statement: Statement, size: int) -> str:
        text = self._insert_texts.get((statement.name, size))
        if text is None:
            text = self._insert_texts[statement.name, size] = _insert_text(statement, size)
        return text

    def _advance(self, number: int, link: bytes) -> None:
        run(self._connection, self._file.layout.advance_batch, (number, link, self.epoch))
        if self._connection.changes() != 1:
            raise DatabaseDamaged(
                f"{self._file.path}: another engine took over, or batch {number - 1} is missing"
            )

    def _write_one_by_one(self, batch: list[Commit], error: BaseException) -> None:
        """A bad row fails only its own commit: each gets a transaction of its own."""
        for commit in batch:
            try:
                self._write([commit])
            except _ROW_FAULTS as fault:
                self._roll_back()
                logger.error("a commit of %d writes was refused: %s", len(commit.writes), fault)
                _tell(commit, CommitFailed(commit.turn, StorageFailed(f"a row was refused: {fault}")))
            except Exception as fault:
                rest = batch[batch.index(commit) :]
                self._settle_unknown(rest, StorageFailed(f"a write failed: {fault}"), fatal=True)
                return
            else:
                _tell(commit, Committed(commit.turn))
        self.bell.ring()

    def _settle_unknown(self, batch: list[Commit], error: Exception, *, fatal: bool = False) -> None:
        """Finds out what became of a batch whose write raised, and answers accordingly."""
        try:
            # Asked of the connection that wrote: a new one finds nothing moved, and reads another engine's
            # file through our log, which lies beside it.
            self._check_place()
            self._reconnect()
            state = self._file.read_state(self._connection)
        except Exception as again:
            logger.error("%s: can't be read after a failed write: %s", self._file.path, again)
            self._fail(batch, error)
            return
        # At the path may lie another engine's file by now, as far on as ours.
        is_ours = (state.uuid, state.epoch) == (self._uuid, self.epoch) and not self._file.has_moved(
            self._connection
        )
        if is_ours and state.batch == self.batch + 1:
            self.batch, self._chain = state.batch, state.chain
            for commit in batch:
                _tell(commit, Committed(commit.turn))
            self.commits += 1
            self.bell.ring()
            batch = []
        if fatal:
            self._fail(batch, error)
        else:
            for commit in batch:
                _tell(commit, CommitFailed(commit.turn, error))

    def _check_place(self) -> None:
        if self._file.has_moved(self._connection):
            raise StorageFailed(f"{self._file.path} was removed or renamed while open")

    def _fail(self, batch: list[Commit], error: Exception) -> None:
        # Fail-stop: after an I/O error nobody knows which pages the disk really holds. The next start
        # writes the log again before SQLite trusts it.
        self._fatal = error
        self._refuse(batch, error)
        if self._on_fatal is not None:
            self._on_fatal(error)

    def _refuse(self, batch: list[Commit], error: Exception) -> None:
        for commit in batch:
            _tell(commit, CommitFailed(commit.turn, error, is_final=True))

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            run(self._connection, "ROLLBACK")

    def _reconnect(self) -> None:
        try:
            self._connection.close(True)
        except apsw.Error as error:
            logger.error("%s: closing after a failed write: %s", self._file.path, error)
        self._connection = self._file.connect()
        self._watch_log()

    def _watch_log(self) -> None:
        def remember(_connection: apsw.Connection, _name: str, pages: int) -> int:
            self._wal_pages = pages
            return apsw.SQLITE_OK

        self._connection.set_wal_hook(remember)

    def _cut_log(self) -> None:
        # Not waited for: a reader of an old state holds its part of the log, and commits go before space.
        self._connection.set_busy_timeout(0)
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error as error:
            logger.info("%s: the log stays as long as it is: %s", self._file.path, error)
        finally:
            self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)

    def _checkpoint_if_due(self) -> None:
        if self._wal_pages < self.checkpoint_pages or self._file.is_memory:
            return
        try:
            with self._file.undivided:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            # Commits go on; the log only grows until a later checkpoint succeeds.
            logger.warning("%s: checkpoint failed, will be tried again: %s", self._file.path, error)
        self._wal_pages = 0


def _insert_text(statement: Statement, size: int) -> str:
    """Inserts that many rows; epoch and batch, the same for all, are the first two parameters."""
    stamps = ("?1", "?2") if statement.is_stamped else ()
    own = statement.columns - len(stamps)
    first = len(stamps) + 1
    rows = ([f"?{first + row * own + column}" for column in range(own)] for row in range(size))
    return f"{statement.sql} " + ", ".join(f"({', '.join((*row, *stamps))})" for row in rows)


def _grouped(batch: list[Commit]) -> dict[Statement, list[tuple[Any, ...]]]:
    groups: dict[Statement, list[tuple[Any, ...]]] = {}
    # By identity first: the hash of a statement is made of all that it is.
    appends: dict[int, Callable[[tuple[Any, ...]], None]] = {}
    for commit in batch:
        for statement, row in commit.writes:
            append = appends.get(id(statement))
            if append is None:
                append = appends[id(statement)] = groups.setdefault(statement, []).append
            append(row)
    return groups


def _tell(commit: Commit, answer: Committed | CommitFailed) -> None:
    # The sender may be gone: a run that was discarded doesn't wait for its answer.
    tell_if_alive(commit.sender, answer)
