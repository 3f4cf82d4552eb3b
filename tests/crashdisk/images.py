"""Images: a crash state as real files, opened with the stock VFS and judged."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from tests.crashdisk.states import CrashState

MEMORY_FOLDER = Path("/dev/shm")
CORRUPT = "corrupt"

Check = Callable[[apsw.Connection, CrashState], Iterable[str]]
"""Reads the reopened database and names what is wrong, such as "acknowledged batch lost"."""


@dataclass(slots=True, kw_only=True)
class Survey:
    """How many states were looked at, how often each finding came up, and the first state that showed it."""

    states: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    first: dict[str, CrashState] = field(default_factory=dict)

    def add(self, state: CrashState, findings: Iterable[str]) -> None:
        """Counts one state; a finding counts once per state."""
        self.states += 1
        for finding in set(findings):
            self.findings[finding] += 1
            self.first.setdefault(finding, state)


def survey(states: Iterable[CrashState], *, folder: Path, database: str, check: Check) -> Survey:
    """Examines one state after the other in `folder`, which it empties each time."""
    result = Survey()
    for state in states:
        result.add(state, examine(state, folder=folder, database=database, check=check))
    return result


def examine(state: CrashState, *, folder: Path, database: str, check: Check) -> list[str]:
    """Opens the image, lets SQLite recover it, and names what is wrong: "corrupt" or what `check` says."""
    write_image(state.files, folder)
    try:
        with open_image(folder / database) as connection:
            if connection.pragma("integrity_check") != "ok":
                return [CORRUPT]
            return list(check(connection, state))
    except (apsw.CorruptError, apsw.NotADBError):
        return [CORRUPT]
    except Exception as error:
        error.add_note(f"while examining {state}")
        raise


@contextmanager
def open_image(path: Path) -> Iterator[apsw.Connection]:
    """The database at `path`, opened with the stock VFS and closed again."""
    with closing(apsw.Connection(str(path))) as connection:
        # The image is thrown away: no need to bring the WAL home.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        yield connection


def write_image(files: Mapping[str, bytes], folder: Path) -> None:
    """Makes `folder` hold these files and no others. No connection to any of them may be open."""
    for stale in os.scandir(folder):
        if stale.is_dir(follow_symlinks=False):
            shutil.rmtree(stale)
        else:
            os.unlink(stale)
    for file, data in files.items():
        if "/" in file:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(data)


@contextmanager
def image_folder() -> Iterator[Path]:
    """A folder for images, in memory where the machine has such a place, and removed at the end."""
    parent = MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="crashdisk-", dir=parent) as folder:
        yield Path(folder)
