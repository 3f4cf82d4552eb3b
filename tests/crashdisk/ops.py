"""What can happen to a disk, as facts in the order in which they happened.

A `file` is a path relative to the recorded folder, with forward slashes; a `folder` is the part before the
last slash, empty for the recorded folder itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The file was there, and durable, before the recording began."""

    file: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """The name now leads to a new, empty inode; an older one of that name is gone."""

    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The bytes were handed to the operating system, which may keep them for a while."""

    file: str
    offset: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncated:
    """The file was cut, or filled up with zeros, to `size` bytes."""

    file: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """All that was written to the file so far was reported durable."""

    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncFailed:
    """A sync raised. What was in flight is lost to the disk, and still seen by readers until power goes."""

    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSynced:
    """Names made, removed and renamed in the folder so far are durable."""

    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """The name was removed; it may come back in a crash until its folder is synced."""

    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """The name moved within its folder, in one step, replacing what was there."""

    file: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """The application says something about itself, such as "batch 7 acknowledged"."""

    label: object


Op = Found | Created | Written | Truncated | Synced | SyncFailed | FolderSynced | Deleted | Renamed | Marked

# What SQLite asks a VFS to do that changes a disk: the calls at which a fault can strike.
CHANGES: tuple[type[Op], ...] = (Created, Written, Truncated, Synced, Deleted)
