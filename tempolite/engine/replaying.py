"""Running a finished workflow's code against its history, in the caller's thread, for debugging."""

from __future__ import annotations

import asyncio
from typing import Any

from tempolite.core.identifiers import WorkflowId
from tempolite.engine.lifecycle import Lifecycle
from tempolite.engine.listing import unknown_workflow
from tempolite.engine.running import Running
from tempolite.errors import InvalidState
from tempolite.execution.replay import replayed
from tempolite.store import queries


class Replaying(Running, Lifecycle):
    """Calls that look at a run through its code."""

    def replay(self, id: str, *, run: int | None = None) -> Any:
        """Runs a finished workflow's code against its recorded history; executes and records nothing.

        The code runs in the caller's thread, so ``breakpoint()`` in it works.

        Args:
            id: the workflow.
            run: which of its runs; the latest unless told.

        Returns:
            The run's result.

        Raises:
            Exception: what the run ended with.
            NonDeterminismError: code and history disagree; both sides are shown.
            WorkflowNotFound: there is no such workflow, or no such run of it.
            InvalidState: the run is not finished.
            NotRegistered: its function is not known to this engine.
        """
        where = "r.is_latest = 1" if run is None else "r.run = ?2"
        values = (id,) if run is None else (id, run)
        rows = self._rows(queries.RUN_TO_REPLAY.format(which=where), values)
        if not rows:
            raise unknown_workflow(id, run)
        stream, function, status = rows[0]
        execution = self._runs.load_sealed(WorkflowId(id), stream, function)
        if not execution.log.state.is_finished:
            raise InvalidState(f"workflow {id!r} is {status}, only a finished run can be replayed")
        return self._outcome_of(replayed(execution))

    async def areplay(self, id: str, *, run: int | None = None) -> Any:
        """Awaitable twin of :meth:`replay`; the code runs in a thread of its own."""
        return await asyncio.to_thread(self.replay, id, run=run)
