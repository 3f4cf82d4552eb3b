"""What an engine is made with, and plain arguments of its calls, looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tempolite.actors.frames import PAYLOAD_LIMIT_MAX
from tempolite.actors.watchdog import Watchdog
from tempolite.core.due_times import BadTiming, Timing
from tempolite.core.identifiers import is_name
from tempolite.core.queues import DEFAULT_QUEUE, Queue
from tempolite.determinism.places import Eyes
from tempolite.errors import InvalidArguments


def checked_count(name: str, value: Any, *, least: int = 0) -> int:
    """A number of things.

    Raises:
        InvalidArguments: it is none, or too small.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidArguments(f"{name} is {value!r}, expected an int from {least}")
    return value


def checked_text(name: str, value: Any) -> str:
    """An id or a name.

    Raises:
        InvalidArguments: it is none.
    """
    if not is_name(value):
        raise InvalidArguments(f"{name} is {value!r}, expected a non-empty text")
    return value


def made_watchdog(turn_limit: float | None, eyes: Eyes) -> Watchdog | None:
    """Who watches over workflow code; None where there is no limit.

    Raises:
        InvalidArguments: the limit is no time.
    """
    if turn_limit is None:
        return None
    is_number = isinstance(turn_limit, (int, float)) and not isinstance(turn_limit, bool)
    if not is_number or not 0 < turn_limit < float("inf"):
        raise InvalidArguments(f"turn_limit is {turn_limit!r}, expected seconds above 0, or None")
    return Watchdog(turn_limit, eyes)


def checked_queue(queue: Any) -> Queue:
    """A queue that this version can run.

    Raises:
        InvalidArguments: it is none, or of a kind that there isn't yet.
    """
    if not isinstance(queue, Queue):
        raise InvalidArguments(f"{queue!r} is no queue, expected Queue(...)")
    if queue.kind == "ray":
        raise InvalidArguments(
            f"queue {queue.name!r}: kind='ray' is not supported yet; use 'process', 'thread' or 'inline'"
        )
    # One that came from another process was rebuilt as data, and nobody has looked at its settings.
    return replace(queue)


def checked_timing(timing: Timing) -> Timing:
    """When a schedule is due.

    Raises:
        InvalidArguments: it is no cron line, zone or interval.
    """
    try:
        timing.check()
    except BadTiming as error:
        raise InvalidArguments(str(error)) from None
    return timing


def checked_limit(payload_limit: int) -> int:
    """Bytes of one payload.

    Raises:
        InvalidArguments: there can be no such payload.
    """
    if not isinstance(payload_limit, int) or not 0 < payload_limit <= PAYLOAD_LIMIT_MAX:
        raise InvalidArguments(
            f"payload_limit is {payload_limit!r}, expected a number of bytes up to {PAYLOAD_LIMIT_MAX:,}"
        )
    return payload_limit


def with_default(queues: Iterable[Queue]) -> dict[str, Queue]:
    """Queues by name; there always is a default.

    Raises:
        InvalidArguments: two have the same name, or one is none.
    """
    chosen: dict[str, Queue] = {}
    for queue in checked_several("queues", queues):
        if checked_queue(queue).name in chosen:
            raise InvalidArguments(f"queues holds two queues named {queue.name!r}")
        chosen[queue.name] = queue
    chosen.setdefault(DEFAULT_QUEUE, Queue(DEFAULT_QUEUE))
    return chosen


def checked_several(name: str, items: Any) -> Iterable[Any]:
    """What can be gone through: a setting takes several, also where there is only one.

    Raises:
        InvalidArguments: it can't be.
    """
    if not isinstance(items, Iterable):
        raise InvalidArguments(f"{name} is {items!r}, expected several: [{items!r}]")
    return items


def checked_id(id: Any) -> str | None:
    """The id that a run is to have, or None for a new one.

    Raises:
        InvalidArguments: it is neither.
    """
    if id is not None and not is_name(id):
        raise InvalidArguments(f"id is {id!r}, expected a non-empty text or None")
    return id
