"""Finished workflows in the file, and how they go: what deletion asks of the upper floors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tempolite.actors.database_file import DatabaseFile, run
from tempolite.actors.messages import Write
from tempolite.core.identifiers import StreamId, WorkflowId
from tempolite.store import deleting, queries


class DeletableRuns:
    """Reads which workflows can be deleted, and says what that takes."""

    def __init__(self, file: DatabaseFile) -> None:
        self._file = file
        self._last_stream: int = self._rows(queries.LAST_STREAM)[0][0]

    def new_stream(self) -> StreamId:
        """A stream that was never used, not even by a workflow that was deleted."""
        self._last_stream += 1
        return StreamId(self._last_stream)

    def deletable(self, workflows: Iterable[WorkflowId]) -> set[WorkflowId]:
        """Those that are finished, and whose outcome nobody in the file has still to hear."""
        rows = self._rows(deleting.DELETABLE, deleting.encoded_ids(workflows))
        return {WorkflowId(row[0]) for row in rows}

    def deletion(self, workflows: Sequence[WorkflowId], now_us: int) -> list[Write]:
        """Deletes everything that belongs to them, and records that."""
        return deleting.deletion(workflows, self._last_stream, now_us)

    def expired(self, before_us: int, limit: int) -> tuple[WorkflowId, ...]:
        """Finished workflows that ended until then, and can be deleted; the oldest first."""
        return tuple(WorkflowId(row[0]) for row in self._rows(deleting.EXPIRED, before_us, limit))

    def first_end(self) -> int | None:
        """When the oldest workflow that can be deleted ended, µs since the epoch."""
        first: int | None = self._rows(deleting.FIRST_END)[0][0]
        return first

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._file.reader() as connection:
            return run(connection, sql, values)
