"""Crashes at every op: the crash disk loses what SQLite says can be lost, no more, and sees through a liar.

The enumerations reproduce what SQLite documents for its journal modes: a model that is too kind or too harsh
fails one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from tests.crashdisk import (
    CORRUPT,
    Mode,
    Op,
    RecorderVFS,
    Survey,
    crash_states,
    survey,
    write_image,
)
from tests.crashdisk.batches import DATABASE, LOST, VFS, Batches, batches_in, connect, record, run_to_end

FEW_SMALL = Batches()
LARGE_ROWS = Batches(batches=6, rows=8, payload_bytes=3_000, checkpoint_every=2)
SINGLE_ROWS = Batches(batches=30, rows=1, checkpoint_every=7, checkpoint_mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
WAL = DATABASE + "-wal"


@pytest.mark.parametrize("workload", [FEW_SMALL, LARGE_ROWS, SINGLE_ROWS])
def test_wal_with_full_sync_survives_every_crash(workload: Batches, folder: Path, images: Path) -> None:
    """At every op, in every mode: no damage, no acknowledged batch lost, no batch in part."""
    found = enumerate_crashes(workload, folder, images)

    assert not found.findings, found
    assert found.states > 500


def test_wal_with_normal_sync_loses_acknowledged_batches_but_no_part_of_one(
    folder: Path, images: Path
) -> None:
    """NORMAL gives up durability and keeps the rest."""
    found = enumerate_crashes(Batches(synchronous="normal"), folder, images, stride=2)

    assert found.findings.keys() == {LOST}, found


def test_wal_without_syncs_is_damaged(folder: Path, images: Path) -> None:
    """OFF lets a checkpoint overtake the WAL."""
    found = enumerate_crashes(Batches(synchronous="off"), folder, images, stride=2)

    assert {CORRUPT, LOST} <= found.findings.keys(), found


def test_a_rollback_journal_with_full_sync_can_undo_the_last_batch(folder: Path, images: Path) -> None:
    """The journal's removal is not durable when COMMIT returns: it comes back, and rolls the batch back."""
    found = enumerate_crashes(Batches(journal_mode="delete"), folder, images, stride=2)

    assert found.findings.keys() == {LOST}, found


@pytest.mark.parametrize(
    ("journal_mode", "synchronous"), [("delete", "extra"), ("truncate", "full"), ("persist", "full")]
)
def test_a_rollback_journal_ended_durably_survives_every_crash(
    journal_mode: str, synchronous: str, folder: Path, images: Path
) -> None:
    """EXTRA syncs the folder after the delete; TRUNCATE and PERSIST sync the journal itself."""
    workload = Batches(journal_mode=journal_mode, synchronous=synchronous)

    found = enumerate_crashes(workload, folder, images, stride=3)

    assert not found.findings, found


@pytest.mark.parametrize("liar", [DATABASE, WAL, ""])
def test_a_lying_disk_is_found_out(liar: str, folder: Path, images: Path) -> None:
    """Whether it lies about the database, the WAL or all: damage or loss shows, so the suite can see it."""
    found = enumerate_crashes(
        FEW_SMALL, folder, images, stride=2, ignores_sync=lambda file: file == liar or not liar
    )

    assert {CORRUPT, LOST} <= found.findings.keys(), found


def test_an_acknowledgement_before_the_commit_is_found_out(folder: Path, images: Path) -> None:
    """The bug that this disk is for."""
    with RecorderVFS(VFS, folder) as recorder, closing(connect(folder)) as connection:
        FEW_SMALL.configure(connection)
        for batch in range(5):
            FEW_SMALL.write(connection, batch)
            recorder.mark(batch)
            run_to_end(connection, "commit")

    found = examine_all(FEW_SMALL, recorder.ops, images)

    assert found.findings.keys() == {LOST}, found


def test_a_second_life_on_a_crashed_image_survives_every_crash_too(folder: Path, images: Path) -> None:
    """Recovery is a workload like any other: what the first life acknowledged outlives the second."""
    for state in crash_states(record(FEW_SMALL, folder), modes=(Mode.TORN, Mode.TRASH), seed=2, stride=40):
        write_image(state.files, folder)
        with RecorderVFS(VFS, folder) as recorder, closing(connect(folder)) as connection:
            for label in state.marks:
                recorder.mark(label)
            first = len(batches_in(connection))
            Batches(batches=2).run(connection, recorder.mark, first=first)

        found = examine_all(FEW_SMALL, recorder.ops, images, stride=4)

        assert not found.findings, (state, found)


def enumerate_crashes(
    workload: Batches,
    folder: Path,
    images: Path,
    *,
    stride: int = 1,
    ignores_sync: Callable[[str], bool] = lambda file: False,
) -> Survey:
    """Runs the workload in `folder`, and examines its crash states in `images`."""
    return examine_all(workload, record(workload, folder), images, stride=stride, ignores_sync=ignores_sync)


def examine_all(
    workload: Batches,
    ops: list[Op],
    images: Path,
    *,
    stride: int = 1,
    ignores_sync: Callable[[str], bool] = lambda file: False,
) -> Survey:
    """Examines the crash states of a recording."""
    states = crash_states(ops, seed=1, stride=stride, ignores_sync=ignores_sync)
    return survey(states, folder=images, database=DATABASE, check=workload.check)
