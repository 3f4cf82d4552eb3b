"""What goes into the codec comes out equal and of the same type."""

from __future__ import annotations

import collections
import datetime as dt
import math
import pathlib
import struct
import uuid
import zoneinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any

import apsw
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempolite.codec import Codec, JsonCodec
from tempolite.codec.tagging import Tagger
from tempolite.codec.type_names import TypeDirectory
from tempolite.codec.typed_values import TypedValues

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text(alphabet=st.characters(categories=["Cs", "Lu"]))
    | st.binary()
    | st.decimals()
    | st.datetimes(timezones=st.none() | st.timezones(), allow_imaginary=False)
    | st.times()
    | st.dates()
    | st.timedeltas()
    | st.uuids()
    | st.complex_numbers()
    | st.fractions()
)
KEYS = st.text() | st.integers() | st.booleans() | st.none() | st.tuples(st.text(), st.integers())
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.just("$"), inner, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.lists(inner, max_size=3).map(collections.deque)
        | st.frozensets(KEYS, max_size=3)
        | st.sets(KEYS, max_size=3)
    ),
    max_leaves=12,
)


def is_same(left: Any, right: Any) -> bool:
    """Equal, of the same types all the way down, NaN and the sign of zero included."""
    if type(left) is not type(right):
        return False
    match left:
        case float():
            return struct.pack("d", left) == struct.pack("d", right) or (left != left and right != right)
        case complex():
            return is_same(left.real, right.real) and is_same(left.imag, right.imag)
        case Decimal():
            return left.as_tuple() == right.as_tuple()
        case dt.datetime() | dt.time():
            return repr(left) == repr(right)
        case list() | tuple() | collections.deque():
            return len(left) == len(right) and all(map(is_same, left, right))
        case dict():
            return len(left) == len(right) and all(map(is_same, left.items(), right.items()))
        case _:
            return bool(left == right)


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_any_storable_value_comes_back_as_it_was(value: Any) -> None:
    """P12: equal, and of the same type, at every depth."""
    codec = JsonCodec()

    payload = codec.encode(value)

    assert is_same(codec.decode(payload), value)
    assert is_same(codec.decode(payload.decode()), value)


@settings(max_examples=100, deadline=None)
@given(st.lists(VALUES, max_size=3), st.dictionaries(st.text(), VALUES, max_size=3))
def test_arguments_of_a_call_come_back_as_they_were(args: list[Any], kwargs: dict[str, Any]) -> None:
    """Positional and named arguments, whatever the names are."""
    codec = JsonCodec()

    decoded = codec.decode_call(codec.encode_call(tuple(args), kwargs))

    assert is_same(decoded, (tuple(args), kwargs))


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_trees_fit_into_json_and_msgpack_alike(value: Any) -> None:
    """A tree travels either way and still gives the value; it is left as it was."""
    codec = JsonCodec()
    tree = msgspec.json.decode(codec.encode(value))

    travelled = msgspec.msgpack.decode(msgspec.msgpack.encode(tree))

    assert is_same(codec.unpack(travelled), value)
    assert is_same(codec.unpack(travelled), value)


@pytest.mark.parametrize(
    "value",
    [
        2**63 - 1,
        -(2**63),
        2**63,
        -(2**63) - 1,
        10**5000,
        1.0,
        -0.0,
        5e-324,
        math.inf,
        -math.inf,
        math.nan,
        "\x00",
        "\ud800",
        {"\udfff": ["\ud800"]},
        {"$": "tuple", "v": [1]},
        {"$": {"$": {"$": 1}}},
        [{"$": 1}, ({"$": 2},)],
        {1: "a", "1": "b", 1.5: "c", None: "d", (1, 2): "e", b"x": "f"},
        {True: 1},
        (),
        ((),),
        frozenset({frozenset({1})}),
        bytearray(b"\x00\xff"),
        complex(-0.0, math.inf),
        Decimal("sNaN123"),
        Decimal("-0E+7"),
        Decimal("1." + "0" * 60),
        Fraction(-7, 3),
        range(10, 0, -3),
        range(2**70),
        uuid.UUID(int=5),
        dt.datetime.max,  # noqa: DTZ901
        dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
        dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
        dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-3, microseconds=1))),
        dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1), "CET")),
        dt.datetime(2024, 1, 1, fold=1, tzinfo=dt.UTC),
        dt.time(1, 2, 3, 4, tzinfo=dt.UTC),
        dt.time(1, 2, tzinfo=BERLIN, fold=1),
        dt.timedelta.min,
        dt.UTC,
        dt.timezone(dt.timedelta(0), "Zulu"),
        BERLIN,
        collections.OrderedDict([("b", 1), ("a", 2)]),
        collections.OrderedDict([(1, 2)]),
        collections.Counter("abca"),
        collections.deque([1, (2,)], maxlen=5),
        pathlib.PurePosixPath("/a/b"),
        pathlib.PureWindowsPath("C:/x"),
        pathlib.Path("relative"),
        pathlib.Path("/tmp/\udcff"),
        msgspec.UNSET,
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_from_the_edges_comes_back_as_it_was(value: Any) -> None:
    """The corners that a general encoder gets wrong."""
    codec = JsonCodec()

    assert is_same(codec.decode(codec.encode(value)), value)
    for nested in ([value], {"in": value}, (value,)):
        assert is_same(codec.decode(codec.encode(nested)), nested)


def test_a_default_dictionary_keeps_its_factory() -> None:
    """Factories are a closed set of built-in types: they are no code of anybody's."""
    codec = JsonCodec()
    value = collections.defaultdict(list, {"a": [1]})

    decoded = codec.decode(codec.encode(value))

    assert type(decoded) is collections.defaultdict
    assert decoded == value
    assert decoded["new"] == []


def test_the_order_of_keys_is_kept() -> None:
    """A dictionary is written in its own order."""
    codec = JsonCodec()

    decoded = codec.decode(codec.encode({"b": 1, "a": 2, "c": {2: 1, 1: 2}}))

    assert list(decoded) == ["b", "a", "c"]
    assert list(decoded["c"]) == [2, 1]


def test_equal_sets_have_equal_text() -> None:
    """The text does not depend on the order in which a set happens to be walked."""
    codec = JsonCodec()

    texts = {codec.encode(set(order)) for order in (range(100), range(99, -1, -1))}

    assert len(texts) == 1


def test_plain_data_is_plain_json() -> None:
    """No tag where JSON has a notation of its own."""
    codec = JsonCodec()

    assert codec.encode({"id": "a", "n": [1, 2.5, None, True]}) == b'{"id":"a","n":[1,2.5,null,true]}'
    assert codec.encode_call(("a", 1), {}) == b'{"args":["a",1]}'
    assert codec.encode_call((), {"x": 1}) == b'{"args":[],"kwargs":{"x":1}}'


def test_numbers_that_sql_would_round_are_tagged() -> None:
    """SQLite makes floats of whole numbers beyond 64 bits."""
    codec = JsonCodec()

    assert codec.encode([2**63 - 1, {"a": -(2**63)}]) == b'[9223372036854775807,{"a":-9223372036854775808}]'
    for value in ([2**63], {"a": 2**63}, 2**63):
        assert b'{"$":"int","v":"0x8000000000000000"}' in codec.encode(value)


@pytest.mark.parametrize("value", [{"a": [1, "b", {"c": None}]}, [], "text", 2**62, -0.0, None])
def test_plain_data_is_not_copied_to_be_encoded(value: Any) -> None:
    """The walk gives the very same object back when nothing in it needs a tag."""
    assert Tagger(TypedValues(TypeDirectory())).tag(value) is value


def test_encoding_leaves_the_value_as_it_was() -> None:
    """What needs a tag is tagged in a copy."""
    value = {"a": [1, (2, 3)], "b": {4: 5}}

    JsonCodec().encode(value)

    assert is_same(value, {"a": [1, (2, 3)], "b": {4: 5}})


def test_sql_reads_what_the_codec_writes() -> None:
    """SQLite's own JSON functions find plain data and the fields of typed values."""
    payload = JsonCodec().encode_call(({"amount": 12, "at": dt.date(2024, 5, 1)},), {}).decode()

    row = apsw.Connection(":memory:").execute(
        "select json_extract(?1, '$.args[0].amount'), json_extract(?1, '$.args[0].at.v')", (payload,)
    )

    assert list(row) == [(12, "2024-05-01")]


def test_sql_reads_the_deepest_value_that_is_stored() -> None:
    """Our bound on depth lies within SQLite's."""
    codec = JsonCodec()
    deep_list: Any = 1
    deep_pairs: Any = 1
    for _ in range(195):
        deep_list = [deep_list]
    for _ in range(64):
        deep_pairs = {1: deep_pairs}

    texts = [codec.encode(deep_list).decode(), codec.encode(deep_pairs).decode()]

    for text in texts:
        assert list(apsw.Connection(":memory:").execute("select json_valid(?)", (text,))) == [(1,)]
    assert codec.decode(texts[0]) == deep_list
    assert codec.decode(texts[1]) == deep_pairs


def test_one_object_at_two_places_comes_back_as_two_equal_ones() -> None:
    """Aliasing is not kept: a stated limit."""
    codec = JsonCodec()
    shared = [1]

    first, second = codec.decode(codec.encode([shared, shared]))

    assert first == second == shared
    assert first is not second


def test_the_json_codec_is_a_codec() -> None:
    """The engine asks for the protocol only; the type checker compares the two."""
    codec: Codec = JsonCodec()

    assert codec.decode(codec.encode(1)) == 1
