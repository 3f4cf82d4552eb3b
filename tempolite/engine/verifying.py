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
from tempolite.core.engine_events import ENGINE_STREAM
from tempolite.core.events import Entry, decode_body
from tempolite.core.identifiers import StepKey
from tempolite.core.schedule_events import SCHEDULE_BODIES, ScheduleEntry, decode_schedule_body
from tempolite.store import checking
from tempolite.store.rebuilding import Rebuilding, Row, RunFold, rebuilt_schedule
from tempolite.store.statements import SCHEDULE_COLUMNS

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


# ── events, and what is made from them ──────────────────────────────────────────────────────────────────


def _streams(ask: Ask) -> Iterator[str]:
    """Each stream by itself, and each row that follows from it; then what lies between them."""
    rebuilding = Rebuilding()
    for stream, rows in itertools.groupby(ask(checking.EVENTS), key=lambda row: row[0]):
        name = _name_of(ask, stream)
        events: list[tuple[int, AnyEntry]] = []
        problems = list(_events(name, stream, rows, events))
        yield from problems
        if problems or stream == ENGINE_STREAM:
            continue
        if isinstance(events[0][1], ScheduleEntry):
            yield from _schedule(ask, stream, [entry for _, entry in events])
        else:
            yield from _run(ask, name, stream, events, rebuilding)
    for workflow in rebuilding.unfollowed():
        yield f"workflow {workflow!r} continued in another run, which is missing"
    yield from _spawns(ask, rebuilding.spawns())


def _name_of(ask: Ask, stream: int) -> str:
    if stream == ENGINE_STREAM:
        return "the engine's own events"
    row = _row(ask, checking.RUN_ROW, checking.ALL_RUN_COLUMNS, stream)
    return f"stream {stream}" if row is None else f"workflow {row['workflow']!r}"


def _row(ask: Ask, sql: str, columns: tuple[str, ...], stream: int) -> Row | None:
    row = next(ask(sql, (stream,)), None)
    return None if row is None else dict(zip(columns, row, strict=True))


def _events(
    name: str, stream: int, rows: Iterable[tuple[Any, ...]], events: list[tuple[int, AnyEntry]]
) -> Iterator[str]:
    """What is wrong with a stream's rows; those that are right become entries."""
    expected = 1
    for _, position, seq, type_name, step, attempt, payload, at, check in rows:
        if seq != expected:
            yield f"{name}: event {expected} is missing, the next one is {seq}"
        expected = seq + 1
        where = f"{name}: event {seq} ({type_name.decode(errors='replace')})"
        if zlib.crc32(payload, zlib.crc32(step, zlib.crc32(type_name))) != check:
            yield f"{where} was changed: its checksum is another one"
        elif stream != ENGINE_STREAM:
            try:
                entry = _entry(seq, type_name.decode(), step.decode(), attempt, payload, at)
            except (KeyError, msgspec.DecodeError) as error:
                yield f"{where} can't be read: {type(error).__name__}: {error}"
            else:
                events.append((position, entry))


def _entry(seq: int, type_name: str, step: str, attempt: int, payload: bytes, at: int) -> AnyEntry:
    if type_name in SCHEDULE_BODIES:
        return ScheduleEntry(seq, at, decode_schedule_body(type_name, payload))
    return Entry(seq, at, decode_body(type_name, payload), StepKey(step), attempt)


def _schedule(ask: Ask, stream: int, entries: list[AnyEntry]) -> Iterator[str]:
    """Whether a schedule is stored as its events say; one that was deleted has no row."""
    of_schedule = [entry for entry in entries if isinstance(entry, ScheduleEntry)]
    if len(of_schedule) < len(entries):
        yield f"stream {stream}: an event of a run stands among those of a schedule"
        return
    try:
        expected = rebuilt_schedule(stream, of_schedule)
    except (AssertionError, ValueError) as error:
        yield f"schedule in stream {stream}: its events do not follow from each other: {error}"
        return
    stored = _row(ask, checking.SCHEDULE_ROW, SCHEDULE_COLUMNS, stream)
    if stored == expected:
        return
    name = (stored or expected or {})["name"]
    if stored is None or expected is None:
        yield f"schedule {name!r}: it has {'no' if stored is None else 'a'} row, its events say otherwise"
        return
    wrong = [column for column in SCHEDULE_COLUMNS if stored[column] != expected[column]]
    yield f"schedule {name!r}: in its row {', '.join(wrong)} is not what its events say"


def _run(
    ask: Ask, name: str, stream: int, events: list[tuple[int, AnyEntry]], rebuilding: Rebuilding
) -> Iterator[str]:
    """Whether the events follow from each other, and the run's rows from them."""
    fold = RunFold(stream)
    for position, entry in events:
        try:
            assert isinstance(entry, Entry), "it is an event of a schedule"
            fold.take(position, entry)
        except (AssertionError, KeyError, ValueError) as error:
            yield f"{name}: event {entry.seq} does not follow from its history: {error}"
            return
    expected = rebuilding.add(fold)
    stored = _row(ask, checking.RUN_ROW, checking.ALL_RUN_COLUMNS, stream)
    if stored is None:
        yield f"{name} has events and no row in runs"
        return
    for difference in expected.differences(stored):
        yield f"{name}: in its row {difference}"
    timers: dict[str, int] = dict(ask(checking.TIMERS_OF, (stream,)))
    for key in sorted(timers.keys() | expected.timers.keys()):
        if timers.get(key) != (due := expected.timers.get(key)):
            yield f"{name}: timer {key!r} is due at {timers.get(key)}, its events say {due}"
    if expected.is_latest:
        found = frozenset(ask(checking.SIGNAL_IDS_OF, (fold.state.created.workflow,)))
        for pair in sorted(found ^ expected.signal_ids):
            yield f"{name}: signal {pair} is {'' if pair in found else 'not '}known, its events say otherwise"


def _spawns(ask: Ask, expected: dict[tuple[str, int], bool]) -> Iterator[str]:
    """Whether the children that may not exist yet are known."""
    found = set(ask(checking.SPAWNS))
    for child, stream in sorted(found - expected.keys()):
        yield f"child {child!r} of stream {stream} is thought to be missing, it is not"
    for child, stream in sorted(key for key, must in expected.items() if must and key not in found):
        yield f"child {child!r} of stream {stream} is missing, and not known to be"


def _indexes(ask: Ask) -> Iterator[str]:
    """Rows that no event leads to."""
    for workflow, run in ask(checking.RUNS_WITHOUT_EVENTS):
        yield f"workflow {workflow!r}: run {run} has a row and no events"
    for (name,) in ask(checking.SCHEDULES_WITHOUT_EVENTS):
        yield f"schedule {name!r} has a row and no events"
    for key, stream in ask(checking.TIMERS_WITHOUT_RUN):
        yield f"timer {key!r} belongs to stream {stream}, which has no run"
    for (workflow,) in ask(checking.SIGNAL_IDS_WITHOUT_RUN):
        yield f"workflow {workflow!r} has signals that are known, and no run"


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
