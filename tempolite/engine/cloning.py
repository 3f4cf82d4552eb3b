"""New runs made from stored ones: clones, and forks that keep a part of the history."""

from __future__ import annotations

import asyncio
from typing import Any

from tempolite.actors.messages import StartRun
from tempolite.actors.run_store import StoredRun
from tempolite.core.events import Entry, RunCreated
from tempolite.core.forking import kept_entries
from tempolite.core.identifiers import StepKey, WorkflowId
from tempolite.engine.handle import WorkflowInfo
from tempolite.engine.in_process import InProcess
from tempolite.engine.listing import unknown_workflow
from tempolite.engine.running import Running
from tempolite.engine.settings import checked_text
from tempolite.errors import InvalidArguments, NotRegistered


class Cloning(Running, InProcess):
    """Calls that begin with a stored run."""

    def retry(self, id: str, new_id: str | None = None) -> WorkflowInfo[Any]:
        """A new run of the same function and inputs, in which all steps run again; the old one stays.

        ``new_id=None`` makes an id. The new run's ``retried_from`` names the old one.

        Raises:
            WorkflowNotFound: there is no such workflow.
            WorkflowAlreadyExists: ``new_id`` is taken.
            NotRegistered: its function is not known to this engine.
        """
        stored, entries = self._source(id)
        created = _created(entries)
        workflow = self._new_id() if new_id is None else checked_text("new_id", new_id)
        clone = self._anew(created, workflow, retried_from=id, seed=self._services.new_seed())
        return self._begin(workflow, stored, clone, is_made_up=new_id is None)

    async def aretry(self, id: str, new_id: str | None = None) -> WorkflowInfo[Any]:
        """Awaitable twin of :meth:`retry`."""
        return await asyncio.to_thread(self.retry, id, new_id)

    def fork(self, id: str, new_id: str, *, before: str) -> WorkflowInfo[Any]:
        """A new run that keeps the outcomes of all steps completed before that one was scheduled.

        It goes on live from there: ``before`` runs again, and so does whatever was still under way then.
        Signals that the kept steps took are kept with them, others are not. The new run's ``forked_from``
        names the old one, which stays as it is.

        Args:
            id: the workflow to begin with; its latest run, as last committed.
            new_id: id of the new one.
            before: name of a step, with ``#n`` for the n-th use of that name.

        Raises:
            WorkflowNotFound: there is no such workflow.
            InvalidArguments: it has no such step.
            WorkflowAlreadyExists: ``new_id`` is taken.
            NotRegistered: its function is not known to this engine.
        """
        stored, entries = self._source(id)
        workflow = checked_text("new_id", new_id)
        try:
            prelude = kept_entries(entries, StepKey(before))
        except (KeyError, TypeError):
            raise InvalidArguments(f"workflow {id!r} has no step {before!r}") from None
        created = _created(entries)
        fork = self._anew(created, workflow, forked_from=id, seed=created.seed)
        return self._begin(workflow, stored, fork, tuple(prelude))

    async def afork(self, id: str, new_id: str, *, before: str) -> WorkflowInfo[Any]:
        """Awaitable twin of :meth:`fork`."""
        return await asyncio.to_thread(self.fork, id, new_id, before=before)

    def _source(self, id: str) -> tuple[StoredRun, list[Entry]]:
        self._check_started()
        stored = self._runs.find(WorkflowId(id))
        if stored is None:
            raise unknown_workflow(id)
        return stored, self._runs.entries(stored)

    def _anew(self, created: RunCreated, workflow: str, **origin: Any) -> RunCreated:
        """The same beginning for a workflow of its own: a root, that starts at once."""
        self._check_queue(created.queue)
        return RunCreated(
            workflow=workflow,
            function=created.function,
            args=created.args,
            queue=created.queue,
            run_group=workflow,
            priority=created.priority,
            retry=created.retry,
            timeout_s=created.timeout_s,
            versions=created.versions,
            **origin,
        )

    def _begin(
        self,
        workflow: str,
        source: StoredRun,
        created: RunCreated,
        prelude: tuple[Entry, ...] = (),
        *,
        is_made_up: bool = False,
    ) -> WorkflowInfo[Any]:
        call = self._registry.find(source.function)
        if call is None:
            raise NotRegistered(
                f"workflow {source.workflow!r}: function {source.function!r} is not known to this engine"
            )
        request = StartRun(
            WorkflowId(workflow),
            created,
            must_be_new=True,
            is_made_up=is_made_up,
            code=call,
            prelude=prelude,
        )
        return WorkflowInfo(self, self._ask_for_commit(request))


def _created(entries: list[Entry]) -> RunCreated:
    body = entries[0].body
    assert isinstance(body, RunCreated), "the history was folded, or will be"
    return body
