"""How a running activity and the engine reach each other: heartbeats go out, a cancellation comes in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tempolite.actors import frames

BEATS_PER_S = 50
"""More heartbeats than that are not sent one by one: the latest goes out with the next that may."""


class JobLink:
    """One attempt's connection, in a worker process or in a thread of the engine's.

    Args:
        job_id: the pool's number of the attempt.
        send: takes a frame to the pool.

    Attributes:
        listens: the activity has a context, so it may look at ``is_cancelled``.
        was_asked: it did, so it can end by itself.
        is_over: set when the attempt has ended.
    """

    def __init__(self, job_id: int, send: Callable[[frames.FromWorker], None]) -> None:
        self.job_id = job_id
        self.listens = False
        self.was_asked = False
        self.is_over = threading.Event()
        self._send = send
        self._is_cancelled = False
        self._lock = threading.Lock()
        self._unsent: frames.Beat | None = None
        self._allowed = BEATS_PER_S
        self._second = 0

    @property
    def is_cancelled(self) -> bool:
        """Whether the attempt is to end: it was cancelled, or has had its time."""
        self.was_asked = True
        return self._is_cancelled

    def cancel(self) -> None:
        """It is to end."""
        self._is_cancelled = True

    def beat(self, details: bytes, progress: tuple[float, float | None] | None = None) -> None:
        """Tells that the activity lives; from any thread of it."""
        with self._lock:
            if self._unsent is not None:
                details = details or self._unsent.details
                progress = progress or self._unsent.progress
            self._unsent = frames.Beat(self.job_id, details, progress)
            if self._may_send():
                self._send_latest()

    def close(self) -> None:
        """The attempt has ended: what was not sent goes out."""
        with self._lock:
            self._send_latest()
        self.is_over.set()

    def _may_send(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._allowed = second, BEATS_PER_S
        self._allowed -= 1
        return self._allowed >= 0

    def _send_latest(self) -> None:
        if self._unsent is not None:
            beat, self._unsent = self._unsent, None
            self._send(beat)
