"""Power loss under the persistence actor, at every write and every sync of a generated workload."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from tempolite.actors.actor import Actor, receives
from tempolite.actors.database_file import DatabaseFile
from tempolite.actors.messages import Commit, CommitFailed, Committed, Write
from tempolite.actors.persistence import PersistenceActor
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tempolite.core.events import Entry, SideEffectCompleted
from tempolite.core.identifiers import StepKey, StreamId
from tempolite.store import statements
from tempolite.store.schema import LAYOUT
from tests.crashdisk import (
    STICKY,
    CrashState,
    Fault,
    Op,
    RecorderVFS,
    Survey,
    Synced,
    Written,
    crash_states,
    disk_full,
    image_folder,
    survey,
    sync_failed,
    write_failed,
)

VFS = "crash-persistence"
DATABASE = "engine.db"
COMMITS = 24
LOST = "acknowledged commit lost"
PARTIAL = "commit in part"
BROKEN_CHAIN = "batch counter and events disagree"


class Sender(Actor):
    """Counts what it is told of its commits."""

    def __init__(self, recorder: RecorderVFS) -> None:
        super().__init__()
        self._recorder = recorder
        self.committed: list[int] = []
        self.failed: list[int] = []

    @receives(Committed)
    def on_committed(self, message: Committed) -> None:
        """From here on it must survive everything."""
        self._recorder.mark(message.turn)
        self.committed.append(message.turn)

    @receives(CommitFailed)
    def on_failed(self, message: CommitFailed) -> None:
        """It must never be seen."""
        self.failed.append(message.turn)


def test_no_power_loss_takes_an_acknowledged_commit(tmp_path: Path) -> None:
    """With synchronous=FULL: 0 acknowledged commits lost, 0 commits in part, at every op in every mode."""
    found = crash_everywhere(tmp_path, "FULL")

    assert not found.findings, found
    assert found.states > 1_000


def test_the_same_enumeration_catches_a_weaker_durability(tmp_path: Path) -> None:
    """With synchronous=NORMAL acknowledged commits are lost, and the test above would say so."""
    found = crash_everywhere(tmp_path, "NORMAL", stride=3)

    assert found.findings[LOST] > 0
    assert found.findings[PARTIAL] == 0


@pytest.mark.parametrize("times", [1, STICKY])
@pytest.mark.parametrize(
    ("error", "kind"), [(write_failed, Written), (sync_failed, Synced), (disk_full, Written)]
)
def test_no_single_fault_makes_the_answer_wrong(error: Any, kind: type[Op], times: int) -> None:
    """Fail the n-th write or sync, for every n: acknowledged is in the file, refused is not, ever."""
    n, fired = 0, True
    while fired:
        n += 1
        fault = Fault(nth=n, error=error, on=(kind,), times=times)
        with image_folder() as folder:
            sender = run_workload(folder, "FULL", fault)
            present = commits_in(folder)

        fired = fault.fired > 0
        assert set(sender.committed) <= present, f"fault {n}: acknowledged, but not there"
        assert present.isdisjoint(sender.failed), f"fault {n}: refused, but there"
    assert n > 10


def crash_everywhere(folder: Path, synchronous: str, stride: int = 1) -> Survey:
    with RecorderVFS(VFS, folder) as recorder:
        live_and_stop(folder, recorder, synchronous)
    with image_folder() as images:
        states = crash_states(recorder.ops, seed=7, stride=stride)
        return survey(states, folder=images, database=DATABASE, check=check)


def run_workload(folder: Path, synchronous: str, fault: Fault) -> Sender:
    with RecorderVFS(VFS, folder) as recorder:
        return live_and_stop(folder, recorder, synchronous, fault)


def live_and_stop(
    folder: Path, recorder: RecorderVFS, synchronous: str, fault: Fault | None = None
) -> Sender:
    """A persistence actor with random commits, some alone, some many in a batch, with checkpoints between."""
    file = DatabaseFile(str(folder / DATABASE), LAYOUT, vfs=VFS, synchronous=synchronous)
    dispatcher = SeededDispatcher(seed=3)
    actor = PersistenceActor(file)
    actor.checkpoint_pages = 20
    actor.launch(dispatcher)
    sender = Sender(recorder)
    sender.launch(dispatcher)
    if fault is not None:
        recorder.inject(fault)
    draw = random.Random(11)
    turn = 0
    while turn < COMMITS:
        for _ in range(draw.choice((1, 1, 2, 7))):
            turn += 1
            actor.actor_ref.tell(Commit(sender.actor_ref, turn, writes_of(turn, draw)))
        dispatcher.run_until_idle()
    actor.close(is_clean=False)
    file.close()
    return sender


def writes_of(turn: int, draw: random.Random) -> list[Write]:
    """A stream for each commit, with as many events as its number modulo 5, and a payload of any size."""
    return [
        statements.insert_event(
            StreamId(turn),
            Entry(
                seq,
                1_000,
                SideEffectCompleted(f'"{"x" * draw.choice((1, 50, 5_000))}"'.encode()),
                StepKey("s"),
            ),  # type: ignore[arg-type]
        )
        for seq in range(1, 2 + turn % 5)
    ]


def check(connection: apsw.Connection, state: CrashState) -> Iterator[str]:
    if not connection.table_exists("main", "events"):
        if state.marks:
            yield LOST
        return
    found = dict(connection.execute("SELECT stream, count(*) FROM events GROUP BY stream"))
    if not set(state.marks) <= found.keys():
        yield LOST
    if any(count != 1 + stream % 5 for stream, count in found.items()):
        yield PARTIAL
    batch = connection.execute("SELECT batch FROM engine").get
    if (connection.execute("SELECT max(batch) FROM events").get or 0) != batch:
        yield BROKEN_CHAIN


def commits_in(folder: Path) -> set[int]:
    """What the next engine would find."""
    file = DatabaseFile(str(folder / DATABASE), LAYOUT)
    try:
        with file.reader() as connection:
            return {row[0] for row in connection.execute("SELECT DISTINCT stream FROM events")}
    finally:
        file.close()
