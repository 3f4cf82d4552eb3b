"""The handle of a run, outside of workflows."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from tempolite.actors.run_ref import RunRef
from tempolite.core.status import Status
from tempolite.engine.listing import Event, moment

if TYPE_CHECKING:
    from tempolite.engine.engine import Tempolite
    from tempolite.engine.port import Port
    from tempolite.store.queries import RunRow

R = TypeVar("R")


class WorkflowInfo(Generic[R]):
    """A workflow's latest run: what it is, how it goes, and its outcome.

    Everything but the id is read afresh at each access, as last committed.
    """

    __tempolite_remedy__ = "pass its .id, or the value that its .get() gives"

    def __init__(self, engine: Port, workflow: str) -> None:
        # Every engine that is made is the whole one; its parts make handles too.
        self._engine = cast("Tempolite", engine)
        self._id = workflow

    @property
    def id(self) -> str:
        """The workflow's id."""
        return self._id

    @property
    def run(self) -> int:
        """Number of the latest run, from 1."""
        return self._row().run

    @property
    def run_group(self) -> str:
        """Id of the root of the tree that it belongs to."""
        return self._row().run_group

    @property
    def function(self) -> str:
        """Recorded name of its function."""
        return self._row().function

    @property
    def status(self) -> Status:
        """How it goes."""
        return Status(self._row().status)

    @property
    def queue(self) -> str:
        """Where its activities go unless their options say otherwise."""
        return self._row().queue

    @property
    def parent(self) -> str | None:
        """Id of the workflow that started it."""
        return self._row().parent

    @property
    def retried_from(self) -> str | None:
        """Id of the run that it is a clone of."""
        return self._row().retried_from

    @property
    def forked_from(self) -> str | None:
        """Id of the run whose outcomes it began with."""
        return self._row().forked_from

    @property
    def created_at(self) -> datetime:
        """When it was made durable, UTC."""
        return moment(self._row().created_at)

    @property
    def finished_at(self) -> datetime | None:
        """When its outcome was recorded, UTC."""
        at = self._row().finished_at
        return None if at is None else moment(at)

    @property
    def status_text(self) -> str:
        """What the workflow last said of itself."""
        return self._row().status_text

    @property
    def progress(self) -> float | None:
        """How far it is: what it last said with ``set_status``, else what its running activities say.

        Activities tell it with ``ctx.progress(done, total)``: it is the share of all their totals that is
        done, from 0 to 1. Of those that run now; None where nobody says so.
        """
        row = self._row()
        if row.progress is not None or row.is_finished:
            return row.progress
        return self._engine.share_done(self._id)

    @property
    def problem(self) -> str:
        """Why it is stuck or stranded; empty otherwise."""
        return self._row().problem

    def get(self, timeout: float | timedelta | None = None) -> R:
        """Waits for the outcome, in whatever process or run it comes about.

        Raises:
            Exception: what the workflow raised.
            WorkflowCancelled, WorkflowStuck, WorkflowStranded: it ended, or can't go on, like that.
            TimeoutError: ``timeout`` seconds went by; the run is untouched.
            EngineClosed: the engine was closed meanwhile.
        """
        outcome: R = self._engine._outcome(self._id, timeout)
        return outcome

    def __await__(self) -> Generator[Any, None, R]:
        """Waits for the outcome without blocking the event loop."""
        return self._engine._outcome_nowait(self._id).__await__()

    @property
    def actor_ref(self) -> RunRef:
        """The run's actor: ``tell`` and ``ask`` it ``Signal``, ``Query``, ``Update``, ``Pause`` …"""
        return RunRef(self._engine, self._id)

    def signal(self, name: str, value: Any = None, *, dedup: str | None = None) -> None:
        """Sends a value to the next ``ctx.signal(name)``; see :meth:`Tempolite.signal`."""
        self._engine.signal(self._id, name, value, dedup=dedup)

    def query(self, name: str, *args: Any) -> Any:
        """Asks through a handler of ``ctx.on_query``; see :meth:`Tempolite.query`."""
        return self._engine.query(self._id, name, *args)

    def update(self, name: str, *args: Any) -> Any:
        """Changes through a handler of ``ctx.on_update``; see :meth:`Tempolite.update`."""
        return self._engine.update(self._id, name, *args)

    def pause(self) -> None:
        """Delivers nothing more until it is resumed; see :meth:`Tempolite.pause`."""
        self._engine.pause(self._id)

    def resume(self) -> None:
        """Goes on from where it stopped; see :meth:`Tempolite.resume`."""
        self._engine.resume(self._id)

    def cancel(self) -> None:
        """Raises ``Cancelled`` where it waits; see :meth:`Tempolite.cancel`."""
        self._engine.cancel(self._id)

    async def aget(self, timeout: float | timedelta | None = None) -> R:
        """Awaitable twin of :meth:`get`."""
        outcome: R = await self._engine._outcome_nowait(self._id, timeout)
        return outcome

    async def asignal(self, name: str, value: Any = None, *, dedup: str | None = None) -> None:
        """Awaitable twin of :meth:`signal`."""
        await self._engine.asignal(self._id, name, value, dedup=dedup)

    async def aquery(self, name: str, *args: Any) -> Any:
        """Awaitable twin of :meth:`query`."""
        return await self._engine.aquery(self._id, name, *args)

    async def aupdate(self, name: str, *args: Any) -> Any:
        """Awaitable twin of :meth:`update`."""
        return await self._engine.aupdate(self._id, name, *args)

    async def apause(self) -> None:
        """Awaitable twin of :meth:`pause`."""
        await self._engine.apause(self._id)

    async def aresume(self) -> None:
        """Awaitable twin of :meth:`resume`."""
        await self._engine.aresume(self._id)

    async def acancel(self) -> None:
        """Awaitable twin of :meth:`cancel`."""
        await self._engine.acancel(self._id)

    async def ahistory(self, *, run: int | None = None) -> list[Event]:
        """Awaitable twin of :meth:`history`."""
        return await self._engine.ahistory(self._id, run=run)

    def history(self, *, run: int | None = None) -> list[Event]:
        """The events of a run; of the latest unless told."""
        return self._engine.history(self._id, run=run)

    def __repr__(self) -> str:
        return f"<WorkflowInfo {self._id!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WorkflowInfo) and other._id == self._id and other._engine is self._engine

    def __hash__(self) -> int:
        return hash(self._id)

    def _row(self) -> RunRow:
        return self._engine.get_row(self._id)
