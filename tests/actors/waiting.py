"""Waiting for what another thread says of itself, with a deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable

DEADLINE_S = 15.0
PAUSE_S = 0.005


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Returns once it is so."""
    never = threading.Event()
    for _ in range(round(DEADLINE_S / PAUSE_S)):
        if is_so():
            return
        never.wait(PAUSE_S)
    raise AssertionError(f"in vain: {what}")
