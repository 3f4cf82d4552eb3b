"""The logs that a program leaves: one line for each thing that happened, whole or not at all.

Lines are appended with one ``write`` to a file opened with ``O_APPEND``: their order in the file is the
order in which they happened, whatever processes wrote them. Nothing of the engine touches these files.

A process that is killed within the ``write`` may leave the beginning of a line: it did nothing after that, so
the line counts for nothing. Each line begins with a line feed of its own, so that no other one suffers.
"""

from __future__ import annotations

import json
import os
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["begin", "end", "overlap"]


@dataclass(frozen=True)
class Effect:
    """An activity (or side effect) began, ended, or found that another process is still at it.

    Attributes:
        kind: which of these.
        run: id of the root workflow.
        step: ``step`` of the root, ``child/step`` of a child.
        attempt, key: of the activity; ``key`` is its idempotency key.
        pid: of the process that wrote the line.
        life: which start of the program, from 1.
        value: what a side effect drew, or what a step made of it works on.
    """

    kind: Kind
    run: str
    step: str
    _: KW_ONLY
    attempt: int
    key: str
    pid: int
    life: int
    value: str = ""

    @property
    def is_side_effect(self) -> bool:
        """Side effects have no key, and leave one line only, at their end."""
        return not self.key

    @property
    def unit(self) -> str:
        """What the plan of a run calls it."""
        return f"{self.step} {self.attempt}"


def append_effect(log: str | Path, effect: Effect) -> None:
    """Adds a line to the effect log."""
    _append(log, asdict(effect))


def append_acknowledged(log: str | Path, run: str) -> None:
    """Writes down that ``execute`` returned: from now on the run must finish, whatever happens."""
    _append(log, run)


def read_effects(log: str | Path) -> list[Effect]:
    """All lines, oldest first."""
    return [Effect(**json.loads(line)) for line in _lines(log)]


def read_acknowledged(log: str | Path) -> list[str]:
    """Ids of the runs that were acknowledged, oldest first."""
    return [json.loads(line) for line in _lines(log)]


def count_lines(log: str | Path) -> int:
    """How many lines there are."""
    return len(_lines(log))


def _append(log: str | Path, entry: Any) -> None:
    fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        line = b"\n" + json.dumps(entry).encode() + b"\n"
        assert os.write(fd, line) == len(line), "a line is written whole"
    finally:
        os.close(fd)


def _lines(log: str | Path) -> list[bytes]:
    """Every whole line."""
    path = Path(log)
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    return [line for line in whole.splitlines() if line.endswith((b"}", b'"'))]
