"""Crash states as values, and the images that are made of them."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from tests.crashdisk import (
    CORRUPT,
    CrashState,
    Created,
    FolderSynced,
    Found,
    Marked,
    Mode,
    Op,
    Written,
    crash_state,
    crash_states,
    examine,
    survey,
    write_image,
)
from tests.crashdisk.batches import DATABASE, Batches, record


def test_a_state_knows_what_was_marked_before_it() -> None:
    """A mark counts from the op after which it was made, and for ever."""
    ops: list[Op] = [Marked(label=1), Created(file="a"), Marked(label="two")]

    marks = [state.marks for state in crash_states(ops, modes=[Mode.ALL], seed=0)]

    assert marks == [(1,), (1,), (1, "two")]


def test_files_found_at_the_start_are_in_every_state() -> None:
    """They were there together: no crash falls between them."""
    ops: list[Op] = [Found(file="a", data=b"a"), Found(file="b", data=b"b"), Created(file="c")]

    assert all({"a", "b"} <= state.files.keys() for state in crash_states(ops, seed=0))


def test_each_crash_point_draws_anew() -> None:
    """A disk that does not change between two crash points is still crashed in two ways."""
    ops: list[Op] = [Created(file="a"), FolderSynced(folder="")]
    ops += [Written(file="a", offset=offset, data=b"x") for offset in range(0, 40, 2)]
    ops += [Marked(label=number) for number in range(20)]

    images = {
        state.files["a"] for state in crash_states(ops, modes=[Mode.SUBSET], seed=0) if state.index > 22
    }

    assert len(images) > 5


def test_a_state_can_be_rebuilt_alone(folder: Path) -> None:
    """Op, mode and seed say it all: no need to walk the states before it."""
    ops = record(Batches(batches=3), folder)

    for state in crash_states(ops, seed=7, stride=11):
        assert crash_state(ops, index=state.index, mode=state.mode, seed=7) == state


def test_a_stride_leaves_out_ops_but_never_the_last(folder: Path) -> None:
    """A sample of crash points still ends with the finished run."""
    ops = record(Batches(batches=3), folder)

    indexes = [state.index for state in crash_states(ops, modes=[Mode.ALL], seed=0, stride=10)]

    assert indexes == [*range(10, len(ops), 10), len(ops)]


def test_a_crash_point_that_does_not_exist_is_refused(folder: Path) -> None:
    """Better than an image of some other moment."""
    with pytest.raises(ValueError, match="no crash point after 99"):
        crash_state([], index=99, mode=Mode.ALL, seed=0)


def test_an_error_in_a_check_names_the_state(folder: Path, images: Path) -> None:
    """Enough to rebuild the image that the check choked on."""

    def check(connection: apsw.Connection, state: object) -> list[str]:
        raise LookupError("no such thing")

    with pytest.raises(LookupError) as caught:
        survey(
            crash_states(record(Batches(batches=3), folder), seed=5, stride=20),
            folder=images,
            database=DATABASE,
            check=check,
        )

    assert "index=20, mode=<Mode.NONE: 'none'>, seed=5" in caught.value.__notes__[0]


def test_a_file_that_opens_but_fails_the_integrity_check_is_corrupt(folder: Path, images: Path) -> None:
    """Here: a free list that is shorter than the header says."""
    ops = record(Batches(batches=1, journal_mode="delete"), folder)
    state = crash_state(ops, mode=Mode.ALL, seed=0)
    damaged = bytearray(state.files[DATABASE])
    damaged[36:40] = (5).to_bytes(4)
    state.files[DATABASE] = bytes(damaged)

    assert examine(state, folder=images, database=DATABASE, check=no_findings) == [CORRUPT]


def test_a_file_that_is_no_database_is_corrupt(images: Path) -> None:
    """Garbage where the header should be is a finding, not an error."""
    state = crash_state([Found(file=DATABASE, data=b"garbage" * 1_000)], mode=Mode.ALL, seed=0)

    assert examine(state, folder=images, database=DATABASE, check=no_findings) == [CORRUPT]


def test_an_image_replaces_the_one_before_it(folder: Path) -> None:
    """No file of an earlier state is left, in no folder."""
    write_image({"a": b"1", "blobs/b": b"2"}, folder)
    write_image({"c": b"3"}, folder)

    assert [path.name for path in folder.rglob("*")] == ["c"]


def no_findings(connection: apsw.Connection, state: CrashState) -> list[str]:
    """A check that is content with whatever opens."""
    return []
