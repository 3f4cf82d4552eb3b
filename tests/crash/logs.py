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
    def kind_of_step(self) -> str:
        """The same for all steps that are alike."""
        return kind_of_step(self.step)

    @property
    def unit(self) -> str:
        """What the plan of a run calls it."""
        return f"{self.step} {self.attempt}"


def kind_of_step(step: str) -> str:
    """``part`` of ``part 1``."""
    return step.split()[0]


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


class GrowingLog:
    """A log that is looked at again and again; each of its lines is read once."""

    def __init__(self, log: Path) -> None:
        self._log, self._read, self._parsed = log, 0, 0
        self._whole: list[bytes] = []
        self._effects: list[Effect] = []

    def count(self) -> int:
        """How many lines there are by now."""
        if self._log.exists():
            with self._log.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            end = new.rfind(b"\n") + 1
            self._read += end
            self._whole += _whole_lines(new[:end])
        return len(self._whole)

    def effects(self) -> list[Effect]:
        """All lines of an effect log by now, oldest first."""
        count = self.count()
        self._effects += [Effect(**json.loads(line)) for line in self._whole[self._parsed :]]
        self._parsed = count
        return self._effects


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
    return _whole_lines(content[: content.rfind(b"\n") + 1])


def _whole_lines(content: bytes) -> list[bytes]:
    return [line for line in content.splitlines() if line.endswith((b"}", b'"'))]
