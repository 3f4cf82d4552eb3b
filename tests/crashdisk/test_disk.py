"""What a disk keeps and what it loses, op by op."""

from __future__ import annotations

import random

import pytest

from tests.crashdisk import (
    SECTOR_BYTES,
    Created,
    Deleted,
    Disk,
    FolderSynced,
    Found,
    Mode,
    Op,
    Renamed,
    Synced,
    SyncFailed,
    Truncated,
    Written,
)

DRAWN_MODES = [mode for mode in Mode if mode not in (Mode.NONE, Mode.ALL)]


@pytest.mark.parametrize("mode", Mode)
def test_synced_bytes_survive_every_crash(mode: Mode) -> None:
    """A file synced, in a folder synced, is found whole whatever happens to later writes elsewhere."""
    disk = disk_after(
        Created(file="a"),
        Written(file="a", offset=0, data=b"durable"),
        Synced(file="a"),
        FolderSynced(folder=""),
        Written(file="a", offset=7, data=b"in flight"),
    )

    assert all(image["a"].startswith(b"durable") for image in images_of(disk, mode))


def test_without_a_sync_nothing_need_arrive_and_everything_may() -> None:
    """Mode none leaves the state of the last sync, mode all what a killed process leaves."""
    disk = disk_after(Found(file="a", data=b"old"), Written(file="a", offset=0, data=b"new"))

    assert disk.crash(Mode.NONE, random.Random(0)) == {"a": b"old"}
    assert disk.crash(Mode.ALL, random.Random(0)) == {"a": b"new"}


def test_a_deleted_and_recreated_file_can_come_back_as_the_old_one() -> None:
    """A name leads to the old inode, with the old bytes, until its folder is synced."""
    ops: list[Op] = [
        Found(file="journal", data=b"old"),
        Deleted(file="journal"),
        Created(file="journal"),
        Written(file="journal", offset=0, data=b"new"),
        Synced(file="journal"),
    ]

    before = images_of(disk_after(*ops), Mode.SUBSET)
    after = images_of(disk_after(*ops, FolderSynced(folder="")), Mode.SUBSET)

    assert {image.get("journal") for image in before} == {b"old", b"new", None}
    assert {image["journal"] for image in after} == {b"new"}


def test_a_file_made_anew_over_an_old_one_starts_empty() -> None:
    """Also without a delete in between, as when another program replaced it."""
    disk = disk_after(Found(file="a", data=b"old"), Created(file="a"))

    assert disk.crash(Mode.NONE, random.Random(0)) == {"a": b"old"}
    assert disk.crash(Mode.ALL, random.Random(0)) == {"a": b""}


def test_a_lying_disk_ignores_syncs_of_files_and_of_folders() -> None:
    """It says yes, and nothing is durable."""
    disk = Disk(ignores_sync=lambda file: True)
    for op in (Created(file="a"), Synced(file="a"), FolderSynced(folder="")):
        disk.apply(op)

    assert disk.crash(Mode.NONE, random.Random(0)) == {}


def test_a_folder_sync_reaches_no_other_folder() -> None:
    """A new name in one folder is not made durable by a sync of another."""
    disk = disk_after(Created(file="blobs/a"), Created(file="b"), FolderSynced(folder="blobs"))

    assert disk.crash(Mode.NONE, random.Random(0)) == {"blobs/a": b""}


def test_a_renamed_file_is_found_under_the_one_name_or_the_other() -> None:
    """A rename over another file happens in one step."""
    disk = disk_after(
        Found(file="anchor", data=b"old"),
        Found(file="anchor.new", data=b"new"),
        Renamed(file="anchor.new", target="anchor"),
    )

    found = [sorted(image.items()) for image in images_of(disk, Mode.PREFIX)]

    assert [("anchor", b"new")] in found
    assert [("anchor", b"old"), ("anchor.new", b"new")] in found
    assert {len(files) for files in found} == {1, 2}


def test_a_name_that_moves_between_folders_is_refused() -> None:
    """The model has no order between two folders, so it says so."""
    with pytest.raises(ValueError, match="between folders"):
        disk_after(Found(file="a", data=b""), Renamed(file="a", target="blobs/a"))


def test_after_a_failed_sync_later_syncs_do_not_bring_the_bytes_back() -> None:
    """A reader sees them until power goes; then they are gone, and what came later is not."""
    disk = disk_after(
        Found(file="wal", data=b"...."),
        Written(file="wal", offset=0, data=b"ab"),
        SyncFailed(file="wal"),
        Written(file="wal", offset=2, data=b"cd"),
        Synced(file="wal"),
    )

    assert disk.crash(Mode.ALL, random.Random(0)) == {"wal": b"abcd"}
    assert disk.crash(Mode.NONE, random.Random(0)) == {"wal": b"..cd"}


def test_each_mode_spoils_a_file_in_its_own_way() -> None:
    """Prefix keeps an order, subset breaks it; torn and reorder cut at sectors; only trash invents bytes."""
    old, new = b"o" * SECTOR_BYTES, b"n" * SECTOR_BYTES
    disk = disk_after(
        Found(file="a", data=old * 4),
        Written(file="a", offset=0, data=new * 2),
        Written(file="a", offset=2 * SECTOR_BYTES, data=new * 2),
    )

    letters = {
        mode: {bytes(image["a"][::SECTOR_BYTES]).decode("latin-1") for image in images_of(disk, mode)}
        for mode in DRAWN_MODES
    }

    assert letters[Mode.PREFIX] == {"oooo", "nnoo", "nnnn"}
    assert letters[Mode.SUBSET] == letters[Mode.PREFIX] | {"oonn"}
    assert letters[Mode.TORN] == letters[Mode.PREFIX] | {"nooo", "onoo", "nnno", "nnon"}
    assert {"onon", "noon", "nono"} <= letters[Mode.REORDER]
    assert any(set(found) - {"o", "n"} for found in letters[Mode.TRASH])


@pytest.mark.parametrize("mode", DRAWN_MODES)
def test_one_file_can_be_far_ahead_of_another(mode: Mode) -> None:
    """In every mode that draws, one file may keep all and another nothing, either way round."""
    size = 200 * SECTOR_BYTES
    ops = [
        Written(file=file, offset=offset, data=b"n" * SECTOR_BYTES)
        for offset in range(0, size, SECTOR_BYTES)
        for file in ("a", "b")
    ]
    disk = disk_after(Found(file="a", data=b"o" * size), Found(file="b", data=b"o" * size), *ops)

    found = {(image["a"], image["b"]) for image in images_of(disk, mode)}

    assert {(b"o" * size, b"n" * size), (b"n" * size, b"o" * size)} <= found


def test_a_write_tears_at_the_sectors_of_the_file_not_its_own() -> None:
    """A WAL's pages are not aligned: the disk cuts where its sectors are."""
    half = SECTOR_BYTES // 2
    disk = disk_after(
        Found(file="a", data=b"o" * SECTOR_BYTES * 3),
        Written(file="a", offset=half, data=b"n" * SECTOR_BYTES * 2),
    )

    for image in images_of(disk, Mode.TORN):
        pieces = [
            image["a"][half : 2 * half],
            image["a"][2 * half : 4 * half],
            image["a"][4 * half : 5 * half],
        ]
        assert all(len(set(piece)) == 1 for piece in pieces)


def test_a_sector_in_its_own_time_never_shows_an_older_write_over_a_newer_one() -> None:
    """Reorder moves sectors against each other, not two writes of one sector."""
    disk = disk_after(
        Created(file="a"),
        FolderSynced(folder=""),
        Written(file="a", offset=0, data=b"11"),
        Written(file="a", offset=1, data=b"2"),
    )

    assert {image["a"] for image in images_of(disk, Mode.REORDER)} == {b"", b"11", b"12"}


def test_a_truncation_can_arrive_or_not() -> None:
    """Cut and filled-up sizes are changes like any other."""
    cut = disk_after(Found(file="a", data=b"abcd"), Truncated(file="a", size=2))
    grown = disk_after(Found(file="a", data=b"ab"), Truncated(file="a", size=4))

    for mode in DRAWN_MODES:
        assert {image["a"] for image in images_of(cut, mode)} == {b"abcd", b"ab"}
        assert {image["a"] for image in images_of(grown, mode)} == {b"ab", b"ab\0\0"}


def disk_after(*ops: Op) -> Disk:
    """A disk that has seen these ops."""
    disk = Disk()
    for op in ops:
        disk.apply(op)
    return disk


def images_of(disk: Disk, mode: Mode, draws: int = 200) -> list[dict[str, bytes]]:
    """What many crashes leave."""
    return [disk.crash(mode, random.Random(seed)) for seed in range(draws)]
