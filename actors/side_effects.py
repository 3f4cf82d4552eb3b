"""Side effects: the user's small non-deterministic calls, off the actors' threads.

They run once the turn that asked for them is durable. Threads are made as they are needed, up to a bound,
and end after a while without work.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import Any

from pykka import ActorDeadError

from tempolite.actors.actor import Actor, receives
from tempolite.actors.messages import RunSideEffect, SideEffectEnded
from tempolite.actors.worker_main import Interpreter

THREADS_MAX = 16
IDLE_S = 10.0


class SideEffectActor(Actor):
    """Runs side effects on threads, or in the dispatcher's own where a test wants one thread only.

    Args:
        interpreter: turns an error into data.
        is_inline: run them at once, in this thread.
    """

    def __init__(self, interpreter: Interpreter, *, is_inline: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._interpreter = interpreter
        self._is_inline = is_inline
        self._work: queue.SimpleQueue[RunSideEffect | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._open = 0
        self._is_ending = False

    @receives(RunSideEffect)
    def on_run(self, message: RunSideEffect) -> None:
        """Runs it; its sender is told."""
        if self._is_inline:
            self._run(message)
            return
        with self._lock:
            self._open += 1
            needs_thread = self._open > len(self._threads) and len(self._threads) < THREADS_MAX
            if needs_thread:
                thread = threading.Thread(target=self._serve, name="tempolite-side-effect", daemon=True)
                self._threads.add(thread)
            # Within the lock: a thread that is just leaving looks at the work under it.
            self._work.put(message)
        if needs_thread:
            thread.start()

    def shut_down(self, timeout_s: float) -> None:
        """Lets the threads end after what they are doing."""
        with self._lock:
            self._is_ending = True
            threads = list(self._threads)
        for _ in threads:
            self._work.put(None)
        for thread in threads:
            thread.join(timeout_s)

    def _serve(self) -> None:
        while True:
            try:
                message = self._work.get(timeout=IDLE_S)
            except queue.Empty:
                message = None
            if message is None and (self._is_ending or self._may_end()):
                return
            if message is not None:
                self._run(message)
                with self._lock:
                    self._open -= 1

    def _may_end(self) -> bool:
        # Under the lock, so that no message is put for a thread that is just leaving.
        with self._lock:
            if self._work.empty():
                self._threads.discard(threading.current_thread())
                return True
            return False

    def _run(self, message: RunSideEffect) -> None:
        try:
            answer = SideEffectEnded(message.step, message.function())
        except BaseException as error:
            answer = SideEffectEnded(message.step, None, self._interpreter.capture(error))
        with suppress(ActorDeadError):  # the run is gone
            message.sender.tell(answer)
