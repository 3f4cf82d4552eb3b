"""Looking at what is stored: lists, histories, queues."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from tempolite.core.identifiers import WorkflowId
from tempolite.core.status import Status
from tempolite.engine.handle import WorkflowInfo
from tempolite.engine.lifecycle import Lifecycle
from tempolite.engine.listing import (
    Event,
    Metrics,
    Node,
    Page,
    QueueInfo,
    event_of,
    page_of_runs,
    run_filter,
    unknown_workflow,
)
from tempolite.engine.settings import checked_count
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

    def share_done(self, workflow: str) -> float | None:
        """How much of what a run's activities have to do they have done, as far as they say so."""
        told = self._system.progress_of(WorkflowId(workflow)).values()
        known = [(done, total) for done, total in told if total]
        return sum(done for done, _ in known) / sum(total for _, total in known) if known else None

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
        size = checked_count("limit", limit, least=1)
        found = page_of_runs(self._rows(*queries.list_runs(chosen, size + 1)), size)
        return Page([WorkflowInfo(self, row.workflow) for row in found], found.cursor)

    async def aworkflows(self, **filters: Any) -> Page[WorkflowInfo[Any]]:
        """Awaitable twin of :meth:`workflows`."""
        return await asyncio.to_thread(self.workflows, **filters)

    def count(self, /, **filters: Any) -> int:
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
            raise unknown_workflow(id, run)
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

    def tree(self, id: str) -> Node:
        """A workflow and, below it, the workflows that it started.

        Raises:
            WorkflowNotFound: there is none.
        """
        rows = self._rows(queries.TREE, (id,))
        if not rows:
            raise unknown_workflow(id)
        children: dict[str, list[str]] = {}
        for workflow, parent in rows:
            children.setdefault(parent or "", []).append(workflow)
        # Parents before their children, each workflow once; then the nodes are made from the leaves on.
        order = dict.fromkeys([id])
        for workflow in (waiting := [id]):
            new = [child for child in children.get(workflow, ()) if child not in order]
            order.update(dict.fromkeys(new))
            waiting.extend(new)
        nodes: dict[str, Node] = {}
        for workflow in reversed(order):
            below = tuple(nodes[child] for child in children.get(workflow, ()) if child in nodes)
            nodes[workflow] = Node(WorkflowInfo(self, workflow), below)
        return nodes[id]

    async def atree(self, id: str) -> Node:
        """Awaitable twin of :meth:`tree`."""
        return await asyncio.to_thread(self.tree, id)

    def metrics(self) -> Metrics:
        """How much there is, and how much went on since the engine started."""
        counted = {status: number for status, number in self._rows(queries.COUNT_BY_STATUS)}  # noqa: C416
        dropped, lost = self._system.loss_counts()
        return Metrics(
            runs={status: counted.get(status, 0) for status in Status},
            queues={name: self.queue(name) for name in list(self._queues)},
            commits=self._system.persistence.commits,
            dropped_late_results=dropped,
            lost_workers=lost,
        )

    async def ametrics(self) -> Metrics:
        """Awaitable twin of :meth:`metrics`."""
        return await asyncio.to_thread(self.metrics)
