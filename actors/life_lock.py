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
        self._inside: set[int] = set()

    @property
    def is_mine(self) -> bool:
        """Whether this very thread is inside, or on its way in or out; then who asks has interrupted it."""
        return threading.get_ident() in self._inside

    def __enter__(self) -> None:
        me = threading.get_ident()
        try:
            # First: a handler may come as soon as the lock is held, and would wait for its own thread.
            self._inside.add(me)
            self._lock.acquire()
        except BaseException:
            self._inside.discard(me)
            raise

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        self._inside.discard(threading.get_ident())
