"""Several activities at once in one worker: plain functions in threads, coroutines on an event loop.

A file of its own, because a worker with one slot never needs it, and loading asyncio takes as long as the
rest of a worker's start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tempolite.actors.frames import Run


class Slots:
    """So many places, each of which takes the next run when it is free.

    Args:
        count: how many.
        next_run: waits for a run; None where it was taken back meanwhile.
        serve: runs a plain function, in the thread that calls it, and sends what it gives.
        serve_async: gives what does the same on the loop; None where the function is a plain one.
    """

    def __init__(
        self,
        count: int,
        next_run: Callable[[], Run | None],
        serve: Callable[[Run], None],
        serve_async: Callable[[Run], Coroutine[Any, Any, None] | None],
    ) -> None:
        self._count = count
        self._next_run = next_run
        self._serve, self._serve_async = serve, serve_async

    def run(self) -> None:
        """Serves for ever."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        loop, free = asyncio.get_running_loop(), asyncio.Semaphore(self._count)
        threads = ThreadPoolExecutor(self._count, thread_name_prefix="tempolite-slot")
        waiter = ThreadPoolExecutor(1, thread_name_prefix="tempolite-feeder")
        tasks: set[asyncio.Task[None]] = set()
        while True:
            await free.acquire()
            run = await loop.run_in_executor(waiter, self._next_run)
            if run is None:
                free.release()
                continue
            task = loop.create_task(self._fill(run, free, threads))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _fill(self, run: Run, free: asyncio.Semaphore, threads: ThreadPoolExecutor) -> None:
        try:
            served = self._serve_async(run)
            if served is None:
                await asyncio.get_running_loop().run_in_executor(threads, self._serve, run)
            else:
                await served
        finally:
            free.release()
