"""Waits for signals: who is served, who gave up, and what is refused."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import pytest

from tempolite import (
    AsyncWorkflowContext,
    Busy,
    InvalidArguments,
    NotStorable,
    Queue,
    Tempolite,
    WorkflowContext,
    WorkflowFinished,
    WorkflowNotFound,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import pass_gate
from tests.engine.waiting import wait_for_text

Home = dict[str, Any]
THREADS = [Queue("default", kind="thread", workers=2)]


@dataclass
class Approval:
    by: str
    amount: int


def collect(ctx: WorkflowContext, count: int, gate: str = "") -> list[Any]:
    if gate:
        ctx.activity("hold", pass_gate, gate).get()
    return [ctx.signal("item").get() for _ in range(count)]


def test_two_waits_of_one_name_are_served_in_line(make_engine: EngineMaker, home: Home) -> None:
    """The one that was asked for first gets the first, whichever is waited for first."""
    engine = make_engine(**home)

    def two(ctx: WorkflowContext) -> list[Any]:
        first, second = ctx.signal("item"), ctx.signal("item")
        return [second.get(), first.get()]

    info = engine.execute("a", two)
    engine.signal("a", "item", 1)
    engine.signal("a", "item", 2)

    assert info.get(timeout=10) == [2, 1]


def test_a_wait_that_timed_out_gives_its_place_back(make_engine: EngineMaker, home: Home) -> None:
    """The next value is for the next wait, not for the one that has given up."""
    engine = make_engine(**home)

    def impatient(ctx: WorkflowContext) -> Any:
        given_up = ctx.signal("item")
        try:
            given_up.get(timeout=0.02)
        except TimeoutError:
            ctx.set_status("given up")
        second = ctx.signal("item").get()
        return [second, given_up.done, given_up.get()]

    info = engine.execute("a", impatient)
    wait_for_text(engine, "a", "given up")
    engine.signal("a", "item", 1)
    engine.signal("a", "item", 2)

    assert info.get(timeout=10) == [1, False, 2]
    assert engine.replay("a") == [1, False, 2]


async def impatient_async(ctx: AsyncWorkflowContext) -> Any:
    given_up = ctx.signal("item")
    try:
        await given_up.get(timeout=0.02)
    except TimeoutError:
        ctx.set_status("given up")
    second = await ctx.signal("item")
    return [second, given_up.done, await given_up]


def test_an_awaited_one_that_timed_out_gives_its_place_back(make_engine: EngineMaker, home: Home) -> None:
    """The same in an ``async def``."""
    engine = make_engine(**home)

    info = engine.execute("a", impatient_async)
    wait_for_text(engine, "a", "given up")
    engine.signal("a", "item", 1)
    engine.signal("a", "item", 2)

    assert info.get(timeout=10) == [1, False, 2]
    assert engine.replay("a") == [1, False, 2]


def test_a_wait_any_that_timed_out_gives_the_places_back(make_engine: EngineMaker, home: Home) -> None:
    """All of its signals wait no more."""
    engine = make_engine(**home)

    def choosing(ctx: WorkflowContext) -> Any:
        a, b = ctx.signal("a"), ctx.signal("b")
        assert ctx.wait_any(a, b, timeout=0.02) is None
        ctx.set_status("given up")
        return [ctx.signal("a").get(), ctx.signal("b").get(), a.done, b.done]

    info = engine.execute("x", choosing)
    wait_for_text(engine, "x", "given up")
    engine.signal("x", "b", 2)
    engine.signal("x", "a", 1)

    assert info.get(timeout=10) == [1, 2, False, False]
    assert engine.replay("x") == [1, 2, False, False]


def test_a_signal_to_nobody_is_refused(make_engine: EngineMaker, home: Home) -> None:
    """A finished workflow and one that there isn't."""
    engine = make_engine(**home)
    engine.execute("a", collect, 0).get(timeout=10)

    with pytest.raises(WorkflowFinished, match="a"):
        engine.signal("a", "item", 1)
    with pytest.raises(WorkflowNotFound, match="nobody"):
        engine.signal("nobody", "item", 1)


def test_more_unread_signals_than_the_limit_are_refused(make_engine: EngineMaker, home: Home) -> None:
    """``Busy``; once some are read there is room again; those of other runs don't count."""
    engine = make_engine(**home, signal_limit=3)
    info = engine.execute("a", workflow(collect, defer=True), 4)
    other = engine.execute("b", workflow(collect, defer=True), 1)
    for number in range(3):
        engine.signal("a", "item", number)

    with pytest.raises(Busy):
        engine.signal("a", "item", 3)
    engine.signal("b", "item", 0)
    engine.enqueue("a"), engine.enqueue("b")
    engine.wait(timeout=10)
    engine.signal("a", "item", 4)

    assert info.get(timeout=10) == [0, 1, 2, 4]
    assert other.get(timeout=10) == [0]


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_signal_needs_a_name(engine: Tempolite, name: Any) -> None:
    """Refused at the call; the run is untouched."""
    info = engine.execute("a", collect, 1)

    with pytest.raises(InvalidArguments):
        engine.signal("a", name, 1)
    engine.signal("a", "item", 1)

    assert info.get(timeout=10) == [1]


def test_a_signal_that_can_not_be_stored_is_refused(engine: Tempolite) -> None:
    """At the call, with the culprit; the run is untouched."""
    info = engine.execute("a", collect, 1)

    with pytest.raises(NotStorable, match="ock"):
        engine.signal("a", "item", {"inner": threading.Lock()})
    engine.signal("a", "item", 1)

    assert info.get(timeout=10) == [1]


def test_a_signal_may_have_a_type(make_engine: EngineMaker, home: Home) -> None:
    """Values of it come as they were; plain data is turned into it; none is None."""
    engine = make_engine(**home)

    def typed(ctx: WorkflowContext) -> list[Any]:
        return [
            ctx.signal("item", Approval).get(),
            ctx.signal("item", Approval).get(),
            ctx.signal("item").get(),
        ]

    info = engine.execute("a", typed)
    engine.signal("a", "item", Approval("ann", 3))
    engine.signal("a", "item", {"by": "bob", "amount": 4})
    engine.signal("a", "item")

    assert info.get(timeout=10) == [Approval("ann", 3), Approval("bob", 4), None]


def test_a_signal_wakes_whoever_waits_for_one_of_several(make_engine: EngineMaker, home: Home) -> None:
    """An activity, a timer and a signal; the one that comes is given."""
    engine = make_engine(**home)

    def choosing(ctx: WorkflowContext) -> Any:
        timer, signal = ctx.timer("late", 3600), ctx.signal("item")
        assert ctx.wait_any(timer, signal) is signal
        return signal.get()

    info = engine.execute("a", choosing)
    engine.signal("a", "item", "now")

    assert info.get(timeout=10) == "now"
    assert engine.replay("a") == "now"


def test_a_wait_with_a_limit_takes_a_signal_that_is_there(make_engine: EngineMaker, home: Home) -> None:
    """Also with ``timeout=0``, when the signal had come before."""
    engine = make_engine(**home)

    def quick(ctx: WorkflowContext) -> Any:
        return [ctx.signal("item").get(timeout=3600), ctx.signal("item").get(timeout=0)]

    info = engine.execute("a", workflow(quick, defer=True))
    engine.signal("a", "item", 1)
    engine.signal("a", "item", 2)
    engine.enqueue("a")

    assert info.get(timeout=10) == [1, 2]
    assert engine.replay("a") == [1, 2]
