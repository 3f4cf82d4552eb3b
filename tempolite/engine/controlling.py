"""Signals, queries and updates, pause, resume and cancel: thin over the messages that a run takes."""

from __future__ import annotations

from typing import Any

from tempolite.actors.controls import Cancel, Enqueue, Pause, Query, Resume, Signal, Update
from tempolite.engine.port import Port


class Controlling(Port):
    """Calls that speak to a run; each returns once what it led to is durable."""

    def signal(self, id: str, name: str, value: Any = None, *, dedup: str | None = None) -> None:
        """Sends a value to the next ``ctx.signal(name)`` of a workflow, whatever it is doing now.

        Args:
            id: the workflow.
            name: which signal.
            value: what it carries.
            dedup: makes resending safe: the second of this name and ``dedup`` is dropped.

        Raises:
            WorkflowNotFound, WorkflowFinished: there is nobody to get it.
            Busy: too many signals of the workflow are unread.
            InvalidArguments, NotStorable: the name or the value is wrong.
        """
        self.ask_run(id, Signal(name, value, dedup))

    publish_signal = signal

    def query(self, id: str, name: str, *args: Any) -> Any:
        """Asks a workflow, finished or not, through its ``on_query`` handler; nothing is recorded.

        Raises:
            HandlerNotFound: it has no such handler.
            WorkflowNotFound: there is no such workflow.
            Exception: what the handler raises.
        """
        return self.ask_run(id, Query(name, args))

    def update(self, id: str, name: str, *args: Any) -> Any:
        """Changes a workflow through its ``on_update`` handler, and gives the handler's result.

        Raises:
            HandlerNotFound: it has no such handler.
            WorkflowNotFound, WorkflowFinished: there is nothing to change.
            Exception: what the validator raises, then nothing was recorded; or what the handler raises.
        """
        return self.ask_run(id, Update(name, args))

    def pause(self, id: str) -> None:
        """Lets activities under way finish and delivers nothing more, here and in all children.

        Raises:
            WorkflowNotFound, WorkflowFinished: there is nothing to pause. Pausing twice is no error.
        """
        self.ask_run(id, Pause())

    def resume(self, id: str) -> None:
        """Goes on from where the run stopped: paused, stuck, failed or cancelled.

        Raises:
            WorkflowNotFound: there is no such workflow.
            InvalidState: it is pending, running, waiting or completed.
        """
        self.ask_run(id, Resume())

    def cancel(self, id: str) -> None:
        """Raises ``Cancelled`` in the workflow where it waits, and cancels its activities and children.

        Raises:
            WorkflowNotFound, WorkflowFinished: there is nothing to cancel.
        """
        self.ask_run(id, Cancel())

    def enqueue(self, id: str) -> None:
        """Starts a run that was made with ``defer=True``.

        Raises:
            WorkflowNotFound: there is no such workflow.
            InvalidState: it is not pending.
        """
        self.ask_run(id, Enqueue())

    # ── awaitable twins ─────────────────────────────────────────────────────────────────────────────────

    async def asignal(self, id: str, name: str, value: Any = None, *, dedup: str | None = None) -> None:
        """Awaitable twin of :meth:`signal`."""
        await self.ask_run_nowait(id, Signal(name, value, dedup))

    apublish_signal = asignal

    async def aquery(self, id: str, name: str, *args: Any) -> Any:
        """Awaitable twin of :meth:`query`."""
        return await self.ask_run_nowait(id, Query(name, args))

    async def aupdate(self, id: str, name: str, *args: Any) -> Any:
        """Awaitable twin of :meth:`update`."""
        return await self.ask_run_nowait(id, Update(name, args))

    async def apause(self, id: str) -> None:
        """Awaitable twin of :meth:`pause`."""
        await self.ask_run_nowait(id, Pause())

    async def aresume(self, id: str) -> None:
        """Awaitable twin of :meth:`resume`."""
        await self.ask_run_nowait(id, Resume())

    async def acancel(self, id: str) -> None:
        """Awaitable twin of :meth:`cancel`."""
        await self.ask_run_nowait(id, Cancel())

    async def aenqueue(self, id: str) -> None:
        """Awaitable twin of :meth:`enqueue`."""
        await self.ask_run_nowait(id, Enqueue())
