"""Workers without a process: a thread of the engine's process, or no thread at all.

Threads share the interpreter with the engine and can't be killed; ``inline`` runs an activity in the
dispatcher's own thread, before anything else goes on, which makes tests deterministic.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from tempolite.actors import frames
from tempolite.actors.messages import ActivityJob
from tempolite.actors.worker_main import Interpreter

OnFrames = Callable[[Any, list[frames.FromWorker]], None]


class InlineWorker:
    """Runs an activity while the pool waits."""

    can_prefetch = False
    can_be_killed = False

    def __init__(self, interpreter: Interpreter, on_frames: OnFrames) -> None:
        self._interpreter = interpreter
        self._on_frames = on_frames
        self.is_gone = False

    def run(self, job_id: int, job: ActivityJob) -> None:
        """Runs it now."""
        self._on_frames(self, [run_job(self._interpreter, job_id, job)])

    def hang_up(self) -> None:
        """Nothing to end."""
        self.is_gone = True

    terminate = kill = hang_up


class ThreadWorker:
    """``slots`` threads that take work in order."""

    can_prefetch = False
    can_be_killed = False

    def __init__(self, interpreter: Interpreter, slots: int, on_frames: OnFrames, name: str) -> None:
        self._interpreter = interpreter
        self._on_frames = on_frames
        self._jobs: queue.SimpleQueue[tuple[int, ActivityJob] | None] = queue.SimpleQueue()
        self.is_gone = False
        self._slots = slots
        for slot in range(slots):
            threading.Thread(target=self._serve, name=f"{name}-{slot + 1}", daemon=True).start()

    def run(self, job_id: int, job: ActivityJob) -> None:
        """Gives it to the next free thread."""
        self._jobs.put((job_id, job))

    def hang_up(self) -> None:
        """Each thread ends after what it is doing."""
        self.is_gone = True
        for _ in range(self._slots):
            self._jobs.put(None)

    terminate = kill = hang_up

    def _serve(self) -> None:
        while (work := self._jobs.get()) is not None:
            self._on_frames(self, [run_job(self._interpreter, *work)])


def run_job(interpreter: Interpreter, job_id: int, job: ActivityJob) -> frames.FromWorker:
    """Runs an attempt in this thread; whatever it raises becomes data."""
    context = (str(job.workflow), str(job.step), job.attempt, job.idempotency_key)
    try:
        began_s = time.monotonic()
        result = interpreter.run(interpreter.prepare(job.call.target), job.args, context)
        return frames.Done(job_id, result, time.monotonic() - began_s)
    except BaseException as error:
        return frames.Failed(job_id, interpreter.capture(error))
