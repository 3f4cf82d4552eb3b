"""One order's history as a person reads it: its own events and those of its shipping, as they fell."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tempolite import Event, Tempolite
from tempolite.cli.demo.effects import Effect, Kill
from tempolite.cli.demo.plan import DELIVERED, Plan
from tempolite.cli.demo.workflow import ship

VALUE_MAX = 44
"""Characters of a value that are shown."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something that happened to an order, ``ms`` after it had come in."""

    ms: float
    event: str
    step: str
    attempt: int
    value: str


def most_telling_order(plans: Mapping[str, Plan], entries: Iterable[Effect | Kill]) -> str:
    """A short one that was delivered, has seen both engines, and knows what a retry is."""
    engines: defaultdict[str, set[int]] = defaultdict(set)
    for entry in entries:
        if isinstance(entry, Effect):
            engines[entry.order].add(entry.engine)

    def interest(order: str) -> tuple[bool, int, bool, int]:
        units = plans[order].units
        has_retries = any(unit.attempt > 1 for unit in units)
        return plans[order].ending == DELIVERED, len(engines[order]), has_retries, -len(units)

    return max(plans, key=interest)


def story_of(tp: Tempolite, order: str, kills: Iterable[Kill]) -> list[Line]:
    """What happened to an order, with the engine's death in its place."""
    events = tp.history(order)
    for child in tp.workflows(parent=order, function=ship):
        events += child.history()
    began = min(event.at for event in events)
    lines = [_line(event, order, began) for event in sorted(events, key=lambda event: event.seq)]
    for kill in kills:
        at = datetime.fromtimestamp(kill.at, UTC)
        if kill.process == "engine" and began < at:
            words = f"engine {kill.engine} ends, the next opens the file"
            lines.append(Line(_ms(at - began), "SIGKILL", "", 1, words))
    return sorted(lines, key=lambda line: line.ms)


def _line(event: Event, order: str, began: datetime) -> Line:
    child = event.workflow.removeprefix(order).removeprefix("/")
    step = "/".join(part for part in (child, event.step) if part)
    return Line(_ms(event.at - began), event.type, step, event.attempt, _value(event.payload))


def _ms(span: timedelta) -> float:
    return span / timedelta(milliseconds=1)


def _value(payload: Mapping[str, Any]) -> str:
    """What matters most in an event: its result, its failure, or what was called."""
    match payload:
        case {"failure": {"message": message}}:
            text = str(message)
        case {"result": {"$": _, "v": value}} | {"result": value}:
            text = value if isinstance(value, str) else json.dumps(value)
        case _:
            text = str(payload.get("function", "")).rpartition(":")[2]
    return text if len(text) <= VALUE_MAX else f"{text[:VALUE_MAX]}..."
