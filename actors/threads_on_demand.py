"""Threads for work that may block: made as they are needed, up to a bound; without work they end."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("tempolite")

IDLE_S = 10.0

Work = Callable[[], None]


class ThreadsOnDemand:
    """Runs work on threads.

    Args:
        name: of the threads.
        threads_max: at once; more work waits.
    """

    def __init__(self, name: str, threads_max: int) -> None:
        self._name = name
        self._threads_max = threads_max
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._open = 0
        self._is_ending = False

    def run(self, work: Work) -> None:
        """Runs it when a thread is free; what it raises is logged."""
        with self._lock:
            self._open += 1
            # Within the lock: a thread that is just leaving looks at the work under it.
            self._work.put(work)
            if self._open > len(self._threads) and len(self._threads) < self._threads_max:
                self._add_thread()

    def shut_down(self, timeout_s: float) -> None:
        """Lets the threads end after what they are doing, and waits for that so long."""
        deadline_s = time.monotonic() + timeout_s
        with self._lock:
            self._is_ending = True
            threads = list(self._threads)
        for _ in threads:
            self._work.put(None)
        for thread in threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # A process can have too many; one that is there already does the work, too.
            if not self._threads:
                raise
            return
        # Told of only once it runs, and under the lock: who shuts down joins it.
        self._threads.add(thread)

    def _serve(self) -> None:
        while True:
            try:
                work = self._work.get(timeout=IDLE_S)
            except queue.Empty:
                work = None
            if work is None and (self._is_ending or self._may_end()):
                return
            if work is not None:
                self._run(work)
                with self._lock:
                    self._open -= 1

    def _run(self, work: Work) -> None:
        try:
            work()
        except BaseException:
            logger.exception("work of %s failed", self._name)

    def _may_end(self) -> bool:
        # Under the lock, so that no work is put for a thread that is just leaving.
        with self._lock:
            if self._work.empty():
                self._threads.discard(threading.current_thread())
                return True
            return False
