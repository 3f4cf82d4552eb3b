"""The lock that guards an engine's start and end, and knows who has it."""

from __future__ import annotations

import threading


class LifeLock:
    """One thread at a time: ``with lock: …``.

    A signal handler runs in the middle of whatever the main thread does. One that closes the engine must not
    wait for a start, or another close, which goes on only when the handler has returned.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0

    @property
    def is_mine(self) -> bool:
        """Whether this very thread is inside already; then who asks has interrupted it."""
        return self._owner == threading.get_ident()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._owner = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._owner = 0
        self._lock.release()
