"""Log records of worker processes: sent to the engine's process, whose handlers the host has set up.

A worker has no handlers but ours. The host's levels decide what is sent: that of its root logger, and that of
``tempolite.activity``, which ``ctx.logger`` writes to; what arrives passes the host's own loggers as if it
had been logged there. Records travel in line with results, so what an activity says comes before its result.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tempolite.actors import frames

ACTIVITY_LOGGER = "tempolite.activity"
TEXT_MAX = 64 * 1024
"""Characters of one text of a record; the rest is cut off."""

_NOT_SENT = frozenset(("msg", "args", "exc_info", "message", "relativeCreated"))
_formatter = logging.Formatter()

logger = logging.getLogger("tempolite")


# ── in a worker ─────────────────────────────────────────────────────────────────────────────────────────


class LogSender(logging.Handler):
    """Sends every record to the engine's process.

    Args:
        send: takes a frame.
    """

    def __init__(self, send: Callable[[frames.FromWorker], None]) -> None:
        super().__init__()
        self._send_frame = send
        self._process = os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        """Sends it; a child that an activity forked has no share in our socket, and says it on stderr."""
        if os.getpid() != self._process:
            if logging.lastResort is not None and record.levelno >= logging.lastResort.level:
                logging.lastResort.handle(record)
            return
        try:
            self._send_frame(frames.Logged(_as_told(record)))
        except Exception:
            self.handleError(record)


def send_logs(send: Callable[[frames.FromWorker], None], levels: tuple[int, int]) -> None:
    """From now on what this process logs is sent."""
    logging.getLogger().addHandler(LogSender(send))
    set_levels(levels)


def set_levels(levels: tuple[int, int]) -> None:
    """What the host wants to hear."""
    everything, of_activities = levels
    logging.getLogger().setLevel(everything)
    logging.getLogger(ACTIVITY_LOGGER).setLevel(of_activities)


def _as_told(record: logging.LogRecord) -> dict[str, str | int | float | bool | None]:
    told = {name: _plain(value) for name, value in vars(record).items() if name not in _NOT_SENT}
    told["msg"] = _sendable(record.getMessage()[:TEXT_MAX])
    if record.exc_info and not record.exc_text:
        told["exc_text"] = _sendable(_formatter.formatException(record.exc_info)[-TEXT_MAX:])
    return told


def _plain(value: Any) -> str | int | float | bool | None:
    if type(value) in (bool, float, type(None)) or (type(value) is int and -(2**63) <= value < 2**64):
        return value  # type: ignore[no-any-return]
    # Another type's text may be anything, and so may be what making it does.
    text = "a value without a text"
    with suppress(Exception):
        text = str(value)
    return _sendable(text[:TEXT_MAX])


def _sendable(text: str) -> str:
    """Without lone surrogates, which no frame can carry."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# ── in the engine's process ─────────────────────────────────────────────────────────────────────────────


def wanted_levels() -> tuple[int, int]:
    """Levels of the host's loggers, as they are now."""
    return logging.root.level, _activities.getEffectiveLevel()


_activities = logging.getLogger(ACTIVITY_LOGGER)


def log_as_told(told: dict[str, Any]) -> None:
    """Logs what a worker said; a host's handler that fails is no failure of ours."""
    try:
        record = logging.makeLogRecord({**told, "args": None})
        target = logging.getLogger(str(record.name))
        if target.isEnabledFor(int(record.levelno)):
            target.handle(record)
    except Exception:
        logger.exception("a log record of a worker could not be handled")
