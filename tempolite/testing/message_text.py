"""How a message reads in a log: its type and what a person looks for, in one line, the same in every run."""

from __future__ import annotations

import json
from typing import Any

from tempolite.actors.controls import (
    Asked,
    ContinueArrived,
    ContinueAsNew,
    Query,
    QueryArrived,
    Signal,
    SignalArrived,
    ToRun,
    Update,
    UpdateArrived,
)
from tempolite.actors.messages import (
    Commit,
    Deliver,
    RunActivity,
    RunEnded,
    RunStopped,
    StartRun,
    WorkerSpoke,
)
from tempolite.core.failure import Failure
from tempolite.store.statements import INSERT_EVENT

VALUE_LENGTH_MAX = 60
"""Longer values are cut off."""

_CARRIERS = (Asked, ToRun, Deliver)
"""Messages that only bring another one to a run."""

_AS_SENT: dict[type, str] = {
    SignalArrived: Signal.__name__,
    QueryArrived: Query.__name__,
    UpdateArrived: Update.__name__,
    ContinueArrived: ContinueAsNew.__name__,
}
"""What users send is encoded on its way in; it reads as they sent it."""

_TYPE_COLUMN, _STEP_COLUMN = 2, 3
"""Where an inserted event has its type and its step."""

_TIMES = ("_us", "_at")
"""Ends of the names of moments, which are left out."""


def text_of(message: Any) -> str:
    """A message in one line; nothing in it depends on the process or the machine."""
    match message:
        case ToRun() | Deliver():
            return f"{text_of(message.message)} for {message.workflow}"
        case Asked():
            return text_of(message.message)
        case Commit():
            return f"Commit({', '.join(facts_of(message)) or f'{len(message.writes)} rows'})"
        case RunActivity(job):
            return f"RunActivity({job.step!r} of {job.workflow}, attempt {job.attempt})"
        case StartRun(workflow, created):
            return f"StartRun({workflow!r}, {created.function})"
        case RunStopped():
            return f"RunStopped({_ending(message.ended)})"
        case RunEnded():
            return f"RunEnded({_ending(message)})"
        case WorkerSpoke():
            return f"WorkerSpoke({', '.join(type(frame).__name__ for frame in message.frames)})"
    name = _AS_SENT.get(type(message), type(message).__name__)
    return f"{name}({', '.join(_plain_values(message))})"


def facts_of(commit: Commit) -> list[str]:
    """What a commit records, in its order: ``RunCreated``, ``ActivityScheduled 'charge'``."""
    rows = (row for statement, row in commit.writes if statement is INSERT_EVENT)
    return [
        f"{row[_TYPE_COLUMN]} {row[_STEP_COLUMN]!r}" if row[_STEP_COLUMN] else row[_TYPE_COLUMN]
        for row in rows
    ]


def kinds_of(message: Any) -> set[str]:
    """Names of its type, of what it brings, and of that as its sender knew it."""
    kinds = {type(message).__name__, _AS_SENT.get(type(message), type(message).__name__)}
    return kinds | kinds_of(message.message) if isinstance(message, _CARRIERS) else kinds


def _ending(ended: RunEnded) -> str:
    return f"{ended.workflow}, {ended.status}"


def _plain_values(message: Any) -> list[str]:
    """Its values that are no objects of the engine, but times, and those that stand for nothing."""
    names = [name for name in getattr(message, "__struct_fields__", ()) if not name.endswith(_TIMES)]
    return [text for name in names if (text := _field(name, getattr(message, name)))]


def _field(name: str, value: Any) -> str:
    match value:
        case bool():
            return name if value else ""
        case int() | float():
            return f"{name}={value}"
        case Failure():
            return f"{value.type_name.rpartition(':')[2]}: {_shortened(value.message)}"
        case bytes() if value:
            return _decoded(value)
        case str() | (str(), *_) if value:
            return _shortened(repr(value))
    return ""


def _decoded(payload: bytes) -> str:
    try:
        return _shortened(repr(json.loads(payload)))
    except ValueError:
        return f"{len(payload)} bytes"


def _shortened(text: str) -> str:
    return text if len(text) <= VALUE_LENGTH_MAX else f"{text[: VALUE_LENGTH_MAX - 1]}…"
