"""Keeps at something until it is done, on a thread that is there only as long: how a stand-by takes over."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger("tempolite")

PAUSE_MIN_S = 0.02
PAUSE_MAX_S = 1.0
"""Between two tries, while an old owner is going and a new one not yet there."""
END_S = 60.0
WAKING_S = 1.0


class Standby:
    """Tries on a thread, once it is woken, until a try succeeds.

    Args:
        attempt: True where nothing more is to be done; an error is logged, and tried again.
    """

    def __init__(self, attempt: Callable[[], bool]) -> None:
        self._attempt = attempt
        self._lock = threading.Lock()
        self._is_ending = threading.Event()
        self._is_wanted = False
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """There is something to do; from any thread."""
        with self._lock:
            self._is_wanted = True
            if self._thread is None and not self._is_ending.is_set():
                thread = threading.Thread(target=self._run, name="tempolite-standby", daemon=True)
                # Told of only once it runs: who closes joins it. Its first look waits for our lock.
                thread.start()
                self._thread = thread

    def close(self) -> None:
        """No more tries; returns when the one under way is over."""
        self._is_ending.set()
        # Who is waking one is let finish; bounded, for a signal handler that closes may have interrupted it.
        if self._lock.acquire(timeout=WAKING_S):
            self._lock.release()
        if (thread := self._thread) is not None:
            thread.join(END_S)

    def try_until(self, attempt: Callable[[], bool], patience_s: float) -> bool:
        """Tries in the caller's own thread; False where ``patience_s`` seconds were not enough."""
        left_s, pause_s = patience_s, PAUSE_MIN_S
        while not attempt():
            if left_s <= 0 or self._is_ending.wait(pause_s):
                return False
            left_s, pause_s = left_s - pause_s, min(2 * pause_s, PAUSE_MAX_S)
        return True

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._is_wanted or self._is_ending.is_set():
                    self._thread = None
                    return
                self._is_wanted = False
            self.try_until(self._contained, float("inf"))

    def _contained(self) -> bool:
        try:
            return self._attempt()
        except Exception:
            logger.exception("a stand-by could neither take over nor find the new owner; it tries again")
            return False
