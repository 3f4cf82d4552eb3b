"""What an engine is made with, and plain arguments of its calls, looked at."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tempolite.actors.clock import Clock, SystemClock
from tempolite.actors.frames import PAYLOAD_LIMIT_MAX
from tempolite.actors.watchdog import Watchdog
from tempolite.codec import JsonCodec
from tempolite.core.due_times import BadTiming, Timing
from tempolite.core.identifiers import is_name
from tempolite.core.queues import DEFAULT_QUEUE, Queue
from tempolite.core.retry import RetryPolicy
from tempolite.definitions import seconds
from tempolite.determinism.places import Eyes
from tempolite.errors import InvalidArguments

WAIT_MAX_S = 100 * 365 * 86_400.0
"""Longer than anybody waits; what locks and clocks count with has an end."""


def checked_path(name: str, path: Any) -> str:
    """Where a file is, or is to be.

    Raises:
        InvalidArguments: SQLite can't open a file of such a name.
    """
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else path
    if not is_name(text) or "\0" in text:
        raise InvalidArguments(f"{name} is {path!r}, expected the path of a file, as text in UTF-8")
    return text


def checked_codec(codec: Any) -> JsonCodec:
    """How values are stored; as JSON unless told.

    Raises:
        InvalidArguments: it is no codec.
    """
    if codec is not None and not isinstance(codec, JsonCodec):
        raise InvalidArguments(f"codec is {codec!r}, expected JsonCodec() or None")
    return codec or JsonCodec()


def checked_clock(clock: Any) -> Clock:
    """Where time comes from; the machine's unless told.

    Raises:
        InvalidArguments: it is no clock.
    """
    if clock is not None and not (hasattr(clock, "now_us") and hasattr(clock, "monotonic_s")):
        raise InvalidArguments(f"clock is {clock!r}, expected one with now_us() and monotonic_s(), or None")
    return clock or SystemClock()


def checked_policy(policy: Any) -> RetryPolicy:
    """How often activities are tried that don't say it themselves.

    Raises:
        InvalidArguments: it is no policy.
    """
    if not isinstance(policy, RetryPolicy):
        raise InvalidArguments(f"default_retry is {policy!r}, expected a RetryPolicy")
    return policy


def checked_wait(timeout: Any) -> float | None:
    """How long a call waits, in seconds; None is for ever, and what is over already is 0.

    Raises:
        InvalidArguments: it is no span of time.
    """
    return None if timeout is None else checked_patience(timeout)


def checked_patience(timeout: Any) -> float:
    """How long a call waits, in seconds, where it doesn't wait for ever.

    Raises:
        InvalidArguments: it is no span of time.
    """
    length = seconds(timeout) if isinstance(timeout, timedelta) else timeout
    # NaN is none of these either: it is not equal to itself.
    if not isinstance(length, (int, float)) or isinstance(length, bool) or length != length:
        raise InvalidArguments(f"timeout is {timeout!r}, expected seconds or a timedelta")
    return min(max(length, 0), WAIT_MAX_S)


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
