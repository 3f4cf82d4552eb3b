"""A persistence actor on a seeded dispatcher, with somebody who sends it commits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from tempolite.actors.database_file import MEMORY, DatabaseFile, run
from tempolite.actors.dispatcher import Dispatcher
from tempolite.actors.messages import Commit, CommitFailed, Committed, Write
from tempolite.actors.persistence import PersistenceActor
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tempolite.core.events import Entry, SideEffectCompleted
from tempolite.core.identifiers import StepKey, StreamId
from tempolite.store import statements
from tempolite.store.schema import LAYOUT
from tests.actors.probes import Collector

ROWS = "SELECT stream, seq, epoch, batch FROM events ORDER BY position"


def event(stream: int, seq: int = 1, *, value: str = "null") -> Write:
    """A write that appends one event to a stream."""
    body = SideEffectCompleted(msgspec.Raw(value.encode()))
    return statements.insert_event(StreamId(stream), Entry(seq, 1_000, body, StepKey("s")))


class Desk:
    """Sends commits and sees what is answered.

    Attributes:
        file: the open file.
        actor: what is tested.
        sender: who commits; its log has the answers.
        fatal: what the actor said upwards.
    """

    def __init__(self, file: DatabaseFile, dispatcher: Dispatcher) -> None:
        self.file = file
        self.dispatcher = dispatcher
        self.fatal: list[Exception] = []
        self.actor = PersistenceActor(file, on_fatal=self.fatal.append)
        self.actor.launch(dispatcher)
        self.sender = Collector()
        self.sender.launch(dispatcher)

    def commit(self, turn: int, *writes: Write) -> None:
        """Posts a commit; nothing happens before ``settle``."""
        self.actor.actor_ref.tell(Commit(self.sender.actor_ref, turn, list(writes)))

    def settle(self) -> None:
        """Runs until everything is answered."""
        assert isinstance(self.dispatcher, SeededDispatcher)
        self.dispatcher.run_until_idle()

    @property
    def answers(self) -> list[tuple[int, str]]:
        """Turn and kind of each answer: ``ok``, ``failed`` or ``final``."""
        return [(answer.turn, kind_of(answer)) for answer in self.sender.log]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """What a reader sees."""
        with self.file.reader() as connection:
            return run(connection, sql)

    def streams(self) -> list[int]:
        """Streams of all events in the order in which they were written."""
        return [row[0] for row in self.query(ROWS)]


def kind_of(answer: Committed | CommitFailed) -> str:
    """What an answer comes to."""
    if isinstance(answer, Committed):
        return "ok"
    return "final" if answer.is_final else "failed"


@contextmanager
def desk(path: Path | None, seed: int = 1, *, ends_cleanly: bool = False) -> Iterator[Desk]:
    """A desk on a file, or in memory."""
    file = DatabaseFile(MEMORY if path is None else str(path), LAYOUT)
    at = Desk(file, SeededDispatcher(seed))
    try:
        yield at
        at.actor.close(is_clean=ends_cleanly)
    except BaseException:
        with suppress(Exception):
            at.actor.close(is_clean=False)
        raise
    finally:
        file.close()
