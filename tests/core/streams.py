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

CREATED = events.RunCreated(function="m:f", args=msgspec.Raw(b"[[],{}]"), seed=7)
DEFERRED = events.RunCreated(function="m:f", args=msgspec.Raw(b"[[],{}]"), seed=7, deferred=True)
SCHEDULED = events.ActivityScheduled("m:a", msgspec.Raw(b"[[1],{}]"), "default")
CHILD = events.ChildScheduled("run/child", "m:g", msgspec.Raw(b"[[2],{}]"))
COMPLETED = events.ActivityCompleted(msgspec.Raw(b"41"))
FAILED = events.ActivityFailed(FAILURE)
AGAIN = events.AttemptBegan("retry")

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
    """

    open: set[str] = field(default_factory=set)
    succeeded: dict[str, bytes] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    attempt: int = 1
    problem: str = ""
    finished: str = ""


@dataclass
class DrawnStream:
    """Entries that a run could have, and what they add up to."""

    entries: list[Entry]
    expected: Expected


@st.composite
def streams(draw: st.DrawFn, length_max: int = 30) -> DrawnStream:
    """Any stream that a run could write, up to a length."""
    expected = Expected()
    entries = [Entry(1, draw(st.integers(0, 10**15)), draw(st.sampled_from((CREATED, DEFERRED))))]
    for seq in range(2, 2 + draw(st.integers(0, length_max))):
        moves = list(_moves(expected))
        if not moves:
            break
        step, body = draw(st.sampled_from(moves))
        _note(expected, step, body)
        at = entries[-1].at + draw(st.integers(0, 10**9))
        attempt = draw(st.integers(1, 5)) if step else expected.attempt
        entries.append(Entry(seq, at, body, StepKey(step), attempt))
    return DrawnStream(entries, expected)


def _moves(now: Expected) -> Iterator[tuple[str, AnyBody]]:
    """What may come next."""
    if now.finished == "COMPLETED":
        return
    if now.finished == "FAILED":
        yield "", events.AttemptBegan("resume")
        return
    yield from (("", body) for body in (events.RunCompleted(NOTHING), events.RunFailed(FAILURE)))
    yield "", events.RunAttemptFailed(FAILURE, 5)
    yield "", AGAIN
    yield "", events.RunUnstuck() if now.problem else events.RunStuck("look at it")
    for number in range(4):
        yield from _moves_of_activity(now, f"activity-{number}")
        yield from _moves_of_side_effect(now, f"effect-{number}")
        yield from _moves_of_child(now, f"child-{number}")


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


def _may_begin(now: Expected, step: str) -> bool:
    return step not in now.open | now.failed | now.succeeded.keys()


def _note(now: Expected, step: str, body: AnyBody) -> None:
    match body:
        case events.AttemptBegan():
            now.attempt, now.failed, now.finished = now.attempt + 1, set(), ""
        case events.RunStuck():
            now.problem = body.problem
        case events.RunUnstuck():
            now.problem = ""
        case events.RunCompleted():
            now.finished = "COMPLETED"
        case events.RunFailed():
            now.finished = "FAILED"
        case events.ActivityScheduled() | events.ChildScheduled():
            now.open.add(step)
        case events.ActivityCompleted() | events.ChildCompleted() | events.SideEffectCompleted():
            now.open.discard(step)
            now.succeeded[step] = bytes(body.result)
        case events.ActivityFailed() | events.ChildFailed() | events.SideEffectFailed():
            now.open.discard(step)
            now.failed.add(step)
        case _:
            pass
