"""Runs a workflow function to its next wait, without holding a thread while it waits.

A ``def`` runs in a greenlet, an ``async def`` as a task of a small deterministic event loop. Both are run
by whoever calls :meth:`run`, and come back when the code can't go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import greenlet

from tempolite.errors import Cancelled, NotAllowedInWorkflow
from tempolite.execution.workflow_loop import LoopTime, WorkflowLoop, new_loop, running

logger = logging.getLogger("tempolite")

SPARE_STACKS_MAX = 1_000

CLOSE_STEPS_MAX = 100
"""Times that code may go on after it was fenced, in ``finally`` blocks that catch everything."""


class Runner(Protocol):
    """Live code of one attempt."""

    is_done: bool
    result: Any
    error: BaseException | None

    def run(self) -> None:
        """Goes on until the code waits or is done."""
        ...

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Called by the code: waits; refused where the code must ``await``."""
        ...

    def interrupt(self, message: str) -> None:
        """The wait that the code is in ends with ``Cancelled``, when it runs next."""
        ...

    def close(self) -> None:
        """Ends the code where it waits; its ``finally`` blocks run, fenced."""
        ...


class _Stack:
    """A greenlet that runs one piece of code after another, of one thread.

    A new greenlet maps memory for its Python stack and gives it back at its end, which costs more than a
    whole turn of a workflow; so a stack whose code is done waits for the next code.
    """

    def __init__(self) -> None:
        self.greenlet = greenlet.greenlet(self._serve)
        self.code: Callable[[], None] | None = None

    @classmethod
    def take(cls) -> _Stack:
        """A stack of this thread, spare or new."""
        spare = _spare_stacks()
        return spare.pop() if spare else cls()

    def switch(self) -> None:
        """Runs the code from where it stands until it waits or is done."""
        self.greenlet.parent = greenlet.getcurrent()
        self.greenlet.switch()

    def throw(self) -> None:
        """Ends the code where it stands."""
        self.greenlet.parent = greenlet.getcurrent()
        self.greenlet.throw(greenlet.GreenletExit)

    def wait(self) -> None:
        """Called by the code: back to who runs it."""
        self.greenlet.parent.switch()

    def give_back(self) -> None:
        """The code is done; the next one may have it, with context variables of its own."""
        self.greenlet.gr_context = None
        spare = _spare_stacks()
        if len(spare) < SPARE_STACKS_MAX:
            spare.append(self)

    def _serve(self) -> None:
        while True:
            code, self.code = self.code, None
            assert code is not None, "a stack is switched to with something to run"
            code()
            del code
            self.wait()


def _spare_stacks() -> list[_Stack]:
    """Those of this thread, kept on the greenlet that all of them are run from."""
    stacks: list[_Stack] = greenlet.getcurrent().__dict__.setdefault("tempolite_spare_stacks", [])
    return stacks


class GreenletRunner:
    """A ``def``: its own stack, in the thread of whoever runs it."""

    def __init__(self, start: Callable[[], Any]) -> None:
        self._start = start
        self.is_done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self._stack: _Stack | None = None
        self._interruption: str | None = None

    def run(self) -> None:
        stack = self._stack
        if stack is None:
            stack = self._stack = _Stack.take()
            stack.code = self._main
        stack.switch()
        if self.is_done:
            stack.give_back()

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        stack = self._stack
        if stack is None or greenlet.getcurrent() is not stack.greenlet:
            raise NotAllowedInWorkflow(
                "the workflow's context was used outside of its own code (a thread, a callback, the "
                "handler of an update, another greenlet); pass values there instead"
            )
        while not is_ready():
            stack.wait()
            if self._interruption is not None:
                message, self._interruption = self._interruption, None
                raise Cancelled(message)

    def interrupt(self, message: str) -> None:
        self._interruption = message

    def close(self) -> None:
        stack = self._stack
        if stack is None or self.is_done:
            return
        if any(self._ends_when_thrown(stack) for _ in range(CLOSE_STEPS_MAX)):
            stack.give_back()
        else:
            logger.error("workflow code goes on after it was ended; it is left behind: %r", self._start)

    def _ends_when_thrown(self, stack: _Stack) -> bool:
        stack.throw()
        return self.is_done

    def _main(self) -> None:
        try:
            self.result = self._start()
        except BaseException as error:
            self.error = error
        self.is_done = True


class CoroutineRunner:
    """An ``async def``: a task of a loop that runs callbacks in order, and nothing else."""

    def __init__(self, start: Callable[[], Coroutine[Any, Any, Any]], time: LoopTime) -> None:
        self._loop = new_loop(time)
        self.is_done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self._start = start
        self._task: asyncio.Task[Any] | None = None

    def run(self) -> None:
        with running(self._loop):
            if self._task is None:
                self._task = self._loop.create_task(self._start())
            self._loop.run_ready()
        if self._task.done() and not self.is_done:
            self._take_outcome(self._task)

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        if not is_ready():
            raise NotAllowedInWorkflow("this waits: in an `async def` workflow use `await` on it")

    def interrupt(self, message: str) -> None:
        assert self._task is not None, "only running code waits"
        with running(self._loop):
            self._task.cancel(message)

    def close(self) -> None:
        with running(self._loop):
            self._loop.end_tasks()

    def new_future(self) -> asyncio.Future[None]:
        """Something for the code to wait on."""
        return self._loop.create_future()

    def _take_outcome(self, task: asyncio.Task[Any]) -> None:
        self.is_done = True
        if task.cancelled():
            self.error = asyncio.CancelledError()
        else:
            self.error = task.exception()
            self.result = None if self.error else task.result()
        with running(self._loop):
            self._loop.end_tasks()


def call_into(results: list[Any], function: Callable[[], Any]) -> None:
    """Calls a function that the code gave: a handler, a condition."""
    results.append(function())


BASES = (GreenletRunner._main, WorkflowLoop.run_ready, WorkflowLoop.end_tasks, call_into)
"""What workflow code is called by: whatever stands above these on the stack is the code's doing."""
