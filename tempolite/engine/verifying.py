"""Checks a file from the ground up: pages, events, streams, indexes, and the chain of batches."""

from __future__ import annotations

import hashlib
import itertools
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from tempolite.actors.database_file import DatabaseFile
from tempolite.actors.persistence import DIGEST_SIZE
from tempolite.core import schedule
from tempolite.core.engine_events import ENGINE_STREAM
from tempolite.core.events import Entry, RunCreated, decode_body
from tempolite.core.history import RunState
from tempolite.core.identifiers import StepKey
from tempolite.core.schedule_events import SCHEDULE_BODIES, ScheduleEntry, decode_schedule_body
from tempolite.core.status import FINISHED, Status
from tempolite.store import checking

PROBLEMS_MAX = 1_000
"""More are not listed: somebody has to look at the file anyway."""

AnyEntry = Entry | ScheduleEntry

Ask = Callable[..., Iterator[tuple[Any, ...]]]
"""Executes a statement and gives its rows one by one."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a check of the file found.

    Attributes:
        ok: nothing is wrong.
        problems: what is wrong, a sentence each.
    """

    ok: bool
    problems: tuple[str, ...]


def verify_file(file: DatabaseFile) -> VerifyReport:
    """Reads everything, as of one moment, and says what is wrong."""
    problems: list[str] = []
    with file.snapshot() as connection:
        for check in (_pages, _streams, _indexes, _chain):
            try:
                found = check(connection.execute)
                problems.extend(itertools.islice(found, PROBLEMS_MAX - len(problems)))
            except Exception as error:
                # SQLite itself can't read on: that is a finding, and the other checks may still tell more.
                problems.append(f"{check.__name__.strip('_')} can't be read: {type(error).__name__}: {error}")
    return VerifyReport(not problems, tuple(problems[:PROBLEMS_MAX]))


def _pages(ask: Ask) -> Iterator[str]:
    for (text,) in ask(checking.INTEGRITY):
        if text != "ok":
            yield f"SQLite: {text}"


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────


def _streams(ask: Ask) -> Iterator[str]:
    for stream, rows in itertools.groupby(ask(checking.EVENTS), key=lambda row: row[0]):
        name = _name_of(ask, stream)
        entries: list[AnyEntry] = []
        problems = list(_events(name, stream, rows, entries))
        yield from problems
        if problems or stream == ENGINE_STREAM:
            continue
        if isinstance(entries[0], ScheduleEntry):
            yield from _schedule(ask, stream, entries)
        else:
            yield from _history(ask, name, stream, entries)


def _name_of(ask: Ask, stream: int) -> str:
    if stream == ENGINE_STREAM:
        return "the engine's own events"
    workflow = next((row[0] for row in ask(checking.NAME_OF, (stream,))), None)
    return f"stream {stream}" if workflow is None else f"workflow {workflow!r}"


def _events(
    name: str, stream: int, rows: Iterable[tuple[Any, ...]], entries: list[AnyEntry]
) -> Iterator[str]:
    """What is wrong with a stream's rows; those that are right become entries."""
    expected = 1
    for _, seq, type_name, step, attempt, payload, at, check in rows:
        if seq != expected:
            yield f"{name}: event {expected} is missing, the next one is {seq}"
        expected = seq + 1
        where = f"{name}: event {seq} ({type_name.decode(errors='replace')})"
        if zlib.crc32(payload, zlib.crc32(step, zlib.crc32(type_name))) != check:
            yield f"{where} was changed: its checksum is another one"
        elif stream != ENGINE_STREAM:
            try:
                entries.append(_entry(seq, type_name.decode(), step.decode(), attempt, payload, at))
            except (KeyError, msgspec.DecodeError) as error:
                yield f"{where} can't be read: {type(error).__name__}: {error}"


def _entry(seq: int, type_name: str, step: str, attempt: int, payload: bytes, at: int) -> AnyEntry:
    if type_name in SCHEDULE_BODIES:
        return ScheduleEntry(seq, at, decode_schedule_body(type_name, payload))
    return Entry(seq, at, decode_body(type_name, payload), StepKey(step), attempt)


def _schedule(ask: Ask, stream: int, entries: list[AnyEntry]) -> Iterator[str]:
    """Whether a schedule is stored as its events say; one that was deleted has no row."""
    state: schedule.ScheduleState | None = None
    for entry in entries:
        if not isinstance(entry, ScheduleEntry):
            yield f"stream {stream}: {type(entry.body).__name__} stands among the events of a schedule"
            return
        try:
            state = schedule.apply(state, entry.body)
        except (AssertionError, ValueError) as error:
            yield f"schedule in stream {stream}: event {entry.seq} does not follow from its history: {error}"
            return
    row = next(ask(checking.SCHEDULE_ROW, (stream,)), None)
    stored = None if row is None else msgspec.json.decode(row[1], type=schedule.ScheduleState)
    if stored != state:
        name = row[0] if row is not None else state.name if state is not None else ""
        yield f"schedule {name!r}: its row is not what its events say"


def _history(ask: Ask, name: str, stream: int, entries: list[AnyEntry]) -> Iterator[str]:
    """Whether the events follow from each other, and the run's row from them."""
    first = entries[0]
    if not isinstance(first.body, RunCreated):
        yield f"{name}: its history begins with {type(first.body).__name__}, not with RunCreated"
        return
    state, finished_at = RunState(first.body), None
    for entry in entries:
        try:
            assert isinstance(entry, Entry), "it is an event of a schedule"
            state.apply(entry)
        except (AssertionError, KeyError, ValueError) as error:
            yield f"{name}: event {entry.seq} does not follow from its history: {error}"
            return
        if not state.is_finished:
            finished_at = None
        elif finished_at is None:
            finished_at = entry.at
    expected = checking.expected_columns(state.created, first.at, finished_at)
    yield from _row(ask, name, stream, expected, state.finished)


def _row(
    ask: Ask, name: str, stream: int, expected: checking.RunColumns, finished: Status | None
) -> Iterator[str]:
    row = next(ask(checking.RUN_ROW, (stream,)), None)
    if row is None:
        yield f"{name} has events and no row in runs"
        return
    *columns, status = row
    for difference in expected.differences(tuple(columns)):
        yield f"{name}: in its row {difference}"
    allowed = (finished,) if finished is not None else set(Status) - FINISHED
    if status not in allowed:
        yield f"{name}: in its row status is {status!r}, its events say {finished or 'unfinished'}"


# ── what is made from them ──────────────────────────────────────────────────────────────────────────────


def _indexes(ask: Ask) -> Iterator[str]:
    for workflow, run in ask(checking.RUNS_WITHOUT_EVENTS):
        yield f"workflow {workflow!r}: run {run} has a row and no events"
    for (name,) in ask(checking.SCHEDULES_WITHOUT_EVENTS):
        yield f"schedule {name!r} has a row and no events"
    for key, stream in ask(checking.TIMERS_WITHOUT_RUN):
        yield f"timer {key!r} belongs to stream {stream}, which has no run"
    for (workflow,) in ask(checking.WRONG_LATEST):
        yield f"workflow {workflow!r}: not exactly its last run is marked as the latest"


def _chain(ask: Ask) -> Iterator[str]:
    """Whether each batch's digest continues the one before; can't be told once something was deleted."""
    if list(ask(checking.ANY_DELETION)):
        return
    last, link = next(ask(checking.LAST_LINK))
    made, number = bytes(DIGEST_SIZE), 0
    for batch, rows in itertools.groupby(ask(checking.BATCHES), key=lambda row: row[0]):
        if batch <= number:
            yield f"batch {batch} stands behind batch {number}"
            return
        # Batches that recorded no event have a link of their own too.
        for _ in range(batch - number - 1):
            made = hashlib.blake2b(made, digest_size=DIGEST_SIZE).digest()
        checksums = array("Q", [row[1] for row in rows])
        made, number = (
            hashlib.blake2b(made + checksums.tobytes(), digest_size=DIGEST_SIZE).digest(),
            batch,
        )
    for _ in range(last - number):
        made = hashlib.blake2b(made, digest_size=DIGEST_SIZE).digest()
    if made != link or number > last:
        yield f"the chain of {last} batches is broken: recorded events are missing, or were changed"
