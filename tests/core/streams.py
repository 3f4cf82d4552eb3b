"""Streams of events: written down by a test, or drawn together with what they must add up to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
from hypothesis import strategies as st

from tempolite.core import events
from tempolite.core.events import AnyBody, Entry
from tempolite.core.failure import Failure
from tempolite.core.identifiers import StepKey

BEGAN_US = 1_000_000
TICK_US = 10

FAILURE = Failure(type_name="m:E", message="no")
NOTHING = msgspec.Raw(b"null")

CREATED = events.RunCreated(workflow="run", function="m:f", args=msgspec.Raw(b"[[],{}]"), seed=7)
DEFERRED = events.RunCreated(
    workflow="run", function="m:f", args=msgspec.Raw(b"[[],{}]"), seed=7, deferred=True
)
HELD = events.RunCreated(workflow="run", function="m:f", args=msgspec.Raw(b"[[],{}]"), seed=7, held=True)
SCHEDULED = events.ActivityScheduled("m:a", msgspec.Raw(b"[[1],{}]"), "default")
CHILD = events.ChildScheduled("run/child", "m:g", msgspec.Raw(b"[[2],{}]"))
COMPLETED = events.ActivityCompleted(msgspec.Raw(b"41"))
FAILED = events.ActivityFailed(FAILURE)
AGAIN = events.AttemptBegan("retry")
TIMER = events.TimerStarted(due_at=99)
TIME_OUT = events.TimerStarted(due_at=99, is_timeout=True)
SIGNAL = events.SignalReceived("approval", msgspec.Raw(b"true"))

Fact = AnyBody | tuple[str, AnyBody] | tuple[str, AnyBody, int]
"""A body of the run, or a step with its body, and with the attempt where that is not the first."""


def stream_of(*facts: Fact) -> list[Entry]:
    """These facts as entries, in order, one tick apart."""
    return [entry_of(seq, fact) for seq, fact in enumerate(facts, start=1)]


def entry_of(seq: int, fact: Fact) -> Entry:
    """One fact as the entry with that number."""
    at = BEGAN_US + seq * TICK_US
    if isinstance(fact, tuple):
        step, body, *attempt = fact
        return Entry(seq, at, body, StepKey(step), *attempt)
    return Entry(seq, at, fact)


@dataclass
class Expected:
    """What a drawn stream adds up to, kept in the simplest way.

    Attributes:
        open: steps under way.
        succeeded: value of each step that gave one.
        failed: steps that failed in this attempt of the run.
        attempt: of the run.
        problem: why it is stuck.
        finished: how it ended.
        is_deferred, is_held, has_begun, is_paused, is_cancelling: what the run may do now.
        unread: value of each signal that nobody took, by its number.
        dedups: names and marks of signals that had one.
        updates: numbers of the updates.
        versions: by change.
        statuses: how often the code of this attempt said how far it is.
    """

    open: set[str] = field(default_factory=set)
    succeeded: dict[str, bytes] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    attempt: int = 1
    problem: str = ""
    finished: str = ""
    is_deferred: bool = False
    is_held: bool = False
    has_begun: bool = False
    is_paused: bool = False
    is_cancelling: bool = False
    unread: dict[int, bytes] = field(default_factory=dict)
    dedups: set[tuple[str, str]] = field(default_factory=set)
    updates: list[int] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    statuses: int = 0


@dataclass
class DrawnStream:
    """Entries that a run could have, and what they add up to."""

    entries: list[Entry]
    expected: Expected


@st.composite
def streams(draw: st.DrawFn, length_max: int = 30) -> DrawnStream:
    """Any stream that a run could write, up to a length."""
    created = draw(st.sampled_from((CREATED, CREATED, DEFERRED, HELD)))
    expected = Expected(is_deferred=created.deferred, is_held=created.held, has_begun=created is CREATED)
    entries = [Entry(1, draw(st.integers(0, 10**15)), created)]
    for seq in range(2, 2 + draw(st.integers(0, length_max))):
        moves = list(_moves(expected))
        if not moves:
            break
        step, body = draw(st.sampled_from(moves))
        _note(expected, seq, step, body)
        at = entries[-1].at + draw(st.integers(0, 10**9))
        attempt = draw(st.integers(1, 5)) if step else expected.attempt
        entries.append(Entry(seq, at, body, StepKey(step), attempt))
    return DrawnStream(entries, expected)


# ── what may come next ──────────────────────────────────────────────────────────────────────────────────


def _moves(now: Expected) -> Iterator[tuple[str, AnyBody]]:
    if now.finished in ("FAILED", "CANCELLED"):
        yield "", events.AttemptBegan("resume")
    if now.finished:
        return
    yield from (("", body) for body in _moves_from_outside(now))
    if now.is_deferred:
        yield "", events.RunEnqueued()
    if now.is_deferred or now.is_held:
        yield "", events.RunStarted()
    elif not now.is_paused:
        yield from _moves_of_code(now)


def _moves_from_outside(now: Expected) -> Iterator[AnyBody]:
    if now.is_paused:
        yield events.RunResumed()
        yield events.RunResumed(held=True)
    else:
        yield events.RunPaused()
    if now.is_cancelling:
        yield events.RunCancelled(FAILURE)
    else:
        yield events.CancelRequested()
    mark = f"letter-{len(now.dedups)}"
    yield from (SIGNAL, events.SignalReceived("approval", msgspec.Raw(b"false"), mark))
    yield events.UpdateAccepted("add", NOTHING, msgspec.Raw(b"1"))
    yield events.RunContinued(NOTHING)


def _moves_of_code(now: Expected) -> Iterator[tuple[str, AnyBody]]:
    yield from (("", body) for body in (events.RunCompleted(NOTHING), events.RunFailed(FAILURE)))
    yield "", events.RunAttemptFailed(FAILURE, 5)
    yield "", AGAIN
    yield "", events.StatusSet("half way")
    yield "", events.RunUnstuck() if now.problem else events.RunStuck("look at it")
    for number in range(3):
        yield from _moves_of_activity(now, f"activity-{number}")
        yield from _moves_of_side_effect(now, f"effect-{number}")
        yield from _moves_of_child(now, f"child-{number}")
        yield from _moves_of_timer(now, f"timer-{number}", TIMER)
        yield from _moves_of_timer(now, f"time-out-{number}", TIME_OUT)
        yield from _moves_of_wait(now, number)


def _moves_of_activity(now: Expected, step: str) -> Iterator[tuple[str, AnyBody]]:
    if step in now.open:
        yield step, COMPLETED
        yield step, FAILED
        yield step, events.ActivityAttemptFailed(FAILURE, 9)
        yield step, events.ActivityWorkerLost("SIGKILL")
    elif _may_begin(now, step):
        yield step, SCHEDULED


def _moves_of_side_effect(now: Expected, step: str) -> Iterator[tuple[str, AnyBody]]:
    if _may_begin(now, step):
        yield step, events.SideEffectCompleted(msgspec.Raw(b'"drawn"'))
        yield step, events.SideEffectFailed(FAILURE)


def _moves_of_child(now: Expected, step: str) -> Iterator[tuple[str, AnyBody]]:
    if step in now.open:
        yield step, events.ChildCompleted(msgspec.Raw(b'"grown"'))
        yield step, events.ChildFailed(FAILURE, cancelled=True)
    elif _may_begin(now, step):
        yield step, CHILD


def _moves_of_timer(now: Expected, step: str, started: AnyBody) -> Iterator[tuple[str, AnyBody]]:
    if step in now.open:
        yield step, events.TimerFired()
        yield step, events.TimerCancelled()
    elif _may_begin(now, step):
        yield step, started


def _moves_of_wait(now: Expected, number: int) -> Iterator[tuple[str, AnyBody]]:
    """Steps that one event says all of: a signal, a condition, a version."""
    if now.unread and _may_begin(now, f"signal-{number}"):
        yield f"signal-{number}", events.SignalTaken(min(now.unread))
    if _may_begin(now, f"condition-{number}"):
        yield f"condition-{number}", events.ConditionDecided(is_met=True)
        yield f"condition-{number}", events.ConditionDecided(is_met=False)
        yield f"condition-{number}", events.ConditionFailed(FAILURE)
    if f"change-{number}" not in now.versions:
        yield f"version:change-{number}", events.VersionMarked(number + 1)


def _may_begin(now: Expected, step: str) -> bool:
    return step not in now.open | now.failed | now.succeeded.keys()


# ── what it adds up to ──────────────────────────────────────────────────────────────────────────────────


def _note(now: Expected, seq: int, step: str, body: AnyBody) -> None:
    match body:
        case events.AttemptBegan():
            _note_attempt(now)
        case events.RunStuck():
            now.problem = body.problem
        case events.RunUnstuck():
            now.problem = ""
        case events.RunCompleted() | events.RunContinued():
            now.finished = "COMPLETED"
        case events.RunFailed():
            now.finished = "FAILED"
        case events.RunCancelled():
            now.finished = "CANCELLED"
        case _ if step:
            _note_step(now, step, body)
        case _:
            _note_message(now, seq, body)


def _note_attempt(now: Expected) -> None:
    """What failed or was too late is forgotten; so is a child that may have ended with its parent."""
    if now.finished:
        now.open = {step for step in now.open if not step.startswith("child")}
    now.open = {step for step in now.open if not step.startswith("time-out")}
    now.succeeded = {step: value for step, value in now.succeeded.items() if not _is_late(step, value)}
    now.attempt, now.failed, now.finished, now.statuses = now.attempt + 1, set(), "", 0
    now.is_cancelling = now.is_deferred = now.is_held = False
    now.has_begun = True


def _is_late(step: str, value: bytes) -> bool:
    return step.startswith("time-out") or (step.startswith("condition") and value == b"false")


def _note_message(now: Expected, seq: int, body: AnyBody) -> None:
    match body:
        case events.RunEnqueued():
            now.is_deferred, now.is_held = False, True
        case events.RunStarted():
            now.is_deferred = now.is_held = False
            now.has_begun = True
        case events.RunPaused():
            now.is_paused = True
        case events.RunResumed():
            now.is_paused, now.is_held = False, body.held
        case events.CancelRequested():
            now.is_cancelling, now.is_paused = True, False
            now.is_held = now.is_held and not now.has_begun
        case events.SignalReceived():
            now.unread[seq] = bytes(body.value)
            now.dedups |= {(body.name, body.dedup)} if body.dedup is not None else set()
        case events.UpdateAccepted():
            now.updates.append(seq)
        case events.StatusSet():
            now.statuses += 1
        case _:
            pass


def _note_step(now: Expected, step: str, body: AnyBody) -> None:
    match body:
        case events.ActivityScheduled() | events.ChildScheduled() | events.TimerStarted():
            now.open.add(step)
        case events.TimerCancelled():
            now.open.discard(step)
        case events.SignalTaken():
            now.succeeded[step] = now.unread.pop(body.signal)
        case events.VersionMarked():
            now.versions[step.removeprefix("version:")] = body.version
        case events.ConditionDecided():
            now.succeeded[step] = b"true" if body.is_met else b"false"
        case events.TimerFired():
            now.open.discard(step)
            now.succeeded[step] = b"null"
        case events.ActivityCompleted() | events.ChildCompleted() | events.SideEffectCompleted():
            now.open.discard(step)
            now.succeeded[step] = bytes(body.result)
        case events.ActivityAttemptFailed() | events.ActivityWorkerLost():
            pass
        case _:
            now.open.discard(step)
            now.failed.add(step)
