"""Facts about the engine's file, in a stream of their own: 0.

They belong to no run. The log of all events shows them with an empty workflow id.
"""

from __future__ import annotations

from tempolite.core.event_body import Body
from tempolite.core.identifiers import StreamId

ENGINE_STREAM = StreamId(0)
"""Streams of runs begin with 1."""


class WorkflowsDeleted(Body, frozen=True):
    """These finished workflows, with everything that belonged to them, are not in the file any more."""

    workflows: tuple[str, ...]
    last_stream: int
    """The highest stream that was ever used: no later run gets it again, though its row is gone."""
