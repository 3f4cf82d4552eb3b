"""The engine that a user holds, put together from what it can do."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from tempolite.codec import JsonCodec
from tempolite.engine.client import PATIENCE_S, Client
from tempolite.engine.cloning import Cloning
from tempolite.engine.controlling import Controlling
from tempolite.engine.following import Following
from tempolite.engine.keeping import Keeping
from tempolite.engine.looking import Looking
from tempolite.engine.queueing import Queueing
from tempolite.engine.replaying import Replaying
from tempolite.engine.scheduling import Scheduling
from tempolite.engine.shared_engine import TAKEOVER_S, SharedEngine


class Tempolite(Controlling, Cloning, Scheduling, Queueing, Looking, Following, Keeping, Replaying):
    """An embedded engine for durable workflows.

    Args:
        database: path of the file, or ``":memory:"``.
        queues: settings; a queue ``"default"`` always exists.
        workflows: functions that stored runs may need.
        codec: how values are stored; JSON unless told.
        clock: where time comes from.
        wait_for_lock: stand by while another engine holds the file.
        default_retry: of activities that bring no policy of their own.
        resident_workflows: beyond this many runs in memory, those that only wait leave it.
        payload_limit: bytes of one payload.
        signal_limit: unread signals of one workflow; more are refused with ``Busy``.
        turn_limit: seconds that a stretch of live workflow code may take; None is no limit.
        debug: raise where workflow code does what belongs elsewhere, as under pytest.
        retention: finished workflows are deleted by themselves when they have been so for so long.

    Use it as a context manager, or call :meth:`start` and :meth:`close`. Every method may be called from
    any thread; each blocking method ``m`` has an awaitable twin ``am``.
    """

    @staticmethod
    def connect(
        database: str | os.PathLike[str], *, codec: JsonCodec | None = None, patience: float = PATIENCE_S
    ) -> Client:
        """The same calls for another process than the one whose engine has the file open.

        Only processes of the same user are served, through the socket beside the file.

        Args:
            database: path of the file; an engine in memory has no clients.
            codec: as the owner's.
            patience: seconds that calls wait for the next owner when this one has ended.

        Raises:
            EngineClosed: no engine has the file open.
        """
        return Client(database, codec=codec, patience=patience)

    @staticmethod
    async def aconnect(
        database: str | os.PathLike[str], *, codec: JsonCodec | None = None, patience: float = PATIENCE_S
    ) -> Client:
        """Awaitable twin of :meth:`connect`."""
        return await asyncio.to_thread(Client, database, codec=codec, patience=patience)

    @classmethod
    def shared(
        cls, database: str | os.PathLike[str], *, patience: float = TAKEOVER_S, **settings: Any
    ) -> SharedEngine:
        """One engine for several processes on a file, such as the workers of a web server.

        Each makes this object, and starts it; the first one runs the engine, the others speak to it. When it
        ends, or is killed, another one takes over. Workflow functions are known by ``workflows=`` or
        ``@workflow``, in each process.

        Args:
            database: path of the file.
            patience: seconds that calls wait for the next owner when this one has ended.
            settings: as of :class:`Tempolite`, the same in every process.
        """
        return SharedEngine(database, engine=cls, patience=patience, **settings)
