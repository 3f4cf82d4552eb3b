"""What a fork keeps: outcomes that stood when a step was scheduled, in order, numbered anew."""

from __future__ import annotations

import msgspec
import pytest

from tempolite.core import events
from tempolite.core.events import Entry
from tempolite.core.forking import kept_entries
from tempolite.core.history import fold
from tempolite.core.identifiers import StepKey
from tests.core.streams import AGAIN, CHILD, COMPLETED, CREATED, FAILED, FAILURE, SCHEDULED, Fact, stream_of

ONE = events.SideEffectCompleted(msgspec.Raw(b"1"))
LOST = events.ActivityWorkerLost("SIGKILL")
RETRIED = events.ActivityAttemptFailed(FAILURE, 5)


def kept(*facts: Fact, before: str = "b") -> list[tuple[int, str, str]]:
    """Number, step and kind of each entry that is kept, after its check: it folds behind a beginning."""
    entries = kept_entries(stream_of(CREATED, *facts), StepKey(before))
    fold([*stream_of(CREATED), *(msgspec.structs.replace(entry, at=9_000_000) for entry in entries)])
    return [(entry.seq, str(entry.step), type(entry.body).__name__) for entry in entries]


def test_outcomes_before_the_step_are_kept() -> None:
    """With their scheduling; the step itself and what came later is not."""
    found = kept(("a", SCHEDULED), ("a", COMPLETED), ("b", SCHEDULED), ("b", COMPLETED), ("c", ONE))

    assert found == [(2, "a", "ActivityScheduled"), (3, "a", "ActivityCompleted")]


def test_what_was_under_way_is_not_kept() -> None:
    """Its outcome came after the step was scheduled; numbers have no gaps."""
    found = kept(("x", SCHEDULED), ("a", ONE), ("b", SCHEDULED), ("x", COMPLETED), before="b")

    assert found == [(2, "a", "SideEffectCompleted")]


def test_a_failure_that_stands_is_kept() -> None:
    """The code caught it, and would again; its tries and losses are a part of it."""
    found = kept(
        ("a", SCHEDULED), ("a", LOST), ("a", RETRIED), ("a", FAILED, 2), ("c", CHILD), ("b", SCHEDULED)
    )

    assert [kind for _, _, kind in found] == [
        "ActivityScheduled",
        "ActivityWorkerLost",
        "ActivityAttemptFailed",
        "ActivityFailed",
    ]


def test_what_failed_in_an_earlier_attempt_is_not_kept() -> None:
    """It ran again: only the outcome that stands is kept, and nothing of the run's own attempts."""
    again = events.RunAttemptFailed(FAILURE, 5)
    found = kept(
        ("ok", ONE),
        ("a", SCHEDULED),
        ("a", FAILED),
        again,
        (AGAIN),
        ("a", SCHEDULED),
        ("a", COMPLETED),
        ("b", SCHEDULED),
    )

    assert found == [
        (2, "ok", "SideEffectCompleted"),
        (3, "a", "ActivityScheduled"),
        (4, "a", "ActivityCompleted"),
    ]


def test_the_last_scheduling_of_the_step_counts() -> None:
    """It failed, the run began anew, and it was scheduled again: what was done meanwhile is kept."""
    found = kept(("b", SCHEDULED), ("b", FAILED), AGAIN, ("a", ONE), ("b", SCHEDULED))

    assert found == [(2, "a", "SideEffectCompleted")]


def test_a_signal_goes_with_the_step_that_took_it() -> None:
    """Its number is changed in both; it can be sent to the fork as well. Unread ones stay behind."""
    entries = stream_of(
        CREATED,
        events.SignalReceived("go", msgspec.Raw(b"1")),
        ("x", SCHEDULED),
        events.SignalReceived("go", msgspec.Raw(b"2"), "dedup"),
        ("signal go", events.SignalTaken(2)),
        ("signal go#2", events.SignalTaken(4)),
        events.SignalReceived("go", msgspec.Raw(b"3")),
        ("b", SCHEDULED),
    )

    found = kept_entries(entries, StepKey("b"))

    assert [entry.body for entry in found] == [
        events.SignalReceived("go", msgspec.Raw(b"1")),
        events.SignalReceived("go", msgspec.Raw(b"2")),
        events.SignalTaken(2),
        events.SignalTaken(3),
    ]
    assert fold([*stream_of(CREATED), *at_once(found)]).signals == {}


def test_marks_and_updates_are_kept_too() -> None:
    """Both decided what the code did until then; timers that were taken back are asked for again."""
    found = kept(
        ("version x", events.VersionMarked(2)),
        ("t", events.TimerStarted(9_000_000)),
        ("t", events.TimerCancelled()),
        ("u", events.TimerStarted(8_000_000)),
        events.UpdateAccepted("set", msgspec.Raw(b"{}")),
        events.StatusSet("half"),
        ("u", events.TimerFired()),
        ("b", ONE),
    )

    assert [kind for _, _, kind in found] == ["VersionMarked", "TimerStarted", "UpdateAccepted", "TimerFired"]


def test_an_unknown_step_is_told() -> None:
    """There is nothing to fork before."""
    with pytest.raises(KeyError):
        kept(("a", ONE), before="nothing")


def at_once(entries: list[Entry]) -> list[Entry]:
    """All at one time, behind the beginning."""
    return [msgspec.structs.replace(entry, at=9_000_000) for entry in entries]
