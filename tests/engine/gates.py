"""Places where a test sees and holds an activity, and a record of what activities did; in any process."""

from __future__ import annotations

import os
import select
from pathlib import Path

REACH_S = 15.0


class Gate:
    """Holds whoever calls :func:`pass_gate` with its path, until the test lets it through.

    Two named pipes, kept open by the test: nobody ever blocks on opening them, and when the gate is closed
    whoever still waits goes on.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.path = str(folder)
        for name in ("reached", "released"):
            os.mkfifo(folder / name)
        self._reached = os.open(folder / "reached", os.O_RDWR)
        self._released = os.open(folder / "released", os.O_RDWR)

    def wait_until_reached(self, times: int = 1) -> None:
        """Returns when ``times`` more callers stand at the gate."""
        for _ in range(times):
            assert self.is_reached_within(REACH_S), "nobody came to the gate"

    def is_reached_within(self, seconds: float) -> bool:
        """Whether one more caller comes to the gate in that time."""
        if not select.select([self._reached], [], [], seconds)[0]:
            return False
        return bool(os.read(self._reached, 1))

    def release(self, times: int = 1) -> None:
        """Lets so many callers through, those who come later included."""
        os.write(self._released, b"x" * times)

    def close(self) -> None:
        """Lets everybody through who waits."""
        os.close(self._reached)
        os.close(self._released)


def pass_gate(path: str, result: str = "passed") -> str:
    """Reports that somebody is here, and waits for the test; an activity."""
    reached = os.open(path + "/reached", os.O_RDWR)
    os.write(reached, b"x")
    os.close(reached)
    released = os.open(path + "/released", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(released, True)
    try:
        os.read(released, 1)
    finally:
        os.close(released)
    return result


class Effects:
    """What activities did, one line each, in the order in which they did it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def lines(self) -> list[str]:
        """All of it until now."""
        file = Path(self.path)
        return file.read_text("utf-8").splitlines() if file.exists() else []


def note(path: str, line: str) -> str:
    """Adds a line to the record at once, whole; an activity."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)
    return line
