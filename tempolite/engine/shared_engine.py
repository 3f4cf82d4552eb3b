"""One engine for several processes on a file: one of them runs it, and when that ends, the next one does."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import Any, Self

from tempolite.actors.control_socket.link import Link
from tempolite.actors.database_file import MEMORY
from tempolite.actors.life_lock import LifeLock
from tempolite.actors.standby import Standby
from tempolite.engine.client import RemoteEngine
from tempolite.engine.lifecycle import Lifecycle
from tempolite.engine.settings import checked_path, checked_patience
from tempolite.errors import EngineClosed, EngineLocked, InvalidArguments

TAKEOVER_S = 30.0
"""How long calls wait for the next owner: it may have to wait for workers of the last one to end."""


class SharedEngine(RemoteEngine):
    """The calls of a :class:`Tempolite` in each of several processes on one file; see ``Tempolite.shared``.

    Whichever comes first runs the engine, the others speak to it, and nobody sees a difference. Standing by
    costs nothing: the end of the connection tells that the owner has ended, however it did. Then one of the
    others takes over, brings the runs back from the file, and calls go on as :class:`Client` says.

    Use it as a context manager, or call :meth:`start` and :meth:`close`; start it after a fork, not before.
    """

    def __init__(
        self,
        database: str | os.PathLike[str],
        *,
        engine: type[Lifecycle],
        patience: float = TAKEOVER_S,
        **settings: Any,
    ) -> None:
        if checked_path("database", database) == MEMORY or "wait_for_lock" in settings:
            raise InvalidArguments("a shared engine is on a file, and stands by without wait_for_lock")
        super().__init__(database, settings.get("codec"))
        self.settings = settings | {"codec": self.codec}
        self._make = engine
        self._patience_s = patience
        self._engine: Lifecycle | None = None
        self._owning = LifeLock()
        self._is_closed = False
        self._standby = Standby(self._find_owner)
        # A wrong setting is refused here, and not when it is this process's turn.
        self._new_engine()

    @property
    def is_owner(self) -> bool:
        """Whether the engine runs in this process."""
        return self._engine is not None and self._engine.is_of_this_process

    # ── life ────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> Self:
        """Runs the engine, or finds the process that does.

        Raises:
            EngineClosed: another process holds the file and can't be reached; or this was closed.
            NotADatabase, SchemaTooNew, UnsupportedPlatform: as ``Tempolite.start``.
        """
        self._check_open("the engine was closed; make a new one")
        if self._link is None:
            self._link = Link(self._path, self._patience_s, self._error_of, self._standby.wake)
            try:
                if not self._standby.try_until(self._find_owner, self._patience_s):
                    raise EngineClosed(f"{self._path} is held by a process that can't be reached")
            except BaseException:
                self.close()
                raise
        self._check_open("the engine was closed while it started")
        return self

    def close(self, timeout: float | timedelta = 30) -> None:
        """Ends this process's part; where it runs the engine, as ``Tempolite.close``: another takes over."""
        timeout_s = checked_patience(timeout)
        if self._link is not None and not self._link.is_of_this_process:
            # This is a fork: the lock below may be held by a thread that is not here.
            return
        self._is_closed = True
        if self._owning.is_mine:
            # A signal handler in the middle of a start, which ends itself.
            return
        self._standby.close()
        with self._owning:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.close(timeout_s)
        if self._link is not None:
            self._link.close()

    async def astart(self) -> Self:
        """Awaitable twin of :meth:`start`."""
        return await asyncio.to_thread(self.start)

    async def aclose(self, timeout: float | timedelta = 30) -> None:
        """Awaitable twin of :meth:`close`."""
        await asyncio.to_thread(self.close, timeout)

    def __enter__(self) -> Self:
        return self.start()

    async def __aenter__(self) -> Self:
        return await self.astart()

    # ── whose turn it is ────────────────────────────────────────────────────────────────────────────────

    def _check_open(self, problem: str) -> None:
        if self._is_closed:
            self.close()
            raise EngineClosed(problem)

    def _find_owner(self) -> bool:
        """Takes the file if it is free, and connects to whoever has it then."""
        with self._owning:
            if self._is_closed:
                return True
            self._take_over()
        try:
            self._connect(0.0)
        except EngineClosed:
            # Its owner is just ending, or has not got so far as to let anybody in.
            return False
        return True

    def _take_over(self) -> None:
        if self._engine is not None:
            if not self._engine.has_failed:
                # Only this process's own connection to it was lost.
                return
            # The next start begins from what is recorded.
            self._engine.close(0)
            self._engine = None
        engine = self._new_engine()
        try:
            engine.start()
        except EngineLocked:
            return
        self._engine = engine

    def _new_engine(self) -> Lifecycle:
        return self._make(self._path, **self.settings)
