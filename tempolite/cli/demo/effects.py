"""The effect log: what really happened, written by the activities themselves, one line for each.

Lines are appended with one ``write`` to a file opened with ``O_APPEND``: processes never mix theirs, and a
killed process leaves a whole line or none. Nothing of the engine reads or writes this file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

from tempolite.activity_context import ActivityContext

EFFECTS_VARIABLE = "TEMPOLITE_DEMO_EFFECTS"
"""Tells workers where the log is."""

ENGINE_VARIABLE = "TEMPOLITE_DEMO_ENGINE"
"""Tells workers which start of the engine they belong to, from 1."""


class Effect(msgspec.Struct, frozen=True, kw_only=True, tag="effect", omit_defaults=True):
    """An activity did its work.

    Attributes:
        order: id of the order's workflow.
        step, attempt, key: of the activity; ``key`` is its idempotency key.
        pid: of the worker process.
        engine: which start of the engine it belongs to.
        tracking: the order's tracking number, where the step handles it.
    """

    order: str
    step: str
    attempt: int
    key: str
    pid: int
    engine: int
    tracking: str = ""


class Kill(msgspec.Struct, frozen=True, kw_only=True, tag="kill"):
    """A process was killed on purpose; ``at`` is in seconds since the epoch."""

    process: Literal["worker", "engine"]
    pid: int
    engine: int
    at: float


_DECODER: msgspec.json.Decoder[Effect | Kill] = msgspec.json.Decoder(Effect | Kill)


def leave_effect(ctx: ActivityContext, *, tracking: str = "") -> None:
    """Writes down that this activity did its work."""
    effect = Effect(
        order=ctx.workflow_id.partition("/")[0],
        step=ctx.step,
        attempt=ctx.attempt,
        key=ctx.idempotency_key,
        pid=os.getpid(),
        engine=int(os.environ[ENGINE_VARIABLE]),
        tracking=tracking,
    )
    append(Path(os.environ[EFFECTS_VARIABLE]), effect)


def append(log: Path, entry: Effect | Kill) -> None:
    """Adds a line; nobody else's comes between its bytes."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, msgspec.json.encode(entry) + b"\n")
    finally:
        os.close(file)


def read_effects(log: Path) -> list[Effect | Kill]:
    """All lines, oldest first.

    Raises:
        msgspec.DecodeError: a line is damaged.
    """
    return EffectTail(log).read_new()


class EffectTail:
    """Reads a log while it grows."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = 0

    def read_new(self) -> list[Effect | Kill]:
        """The lines that have come since the last call, oldest first."""
        with self._log.open("rb") as file:
            file.seek(self._offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        return [_DECODER.decode(line) for line in whole.splitlines()]
