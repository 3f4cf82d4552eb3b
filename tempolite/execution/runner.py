"""Runs a workflow function to its next wait, without holding a thread while it waits.

A ``def`` runs in a greenlet, an ``async def`` as a task of a small deterministic event loop. Both are run
by whoever calls :meth:`run`, and come back when the code can't go on.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, Protocol

import greenlet

from tempolite.errors import NotAllowedInWorkflow

logger = logging.getLogger("tempolite")

SPARE_STACKS_MAX = 1_000

CLOSE_STEPS_MAX = 100
"""Times that code may go on after it was fenced, in ``finally`` blocks that catch everything."""


class Fenced(BaseException):
    """Raised by every call of a context whose code is being ended: nothing it does is recorded."""


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
                "the workflow's context was used outside of its own code (a thread, a callback, another "
                "greenlet); pass values there instead"
            )
        while not is_ready():
            stack.wait()

    def close(self) -> None:
        stack = self._stack
        if stack is None or self.is_done:
            return
        for _ in range(CLOSE_STEPS_MAX):
            stack.throw()
            if self.is_done:
                stack.give_back()
                return
        logger.error("workflow code goes on after it was ended; it is left behind: %r", self._start)

    def _main(self) -> None:
        try:
            self.result = self._start()
        except BaseException as error:
            self.error = error
        self.is_done = True


class CoroutineRunner:
    """An ``async def``: a task of a loop that runs callbacks in order, and nothing else."""

    def __init__(self, start: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._loop = WorkflowLoop()
        self.is_done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self._start = start
        self._task: asyncio.Task[Any] | None = None

    def run(self) -> None:
        with _running(self._loop):
            if self._task is None:
                self._task = self._loop.create_task(self._start())
            self._loop.run_ready()
        if self._task.done() and not self.is_done:
            self._take_outcome(self._task)

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        if not is_ready():
            raise NotAllowedInWorkflow("this waits: in an `async def` workflow use `await` on it")

    def close(self) -> None:
        with _running(self._loop):
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
        with _running(self._loop):
            self._loop.end_tasks()


class WorkflowLoop(asyncio.AbstractEventLoop):
    """Just enough of an event loop for tasks and futures, first in first out.

    Whatever would need a thread, a socket, a process or a clock of its own is refused.
    """

    def __init__(self) -> None:
        self._ready: deque[asyncio.Handle] = deque()
        self._tasks: list[asyncio.Task[Any]] = []

    def run_ready(self) -> None:
        """Runs callbacks until there is none; an error that ends the code comes out."""
        while self._ready:
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()

    def end_tasks(self) -> None:
        """Closes every task's coroutine, the youngest first."""
        while self._tasks:
            task = self._tasks.pop()
            if task.done():
                continue
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine: Any = task.get_coro()
            try:
                coroutine.close()
            except BaseException as error:
                logger.error("workflow code went on after it was ended: %r", error)
        self._ready.clear()

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, **options)
        self._tasks = (
            [known for known in self._tasks if not known.done()] if len(self._tasks) > 64 else self._tasks
        )
        self._tasks.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        logger.error("in a workflow: %s", context.get("message"), exc_info=context.get("exception"))


def _refused(name: str, instead: str) -> Callable[..., NoReturn]:
    def refuse(*_args: Any, **_kwargs: Any) -> NoReturn:
        raise NotAllowedInWorkflow(f"asyncio's {name} can't be used in a workflow; {instead}")

    return refuse


_IN_ACTIVITY = "do it in an activity"
for _name, _instead in {
    "run_in_executor": _IN_ACTIVITY,
    "call_soon_threadsafe": "send the workflow a signal",
    "getaddrinfo": _IN_ACTIVITY,
    "getnameinfo": _IN_ACTIVITY,
    "create_connection": _IN_ACTIVITY,
    "create_server": _IN_ACTIVITY,
    "create_unix_connection": _IN_ACTIVITY,
    "create_unix_server": _IN_ACTIVITY,
    "create_datagram_endpoint": _IN_ACTIVITY,
    "connect_read_pipe": _IN_ACTIVITY,
    "connect_write_pipe": _IN_ACTIVITY,
    "subprocess_shell": _IN_ACTIVITY,
    "subprocess_exec": _IN_ACTIVITY,
    "add_reader": _IN_ACTIVITY,
    "add_writer": _IN_ACTIVITY,
    "add_signal_handler": "handle signals in the program that owns the engine",
    "run_forever": "the engine runs the loop",
    "run_until_complete": "use `await`",
}.items():
    setattr(WorkflowLoop, _name, _refused(_name, _instead))


class _running:  # noqa: N801 - used as a statement, not as a thing
    """Makes a loop the running one of this thread, and takes that back."""

    def __init__(self, loop: WorkflowLoop) -> None:
        self._loop = loop

    def __enter__(self) -> None:
        self._before = asyncio._get_running_loop()
        asyncio._set_running_loop(self._loop)

    def __exit__(self, *_: Any) -> None:
        asyncio._set_running_loop(self._before)
