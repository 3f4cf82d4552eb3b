"""The tables, made again from the events alone. Pure: entries in, rows out.

Nearly all that the tables say of a run follows from its own stream. What lies between streams (the place in
listings that a run takes over from the one before, who has still to hear of whom) is kept here from one
stream to the next, and only until the other one came: so a file of any size is gone through with one run in
memory. Streams come in the order of their numbers, in which a parent comes before its children, and a run
before its continuation.

Not everything that a row may say is a fact of the history:

- ``status``: whether work is under way (``RUNNING`` or ``WAITING``) is known where the work is; whether a
  function is known (``STRANDED``), to the engine that looks for it. With it go ``problem`` of such a run, and
  ``is_held``, for it has left the line that it stood in.
- ``owes_parent``: that a parent which no longer waits for its child was told so is recorded nowhere else; nor
  is that a child is about to try again.
- ``spawns`` of a child that its parent asked for once more, or waits for no longer: the child may have heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from tempolite.core import schedule
from tempolite.core.events import AttemptBegan, ChildCompleted, ChildFailed, ChildScheduled, Entry, StatusSet
from tempolite.core.history import RunState, opened
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId
from tempolite.core.schedule_events import ScheduleEntry
from tempolite.core.status import Status
from tempolite.core.step_records import StepKind
from tempolite.store.statements import RUN_COLUMNS, SCHEDULE_COLUMNS, Latest, insert_run, put_schedule

Row = dict[str, Any]
"""By the names of the columns."""

NO = frozenset({0})
YES = frozenset({1})
EITHER = NO | YES

_GOES_ON = frozenset({Status.RUNNING, Status.WAITING, Status.STRANDED})


class RebuiltRun(msgspec.Struct, frozen=True):
    """What the tables say of a run.

    Attributes:
        row: in ``runs``.
        choices: what else some columns may say, and what ``row`` says.
        timers: when each is due, µs since the epoch.
        signal_ids: name and ``dedup``, of all its workflow's runs until this one.
    """

    row: Row
    choices: dict[str, frozenset[Any]]
    timers: dict[str, int]
    signal_ids: frozenset[tuple[str, str]]

    @property
    def is_latest(self) -> bool:
        """Whether no run of its workflow comes after it."""
        return bool(self.row["is_latest"])

    def differences(self, stored: Row) -> Iterator[str]:
        """Each column that says what it can't."""
        is_stranded = stored["status"] == Status.STRANDED and Status.STRANDED in self.choices["status"]
        for column, expected in self.row.items():
            found, lawful = stored[column], self.choices.get(column, frozenset({expected}))
            if is_stranded and (column == "problem" or (column == "is_held" and found == 0)):
                continue
            if found not in lawful:
                said = repr(expected) if len(lawful) == 1 else " or ".join(sorted(map(str, lawful)))
                yield f"{column} is {found!r}, its events say {said}"


class Asked(msgspec.Struct):
    """A child that a run asked for.

    Attributes:
        child, stream: which, and the run that asked.
        asked_at: where in the log it did so last.
        answered_at: where the outcome of that is; None before it is there.
        is_awaited: the run goes on, and counts on it.
    """

    child: str
    stream: int
    asked_at: int
    answered_at: int | None = None
    is_awaited: bool = False


class RunFold:
    """Takes the entries of a run's stream, and keeps what its rows need and its state doesn't."""

    state: RunState

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.created_at = self.created_position = 0
        self.finished_at: int | None = None
        self.finished_position = 0
        self.asked: dict[StepKey, Asked] = {}
        self._times_out_at: int | None = None
        self._status: tuple[str, float | None] = ("", None)

    def take(self, position: int, entry: Entry) -> None:
        """The next entry, and where it lies in the log.

        Raises:
            AssertionError, KeyError, ValueError: it does not follow from those before.
        """
        if entry.seq == 1:
            self.state = opened(entry)
            self.created_at, self.created_position = entry.at, position
        state = self.state
        had_begun, was_finished = state.began_at is not None, state.is_finished
        state.apply(entry)
        if state.is_finished and not was_finished:
            self.finished_at, self.finished_position = entry.at, position
        elif not state.is_finished:
            self.finished_at = None
        self._take_time(entry, is_beginning=state.began_at is not None and not had_begun)
        match entry.body:
            case StatusSet(text, progress):
                self._status = text, progress
            case ChildScheduled(child):
                self.asked[entry.step] = Asked(child, self.stream, position)
            case ChildCompleted() | ChildFailed():
                self.asked[entry.step].answered_at = position
            case _:
                pass

    def _take_time(self, entry: Entry, *, is_beginning: bool) -> None:
        """The run's time begins with its code, and anew when somebody has it go on after its end."""
        timeout_s, body = self.state.created.timeout_s, entry.body
        is_anew = isinstance(body, AttemptBegan) and body.reason == "resume"
        if timeout_s is not None and (is_beginning or is_anew):
            self._times_out_at = entry.at + round(timeout_s * 1e6)

    def row(self) -> Row:
        """In ``runs``, as far as this stream alone says."""
        state, created = self.state, self.state.created
        latest = Latest(self._likely_status(), self.finished_at, self._problem(), False, state.is_held)
        write = insert_run(
            StreamId(self.stream), WorkflowId(created.workflow), created, self.created_at, latest
        )
        text, progress = self._status
        row = dict(zip(RUN_COLUMNS, write[1], strict=True))
        is_latest = int(not state.is_continued)
        return row | {"shard": 0, "is_latest": is_latest, "status_text": text, "progress": progress}

    def statuses(self) -> frozenset[Status]:
        """What the row may say that the run is."""
        status = self._likely_status()
        if self.state.is_finished:
            return frozenset({status})
        if status is Status.WAITING:
            return _GOES_ON
        return frozenset({status, Status.STRANDED})

    def _likely_status(self) -> Status:
        state = self.state
        if state.finished is not None:
            return state.finished
        if state.problem:
            return Status.STUCK
        if state.paused_seq is not None:
            return Status.PAUSED
        if state.began_at is None or state.is_held:
            return Status.PENDING
        return Status.WAITING if state.retry_at is None else Status.RUNNING

    def _problem(self) -> str:
        return "" if self.state.is_finished else self.state.problem

    def timers(self) -> dict[str, int]:
        """What falls due for it; nothing once it is over."""
        state = self.state
        if state.is_finished:
            return {}
        # The time-outs of an attempt that failed are given up with it.
        is_between = state.retry_at is not None
        due: dict[str, int] = {
            step.key: step.due_at
            for step in state.open_timers
            if not (is_between and step.kind is StepKind.TIMEOUT)
        }
        return due if self._times_out_at is None else {**due, "": self._times_out_at}


class _Before(msgspec.Struct, frozen=True):
    """What a workflow's runs leave to the next one."""

    ordinal: int
    created_position: int
    signal_ids: frozenset[tuple[str, str]]


class Rebuilding:
    """Makes the rows of one stream after the other.

    Attributes:
        spawns: rows that there must be (True) or may be, by child and stream; complete after the last stream.
    """

    def __init__(self) -> None:
        self._before: dict[str, _Before] = {}
        self._asked: dict[tuple[int, str], Asked] = {}
        self._spawns: dict[tuple[str, int], bool] = {}

    def add(self, run: RunFold) -> RebuiltRun:
        """The rows of a run whose stream was taken to its end."""
        state, row = run.state, run.row()
        workflow = state.created.workflow
        before = self._before.pop(workflow, None) if state.created.run > 1 else None
        if before is None:
            before = _Before(run.stream, run.created_position, frozenset())
        signal_ids = before.signal_ids | state.dedups
        if state.is_continued:
            self._before[workflow] = _Before(before.ordinal, before.created_position, signal_ids)
        for step, asked in run.asked.items():
            asked.is_awaited = not state.is_finished and state.steps[step].is_open
            self._asked[run.stream, step] = asked
        owes = self._owes(run, before)
        row |= {"ordinal": before.ordinal, "owes_parent": max(owes)}
        choices = {"status": frozenset(map(str, run.statuses())), "owes_parent": owes}
        return RebuiltRun(row, choices, run.timers(), signal_ids)

    def unfollowed(self) -> Iterable[str]:
        """Workflows that continued in a run which is not there."""
        return self._before.keys()

    def spawns(self) -> dict[tuple[str, int], bool]:
        """The rows by child and stream: those that must be there, and those that may (False)."""
        never_came = {
            (asked.child, asked.stream): asked.is_awaited
            for asked in self._asked.values()
            if asked.answered_at is None
        }
        return self._spawns | never_came

    def _owes(self, run: RunFold, before: _Before) -> frozenset[int]:
        """Whether the run's parent has still to hear of its end."""
        created = run.state.created
        if created.parent is None or run.state.is_continued:
            return NO
        asked = self._asked.pop((created.parent_stream or 0, created.parent_step or ""), None)
        if asked is None or asked.child != created.workflow:
            return EITHER if run.state.is_finished else NO
        if asked.answered_at is None and asked.asked_at > before.created_position:
            self._spawns[asked.child, asked.stream] = False
        if not run.state.is_finished:
            return NO
        if asked.answered_at is not None:
            return NO if asked.answered_at > run.finished_position else EITHER
        return YES if asked.is_awaited and asked.asked_at < run.finished_position else EITHER


def rebuilt_schedule(stream: int, entries: Sequence[ScheduleEntry]) -> Row | None:
    """A schedule's row; None for one that was deleted.

    Raises:
        AssertionError, ValueError: an event does not follow from those before.
    """
    state: schedule.ScheduleState | None = None
    for entry in entries:
        state = schedule.apply(state, entry.body)
    if state is None:
        return None
    _, row = put_schedule(StreamId(stream), entries[-1].seq, state)
    return dict(zip(SCHEDULE_COLUMNS, row, strict=True))
