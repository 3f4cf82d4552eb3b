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
from tempolite.actors.job_link import JobLink
from tempolite.actors.marks_file import MarkSetter
from tempolite.actors.messages import ActivityJob
from tempolite.actors.worker_main import Interpreter

OnFrames = Callable[[Any, list[frames.FromWorker]], None]


class InlineWorker:
    """Runs an activity while the pool waits; nobody can ask it to end meanwhile."""

    can_prefetch = False
    can_be_killed = False

    def __init__(self, interpreter: Interpreter, on_frames: OnFrames, marks: MarkSetter) -> None:
        self._interpreter = interpreter
        self._on_frames = on_frames
        self._marks = marks
        self.is_gone = False

    def run(self, job_id: int, job: ActivityJob, mark: int) -> None:
        """Runs it now."""
        link = JobLink(job_id, self._say)
        self._marks.begin(mark)
        self._say(run_job(self._interpreter, job, link))

    def cancel(self, job_id: int) -> None:
        """It has ended before anybody can ask for that."""

    def hang_up(self) -> None:
        """Nothing to end."""
        self.is_gone = True

    terminate = kill = hang_up

    def _say(self, frame: frames.FromWorker) -> None:
        self._on_frames(self, [frame])


class ThreadWorker:
    """``slots`` threads that take work in order."""

    can_prefetch = False
    can_be_killed = False

    def __init__(
        self, interpreter: Interpreter, slots: int, on_frames: OnFrames, marks: MarkSetter, name: str
    ) -> None:
        self._interpreter = interpreter
        self._on_frames = on_frames
        self._marks = marks
        self._jobs: queue.SimpleQueue[tuple[JobLink, ActivityJob, int] | None] = queue.SimpleQueue()
        self._links: dict[int, JobLink] = {}
        self.is_gone = False
        self._slots = slots
        for slot in range(slots):
            threading.Thread(target=self._serve, name=f"{name}-{slot + 1}", daemon=True).start()

    def run(self, job_id: int, job: ActivityJob, mark: int) -> None:
        """Gives it to the next free thread."""
        link = self._links[job_id] = JobLink(job_id, self._say)
        self._jobs.put((link, job, mark))

    def cancel(self, job_id: int) -> None:
        """Asks an activity to end; a thread can't be made to."""
        if (link := self._links.get(job_id)) is not None:
            link.cancel()

    def hang_up(self) -> None:
        """Each thread ends after what it is doing."""
        self.is_gone = True
        for _ in range(self._slots):
            self._jobs.put(None)

    def kill(self) -> None:
        """Asks whoever runs to end, and waits for nobody."""
        for link in list(self._links.values()):
            link.cancel()
        self.hang_up()

    terminate = kill

    def _serve(self) -> None:
        while (work := self._jobs.get()) is not None:
            link, job, mark = work
            self._marks.begin(mark)
            outcome = run_job(self._interpreter, job, link)
            self._links.pop(link.job_id, None)
            self._say(outcome)

    def _say(self, frame: frames.FromWorker) -> None:
        self._on_frames(self, [frame])


def run_job(interpreter: Interpreter, job: ActivityJob, link: JobLink) -> frames.FromWorker:
    """Runs an attempt in this thread; whatever it raises becomes data."""
    try:
        began_s = time.monotonic()
        result = interpreter.run(interpreter.prepare(job.call.target), job.args, job.about(), link)
        return frames.Done(link.job_id, result, time.monotonic() - began_s)
    except BaseException as error:
        return frames.Failed(link.job_id, interpreter.capture(error))
    finally:
        link.close()
