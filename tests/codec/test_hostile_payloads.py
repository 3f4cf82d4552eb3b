"""A payload that somebody tampered with gives a clean error; it never runs code or imports a module."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempolite.codec import JsonCodec, TypeNotFound
from tempolite.errors import DatabaseDamaged

CANARY: list[str] = []


class Bomb:
    """No storable type: making one is told."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        CANARY.append("Bomb")


class BombError(BaseException):
    pass


class Meta(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        CANARY.append("Meta.__call__")

    def __getattr__(cls, name: str) -> Any:
        CANARY.append(f"Meta.{name}")


class Guarded(metaclass=Meta):
    pass


@dataclasses.dataclass
class Item:
    name: str
    price: int = 1


def __getattr__(name: str) -> Any:
    """Looking for what this module does not have is told, too."""
    CANARY.append(f"module.{name}")
    raise AttributeError(name)


HERE = __name__

TYPES = [
    "os:system",
    "subprocess:Popen",
    "builtins:eval",
    "builtins:object",
    "builtins:type",
    "builtins:dict",
    "builtins:SystemExit",
    "builtins:BaseException",
    "os:environ",
    "os:",
    ":",
    ":x",
    "sys:modules",
    "antigravity:geohash",
    "this:s",
    "no.such.module:Thing",
    "dataclasses:dataclass",
    "enum:Enum.__new__",
    "threading:Thread",
    f"{HERE}:Bomb",
    f"{HERE}:BombError",
    f"{HERE}:Guarded",
    f"{HERE}:Guarded.anything",
    f"{HERE}:NoSuchName",
    f"{HERE}:Item.__init__",
    f"{HERE}:Item.__class__",
    f"{HERE}:pytest.Item",
    f"{HERE}:Item.",
    "msgspec:Struct",
    "enum:Enum",
    "a:b:c",
    "\x00:\x00",
]
TREES: list[Any] = [
    {"$": "nonsense"},
    {"$": "nonsense", "v": 1},
    {"$": None},
    {"$": 5, "v": []},
    {"$": ["tuple"], "v": []},
    {"$": {"$": "tuple", "v": []}, "v": []},
    {"$": "tuple"},
    {"$": "tuple", "v": "abc"},
    {"$": "tuple", "v": {"a": 1}},
    {"$": "set", "v": [[1]]},
    {"$": "frozenset", "v": [{}]},
    {"$": "pairs", "v": [[1]]},
    {"$": "pairs", "v": [[[], 1]]},
    {"$": "pairs", "v": {"a": 1}},
    {"$": "dict", "v": [1]},
    {"$": "int", "v": "12z"},
    {"$": "int", "v": 5},
    {"$": "float", "v": "one"},
    {"$": "bytes", "v": "&&&"},
    {"$": "bytes", "v": [1]},
    {"$": "str", "v": base64.b64encode(b"\xff").decode()},
    {"$": "Decimal", "v": "1e99999999999999999999999"},
    {"$": "Decimal", "v": [0, [1], 0]},
    {"$": "Fraction", "v": ["0x1", "0x0"]},
    {"$": "range", "v": ["0x0", "0x1", "0x0"]},
    {"$": "UUID", "v": "x"},
    {"$": "datetime", "v": "yesterday"},
    {"$": "datetime", "v": ["2024-01-01", "../../../etc/passwd", 0]},
    {"$": "datetime", "v": ["2024-01-01", "/etc/passwd", 0]},
    {"$": "datetime", "v": ["2024-01-01", None, 7]},
    {"$": "timedelta", "v": [10**18, 0, 0]},
    {"$": "timezone", "v": [[5, 0, 0]]},
    {"$": "ZoneInfo", "v": "os.path/x"},
    {"$": "ZoneInfo", "v": "Europe"},
    {"$": "deque", "v": [], "maxlen": -1},
    {"$": "deque", "v": []},
    {"$": "defaultdict", "v": [], "factory": "eval"},
    {"$": "Counter", "v": [1]},
    {"$": f"{HERE}:Item"},
    {"$": f"{HERE}:Item", "v": []},
    {"$": f"{HERE}:Item", "v": {}},
    {"$": f"{HERE}:Item", "v": {"name": "a", "__class__": {"$": "tuple", "v": []}}},
    {"$": f"{HERE}:Item", "v": {"name": "a", "__dict__": {}}},
    {"$": "builtins:ValueError"},
    {"$": "builtins:ValueError", "args": "abc"},
    {"$": "builtins:ValueError", "args": [], "cause": 5},
    {"$": "builtins:ValueError", "args": [], "notes": 5},
    {"$": "builtins:ValueError", "args": [], "state": []},
    {"$": "builtins:ExceptionGroup", "args": []},
    {"$": "builtins:ExceptionGroup", "args": ["a", [1]]},
    {"$": "builtins:ExceptionGroup", "args": ["a", []], "state": {"exceptions": [1]}},
    {"$": "builtins:UnicodeDecodeError", "args": [], "state": {"start": "x"}},
]


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_a_tree_of_a_wrong_shape_is_damage(tree: Any) -> None:
    """Unknown tags, wrong shapes, values out of range: one kind of error, nothing else."""
    codec = JsonCodec()

    for payload in (msgspec.json.encode(tree), msgspec.json.encode([{"a": tree}])):
        with pytest.raises((DatabaseDamaged, TypeNotFound)):
            codec.decode(payload)


@pytest.mark.parametrize("key", ["os.path/x", "../x", "/etc/passwd", "a//b", "", "\x00"])
def test_a_zone_key_stays_in_the_zone_database(key: str) -> None:
    """Such a key is never even looked for."""
    with pytest.raises(DatabaseDamaged, match="a zone key was expected"):
        JsonCodec().decode(msgspec.json.encode({"$": "ZoneInfo", "v": key}))


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize(
    "body", [{}, {"v": {}}, {"v": "x"}, {"args": ["id"]}, {"v": {"args": ["id"]}}], ids=repr
)
def test_a_name_that_is_no_storable_type_leads_nowhere(name: str, body: dict[str, Any]) -> None:
    """P13: functions, classes with constructors, modules not imported: nothing runs, nothing is imported."""
    CANARY.clear()
    modules = set(sys.modules)

    with pytest.raises((DatabaseDamaged, TypeNotFound)):
        JsonCodec().decode(msgspec.json.encode({"$": name, **body}))

    assert CANARY == []
    assert set(sys.modules) == modules


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"nul",
        b"NaN",
        b"\xff\xfe",
        b'{"a": 1} x',
        b"[" * 100_000,
        b'{"$":"tuple","v":[' * 2_000 + b"]}" * 2_000,
        b'{"$":"tuple","v":' * 400 + b"[]" + b"}" * 400,
        "\ud800",
        '"\\ud800"',
        b"1e999",
        b"9" * 5_000,
    ],
    ids=lambda payload: repr(payload[:20]),
)
def test_what_is_no_json_or_nested_too_deep_is_damage(payload: bytes | str) -> None:
    """Cut, flipped and bottomless payloads."""
    with pytest.raises(DatabaseDamaged):
        JsonCodec().decode(payload)


@pytest.mark.parametrize("call", [b"1", b"[]", b"{}", b'{"args":1}', b'{"args":[],"kwargs":[]}'])
def test_a_payload_that_is_no_call_is_damage(call: bytes) -> None:
    """Arguments have one shape."""
    with pytest.raises(DatabaseDamaged):
        JsonCodec().decode_call(call)


TAGS = [
    "tuple",
    "set",
    "pairs",
    "dict",
    "int",
    "datetime",
    "Counter",
    "deque",
    f"{HERE}:Item",
    "builtins:OSError",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(TAGS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$", "v", "args", "state", "name", "cause"]), inner, max_size=4)
        | st.builds(lambda tag, v: {"$": tag, "v": v}, st.sampled_from(TAGS), inner)
    ),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_any_json_is_read_or_refused_cleanly(tree: Any) -> None:
    """Whatever stands in the database, reading it gives a value or one of two errors."""
    with contextlib.suppress(DatabaseDamaged, TypeNotFound):
        JsonCodec().decode(msgspec.json.encode(tree))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_cleanly(data: bytes) -> None:
    """Bytes that are no JSON at all."""
    with contextlib.suppress(DatabaseDamaged, TypeNotFound):
        JsonCodec().decode(data)
