"""Listing, counting and reading runs, and waiting for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    Event,
    Queue,
    RetryPolicy,
    Status,
    Tempolite,
    WorkflowContext,
    WorkflowNotFound,
    activity,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Gate, pass_gate


def echo(ctx: WorkflowContext, value: Any) -> Any:
    return value


def broken(ctx: WorkflowContext, text: str) -> None:
    raise ValueError(text)


def held(ctx: WorkflowContext, gate: str) -> str:
    return ctx.activity("hold", pass_gate, gate).get()


def parent_of(ctx: WorkflowContext, value: str) -> str:
    return ctx.workflow("child", echo, value).get()


def stepping(ctx: WorkflowContext) -> int:
    return sum(ctx.activity("len", len, text).get() for text in ("a", "bc"))


def ids(page: Any) -> list[str]:
    return [info.id for info in page]


def start_all(engine: Tempolite, count: int) -> list[str]:
    """Runs ``r0``, ``r1`` …; the newest first."""
    for number in range(count):
        engine.execute(f"r{number}", echo, number)
    engine.wait(timeout=20)
    return [f"r{number}" for number in reversed(range(count))]


def test_runs_are_listed_newest_first(engine: Tempolite) -> None:
    """A page is a sequence of handles."""
    expected = start_all(engine, 5)

    page = engine.workflows()

    assert isinstance(page, Sequence)
    assert ids(page) == expected
    assert (len(page), page[0].id, page.cursor) == (5, "r4", None)
    assert page[0].get(timeout=1) == 4


def test_an_empty_engine_lists_nothing(engine: Tempolite) -> None:
    """No runs, no cursor, and ``wait`` returns at once."""
    page = engine.workflows()
    engine.wait(timeout=1)

    assert (list(page), page.cursor, engine.count()) == ([], None, 0)


@pytest.mark.parametrize("limit", [1, 4, 7, 12, 13])
def test_pages_lead_through_all_runs(engine: Tempolite, limit: int) -> None:
    """Each run comes once, whatever the page's size; at the end there is no cursor."""
    expected = start_all(engine, 12)

    page = engine.workflows(limit=limit)
    found = ids(page)
    while page.cursor is not None:
        page = engine.workflows(limit=limit, cursor=page.cursor)
        assert len(page) <= limit
        found += ids(page)

    assert found == expected


def test_runs_that_start_between_pages_move_nothing(engine: Tempolite) -> None:
    """Pages neither skip nor repeat."""
    expected = start_all(engine, 6)

    first = engine.workflows(limit=3)
    engine.execute("new", echo, 0)
    second = engine.workflows(limit=3, cursor=first.cursor)

    assert ids(first) + ids(second) == expected


def test_pages_of_a_filter_stay_within_it(engine: Tempolite) -> None:
    """The cursor goes with the filter."""
    for number in range(10):
        engine.execute(f"r{number}", echo if number % 2 else broken, "x")
    engine.wait(timeout=20)

    first = engine.workflows(status="FAILED", limit=3)
    second = engine.workflows(status="FAILED", limit=3, cursor=first.cursor)

    assert ids(first) + ids(second) == ["r8", "r6", "r4", "r2", "r0"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("COMPLETED", ["good"]),
        (Status.FAILED, ["bad"]),
        (["COMPLETED", Status.FAILED], ["bad", "good"]),
        ({"RUNNING", "PENDING"}, []),
    ],
)
def test_runs_are_chosen_by_status(engine: Tempolite, status: Any, expected: list[str]) -> None:
    """One or several, as text or as ``Status``."""
    engine.execute("good", echo, 1)
    engine.execute("bad", broken, "x")
    engine.wait(timeout=10)

    assert ids(engine.workflows(status=status)) == expected
    assert engine.count(status=status) == len(expected)


def test_runs_are_chosen_by_queue_and_parent(make_engine: EngineMaker, database: str) -> None:
    """A child belongs to its parent's queue."""
    engine = make_engine(database, queues=[Queue("default", kind="inline"), Queue("q", kind="inline")])
    engine.execute("p", workflow(parent_of, queue="q"), "x")
    engine.execute("other", echo, "x")
    engine.wait(timeout=10)

    assert ids(engine.workflows(queue="q")) == ["p/child", "p"]
    assert ids(engine.workflows(parent="p")) == ["p/child"]
    assert ids(engine.workflows(run_group=engine.get("p").run_group)) == ["p/child", "p"]
    assert engine.count(queue="default") == 1
    assert engine.count(queue="nobody") == 0


def test_runs_are_chosen_by_function(engine: Tempolite) -> None:
    """By callable, with or without options, and by name."""
    engine.execute("e", echo, 1)
    engine.execute("b", broken, "x")
    engine.execute("n", workflow(echo, name="named"), 1)
    engine.wait(timeout=10)

    assert ids(engine.workflows(function=echo)) == ["e"]
    assert ids(engine.workflows(function=f"{__name__}:broken")) == ["b"]
    assert ids(engine.workflows(function="named")) == ["n"]
    assert ids(engine.workflows(function=workflow(echo, name="named"))) == ["n"]


def test_runs_are_chosen_by_time_exclusively(engine: Tempolite) -> None:
    """The bounds themselves don't count; other zones mean the same moment."""
    start_all(engine, 3)
    at = engine.get("r1").created_at
    soon = timedelta(microseconds=1)

    assert "r1" not in ids(engine.workflows(created_after=at))
    assert "r1" not in ids(engine.workflows(created_before=at))
    assert "r1" in ids(engine.workflows(created_after=at - soon, created_before=at + soon))
    assert engine.count(created_after=datetime.now(UTC)) == 0
    assert engine.count(created_before=at.astimezone(tz=None) + timedelta(days=1)) == 3


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("order-7", ["order-7"]),
        ("lamp", ["order-8"]),
        ("no such thing", []),
        ("out of stock", ["order-9"]),
        ("100%", ["order-7"]),
        ("_", []),
        ("grün", ["order-8"]),
        ("o'neill", ["order-7"]),
        ('"dim"', ["order-8"]),
        ("note", ["order-7"]),
        ("12.5", ["order-8"]),
        ("0", ["order-7"]),
        ("queue", []),
        ("tuple", []),
        ("seed", []),
        ("kwargs", []),
        (__name__, []),
    ],
)
def test_runs_are_found_by_text(engine: Tempolite, search: str, expected: list[str]) -> None:
    """In ids, inputs and outcomes; nothing in the text is a wildcard."""
    engine.execute("order-7", echo, {"note": "100% o'neill"})
    engine.execute("order-8", echo, ("lamp", 'grün, "dim"', 12.5))
    engine.execute("order-9", broken, "out of stock")
    engine.wait(timeout=10)

    assert ids(engine.workflows(search=search)) == expected
    assert engine.count(search=search) == len(expected)


def test_all_filters_that_are_given_hold(engine: Tempolite) -> None:
    """All that are given must fit."""
    engine.execute("a", echo, "x"), engine.execute("b", broken, "x"), engine.execute("c", echo, "y")
    engine.wait(timeout=10)

    assert ids(engine.workflows(function=echo, search="x", status="COMPLETED", queue="default")) == ["a"]


@pytest.mark.parametrize(
    "filters",
    [
        {"status": "DONE"},
        {"status": ["COMPLETED", "DONE"]},
        {"created_after": datetime(2024, 1, 1)},  # noqa: DTZ001 - naive on purpose
        {"created_before": datetime(2024, 1, 1)},  # noqa: DTZ001
        {"limit": 0},
        {"limit": -1},
        {"cursor": "nonsense"},
        {"nonsense": 1},
    ],
)
def test_a_filter_that_means_nothing_is_refused(engine: Tempolite, filters: dict[str, Any]) -> None:
    """``TypeError``, which ``InvalidArguments`` is, before anything is read."""
    with pytest.raises(TypeError):
        engine.workflows(**filters)


def test_history_tells_what_happened_in_order(engine: Tempolite) -> None:
    """Events are plain values: where, what, which attempt, when."""
    before = datetime.now(UTC) - timedelta(seconds=1)
    engine.execute("a", stepping).get(timeout=10)

    events = engine.history("a")

    assert all(isinstance(event, Event) for event in events)
    assert {(event.workflow, event.run) for event in events} == {("a", 1)}
    assert [event.seq for event in events] == sorted({event.seq for event in events})
    assert {event.step for event in events if event.step} == {"len", "len#2"}
    assert all(before < event.at <= datetime.now(UTC) for event in events)
    assert [event.at for event in events] == sorted(event.at for event in events)


def test_seq_increases_over_the_whole_log(engine: Tempolite) -> None:
    """Two runs share no number."""
    for name in ("a", "b"):
        engine.execute(name, stepping).get(timeout=10)

    first, second = engine.history("a"), engine.history("b")

    assert max(event.seq for event in first) < min(event.seq for event in second)


def test_history_counts_attempts_of_steps(engine: Tempolite) -> None:
    """A step that failed twice has three attempts in it."""
    tries: list[int] = []

    def flaky() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("not yet")
        return len(tries)

    def retrying(ctx: WorkflowContext) -> int:
        policy = RetryPolicy(max_attempts=3, initial_interval=0.001)
        return ctx.activity("flaky", activity(flaky, retry=policy)).get()

    engine.execute("a", retrying).get(timeout=10)

    assert {event.attempt for event in engine.history("a") if event.step == "flaky"} == {1, 2, 3}


def test_history_is_the_same_after_reopening(make_engine: EngineMaker, path: Path) -> None:
    """It is stored, and a start adds nothing to it."""
    first = make_engine(path)
    first.execute("a", stepping).get(timeout=10)
    events = first.history("a")
    first.close()

    assert make_engine(path, workflows=[stepping]).history("a") == events


def test_history_of_what_is_not_there_is_refused(engine: Tempolite) -> None:
    """No such workflow, or no such run of it."""
    engine.execute("a", echo, 1).get(timeout=10)

    assert engine.history("a", run=1) == engine.history("a")
    with pytest.raises(WorkflowNotFound):
        engine.history("nobody")
    with pytest.raises(WorkflowNotFound):
        engine.history("a", run=2)


def test_wait_returns_when_everything_has_ended_and_not_before(engine: Tempolite) -> None:
    """After it, every run has its outcome; steps, children and retries included."""
    for number in range(20):
        engine.execute(f"s{number}", stepping)
        engine.execute(f"p{number}", parent_of, "x")

    engine.wait(timeout=20)

    assert engine.count(status="COMPLETED") == engine.count() == 60


def test_wait_waits_for_a_retry_that_is_due_later(engine: Tempolite) -> None:
    """A run between two attempts can go on by itself."""
    tries: list[int] = []

    def once_more() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("not yet")

    def retrying(ctx: WorkflowContext) -> None:
        policy = RetryPolicy(max_attempts=2, initial_interval=0.2, jitter=False)
        ctx.activity("flaky", activity(once_more, retry=policy)).get()

    info = engine.execute("a", retrying)
    engine.wait(timeout=10)

    assert info.status == "COMPLETED"


def test_wait_gives_up_in_time(make_engine: EngineMaker, database: str, gate: Gate) -> None:
    """``TimeoutError`` while an activity runs; the run is untouched."""
    engine = make_engine(database, queues=[Queue("default", kind="thread", workers=1)])
    info = engine.execute("a", held, gate.path)
    gate.wait_until_reached()

    with pytest.raises(TimeoutError):
        engine.wait(timeout=0.05)
    gate.release()
    engine.wait(timeout=10)

    assert info.status == "COMPLETED"


def test_a_queue_tells_its_settings(make_engine: EngineMaker, gate: Gate) -> None:
    """And how much runs and waits in it."""
    engine = make_engine(queues=[Queue("q", kind="thread", workers=1, slots=1)])
    for number in range(3):
        engine.execute(f"r{number}", workflow(held, queue="q"), gate.path)
    gate.wait_until_reached()
    engine.get("r2").history()

    info = engine.queue("q")

    assert (info.name, info.kind, info.workers, info.slots) == ("q", "thread", 1, 1)
    assert info.running == 1
    gate.release(3)
    engine.wait(timeout=10)
    assert (engine.queue("q").running, engine.queue("q").waiting) == (0, 0)
    assert engine.queue("default").name == "default"
