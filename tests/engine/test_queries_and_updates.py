"""Queries read, updates change: both through handlers of the workflow's own, whatever the run is doing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest

from tempolite import (
    AsyncWorkflowContext,
    Cancel,
    EngineClosed,
    HandlerNotFound,
    InvalidArguments,
    NotAllowedInWorkflow,
    NotStorable,
    Query,
    Queue,
    Tempolite,
    Update,
    WorkflowContext,
    WorkflowFinished,
    WorkflowNotFound,
    workflow,
)
from tempolite.engine import port
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Gate, pass_gate

Home = dict[str, Any]


def cart(ctx: WorkflowContext, gate: str = "") -> list[str]:
    items: list[str] = []
    ctx.on_query("items", lambda: items)
    ctx.on_query("item", lambda place=0: items[place])
    ctx.on_update("add", lambda item: _add(items, item), validator=_check_item)
    if gate:
        ctx.activity("hold", pass_gate, gate).get()
    ctx.wait_until("full", lambda: len(items) >= 3)
    return items


async def cart_async(ctx: AsyncWorkflowContext, gate: str = "") -> list[str]:
    items: list[str] = []
    ctx.on_query("items", lambda: items)
    ctx.on_query("item", lambda place=0: items[place])
    ctx.on_update("add", lambda item: _add(items, item), validator=_check_item)
    if gate:
        await ctx.activity("hold", pass_gate, gate)
    await ctx.wait_until("full", lambda: len(items) >= 3)
    return items


def _add(items: list[str], item: str) -> int:
    if item == "broken":
        raise KeyError(item)
    items.append(item)
    return len(items)


def _check_item(item: str) -> None:
    if not item:
        raise ValueError("no item")


both = pytest.mark.parametrize("fn", [cart, cart_async], ids=["def", "async"])


@both
def test_updates_change_and_queries_see_it(make_engine: EngineMaker, home: Home, fn: Any) -> None:
    """An update answers with its handler's result; the condition that it meets ends the run."""
    engine = make_engine(**home)
    info = engine.execute("a", fn)

    assert engine.update("a", "add", "lamp") == 1
    assert engine.query("a", "items") == ["lamp"]
    assert info.update("add", "rug") == 2
    assert info.query("item", 1) == "rug"
    assert engine.update("a", "add", "cup") == 3

    assert info.get(timeout=10) == ["lamp", "rug", "cup"]
    assert engine.query("a", "items") == ["lamp", "rug", "cup"]
    assert engine.replay("a") == ["lamp", "rug", "cup"]


@both
def test_updates_outlive_a_crash(make_engine: EngineMaker, on_file: Home, fn: Any) -> None:
    """Acknowledged is recorded: each counts once, in its place."""
    engine = make_engine(**on_file)
    engine.execute("a", fn)
    for number in range(3):
        assert engine.update("a", "add", f"i{number}") == number + 1
        engine._crash()
        engine = make_engine(**on_file, workflows=[fn])
        assert engine.query("a", "items") == [f"i{each}" for each in range(number + 1)]

    assert engine.get("a").get(timeout=10) == ["i0", "i1", "i2"]


def test_queries_and_refused_updates_record_nothing(make_engine: EngineMaker, home: Home) -> None:
    """The validator's error comes back unchanged; the history is as before."""
    engine = make_engine(**home)
    engine.execute("a", cart)
    engine.update("a", "add", "lamp")
    before = engine.history("a")

    with pytest.raises(ValueError, match=r"^no item$"):
        engine.update("a", "add", "")
    engine.query("a", "items")
    with pytest.raises(IndexError):
        engine.query("a", "item", 7)

    assert engine.history("a") == before


def test_a_handlers_error_is_the_callers(make_engine: EngineMaker, home: Home) -> None:
    """The run goes on."""
    engine = make_engine(**home)
    engine.execute("a", cart)

    with pytest.raises(KeyError, match="broken"):
        engine.update("a", "add", "broken")

    assert [engine.update("a", "add", item) for item in "xyz"] == [1, 2, 3]
    assert engine.get("a").get(timeout=10) == ["x", "y", "z"]
    assert engine.replay("a") == ["x", "y", "z"]


def test_what_a_query_gives_is_a_copy(engine: Tempolite) -> None:
    """The caller can't change the workflow through it."""
    engine.execute("a", cart)
    engine.update("a", "add", "lamp")

    engine.query("a", "items").append("smuggled")

    assert engine.query("a", "items") == ["lamp"]


def test_updates_are_taken_while_an_activity_runs(make_engine: EngineMaker, home: Home, gate: Gate) -> None:
    """They don't wait for the code's wait to end."""
    engine = make_engine(**home, queues=[Queue("default", kind="thread", workers=1)])
    info = engine.execute("a", cart, gate.path)
    gate.wait_until_reached()

    assert [engine.update("a", "add", item) for item in "xyz"] == [1, 2, 3]
    gate.release()

    assert info.get(timeout=10) == ["x", "y", "z"]
    assert engine.replay("a") == ["x", "y", "z"]


def test_both_wait_for_the_first_turn_of_a_deferred_run(make_engine: EngineMaker, home: Home) -> None:
    """They are answered once it has begun."""
    engine = make_engine(**home)
    info = engine.execute("a", workflow(cart, defer=True))

    update = info.actor_ref.ask(Update("add", ("lamp",)), block=False)
    query = info.actor_ref.ask(Query("items"), block=False)
    assert info.status == "PENDING"
    engine.enqueue("a")

    assert update.get(timeout=10) == 1
    assert query.get(timeout=10) == ["lamp"]


def test_both_wait_without_limit_for_a_run_that_stands_in_line(
    make_engine: EngineMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that takes: how long a commit may take is no bound for them."""
    engine = make_engine(queues=[Queue("default", kind="inline", max_runs=1)])
    first = engine.execute("first", cart)
    engine.execute("second", cart)
    monkeypatch.setattr(port, "COMMIT_S", 0.0)

    with ThreadPoolExecutor(2) as threads:
        update = threads.submit(engine.update, "second", "add", "lamp")
        query = threads.submit(engine.get("second").query, "items")
        assert not wait([update, query], timeout=0.1).done
        first.actor_ref.tell(Cancel())

        assert update.result(timeout=10) == 1
        assert query.result(timeout=10) in ([], ["lamp"])


@pytest.mark.parametrize("end", ["close", "cancel"])
def test_who_asks_a_run_that_never_begins_is_told(engine: Tempolite, end: str) -> None:
    """Of the engine's end, or of the run's."""
    info = engine.execute("a", workflow(cart, defer=True))

    with ThreadPoolExecutor(1) as threads:
        update = threads.submit(engine.update, "a", "add", "lamp")
        assert not wait([update], timeout=0.1).done
        engine.close() if end == "close" else info.cancel()

        with pytest.raises(EngineClosed if end == "close" else WorkflowFinished):
            update.result(timeout=10)


def test_who_asks_for_a_handler_that_there_is_not_is_told(make_engine: EngineMaker, home: Home) -> None:
    """``HandlerNotFound``; an unknown workflow is ``WorkflowNotFound``; wrong arguments are refused."""
    engine = make_engine(**home)
    engine.execute("a", cart)

    with pytest.raises(HandlerNotFound, match="prices"):
        engine.query("a", "prices")
    with pytest.raises(HandlerNotFound, match="remove"):
        engine.update("a", "remove", 1)
    with pytest.raises(WorkflowNotFound):
        engine.query("nobody", "items")
    with pytest.raises(InvalidArguments):
        engine.query("a", "items", 1, 2, 3)
    with pytest.raises(InvalidArguments):
        engine.update("a", "add")
    with pytest.raises(NotStorable):
        engine.update("a", "add", threading.Lock())
    assert engine.query("a", "items") == []


def test_a_query_handler_only_reads(make_engine: EngineMaker, home: Home) -> None:
    """The context refuses it, the run is as before; a result that can't be stored is refused, too."""
    engine = make_engine(**home)

    def curious(ctx: WorkflowContext) -> Any:
        ctx.on_query("acts", lambda: ctx.activity("step", len, "abc"))
        ctx.on_query("lock", threading.Lock)
        return ctx.signal("go").get()

    info = engine.execute("a", curious)
    with pytest.raises(NotAllowedInWorkflow):
        engine.query("a", "acts")
    with pytest.raises(NotStorable):
        engine.query("a", "lock")
    engine.signal("a", "go", 1)

    assert info.get(timeout=10) == 1
    assert engine.replay("a") == 1


def test_updates_of_many_callers_each_count_once(make_engine: EngineMaker, home: Home) -> None:
    """Eighty from four threads."""
    engine = make_engine(**home)

    def counter(ctx: WorkflowContext) -> int:
        total = [0]

        def add(number: int) -> int:
            total[0] += number
            return total[0]

        ctx.on_update("add", add)
        ctx.wait_until("enough", lambda: total[0] >= 80)
        return total[0]

    info = engine.execute("a", counter)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: engine.update("a", "add", 1), range(80)))

    assert sorted(answers) == list(range(1, 81))
    assert info.get(timeout=10) == 80
