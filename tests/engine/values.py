"""Values that must come out as they went in; in a module, so that their types have a name."""

from __future__ import annotations

import enum
import math
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import msgspec
import pydantic

T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Item:
    name: str
    price: Decimal
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Order:
    id: uuid.UUID
    items: tuple[Item, ...]
    at: datetime
    extra: dict[Any, Any] = field(default_factory=dict)


@dataclass
class Strict:
    """Its constructor computes and checks: it must not run when the value is rebuilt."""

    number: int
    doubled: int = field(init=False)

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("negative")
        self.doubled = self.number * 2


@dataclass
class Box(Generic[T]):
    content: T


@dataclass
class Node:
    value: int
    next: Node | None = None


class Struct(msgspec.Struct):
    id: int
    when: datetime
    items: list[tuple[int, str]]


class Model(pydantic.BaseModel):
    name: str
    price: Decimal
    parts: list[Model] = []


class Pair(NamedTuple):
    left: int
    right: set[str]


ITEM = Item("lamp", Decimal("12.50"), frozenset({"new"}))
NOON = datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=UTC)

VALUES: dict[str, Any] = {
    "none": None,
    "booleans": [True, False],
    "numbers": [0, -1, 1.5, -0.0, 1e308, 5e-324, 2**53 + 1, 2**63, -(2**64), 10**100],
    "infinities": [math.inf, -math.inf],
    "text": ["", "grün", "😀", "\x00\n\t\"'\\", "\u2028", "a" * 10_000],
    "bytes": [b"", b"\x00\xff", bytes(range(256))],
    "tuple": (1, ("two", [3, (4,)]), ()),
    "sets": [set(), {1, 2}, frozenset({"a", (1, 2)})],
    "keys": {1: "int", "1": "text", (1, "a"): "tuple", None: "none", True and 2: "two", b"k": "bytes"},
    "order of keys": {"z": 1, "a": 2, "m": 3},
    "what looks like a tag": {"$": "tuple", "v": [1]},
    "empty": [{}, [], "", (), 0],
    "moments": [NOON, datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)],  # noqa: DTZ001
    "zones": [
        datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    ],
    "dates and times": [date(2024, 2, 29), time(12, 30, 1, 5), timedelta(days=-1, microseconds=1)],
    "decimals": [Decimal("1.10"), Decimal("-0"), Decimal("1E+50"), Decimal("Infinity")],
    "uuid": uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "enums": [Color.RED, Color.PAIR, Level.LOW, Word.YES, Right.READ | Right.WRITE],
    "dataclass": ITEM,
    "nested dataclasses": Order(uuid.UUID(int=7), (ITEM, ITEM), NOON, {1: {"a": (Color.RED,)}}),
    "generic dataclass": Box(Box([1, (2,)])),
    "recursive dataclass": Node(1, Node(2)),
    "constructor not run": Strict(4),
    "msgspec struct": Struct(1, NOON, [(1, "a")]),
    "pydantic model": Model(name="lamp", price=Decimal("1.0"), parts=[Model(name="x", price=Decimal(2))]),
    "named tuple": Pair(1, {"a"}),
    "deep": [[[[[[[[[[[[[[[[[[[[{"a": (1,)}]]]]]]]]]]]]]]]]]]]],
}


def shape(value: Any) -> Any:
    """Equality says too little: 1 == True == 1.0, and enums of text equal their text."""
    name = type(value)
    if isinstance(value, dict):
        return name, [(shape(key), shape(each)) for key, each in value.items()]
    if isinstance(value, (list, tuple)):
        return name, [shape(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return name, sorted(map(repr, value))
    if isinstance(value, datetime):
        return name, value.isoformat(), value.fold, repr(value.tzinfo)
    return name, repr(value)
