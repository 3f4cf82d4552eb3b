"""Side effects: the user's small non-deterministic calls, off the actors' threads.

They run once the turn that asked for them is durable.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from pykka import ActorDeadError

from tempolite.actors.actor import Actor, receives
from tempolite.actors.messages import RunSideEffect, SideEffectEnded
from tempolite.actors.threads_on_demand import ThreadsOnDemand
from tempolite.actors.worker_main import Interpreter

THREADS_MAX = 16


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
        self._threads = ThreadsOnDemand("tempolite-side-effect", THREADS_MAX)

    @receives(RunSideEffect)
    def on_run(self, message: RunSideEffect) -> None:
        """Runs it; its sender is told."""
        if self._is_inline:
            self._run(message)
            return
        self._threads.run(partial(self._run, message))

    def shut_down(self, timeout_s: float) -> None:
        """Lets the threads end after what they are doing."""
        self._threads.shut_down(timeout_s)

    def _run(self, message: RunSideEffect) -> None:
        try:
            answer = SideEffectEnded(message.step, message.function())
        except BaseException as error:
            answer = SideEffectEnded(message.step, None, self._interpreter.capture(error))
        with suppress(ActorDeadError):  # the run is gone
            message.sender.tell(answer)
