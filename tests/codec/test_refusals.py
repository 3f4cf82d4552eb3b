"""What can't be stored exactly is refused where it is given, with its path and the remedy."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import functools
import io
import threading
import zoneinfo
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest

from tempolite.codec import JsonCodec
from tempolite.errors import InvalidArguments, NotStorable


class Text(str):
    __slots__ = ()


class Numbers(list[int]):
    pass


@dataclasses.dataclass
class Item:
    it: Any = None


@dataclasses.dataclass
class Rows(list[int]):
    name: str = ""


@dataclasses.dataclass
class Closing:
    name: str = ""

    def __del__(self) -> None:
        pass


class Dictated(msgspec.Struct, dict=True):
    x: int


class Point(NamedTuple):
    x: int


class LoosePoint(Point):
    pass


class Colour(enum.Enum):
    RED = 1


class Described:
    """A descriptor that decides itself what is kept."""

    def __get__(self, instance: Any, owner: Any = None) -> int:
        return 1

    def __set__(self, instance: Any, value: Any) -> None:
        pass


@dataclasses.dataclass
class Managed:
    x: int = Described()  # type: ignore[assignment]


def generator() -> Iterator[int]:
    yield 1


LOCK = threading.Lock()


def refusal(value: Any) -> str:
    """What the codec says of the one argument of a call."""
    with pytest.raises(NotStorable) as caught:
        JsonCodec().encode_call((value,), {})
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (LOCK, "args[0]: Lock"),
        ({"items": [1, 2, 3, LOCK]}, 'args[0]["items"][3]: Lock'),
        (Item({"a": (1, LOCK)}), 'args[0].it["a"][1]: Lock'),
        ({1: LOCK}, "args[0][1]: Lock"),
        ({(1, 2): LOCK}, "args[0][<tuple>]: Lock"),
        ({LOCK: 1}, "args[0]{key Lock}: Lock"),
        ({'say "hi"\n': LOCK}, r'args[0]["say \"hi\"\n"]: Lock'),
        ({10**5000: LOCK}, "args[0][<int>]: Lock"),
        ({"\ud800": LOCK}, 'args[0]["?"]: Lock'),
        ({LOCK}, "args[0]{}: Lock"),
        (Point(LOCK), "args[0].x: Lock"),  # type: ignore[arg-type]
        (collections.deque([LOCK]), "args[0][0]: Lock"),
        (ValueError(LOCK), "args[0].args[0]: Lock"),
        (["\ud800", LOCK], "args[0][1]: Lock"),
    ],
)
def test_a_refusal_names_the_path_and_the_type(value: Any, path: str) -> None:
    """P12: the culprit is found without a search."""
    assert refusal(value).startswith(path)


def test_named_arguments_and_results_have_paths_of_their_own() -> None:
    """``kwargs["x"]`` in a call, and whatever the engine calls the value elsewhere."""
    codec = JsonCodec()

    with pytest.raises(NotStorable, match=r'^kwargs\["x"\]\[0\]: Lock'):
        codec.encode_call((), {"x": [LOCK]})
    with pytest.raises(NotStorable, match=r"^result: Lock"):
        codec.encode(LOCK, "result")
    with pytest.raises(NotStorable, match=r'^kwargs\["x"\]\[1\]: Lock'):
        codec.encode_call(("\ud800",), {"x": ["\ud800", LOCK]})


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (lambda: 1, "pass plain data"),
        (generator(), "pass plain data"),
        (int, "pass plain data"),
        (object(), "pass plain data"),
        (io.StringIO(), "pass plain data"),
        (memoryview(b"a"), "pass plain data"),
        (..., "pass plain data"),
        (SystemExit(1), "pass plain data"),
        (Text("a"), "pass str"),
        (Numbers(), "pass list"),
        (Rows(), "holds data of its own"),
        (Closing(), "finalizer"),
        (Managed(), "property"),
        (collections.defaultdict(lambda: 1), "default_factory"),
        (dt.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo.no_cache("Europe/Paris")), "ZoneInfo"),
        (functools.partial(print), "pass plain data"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_what_can_not_come_back_is_refused_with_the_remedy(value: Any, why: str) -> None:
    """Nothing is stored as something else."""
    assert why in refusal(value)


def with_attribute(value: Any) -> Any:
    value.extra = 1
    return value


@pytest.mark.parametrize(
    "value",
    [
        with_attribute(Item()),
        with_attribute(Dictated(1)),
        with_attribute(LoosePoint(1)),
        with_attribute(collections.OrderedDict()),
        with_attribute(collections.Counter()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_attributes_that_are_no_fields_are_refused(value: Any) -> None:
    """They would be lost without a word."""
    assert "extra" in refusal(value) or "more or less than its fields" in refusal(value)


def test_a_cycle_is_refused_where_it_closes() -> None:
    """The path ends where the value contains itself, however long the cycle."""
    cycle: dict[str, Any] = {"a": 1}
    cycle["next"] = [{"back": cycle}]
    item = Item()
    item.it = [item]

    assert refusal(cycle).startswith('args[0]["next"][0]["back"]: dict contains itself')
    assert refusal(item).startswith("args[0].it[0]: Item contains itself")


def test_what_is_nested_too_deep_is_refused() -> None:
    """A bound of ours, whatever the stack of the caller has left; no RecursionError."""
    for wrap in (lambda inner: [inner], lambda inner: {"a": inner}, lambda inner: (inner,), Item):
        deep: Any = []
        for _ in range(202):
            deep = wrap(deep)

        assert "nested deeper than 200 levels; flatten the data" in refusal(deep)


def test_what_is_nested_beyond_any_stack_is_refused() -> None:
    """Far beyond the bound it is still the bound that answers."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]

    assert "nested deeper than 200 levels" in refusal(deep)


def test_a_value_at_the_end_of_the_stack_is_refused_cleanly() -> None:
    """A RecursionError inside the codec never escapes it."""
    value: Any = 1
    for _ in range(150):
        value = [value]
    answers: list[str] = []

    def descend() -> None:
        try:
            JsonCodec().encode(value)
        except NotStorable as refused:
            answers.append(str(refused))
        descend()

    with pytest.raises(RecursionError):
        descend()

    assert any("nested deeper" in answer for answer in answers)


def test_a_refusal_is_a_type_error_too() -> None:
    """P12: callers that know nothing of Tempolite catch it as what it is."""
    with pytest.raises(TypeError):
        JsonCodec().encode(LOCK)
    assert issubclass(NotStorable, InvalidArguments)
