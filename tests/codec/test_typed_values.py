"""Dataclasses, structs, enums, namedtuples, exceptions: rebuilt field by field, running nothing of theirs."""

from __future__ import annotations

import dataclasses
import enum
import functools
import subprocess
import sys
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import msgspec
import pytest

from tempolite.codec import JsonCodec, TypeNotFound
from tempolite.errors import InvalidArguments, NotStorable

T = TypeVar("T")
RAN: list[str] = []
"""What code of the classes below has run."""


@dataclasses.dataclass
class Item:
    name: str
    price: float = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    items: list[Item]
    tags: frozenset[str] = frozenset()
    total: int = dataclasses.field(init=False, default=0)
    kinds: ClassVar[int] = 1


@dataclasses.dataclass
class Special(Item):
    note: tuple[int, ...] = ()

    class Nested(enum.Enum):
        ONE = 1


@dataclasses.dataclass
class Box(Generic[T]):
    content: T


@dataclasses.dataclass
class Trapped:
    """Every hook that a class has says that it ran."""

    value: int
    seed: dataclasses.InitVar[int] = 1
    late: int = dataclasses.field(init=False)

    def __new__(cls, *args: Any, **kwargs: Any) -> Trapped:
        RAN.append("__new__")
        return super().__new__(cls)

    def __post_init__(self, seed: int) -> None:
        RAN.append("__post_init__")
        self.late = seed

    def __setattr__(self, name: str, value: Any) -> None:
        RAN.append("__setattr__")
        super().__setattr__(name, value)

    def __setstate__(self, state: Any) -> None:
        RAN.append("__setstate__")

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("__"):
            RAN.append("__getattribute__")
        return super().__getattribute__(name)


class Point(NamedTuple):
    x: int
    y: int = 0


class Colour(enum.Enum):
    RED = 1
    BLUE = (2, 3)
    ROUGE = 1


class Level(enum.IntEnum):
    LOW = 1


class Unit(enum.StrEnum):
    KILO = "kg"


class Access(enum.Flag):
    READ = 1
    WRITE = 2
    BOTH = 3
    RUN = 4


class Mask(enum.IntFlag):
    A = 1


class Plain(msgspec.Struct):
    a: int
    b: list[int] = []


class Frozen(msgspec.Struct, frozen=True, tag="frozen", array_like=True, kw_only=True, cache_hash=True):
    a: int
    child: Plain | None = None


class Guarded(msgspec.Struct, frozen=True):
    a: int
    b: list[int]

    def __post_init__(self) -> None:
        RAN.append("__post_init__")


class Declined(Exception):
    """Takes other arguments than it passes on, as many exceptions do."""

    def __init__(self, order: str, code: int) -> None:
        RAN.append("__init__")
        super().__init__(f"{order} was declined")
        self.order = order
        self.code = code


@pytest.mark.parametrize(
    "value",
    [
        Item("a"),
        Order([Item("a"), Item("b", 2.0)], frozenset("x")),
        Special("a", 1.5, (1, 2)),
        Special.Nested.ONE,
        Box(content=Box(1)),
        Box[int](5),
        Point(1),
        [Point(Point(1), 2)],
        Colour.RED,
        Colour.BLUE,
        Colour.ROUGE,
        Level.LOW,
        Unit.KILO,
        Access.READ,
        Access.BOTH,
        Access.READ | Access.RUN,
        Access(0),
        Mask(9),
        {Colour.RED: 1, Point(1): 2, Unit.KILO: 3},
        {Level.LOW},
        Plain(1, [2]),
        Frozen(a=1, child=Plain(2)),
        Guarded(1, [2]),
    ],
    ids=repr,
)
def test_a_typed_value_comes_back_as_it_was(value: Any) -> None:
    """Equal, of the same class, without any code given for it."""
    codec = JsonCodec()

    decoded = codec.decode(codec.encode(value))

    assert type(decoded) is type(value)
    assert decoded == value
    assert repr(decoded) == repr(value)


def test_a_rebuilt_struct_is_a_whole_one() -> None:
    """A struct made past its ``__post_init__`` encodes, compares, hashes and copies like any other."""
    value = Guarded(1, [2])
    decoded = JsonCodec().decode(JsonCodec().encode(value))

    assert msgspec.json.encode(decoded) == msgspec.json.encode(value)
    assert msgspec.structs.replace(decoded, a=5) == Guarded(5, [2])
    assert hash(JsonCodec().decode(JsonCodec().encode(Frozen(a=1)))) == hash(Frozen(a=1))


def test_reading_runs_no_code_of_the_class() -> None:
    """No constructor, ``__post_init__``, ``__setattr__`` or ``__setstate__``, and what they did is kept."""
    codec = JsonCodec()
    payload = codec.encode([Trapped(1, seed=7), Guarded(1, []), Declined("a", 3)])
    RAN.clear()

    trapped, guarded, declined = codec.decode(payload)

    assert RAN == []
    assert (vars(trapped), guarded.a, declined.code) == ({"value": 1, "late": 7}, 1, 3)


def test_a_field_that_was_never_set_stays_so() -> None:
    """``init=False`` fields have no value until somebody gives them one."""
    codec = JsonCodec()
    value = Trapped(1)
    del value.late

    decoded = codec.decode(codec.encode(value))

    assert not hasattr(decoded, "late")


def test_what_a_cached_property_has_computed_is_not_stored() -> None:
    """It can be computed again; it is no field."""
    codec = JsonCodec()
    codec.register(WithCache)
    value = WithCache(3)
    assert value.double == 6

    decoded = codec.decode(codec.encode(value))

    assert vars(decoded) == {"x": 3}
    assert decoded == value


@dataclasses.dataclass
class WithCache:
    x: int

    @functools.cached_property
    def double(self) -> int:
        return self.x * 2


def test_an_exception_is_a_value_too() -> None:
    """Type, arguments, attributes, notes and cause come back; a traceback can't."""
    codec = JsonCodec()
    value = Declined("a", 3)
    value.add_note("seen")
    value.__cause__ = KeyError("b")

    decoded = codec.decode(codec.encode({"error": value}))["error"]

    assert type(decoded) is Declined
    assert (decoded.args, decoded.order, decoded.code, decoded.__notes__) == (value.args, "a", 3, ["seen"])
    assert repr(decoded.__cause__) == "KeyError('b')"


def local_type() -> type:
    """A dataclass that no module has under its name."""

    @dataclasses.dataclass
    class Local:
        x: int

    return Local


def test_a_local_class_is_stored_once_it_is_registered() -> None:
    """It can't be found by name: refused with the remedy, which then helps."""
    codec = JsonCodec()
    local = local_type()
    with pytest.raises(NotStorable, match=r"tp\.codec\.register\(Local\)"):
        codec.encode(local(1))

    assert codec.register(local) is local

    assert codec.decode(codec.encode(local(1))) == local(1)


def test_a_type_that_is_not_known_is_named_with_the_remedy() -> None:
    """What leaves a run stranded until the type is registered."""
    local = local_type()
    payload = JsonCodec(types=[local]).encode([local(1)])

    with pytest.raises(TypeNotFound, match=r"register it with tp\.codec\.register") as caught:
        JsonCodec().decode(payload)

    assert caught.value.type_name == f"{__name__}:local_type.<locals>.Local"


def test_an_old_class_of_the_same_name_is_refused() -> None:
    """It would come back as an instance of the new one."""
    codec = JsonCodec()
    old, new = local_type(), local_type()
    codec.register(old)
    assert codec.decode(codec.encode(old(1))) == old(1)
    codec.register(new)

    with pytest.raises(NotStorable):
        codec.encode(old(1))


def test_a_class_defined_anew_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a notebook: the definition that its module has now wins over the one registered before."""
    codec = JsonCodec()
    codec.register(Item)
    again = dataclasses.make_dataclass("Item", [("name", str)], namespace={"__module__": __name__})
    monkeypatch.setattr(sys.modules[__name__], "Item", again)

    decoded = codec.decode(codec.encode(again("x")))

    assert type(decoded) is again


@pytest.mark.parametrize("what", [int, 5, "Lock", list[int], object, type, BaseException])
def test_only_storable_types_can_be_registered(what: Any) -> None:
    """A mistake is told where it is made."""
    with pytest.raises(InvalidArguments):
        JsonCodec().register(what)


def test_the_types_in_a_payload_are_told() -> None:
    """So that they can be shipped with it; a type that is not known is left out."""
    codec = JsonCodec()
    local = local_type()
    payload = JsonCodec(types=[local]).encode([Item("a"), {"b": Plain(1)}, local(1), (1,)])

    assert codec.payload_types(payload) == {Item, Plain}
    assert codec.payload_types(payload.decode()) == {Item, Plain}
    assert codec.payload_types(codec.encode({"a": "$"})) == set()


def test_the_codec_imports_nothing_heavy() -> None:
    """Importing it loads neither dill, Pykka, APSW nor greenlet, in any process."""
    code = (
        "import sys, tempolite.codec, tempolite.failures, tempolite.core.failure as f;"
        "print([m for m in ('dill', 'pykka', 'apsw', 'greenlet', 'asyncio') if m in sys.modules])"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
