"""The engine that a user holds, put together from what it can do."""

from __future__ import annotations

from tempolite.engine.cloning import Cloning
from tempolite.engine.controlling import Controlling
from tempolite.engine.following import Following
from tempolite.engine.keeping import Keeping
from tempolite.engine.looking import Looking
from tempolite.engine.queueing import Queueing
from tempolite.engine.replaying import Replaying
from tempolite.engine.scheduling import Scheduling


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
