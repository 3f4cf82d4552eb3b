"""The event loop of an ``async def`` workflow: asyncio's tasks, futures and times, nothing else.

``asyncio.sleep``, ``timeout`` and ``wait_for`` ask their loop for calls at a later time: here these are
durable timers of the run, so they outlive a crash, and fire in the same order on every replay.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, Protocol

from tempolite.errors import NotAllowedInWorkflow
from tempolite.execution.fence import Fenced

logger = logging.getLogger("tempolite")

TASKS_KEPT = 64
"""Done tasks beyond this many are forgotten when the next one is made."""


class LoopTime(Protocol):
    """What the loop asks of the run."""

    def now_s(self) -> float:
        """The time that the code has come to, in seconds since the epoch."""
        ...

    def start(self, delay_s: float, fire: Callable[[], None]) -> Callable[[], None]:
        """Starts a durable timer; gives what cancels it."""
        ...


class _NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set is the same on every replay.

    ``TaskGroup``, ``wait`` and others keep tasks in sets, and cancel them or hand them out in a set's order:
    that of the hashes, by default of where in memory they are.
    """

    def __init__(self, coro: Any, *, number: int, **options: Any) -> None:
        # First: asyncio puts each new task into a set of its own.
        self._number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class _NumberedFuture(asyncio.Future[Any]):
    """A future with the same property."""

    def __init__(self, *, number: int, **options: Any) -> None:
        self._number = number
        super().__init__(**options)

    def __hash__(self) -> int:
        return self._number


class WorkflowLoop(asyncio.AbstractEventLoop):
    """Just enough of an event loop for tasks and futures, first in first out.

    Whatever would need a thread, a socket, a process or a clock of its own is refused.

    Args:
        time: the run's time and timers.
    """

    def __init__(self, time: LoopTime) -> None:
        self._time = time
        self._ready: deque[asyncio.Handle] = deque()
        self._cancels: dict[asyncio.TimerHandle, Callable[[], None]] = {}
        self._tasks: list[asyncio.Task[Any]] = []
        self._numbers = 0

    def run_ready(self) -> None:
        """Runs callbacks until there is none; an error that ends the code comes out."""
        while self._ready:
            handle = self._ready.popleft()
            if not handle.cancelled():
                # A task keeps these two as its outcome, and raises them here too, to end a whole program.
                with suppress(SystemExit, KeyboardInterrupt):
                    handle._run()

    def end_tasks(self) -> None:
        """Closes every task's coroutine, the youngest first."""
        while self._tasks:
            task = self._tasks.pop()
            if task.done():
                continue
            coroutine: Any = task.get_coro()
            try:
                # What it asks of its context in a ``finally`` block is refused, as it should be.
                with suppress(Fenced):
                    coroutine.close()
            except BaseException as error:
                logger.error("workflow code went on after it was ended: %r", error)
        self._ready.clear()

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def time(self) -> float:
        return self._time.now_s()

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(self.time() + delay, callback, args, self, context)
        if delay <= 0:
            self._ready.append(handle)
        else:
            # asyncio's own mark: a handle that has it tells its loop when it is cancelled.
            handle._scheduled = True  # type: ignore[attr-defined]
            self._cancels[handle] = self._time.start(delay, lambda: self._fire(handle))
        return handle

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_later(when - self.time(), callback, *args, context=context)

    def _fire(self, handle: asyncio.TimerHandle) -> None:
        self._cancels.pop(handle, None)
        self._ready.append(handle)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        cancel = self._cancels.pop(handle, None)
        if cancel is not None:
            cancel()

    def create_future(self) -> asyncio.Future[Any]:
        return _NumberedFuture(loop=self, number=self._next_number())

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task = _NumberedTask(coro, loop=self, number=self._next_number(), **options)
        # A run that is put away, or dropped with its engine, leaves its tasks where they are: no news.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        if len(self._tasks) > TASKS_KEPT:
            self._tasks = [known for known in self._tasks if not known.done()]
        self._tasks.append(task)
        return task

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        logger.error("in a workflow: %s", context.get("message"), exc_info=context.get("exception"))


def new_loop(time: LoopTime) -> WorkflowLoop:
    """A loop for one attempt of one run."""
    # What is not overridden raises NotImplementedError; what somebody may call is refused by name below.
    return WorkflowLoop(time)  # type: ignore[abstract]


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
    "connect_accepted_socket": _IN_ACTIVITY,
    "start_tls": _IN_ACTIVITY,
    "sendfile": _IN_ACTIVITY,
    "sock_recv": _IN_ACTIVITY,
    "sock_recv_into": _IN_ACTIVITY,
    "sock_recvfrom": _IN_ACTIVITY,
    "sock_recvfrom_into": _IN_ACTIVITY,
    "sock_sendall": _IN_ACTIVITY,
    "sock_sendto": _IN_ACTIVITY,
    "sock_connect": _IN_ACTIVITY,
    "sock_accept": _IN_ACTIVITY,
    "sock_sendfile": _IN_ACTIVITY,
    "add_signal_handler": "handle signals in the program that owns the engine",
    "run_forever": "the engine runs the loop",
    "run_until_complete": "use `await`",
}.items():
    setattr(WorkflowLoop, _name, _refused(_name, _instead))


class running:  # noqa: N801 - used as a statement, not as a thing
    """Makes a loop the running one of this thread, and takes that back."""

    def __init__(self, loop: WorkflowLoop) -> None:
        self._loop = loop

    def __enter__(self) -> None:
        self._before = asyncio._get_running_loop()
        asyncio._set_running_loop(self._loop)

    def __exit__(self, *_: Any) -> None:
        asyncio._set_running_loop(self._before)
