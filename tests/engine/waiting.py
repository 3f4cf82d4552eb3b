"""Waiting for what a test can see, and for nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tempolite import Tempolite

LOOK_S = 0.005


def wait_until(is_so: Callable[[], bool]) -> None:
    """Returns when it is so, looking again and again; the test's own time limit ends it."""
    pause = threading.Event()
    while not is_so():
        pause.wait(LOOK_S)


def wait_for_text(engine: Tempolite, id: str, text: str) -> None:
    """Returns when the run has said so of itself."""
    wait_until(lambda: engine.get(id).status_text == text)


def wait_for_status(engine: Tempolite, id: str, status: str) -> None:
    """Returns when the run has that status."""
    wait_until(lambda: engine.get(id).status == status)
