"""Queues of a running engine: new ones, and how many workers they have."""

from __future__ import annotations

import asyncio

from tempolite.actors.messages import QueueCreated
from tempolite.core.queues import Queue
from tempolite.engine.lifecycle import Lifecycle
from tempolite.engine.settings import checked_queue
from tempolite.errors import QueueExists


class Queueing(Lifecycle):
    """Calls that change queues while they work."""

    def create_queue(self, queue: Queue) -> None:
        """Starts a queue; runs that were stranded without it go on.

        It lives as long as this engine: give it to the next one in ``Tempolite(queues=[...])``, or create it
        again.

        Raises:
            QueueExists: there is one of that name.
            InvalidArguments: it is no queue, or of a kind that there isn't.
        """
        self._check_started()
        with self._lifecycle:
            if checked_queue(queue).name in self._queues:
                raise QueueExists(f"a queue named {queue.name!r} exists already")
            self._system.create_queue(queue)
            self._queues[queue.name] = queue
            self._system.tell(QueueCreated(queue.name, queue.max_runs))
        self._close_if_asked()

    async def acreate_queue(self, queue: Queue) -> None:
        """Awaitable twin of :meth:`create_queue`."""
        await asyncio.to_thread(self.create_queue, queue)

    def scale(self, name: str, workers: int) -> int:
        """Gives a queue so many workers, while it works; gives back how many it had.

        Idle workers that are too many leave at once, busy ones after their work; 0 accepts and holds.

        Raises:
            QueueNotFound: there is none of that name.
            InvalidArguments: the count is no int from 0.
        """
        self._check_started()
        return self._system.scale(name, workers)

    async def ascale(self, name: str, workers: int) -> int:
        """Awaitable twin of :meth:`scale`."""
        return await asyncio.to_thread(self.scale, name, workers)
