"""Looking at what is stored: lists, histories, queues."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec

from tempolite.engine.handle import WorkflowInfo
from tempolite.engine.lifecycle import Lifecycle
from tempolite.engine.listing import Event, Page, QueueInfo, checked_limit, event_of, run_filter
from tempolite.errors import WorkflowNotFound
from tempolite.store import queries


class Looking(Lifecycle):
    """Calls that read, as last committed."""

    def get(self, id: str) -> WorkflowInfo[Any]:
        """The handle of a stored run, from any process generation.

        Raises:
            WorkflowNotFound: there is none.
        """
        self.get_row(id)
        return WorkflowInfo(self, id)

    async def aget(self, id: str) -> WorkflowInfo[Any]:
        """Awaitable twin of :meth:`get`."""
        return await asyncio.to_thread(self.get, id)

    def workflows(
        self,
        *,
        status: str | Iterable[str] | None = None,
        queue: str | None = None,
        function: Callable[..., Any] | str | None = None,
        parent: str | None = None,
        run_group: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        search: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[WorkflowInfo[Any]]:
        """Lists runs, newest first; the order is stable, so pages neither skip nor repeat.

        Raises:
            InvalidArguments: an unknown status, a naive time, a limit below 1, a cursor that no page gave.
        """
        chosen = run_filter(
            self._registry,
            status=status,
            queue=queue,
            function=function,
            parent=parent,
            run_group=run_group,
            created_after=created_after,
            created_before=created_before,
            search=search,
            cursor=cursor,
        )
        size = checked_limit(limit)
        rows = self._rows(*queries.list_runs(chosen, size + 1))
        found = [msgspec.convert(row, queries.RunRow) for row in rows[:size]]
        following = str(found[-1].ordinal) if len(rows) > size else None
        return Page([WorkflowInfo(self, row.workflow) for row in found], following)

    async def aworkflows(self, **filters: Any) -> Page[WorkflowInfo[Any]]:
        """Awaitable twin of :meth:`workflows`."""
        return await asyncio.to_thread(self.workflows, **filters)

    def count(self, **filters: Any) -> int:
        """How many runs the same filters as in :meth:`workflows` choose."""
        sql, values = queries.count_runs(run_filter(self._registry, **filters))
        return int(self._rows(sql, values)[0][0])

    async def acount(self, **filters: Any) -> int:
        """Awaitable twin of :meth:`count`."""
        return await asyncio.to_thread(self.count, **filters)

    def history(self, id: str, *, run: int | None = None) -> list[Event]:
        """The events of a run; of the latest unless told.

        Raises:
            WorkflowNotFound: there is no such workflow, or no such run of it.
        """
        if run is None:
            rows = self._rows(queries.HISTORY_OF_LATEST, (id,))
        else:
            rows = self._rows(queries.HISTORY_OF_RUN, (id, run))
        if not rows:
            raise WorkflowNotFound(f"no workflow {id!r}" + ("" if run is None else f" with a run {run}"))
        return [event_of(row) for row in rows]

    async def ahistory(self, id: str, *, run: int | None = None) -> list[Event]:
        """Awaitable twin of :meth:`history`."""
        return await asyncio.to_thread(self.history, id, run=run)

    def queue(self, name: str) -> QueueInfo:
        """A queue's settings, and what goes on in it.

        Raises:
            QueueNotFound: there is none of that name.
        """
        self._check_started()
        workers, running, waiting = self._system.counts_of(name)
        of = self._queues[name]
        return QueueInfo(of.name, of.kind, workers, of.slots, of.max_runs, of.rate, running, waiting)

    async def aqueue(self, name: str) -> QueueInfo:
        """Awaitable twin of :meth:`queue`."""
        return await asyncio.to_thread(self.queue, name)
