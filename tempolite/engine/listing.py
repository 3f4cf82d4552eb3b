"""What listings are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import msgspec

from tempolite.actors.database_file import run
from tempolite.core.schedule import ScheduleState
from tempolite.core.schedule_events import Catchup, Overlap
from tempolite.core.status import Status
from tempolite.errors import InvalidArguments, WorkflowNotFound
from tempolite.registry import Registry
from tempolite.store.queries import RunFilter, RunRow

if TYPE_CHECKING:
    from tempolite.engine.handle import WorkflowInfo

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Page(Sequence[T], Generic[T]):
    """Part of a listing.

    Attributes:
        cursor: hand it to the next call to go on after this page; None at the end.
    """

    def __init__(self, items: Sequence[T], cursor: str | None) -> None:
        self._items = tuple(items)
        self.cursor = cursor

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __repr__(self) -> str:
        return f"Page({list(self._items)!r}, cursor={self.cursor!r})"


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the event log.

    Attributes:
        seq: increasing over the whole log.
        workflow, run: whose.
        type: what happened: ``ActivityCompleted``, ``RunFailed``.
        step: of which step; empty for the run itself.
        attempt: of the activity, or of the run.
        at: when.
        payload: its fields; values of user code as the codec stored them.
    """

    seq: int
    workflow: str
    run: int
    type: str
    step: str
    attempt: int
    at: datetime
    payload: dict[str, Any]

    def __str__(self) -> str:
        step = f" {self.step!r}" if self.step else ""
        attempt = f", attempt {self.attempt}" if self.attempt > 1 else ""
        at = self.at.isoformat(" ", "milliseconds")
        said = self.payload
        if failure := said.get("failure"):
            # Its traceback has lines of its own.
            said = {**said, "failure": f"{failure['type_name']}: {failure['message']}"}
        return f"{at} {self.workflow!r}, run {self.run}: {self.type}{step}{attempt} {said}"


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue as it is now.

    Attributes:
        name, kind, slots, max_runs, rate: as configured.
        workers: how many at most.
        running: activities under way.
        waiting: activities that wait for a worker.
    """

    name: str
    kind: str
    workers: int
    slots: int
    max_runs: int | None
    rate: str | None
    running: int
    waiting: int


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule as last committed; what its handle shows."""

    spec: str | timedelta
    timezone: str
    function: str
    overlap: Overlap
    catchup: Catchup
    is_paused: bool
    next_at: datetime | None
    last_at: datetime | None
    last_workflow: str | None
    queued: tuple[datetime, ...]
    problem: str

    @classmethod
    def of(cls, state: ScheduleState, problem: str) -> ScheduleRow:
        """What a state says to its reader."""
        timing = state.spec.timing
        return cls(
            spec=timing.cron or timedelta(microseconds=timing.every_us),
            timezone=timing.timezone,
            function=state.spec.function,
            overlap=state.spec.overlap,
            catchup=state.spec.catchup,
            is_paused=state.is_paused,
            next_at=None if state.is_paused or state.next_due is None else moment(state.next_due),
            last_at=None if state.last_due is None else moment(state.last_due),
            last_workflow=state.last_workflow,
            queued=tuple(moment(due) for due in state.queued),
            problem=problem,
        )


@dataclass(frozen=True, slots=True)
class Node:
    """A workflow and what it led to.

    Attributes:
        info: its handle.
        children: the workflows that it started, oldest first, each with its own.
    """

    info: WorkflowInfo[Any]
    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Metrics:
    """How much there is, and how much went on since the engine started.

    Attributes:
        runs: workflows by the status of their latest run; every status is listed.
        queues: each queue as it is now, by name.
        commits: transactions that became durable.
        dropped_late_results: results of attempts that nobody waited for any more.
        lost_workers: worker processes that ended by themselves.
    """

    runs: dict[Status, int]
    queues: dict[str, QueueInfo]
    commits: int
    dropped_late_results: int
    lost_workers: int


def event_of(row: tuple[Any, ...]) -> Event:
    """An event from its row."""
    position, workflow, run_number, type_name, step, attempt, at, payload = row
    return Event(
        position, workflow, run_number, type_name, step, attempt, moment(at), msgspec.json.decode(payload)
    )


def latest_of(workflow: str, rows: Sequence[Any]) -> RunRow:
    """A workflow's latest run, from what was found of it.

    Raises:
        WorkflowNotFound: nothing was.
    """
    if not rows:
        raise unknown_workflow(workflow)
    return msgspec.convert(rows[0], RunRow)


def unknown_workflow(workflow: str, run: int | None = None) -> WorkflowNotFound:
    """Says that there is no such workflow, or no such run of it."""
    return WorkflowNotFound(f"no workflow {workflow!r}" + ("" if run is None else f" with a run {run}"))


def page_of_runs(rows: Sequence[Any], limit: int) -> Page[RunRow]:
    """So many of the runs that were found; one more of them says that there is another page."""
    runs = [msgspec.convert(row, RunRow) for row in rows[:limit]]
    return Page(runs, str(runs[-1].ordinal) if len(rows) > limit else None)


def moment(at_us: int) -> datetime:
    """µs since the epoch as an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=at_us)


def micros(at: datetime) -> int:
    """An aware datetime as µs since the epoch."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def checked_micros(name: str, at: datetime | None) -> int | None:
    """The same of what somebody gave.

    Raises:
        InvalidArguments: it is naive, or no datetime.
    """
    if at is None:
        return None
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise InvalidArguments(f"{name} is {at!r}, expected an aware datetime")
    return micros(at)


def rows_found(connection: Any, sql: str, asked: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """What a call finds in the file.

    Raises:
        InvalidArguments: it asks for a text that is no UTF-8, or a number beyond 64 bits: no row has that.
    """
    try:
        return run(connection, sql, asked)
    except (UnicodeEncodeError, OverflowError) as error:
        raise InvalidArguments(f"no file can hold what was asked for: {error}") from None


def span_us(name: str, span: timedelta) -> int:
    """A span of time in µs.

    Raises:
        InvalidArguments: it is none, or negative.
    """
    if not isinstance(span, timedelta) or span < timedelta(0):
        raise InvalidArguments(f"{name} is {span!r}, expected a timedelta from 0")
    return span // timedelta(microseconds=1)


def run_filter(
    registry: Registry,
    *,
    status: Any = None,
    queue: str | None = None,
    function: Any = None,
    parent: str | None = None,
    run_group: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    search: str | None = None,
    cursor: str | None = None,
) -> RunFilter:
    """The filter that a call's arguments mean.

    Raises:
        InvalidArguments: an unknown status, a naive time, a cursor that no page gave.
    """
    functions = None
    if function is not None:
        name = registry.name_of(function)
        known = registry.find(name)
        functions = sorted({name, *(known.names if known else ())})
    return RunFilter(
        statuses=None if status is None else checked_statuses(status),
        queue=queue,
        functions=functions,
        parent=parent,
        run_group=run_group,
        created_after=checked_micros("created_after", created_after),
        created_before=checked_micros("created_before", created_before),
        search=search,
        before=_ordinal(cursor),
    )


def checked_statuses(status: Any) -> list[str]:
    """One status or several, as they are stored.

    Raises:
        InvalidArguments: one of them is none.
    """
    try:
        wanted = [status] if isinstance(status, str) else list(status)
        return [Status(str(one).upper()).value for one in wanted]
    except (ValueError, TypeError):
        raise InvalidArguments(f"status is {status!r}, expected one of {', '.join(Status)}") from None


def _ordinal(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    try:
        return int(cursor)
    except (ValueError, TypeError):
        raise InvalidArguments(f"cursor is {cursor!r}, expected one that a page gave") from None
