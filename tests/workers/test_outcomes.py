"""Errors and results that don't travel: each is a clear failure of its activity, and the worker lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tempolite import (
    ActivityError,
    NonRetryable,
    NotStorable,
    PayloadTooLarge,
    Queue,
    Tempolite,
)
from tests.workers import activities
from tests.workers.calls import DEADLINE_S, begin, losses, outcome, several_activities
from tests.workers.conftest import MakeEngine
from tests.workers.odd_errors import HoldsALock, RaisesWhenMade, RaisesWhenShown

LIMIT = 10_000


@pytest.fixture(scope="module")
def engine() -> Iterator[Tempolite]:
    """One worker for all of these tests, which must outlive them; and a small limit for payloads."""
    with Tempolite(queues=[Queue("default", workers=1)], payload_limit=LIMIT) as engine:
        yield engine


def test_exception_that_cannot_be_pickled_arrives_as_itself(engine: Tempolite) -> None:
    """P5: exceptions travel as data; a lock in one is left behind."""
    with pytest.raises(HoldsALock, match="no card"):
        outcome(engine, "raise_what_holds_a_lock")


def test_exception_whose_constructor_raises_arrives_as_itself(engine: Tempolite) -> None:
    """P5: rebuilding runs no code of the exception."""
    with pytest.raises(RaisesWhenMade) as caught:
        outcome(engine, "raise_what_cannot_be_made")

    assert caught.value.args == ("anything", 2)


def test_exception_that_has_no_text_arrives(engine: Tempolite) -> None:
    """Not even ``str`` of it need work."""
    with pytest.raises(RaisesWhenShown):
        outcome(engine, "raise_what_cannot_be_shown")


@pytest.mark.parametrize(
    ("name", "type_name", "message"),
    [
        ("exit_python", "builtins:SystemExit", "3"),
        ("interrupt", "builtins:KeyboardInterrupt", ""),
        ("raise_local_class", "tests.workers.activities:raise_local_class.<locals>.Unheard", "far away"),
    ],
)
def test_what_is_no_known_exception_becomes_an_activity_error(
    engine: Tempolite, name: str, type_name: str, message: str
) -> None:
    """P5: with the type's name, the message and the traceback; the engine and the worker live on."""
    with pytest.raises(ActivityError) as caught:
        outcome(engine, name)

    assert (caught.value.type_name, caught.value.message) == (type_name, message)
    assert f"in {name}" in caught.value.traceback


@pytest.mark.parametrize(
    ("name", "kind"),
    [("raise_out_of_memory", MemoryError), ("recurse", RecursionError), ("refuse_for_good", NonRetryable)],
)
def test_failures_of_the_interpreter_are_ordinary_failures(
    engine: Tempolite, name: str, kind: type[Exception]
) -> None:
    """MemoryError and RecursionError kill nobody."""
    info = begin(engine, name)

    with pytest.raises(kind):
        info.get(timeout=DEADLINE_S)

    assert losses(info) == []


@pytest.mark.parametrize(
    ("kind", "culprit"),
    [
        ("lambda", "result: function"),
        ("lock", "result: lock"),
        ("generator", "result: generator"),
        ("socket", "result: socket"),
        ("nested lock", r'result\["items"\]\[1\]: lock'),
        ("cycle", "result"),
        ("deep list", "result"),
    ],
)
def test_result_that_cannot_be_stored_is_refused_with_its_path(
    engine: Tempolite, kind: str, culprit: str
) -> None:
    """P12: NotStorable names the culprit; the activity is not run again."""
    info = begin(engine, "return_odd", kind, attempts=5)

    with pytest.raises(NotStorable, match=f"(?i)^{culprit}"):
        info.get(timeout=DEADLINE_S)

    assert losses(info) == []
    assert not [event for event in info.history() if event.type == "ActivityAttemptFailed"]


@pytest.mark.parametrize("size", [LIMIT - 1, 100 * 2**20])
def test_result_beyond_the_limit_is_too_large(engine: Tempolite, size: int) -> None:
    """PayloadTooLarge names both sizes; the activity is not run again."""
    info = begin(engine, "return_text", size, attempts=5)

    with pytest.raises(PayloadTooLarge, match=rf"{size + 2} bytes.*{LIMIT}"):
        info.get(timeout=DEADLINE_S)

    assert not [event for event in info.history() if event.type == "ActivityAttemptFailed"]


@pytest.mark.parametrize("size", [0, LIMIT - 2])
def test_result_within_the_limit_arrives(engine: Tempolite, size: int) -> None:
    """The limit itself is allowed."""
    assert outcome(engine, "return_text", size) == "x" * size


def test_large_results_arrive_whole_and_in_any_mixture(make_engine: MakeEngine) -> None:
    """Results far larger than a socket's buffer, from several workers, between small ones."""
    engine = make_engine(queues=[Queue("default", workers=2)])
    sizes = [0, 5_000_000, 3, 1_000_000, 70_000, 2_000_000]

    info = engine.execute(None, several_activities, [("return_bytes", [size], {}) for size in sizes])

    assert [len(result) for result in info.get(timeout=DEADLINE_S)] == sizes


def test_worker_survives_everything_that_is_no_death(engine: Tempolite) -> None:
    """All of these happen in one and the same process."""
    before = outcome(engine, "pid_of_worker")
    calls: list[tuple[str, list[Any], dict[str, Any]]] = [
        ("raise_what_holds_a_lock", [], {}),
        ("raise_what_cannot_be_made", [], {}),
        ("raise_what_cannot_be_shown", [], {}),
        ("raise_local_class", [], {}),
        ("exit_python", [], {}),
        ("interrupt", [], {}),
        ("recurse", [], {}),
        ("return_odd", ["deep list"], {}),
        ("return_odd", ["socket"], {}),
        ("return_text", [LIMIT], {}),
    ]

    errors = engine.execute(None, several_activities, calls).get(timeout=DEADLINE_S)

    assert len(errors) == len(calls)
    assert all(type(error) is str for error in errors)
    assert outcome(engine, "pid_of_worker") == before


@pytest.mark.parametrize("target", [activities.numbers, len], ids=["generator function", "builtin"])
def test_callables_that_look_odd_are_judged_by_what_they_return(
    engine: Tempolite, target: Callable[..., Any]
) -> None:
    """A generator function returns a generator, which can't be stored; a builtin is as good as others."""

    def workflow(ctx: Any, text: str) -> Any:
        args = () if target is activities.numbers else (text,)
        return ctx.activity("step", target, *args).get()

    info = engine.execute(None, workflow, "four")

    if target is len:
        assert info.get(timeout=DEADLINE_S) == 4
    else:
        with pytest.raises(NotStorable):
            info.get(timeout=DEADLINE_S)
