"""`Disk`: what is durable and what is in flight, and what a loss of power makes of both.

The first attempt at such a model keyed bytes by file name. It gave false alarms: a journal deleted and made
again is another inode, and after a crash the name can lead to either.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar, assert_never

from tests.crashdisk.ops import (
    Created,
    Deleted,
    FolderSynced,
    Found,
    Marked,
    Op,
    Renamed,
    Synced,
    SyncFailed,
    Truncated,
    Written,
)

SECTOR_BYTES = 512
KEEP_CHANCES = (0.5, 0.9, 0.99)
# The same changes are in flight for many crash points in a row: cut them once.
SECTORED_CHANGES_MAX = 1_024

Rng = random.Random
Change = Written | Truncated
T = TypeVar("T")


class Mode(StrEnum):
    """What becomes of changes in flight. All but NONE and ALL draw for each file on its own.

    A fifth of the files keeps nothing and a fifth keeps everything, since one file far ahead of another is
    the case that hurts.
    """

    NONE = "none"
    """Nothing arrived."""
    ALL = "all"
    """Everything did: the process was killed, the machine was not."""
    PREFIX = "prefix"
    """The changes up to some point arrived."""
    SUBSET = "subset"
    """Some arrived, others did not."""
    TORN = "torn"
    """As PREFIX, and of the next write only some sectors."""
    REORDER = "reorder"
    """Each sector was written back at a moment of its own."""
    TRASH = "trash"
    """Each sector arrived, or did not, or holds garbage."""


class Disk:
    """Feed it the ops in order with `apply`; ask it at any time what a crash leaves with `crash`.

    `ignores_sync` makes it lie about the files (and folders) for which it says True.
    """

    def __init__(self, *, ignores_sync: Callable[[str], bool] = lambda file: False) -> None:
        self._ignores_sync = ignores_sync
        self._inodes: dict[str, _Inode] = {}
        self._durable_inodes: dict[str, _Inode] = {}
        self._entries_in_flight: list[_EntryChange] = []

    def apply(self, op: Op) -> None:
        """Takes one op; costs the time of that op, not of the disk."""
        match op:
            case Written() | Truncated():
                self._inodes[op.file].change(op)
            case Marked():
                pass
            case Synced():
                if not self._ignores_sync(op.file):
                    self._inodes[op.file].sync()
            case SyncFailed():
                self._inodes[op.file].forget()
            case FolderSynced():
                if not self._ignores_sync(op.folder):
                    self._sync_folder(op.folder)
            case Created():
                self._change_entries(_EntryChange({op.file: _Inode()}))
            case Deleted():
                self._change_entries(_EntryChange({op.file: None}))
            case Renamed():
                self._change_entries(_EntryChange({op.file: None, op.target: self._inodes[op.file]}))
            case Found():
                self._inodes[op.file] = self._durable_inodes[op.file] = _Inode(op.data)
            case _:
                assert_never(op)

    def crash(self, mode: Mode, rng: Rng) -> dict[str, bytes]:
        """The files found after a crash now, by name; the disk itself goes on unharmed."""
        if mode is Mode.ALL:
            return {file: bytes(inode.cached) for file, inode in self._inodes.items()}
        found = dict(self._durable_inodes)
        for change in _names_that_arrived(self._entries_in_flight, mode, rng):
            change.apply_to(found)
        return {file: inode.crash(mode, rng) for file, inode in found.items()}

    def _change_entries(self, change: _EntryChange) -> None:
        change.apply_to(self._inodes)
        self._entries_in_flight.append(change)

    def _sync_folder(self, folder: str) -> None:
        for change in self._entries_in_flight:
            if change.folder == folder:
                change.apply_to(self._durable_inodes)
        self._entries_in_flight = [change for change in self._entries_in_flight if change.folder != folder]


class _EntryChange:
    """Names of one folder that lead elsewhere from now on, all at once or not at all; None: nowhere."""

    def __init__(self, inodes: dict[str, _Inode | None]) -> None:
        folders = {file.rpartition("/")[0] for file in inodes}
        if len(folders) != 1:
            raise ValueError(f"a name can't move between folders in this model: {sorted(inodes)}")
        self.folder = folders.pop()
        self._inodes = inodes

    def apply_to(self, entries: dict[str, _Inode]) -> None:
        for file, inode in self._inodes.items():
            if inode is None:
                entries.pop(file, None)
            else:
                entries[file] = inode


class _Inode:
    """One file's bytes: as a reader sees them, as they are durable, and the changes from here to there."""

    def __init__(self, data: bytes = b"") -> None:
        self.cached = bytearray(data)
        self._durable = bytes(data)  # shared by all images until the next sync
        self._in_flight: list[Change] = []

    def change(self, change: Change) -> None:
        _apply(self.cached, change)
        self._in_flight.append(change)

    def sync(self) -> None:
        self._durable = _with_changes(self._durable, self._in_flight)
        self._in_flight.clear()

    def forget(self) -> None:
        """After a failed sync the pages count as clean: readers see them, no later sync writes them."""
        self._in_flight.clear()

    def crash(self, mode: Mode, rng: Rng) -> bytes:
        if mode is Mode.NONE or not self._in_flight:
            return self._durable
        return _with_changes(self._durable, _changes_that_arrived(self._in_flight, mode, rng))


def _with_changes(data: bytes, changes: Sequence[Change]) -> bytes:
    if not changes:
        return data
    image = bytearray(data)
    for change in changes:
        _apply(image, change)
    return bytes(image)


def _apply(image: bytearray, change: Change) -> None:
    if isinstance(change, Written):
        _fill_up(image, change.offset)
        image[change.offset : change.offset + len(change.data)] = change.data
    else:
        _fill_up(image, change.size)
        del image[change.size :]


def _fill_up(image: bytearray, size: int) -> None:
    if len(image) < size:
        image.extend(bytes(size - len(image)))


def _names_that_arrived(changes: Sequence[_EntryChange], mode: Mode, rng: Rng) -> Sequence[_EntryChange]:
    if mode is Mode.NONE:
        return ()
    if mode in (Mode.SUBSET, Mode.REORDER):
        return _some(changes, rng)
    return changes[: rng.randint(0, len(changes))]


def _changes_that_arrived(changes: list[Change], mode: Mode, rng: Rng) -> Sequence[Change]:
    """What of one file's changes reached the disk, as changes again."""
    luck = rng.random()
    if luck < 0.2:
        return ()
    if luck < 0.4:
        return changes
    match mode:
        case Mode.PREFIX:
            return changes[: rng.randint(0, len(changes))]
        case Mode.SUBSET:
            return _some(changes, rng)
        case Mode.TORN:
            cut = rng.randrange(len(changes))
            return changes[:cut] + _some(_sectors(changes[cut]), rng)
        case Mode.REORDER:
            return list(_each_sector_in_its_time(changes, rng))
        case Mode.TRASH:
            return list(_some_sectors_garbage(changes, rng))
        case Mode.NONE | Mode.ALL:
            raise AssertionError(f"{mode} draws nothing")
        case _:
            assert_never(mode)


def _some(things: Sequence[T], rng: Rng) -> list[T]:
    chance = rng.choice(KEEP_CHANCES)
    return [thing for thing in things if rng.random() < chance]


@lru_cache(maxsize=SECTORED_CHANGES_MAX)
def _sectors(change: Change) -> tuple[Change, ...]:
    """A write, cut where the disk cuts it."""
    if isinstance(change, Truncated):
        return (change,)
    pieces: list[Change] = []
    start = 0
    while start < len(change.data):
        offset = change.offset + start
        stop = start + SECTOR_BYTES - offset % SECTOR_BYTES
        pieces.append(Written(file=change.file, offset=offset, data=change.data[start:stop]))
        start = stop
    return tuple(pieces)


def _each_sector_in_its_time(changes: Sequence[Change], rng: Rng) -> Iterator[Change]:
    """Draws for each sector the moment of its write-back; what came later to that sector is lost."""
    last_op_by_sector: dict[int, int] = {}
    for index, change in enumerate(changes):
        if isinstance(change, Truncated):
            if rng.random() < 0.5:
                yield change
            continue
        for piece in _sectors(change):
            assert isinstance(piece, Written)
            sector = piece.offset // SECTOR_BYTES
            if sector not in last_op_by_sector:
                last_op_by_sector[sector] = rng.randint(-1, len(changes))
            if index <= last_op_by_sector[sector]:
                yield piece


def _some_sectors_garbage(changes: Sequence[Change], rng: Rng) -> Iterator[Change]:
    chance = rng.choice(KEEP_CHANCES)
    for change in changes:
        for piece in _sectors(change):
            if rng.random() < chance:
                yield piece
            elif isinstance(piece, Written) and rng.random() < 0.5:
                yield Written(file=piece.file, offset=piece.offset, data=rng.randbytes(len(piece.data)))
