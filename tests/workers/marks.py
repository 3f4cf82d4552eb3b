"""A file in which activities say what they did, one line for each thing."""

from __future__ import annotations

import os
from pathlib import Path


def mark(marks: str, text: str) -> None:
    """Adds a line to the file of marks, whole or not at all."""
    fd = os.open(marks, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, f"{text}\n".encode())
    finally:
        os.close(fd)


def marked(marks: str | Path) -> list[str]:
    """The lines so far."""
    path = Path(marks)
    return path.read_text().splitlines() if path.exists() else []


def count_marks(marks: str | Path, beginning: str) -> int:
    """How many lines begin like that."""
    return sum(line.startswith(beginning) for line in marked(marks))


def wait_for_marks(marks: str, beginning: str, count: int) -> None:
    """In an activity: goes on once there are so many."""
    while count_marks(marks, beginning) < count:
        os.sched_yield()
