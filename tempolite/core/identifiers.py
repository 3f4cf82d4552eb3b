"""Names of things, each with a type of its own so that they can't be mixed up."""

from __future__ import annotations

from typing import NewType

WorkflowId = NewType("WorkflowId", str)
"""What the user calls a workflow; the same through all its runs (continue-as-new)."""

StreamId = NewType("StreamId", int)
"""One run's event stream in the file; increasing, never used again."""

StepKey = NewType("StepKey", str)
"""A step within a run: its name, with ``#n`` for the n-th use of that name (n > 1)."""

OCCURRENCE_MARK = "#"


def step_key(name: str, occurrence: int) -> StepKey:
    """The key of the ``occurrence``-th use (from 1) of a step's name.

    >>> step_key("charge", 1), step_key("charge", 2)
    ('charge', 'charge#2')
    """
    return StepKey(name if occurrence == 1 else f"{name}{OCCURRENCE_MARK}{occurrence}")
