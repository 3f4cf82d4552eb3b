"""Histories out of a database, for a proof that new code goes on where the old one was."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any, Protocol

import msgspec

from tempolite.actors.database_file import DatabaseFile, run
from tempolite.codec import JsonCodec
from tempolite.engine.client import Client
from tempolite.engine.listing import Event, Page, event_of, latest_of, micros, page_of_runs, run_filter
from tempolite.errors import EngineClosed, InvalidArguments, WorkflowNotFound
from tempolite.registry import Registry
from tempolite.store import queries
from tempolite.store.queries import RunRow
from tempolite.store.schema import LAYOUT
from tempolite.testing.history_file import RecordedRun, write_histories

RUNS_PER_PAGE = 500


class Source(Protocol):
    """An engine, a client of one, or a file that no engine has open."""

    def get_row(self, workflow: str) -> RunRow:
        """A workflow's latest run."""
        ...

    def workflows(self, **filters: Any) -> Any:
        """A page of them."""
        ...

    def history(self, id: str, *, run: int) -> list[Event]:
        """The events of a run."""
        ...


def export_histories(
    source: Source | str | os.PathLike[str],
    out_file: str | os.PathLike[str],
    *,
    ids: Iterable[str] | None = None,
    **filters: Any,
) -> int:
    """Writes the histories of workflows to a file of JSON lines; says how many runs it holds.

    Nothing is started or changed by it. Runs that a workflow went through by ``continue_as_new`` are all
    there. The file can be read by its owner only: it holds what the runs were given.

    Args:
        source: an engine, a client, or the path of a database: of one that another process has open, through
            that process; of one that none has open, from the file itself.
        out_file: is created.
        ids: of these workflows only.
        filters: as in ``tp.workflows``: ``status=``, ``function=``, ``queue=``, ``created_after=`` …

    Raises:
        InvalidArguments: ``out_file`` exists, there is no such database, ids and filters are both given.
        WorkflowNotFound: there is no workflow with one of these ids.
    """
    if ids is not None and filters:
        raise InvalidArguments(f"ids and {', '.join(sorted(filters))}: give either ids or filters")
    path = os.fspath(out_file)
    if not isinstance(source, (str, os.PathLike)):
        return write_histories(path, _runs(source, ids, filters))
    with closing(_opened(os.fspath(source))) as opened:
        return write_histories(path, _runs(opened, ids, filters))


def _runs(source: Source, ids: Iterable[str] | None, filters: dict[str, Any]) -> Iterator[RecordedRun]:
    for workflow in _listed(source, filters) if ids is None else ids:
        try:
            row = source.get_row(workflow)
            for number in range(1, row.run + 1):
                yield _recorded(row, number, source.history(workflow, run=number))
        except WorkflowNotFound:
            # One that was listed may have been deleted since then.
            if ids is not None:
                raise


def _listed(source: Source, filters: dict[str, Any]) -> Iterator[str]:
    cursor = None
    while True:
        page = source.workflows(**filters, limit=RUNS_PER_PAGE, cursor=cursor)
        yield from (info.id for info in page)
        if (cursor := page.cursor) is None:
            return


def _recorded(row: RunRow, number: int, events: list[Event]) -> RecordedRun:
    return RecordedRun(
        workflow=row.workflow,
        run=number,
        function=events[0].payload["function"],
        status=row.status if number == row.run else "CONTINUED",
        events=[
            (
                event.type,
                event.step,
                event.attempt,
                micros(event.at),
                msgspec.Raw(msgspec.json.encode(event.payload)),
            )
            for event in events
        ],
    )


def _opened(path: str) -> Any:
    if not os.path.exists(path):
        raise InvalidArguments(f"there is no database {path}")
    try:
        return Client(path)
    except EngineClosed:
        return StoredFile(path)


class _Listed(msgspec.Struct, frozen=True):
    id: str


class StoredFile:
    """A database that no engine has open; while it is read, none can open it.

    Args:
        path: where it is.
    """

    def __init__(self, path: str) -> None:
        self._file = DatabaseFile(path, LAYOUT)

    def close(self) -> None:
        """Gives the file free."""
        self._file.close()

    def get_row(self, workflow: str) -> RunRow:
        """A workflow's latest run."""
        return latest_of(workflow, self._rows(queries.RUN, (workflow,)))

    def workflows(self, *, limit: int, **filters: Any) -> Page[_Listed]:
        """A page of them."""
        chosen = run_filter(Registry(JsonCodec()), **filters)
        found = page_of_runs(self._rows(*queries.list_runs(chosen, limit + 1)), limit)
        return Page([_Listed(row.workflow) for row in found], found.cursor)

    def history(self, id: str, *, run: int) -> list[Event]:
        """The events of a run."""
        return [event_of(row) for row in self._rows(queries.HISTORY_OF_RUN, (id, run))]

    def _rows(self, sql: str, values: Iterable[Any]) -> list[tuple[Any, ...]]:
        with self._file.reader() as connection:
            return run(connection, sql, tuple(values))
