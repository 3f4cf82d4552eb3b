"""P12: what goes in comes out equal and of the same type, or is refused with its path."""

from __future__ import annotations

import math
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tempolite import (
    AsyncWorkflowContext,
    InvalidArguments,
    NotStorable,
    Queue,
    Tempolite,
    WorkflowContext,
)
from tests.engine.conftest import EngineMaker
from tests.engine.values import ITEM, VALUES, Item, Model, Node, Strict, shape

every_value = pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())


def same(value: Any) -> Any:
    return value


def shape_in_worker(value: Any, **named: Any) -> str:
    return repr(shape([value, named]))


def through_everything(ctx: WorkflowContext, value: Any) -> list[Any]:
    """Through a worker, a side effect, a child, and out."""
    activity = ctx.activity("activity", same, value).get()
    effect = ctx.side_effect("effect", lambda: value).get()
    child = ctx.workflow("child", child_of, value).get()
    return [value, activity, effect, child]


def child_of(ctx: WorkflowContext, value: Any) -> Any:
    return value


async def in_worker(ctx: AsyncWorkflowContext, value: Any) -> str:
    return await ctx.activity("shape", shape_in_worker, value, named=value)


def typed(ctx: WorkflowContext, item: Item, *, prices: dict[str, Decimal]) -> Item:
    return Item(item.name, prices[item.name])


def failing_with(ctx: WorkflowContext, value: Any) -> None:
    raise LookupError(value)


@pytest.fixture(scope="module")
def with_workers() -> Iterator[Tempolite]:
    """One engine whose activities run in a worker process."""
    with Tempolite(queues=[Queue("default", workers=1)]) as engine:
        engine.execute(None, through_everything, 1).get(timeout=20)
        yield engine


@every_value
def test_a_value_comes_out_as_it_went_in(with_workers: Tempolite, value: Any) -> None:
    """Arguments, results, side effects and children, through a worker process and back."""
    found = with_workers.execute(None, through_everything, value).get(timeout=20)

    assert [shape(each) for each in found] == [shape(value)] * 4
    assert found == [value] * 4


@every_value
def test_a_worker_gets_what_was_meant(with_workers: Tempolite, value: Any) -> None:
    """By position and by name, the activity itself sees the value."""
    seen = with_workers.execute(None, in_worker, value).get(timeout=20)

    assert seen == repr(shape([value, {"named": value}]))


def test_every_value_outlives_the_engine(make_engine: EngineMaker, path: Path) -> None:
    """From a file that was closed and opened again."""
    engine = make_engine(path)
    for name, value in VALUES.items():
        engine.execute(name, child_of, value)
    engine.wait(timeout=20)
    engine.close()

    reopened = make_engine(path)
    found = {name: reopened.get(name).get(timeout=1) for name in VALUES}

    assert {name: shape(value) for name, value in found.items()} == {
        name: shape(value) for name, value in VALUES.items()
    }


@every_value
def test_an_error_carries_its_values(with_workers: Tempolite, value: Any) -> None:
    """Arguments of exceptions are payloads like others."""
    with pytest.raises(LookupError) as caught:
        with_workers.execute(None, failing_with, value).get(timeout=20)

    assert shape(caught.value.args[0]) == shape(value)


def test_not_a_number_stays_so(engine: Tempolite) -> None:
    """As a float and as a decimal, though it equals nothing."""
    number, decimal = engine.execute("a", child_of, (math.nan, Decimal("NaN"))).get(timeout=10)

    assert math.isnan(number)
    assert decimal.is_nan()


def test_annotated_types_need_no_code(engine: Tempolite) -> None:
    """Plain dataclasses in signatures are found through them."""
    result = engine.execute("a", typed, ITEM, prices={"lamp": Decimal("1.10")}).get(timeout=10)

    assert shape(result) == shape(Item("lamp", Decimal("1.10")))


def test_plain_data_is_plain_json(engine: Tempolite) -> None:
    """What SQL reads in the history is what was passed, without marks of ours."""
    value = {"items": [{"name": "lamp", "price": 1.5, "count": 3}], "paid": True, "note": None}
    engine.execute("a", child_of, value).get(timeout=10)

    payloads = [event.payload for event in engine.history("a")]

    assert payloads[0]["args"]["args"] == [value]
    assert payloads[-1]["result"] == value


def test_a_rebuilt_value_ran_no_constructor(engine: Tempolite) -> None:
    """State that the constructor would refuse or change comes out as it is."""
    strict = Strict(1)
    strict.number = -5
    model = Model.model_construct(name=7, price="x")

    found, rebuilt = engine.execute("a", child_of, [strict, model]).get(timeout=10)

    assert (found.number, found.doubled) == (-5, 2)
    assert (rebuilt.name, rebuilt.price) == (7, "x")


def refused(engine: Tempolite, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(NotStorable) as caught:
        engine.execute("a", takes_all, *args, **kwargs)
    assert isinstance(caught.value, InvalidArguments)
    assert isinstance(caught.value, TypeError)
    assert engine.count() == 0
    return str(caught.value)


def takes_all(ctx: WorkflowContext, *args: Any, **kwargs: Any) -> None:
    return None


def test_a_refusal_tells_the_path(engine: Tempolite) -> None:
    """Down to the culprit and its type, in arguments by position and by name."""
    lock = threading.Lock()

    message = refused(engine, {"items": [1, 2, 3, lock]})
    assert message.startswith('args[0]["items"][3]: Lock')
    assert "dataclass" in message
    assert "args[1]" in refused(engine, 1, lock)
    assert 'kwargs["order"]' in refused(engine, order=lock)
    assert ".content" in refused(engine, Item("x", Decimal(1), lock)) or "tags" in refused(
        engine, Item("x", Decimal(1), lock)
    )


def make_cycle() -> Any:
    cycle: list[Any] = [1]
    cycle.append(cycle)
    return cycle


def make_ring() -> Any:
    node = Node(1)
    node.next = node
    return node


def make_deep() -> Any:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


REFUSED: dict[str, Callable[[], Any]] = {
    "lock": threading.Lock,
    "function": lambda: len,
    "lambda": lambda: lambda: 1,
    "class": lambda: int,
    "module": lambda: threading,
    "generator": lambda: (n for n in range(3)),
    "object": object,
    "thread": threading.current_thread,
    "cycle": make_cycle,
    "cycle of dataclasses": make_ring,
    "too deep": make_deep,
    "local class": lambda: type("Local", (), {})(),
    "iterator": lambda: iter([1]),
    "ellipsis": lambda: ...,
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_what_has_no_plain_form_is_refused_at_the_call(engine: Tempolite, make: Callable[[], Any]) -> None:
    """Nothing is recorded, nothing is copied without a word."""
    assert "args[0]" in refused(engine, [make()])


DOUBTFUL: dict[str, Callable[[], Any]] = {
    "complex": lambda: 1 + 2j,
    "range": lambda: range(3),
    "fraction": lambda: Fraction(1, 3),
    "path": lambda: PurePosixPath("a/b"),
    "bytearray": lambda: bytearray(b"ab"),
    "deque": lambda: deque([1, 2], maxlen=5),
    "ordered dict": lambda: OrderedDict(b=1, a=2),
    "default dict": lambda: defaultdict(list, a=[1]),
    "counter": lambda: Counter("aab"),
    "lone surrogate": lambda: "\ud800",
    "lone surrogate key": lambda: {"\ud800": 1},
    "text subclass": lambda: type("Text", (str,), {})("x"),
    "int subclass": lambda: type("Int", (int,), {})(1),
    "list subclass": lambda: type("List", (list,), {})([1]),
    "dict subclass": lambda: type("Dict", (dict,), {})(a=1),
    "signalling nan": lambda: Decimal("sNaN"),
    "exception": lambda: ValueError("x"),
    "memoryview": lambda: memoryview(b"ab"),
    "slice": lambda: slice(1, 2),
    "huge int": lambda: 10**4000,
    "frozenset of frozensets": lambda: frozenset({frozenset({1})}),
    "dict views": lambda: {"a": 1}.keys(),
}


@pytest.mark.parametrize("make", DOUBTFUL.values(), ids=DOUBTFUL.keys())
def test_a_value_is_exact_or_refused(engine: Tempolite, make: Callable[[], Any]) -> None:
    """Nothing in between: no list for a deque, no text for a path."""
    value = make()
    try:
        info = engine.execute("a", child_of, value)
    except NotStorable:
        assert engine.count() == 0
        return

    found = info.get(timeout=10)

    assert type(found) is type(value)
    assert repr(found) == repr(value)


def test_a_refusal_in_a_workflow_tells_the_path_too(engine: Tempolite) -> None:
    """For activities, children and results of side effects; the code may go on."""
    seen: list[str] = []

    def flow(ctx: WorkflowContext) -> None:
        value = {"a": (1, threading.Lock())}
        for call in (
            lambda: ctx.activity("x", same, value),
            lambda: ctx.workflow("x", child_of, value),
            lambda: ctx.side_effect("x", lambda: value).get(),
        ):
            try:
                call()
            except NotStorable as error:
                seen.append(str(error))

    engine.execute("a", flow).get(timeout=10)

    # The last run of the code saw all of it, however often it was replayed.
    assert [text.split(":")[0] for text in seen[-3:]] == [
        'args[0]["a"][1]',
        'args[0]["a"][1]',
        'result["a"][1]',
    ]


@pytest.mark.parametrize("limit", [0, -1, 10**9, 2**40, 1.5, "1 MB"])
def test_a_payload_limit_that_no_file_could_hold_is_refused(limit: object) -> None:
    """A row of SQLite ends at 10**9 bytes; an engine that could not keep its word does not begin."""
    with pytest.raises(InvalidArguments, match="payload_limit"):
        Tempolite(payload_limit=limit)  # type: ignore[arg-type]


def test_an_info_in_place_of_its_value_is_refused_with_the_remedy(engine: Tempolite) -> None:
    """What a step gives is passed on by its value; the handle of a run by its id."""

    def passes_info(ctx: WorkflowContext) -> Any:
        return ctx.activity("second", same, ctx.activity("first", same, 1)).get()

    with pytest.raises(NotStorable, match=r"args\[0\]: ActivityInfo .*\.get\(\), or await it"):
        engine.execute("a", passes_info).get(timeout=10)
    with pytest.raises(NotStorable, match=r"WorkflowInfo .*pass its \.id"):
        engine.execute("b", child_of, engine.get("a"))
