"""Signals: each acknowledged one is delivered once, in order, wherever its run is at that moment (P10)."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tempolite import (
    AsyncWorkflowContext,
    Queue,
    RetryPolicy,
    Tempolite,
    WorkflowContext,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate

Home = dict[str, Any]
THREADS = [Queue("default", kind="thread", workers=2)]


def collect(ctx: WorkflowContext, count: int, gate: str = "") -> list[Any]:
    if gate:
        ctx.activity("hold", pass_gate, gate).get()
    return [ctx.signal("item").get() for _ in range(count)]


async def collect_async(ctx: AsyncWorkflowContext, count: int, gate: str = "") -> list[Any]:
    if gate:
        await ctx.activity("hold", pass_gate, gate)
    return [await ctx.signal("item") for _ in range(count)]


def collect_and_note(ctx: WorkflowContext, count: int, effects: str) -> list[Any]:
    got = []
    for _ in range(count):
        got.append(ctx.signal("item").get())
        ctx.activity("note", note, effects, str(got[-1])).get()
    return got


both = pytest.mark.parametrize("fn", [collect, collect_async], ids=["def", "async"])


@both
def test_signals_come_in_the_order_in_which_they_were_sent(
    make_engine: EngineMaker, home: Home, fn: Any
) -> None:
    """First in, first out, while the run waits."""
    engine = make_engine(**home)
    info = engine.execute("a", fn, 5)

    for number in range(5):
        engine.signal("a", "item", number)

    assert info.get(timeout=10) == [0, 1, 2, 3, 4]


@both
def test_signals_before_the_wait_are_kept(make_engine: EngineMaker, home: Home, gate: Gate, fn: Any) -> None:
    """The run is in an activity when they come."""
    engine = make_engine(**home, queues=THREADS)
    info = engine.execute("a", fn, 3, gate.path)
    gate.wait_until_reached()

    for number in range(3):
        info.signal("item", number)
    gate.release()

    assert info.get(timeout=10) == [0, 1, 2]


@both
def test_signals_to_a_deferred_run_are_kept(make_engine: EngineMaker, home: Home, fn: Any) -> None:
    """It reads them once it has begun."""
    engine = make_engine(**home)
    info = engine.execute("a", workflow(fn, defer=True), 2)
    engine.signal("a", "item", 1)
    engine.signal("a", "item", 2)
    assert info.status == "PENDING"

    engine.enqueue("a")

    assert info.get(timeout=10) == [1, 2]


@both
def test_signals_to_a_paused_run_are_kept(make_engine: EngineMaker, home: Home, fn: Any) -> None:
    """None is delivered before it is resumed, none is lost."""
    engine = make_engine(**home)
    info = engine.execute("a", fn, 2)
    engine.pause("a")
    engine.signal("a", "item", 1)
    engine.signal("a", "item", 2)
    engine.wait(timeout=10)
    assert info.status == "PAUSED"

    engine.resume("a")

    assert info.get(timeout=10) == [1, 2]


@both
def test_signals_before_a_crash_are_delivered_after_it(
    make_engine: EngineMaker, on_file: Home, fn: Any
) -> None:
    """Read ones and unread ones, each once."""
    engine = make_engine(**on_file)
    engine.execute("a", fn, 3)
    engine.execute("deferred", workflow(fn, defer=True), 2)
    for id in ("a", "deferred"):
        engine.signal(id, "item", 1)
        engine.signal(id, "item", 2)
    engine._crash()

    reopened = make_engine(**on_file, workflows=[fn])
    reopened.enqueue("deferred")
    reopened.signal("a", "item", 3)

    assert reopened.get("a").get(timeout=10) == [1, 2, 3]
    assert reopened.get("deferred").get(timeout=10) == [1, 2]


def test_signals_are_read_once_across_many_crashes(
    make_engine: EngineMaker, on_file: Home, effects: Effects
) -> None:
    """What was read and acted on before a crash is not read again; an activity cut short runs again."""
    engine = make_engine(**on_file)
    engine.execute("a", collect_and_note, 6, effects.path)
    for number in range(6):
        engine.signal("a", "item", number)
        if number % 2:
            engine.wait(timeout=10)
        engine._crash()
        engine = make_engine(**on_file, workflows=[collect_and_note])

    assert engine.get("a").get(timeout=10) == [0, 1, 2, 3, 4, 5]
    assert [line for line, _ in itertools.groupby(effects.lines())] == ["0", "1", "2", "3", "4", "5"]


def test_signals_of_one_name_never_cross_between_runs(make_engine: EngineMaker, home: Home) -> None:
    """Thirty runs wait for the same name, each gets its own."""
    engine = make_engine(**home)
    infos = [engine.execute(f"r{number}", collect, 3) for number in range(30)]

    for place in range(3):
        for number in range(30):
            engine.signal(f"r{number}", "item", (number, place))

    for number, info in enumerate(infos):
        assert info.get(timeout=10) == [(number, place) for place in range(3)]


def test_signals_to_a_child_stay_with_the_child(make_engine: EngineMaker, home: Home) -> None:
    """Parent and two children wait for the same name."""
    engine = make_engine(**home)

    def family(ctx: WorkflowContext) -> list[Any]:
        children = [ctx.workflow("child", collect, 1) for _ in range(2)]
        own = ctx.signal("item").get()
        return [own, *(child.get() for child in children)]

    info = engine.execute("p", family)
    engine.wait(timeout=10)
    engine.signal("p/child#2", "item", "second")
    engine.signal("p", "item", "own")
    engine.signal("p/child", "item", "first")

    assert info.get(timeout=10) == ["own", ["first"], ["second"]]


def test_signals_of_different_names_wait_for_their_own(make_engine: EngineMaker, home: Home) -> None:
    """The order between names is the code's."""
    engine = make_engine(**home)

    def two(ctx: WorkflowContext) -> list[Any]:
        return [ctx.signal("a").get(), ctx.signal("b").get(), ctx.signal("a").get()]

    info = engine.execute("x", two)
    for name, value in [("b", 1), ("a", 2), ("a", 3)]:
        engine.signal("x", name, value)

    assert info.get(timeout=10) == [2, 1, 3]


def test_signals_of_many_senders_keep_each_senders_order(make_engine: EngineMaker, home: Home) -> None:
    """Four threads, thirty signals each, all delivered once."""
    engine = make_engine(**home)
    info = engine.execute("a", collect, 120)

    def send(sender: int) -> None:
        for number in range(30):
            engine.signal("a", "item", (sender, number))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(send, range(4)))

    got = info.get(timeout=20)
    for sender in range(4):
        assert [number for who, number in got if who == sender] == list(range(30))


def test_a_resent_signal_with_the_same_dedup_is_dropped(make_engine: EngineMaker, on_file: Home) -> None:
    """Before it is read, after, and after a restart; other names and other runs are not meant."""
    engine = make_engine(**on_file)

    def three(ctx: WorkflowContext) -> list[Any]:
        return [ctx.signal("item").get(), ctx.signal("other").get(), ctx.signal("item").get()]

    engine.execute("a", three), engine.execute("b", three)
    engine.signal("a", "item", 1, dedup="k")
    engine.signal("a", "item", "again", dedup="k")
    engine.wait(timeout=10)
    engine.signal("a", "item", "again", dedup="k")
    engine._crash()

    reopened = make_engine(**on_file, workflows=[three])
    reopened.signal("a", "item", "again", dedup="k")
    reopened.signal("a", "other", 2, dedup="k")
    reopened.signal("a", "item", 3, dedup="l")
    for name, value in [("item", 4), ("other", 5)]:
        reopened.signal("b", name, value, dedup="k")
    reopened.signal("b", "item", 6)

    assert reopened.get("a").get(timeout=10) == [1, 2, 3]
    assert reopened.get("b").get(timeout=10) == [4, 5, 6]


def test_signals_without_dedup_may_be_alike(make_engine: EngineMaker, home: Home) -> None:
    """The same value twice is two signals."""
    engine = make_engine(**home)
    info = engine.execute("a", collect, 2)

    engine.signal("a", "item", "same")
    engine.signal("a", "item", "same")

    assert info.get(timeout=10) == ["same", "same"]


def test_the_receiver_has_a_copy_of_its_own(engine: Tempolite) -> None:
    """What the sender changes afterwards is not seen."""
    info = engine.execute("a", workflow(collect, defer=True), 1)
    value = ["sent"]

    engine.signal("a", "item", value)
    value.append("changed")
    engine.enqueue("a")

    assert info.get(timeout=10) == [["sent"]]


def test_a_signal_that_was_read_stays_read_in_the_next_attempt(make_engine: EngineMaker, home: Home) -> None:
    """The new attempt gets it at once, as any recorded success."""
    engine = make_engine(**home)

    def twice(ctx: WorkflowContext) -> list[Any]:
        got = [ctx.signal("item").get()]
        if ctx.attempt == 1:
            raise ValueError("first attempt")
        return [*got, ctx.signal("item").get()]

    retry = RetryPolicy(max_attempts=2, initial_interval=0.01)
    info = engine.execute("a", workflow(twice, retry=retry))
    engine.signal("a", "item", 1)
    engine.signal("a", "item", 2)

    assert info.get(timeout=10) == [1, 2]


def test_a_signal_and_an_activity_may_share_a_name(make_engine: EngineMaker, home: Home) -> None:
    """A signal's name is its sender's, a step's the code's."""
    engine = make_engine(**home)

    def sharing(ctx: WorkflowContext) -> list[Any]:
        return [ctx.signal("item").get(), ctx.activity("item", len, "abc").get()]

    info = engine.execute("a", sharing)
    engine.signal("a", "item", 1)

    assert info.get(timeout=10) == [1, 3]
    assert engine.replay("a") == [1, 3]


def test_the_old_name_of_the_call_still_works(engine: Tempolite) -> None:
    """``publish_signal`` is ``signal``."""
    info = engine.execute("a", collect, 1)

    engine.publish_signal("a", "item", 1)

    assert info.get(timeout=10) == [1]
