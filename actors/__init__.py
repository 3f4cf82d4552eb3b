"""How a workflow lives: mailboxes, turns, commits, processes, time.

The import name is ``tempolite.actors``; nothing here knows a workflow function, replay or SQL text.
Each actor has a file of its own, with the messages that it understands named on top of it.

::

                     ┌───────────── Supervisor (starts in order, stops in reverse) ─────────────┐
     API thread ──▶ Directory ──▶ WorkflowActor ── Commit ──▶ PersistenceActor ──▶ SQLite (WAL, FULL)
                     ▲  id → actor   │     ▲ ◀── Committed ──┘
                     │               │     │ ◀── SagaAdvice ── SagaCoordinator
                     │               │     └────────────── ActivityEnded ─────────────┐
                     └─ RunEnded ────┼── RunActivity ──▶ ActivityPool ◀──frames──▶ worker process
                                     └── SetTimer ─────▶ TimerActor

One rule above all: turn, commit, act. A turn happens in memory, its writes are committed, and only then
does anything leave the run.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "WorkflowActor": "workflow",
    "ActivityPool": "activity_pool",
    "SagaCoordinator": "saga_coordinator",
    "PersistenceActor": "persistence",
}
"""Classes that tests name. Imported when they are asked for: a worker process needs none of them."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
