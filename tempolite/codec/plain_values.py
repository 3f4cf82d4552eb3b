"""Values of the standard library that JSON has no notation for: how each is written and read.

Every entry is a pair: what stands under ``"v"`` in ``{"$": tag, "v": ...}``, and the way back. The way back
checks what it reads: anything unexpected is a ValueError, TypeError or ArithmeticError, which the codec
reports as damage.
"""

from __future__ import annotations

import base64
import datetime as dt
import fractions
import pathlib
import re
import uuid
import zoneinfo
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from tempolite.codec.type_names import TypeNotFound

JsonTree: TypeAlias = Any
"""What JSON can hold, nested: the tagged form of a value."""

T = TypeVar("T")

# Zone keys without dots: a key must not lead out of the zone database, nor name a package.
_ZONE_KEY = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


class Unstorable(Exception):
    """The reason why one value can't be stored, and what to do where that is special."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy


class PlainValue(NamedTuple):
    """How one type is written and read."""

    tag: str
    write: Callable[[Any], JsonTree]
    read: Callable[[JsonTree], Any]


def expect(kind: type[T], tree: JsonTree) -> T:
    """``tree``, which must be exactly a ``kind``."""
    if type(tree) is not kind:
        raise TypeError(f"a {kind.__name__} was expected, found {type(tree).__name__}")
    return tree


def _write_bytes(value: bytes | bytearray) -> str:
    return base64.b64encode(value).decode("ascii")


def _read_bytes(tree: JsonTree) -> bytes:
    return base64.b64decode(expect(str, tree), validate=True)


def _read_int(tree: JsonTree) -> int:
    # Hexadecimal is read in linear time, and has no limit on digits.
    return int(expect(str, tree), 16)


def _write_float(value: float) -> str:
    # A NaN's sign and payload are not kept: no Python operation shows them.
    return repr(value)


def _read_float(tree: JsonTree) -> float:
    return float(expect(str, tree))


def _write_complex(value: complex) -> list[str]:
    return [repr(value.real), repr(value.imag)]


def _read_complex(tree: JsonTree) -> complex:
    real, imag = expect(list, tree)
    return complex(_read_float(real), _read_float(imag))


def _write_text(value: str) -> str:
    return _write_bytes(value.encode("utf-8", "surrogatepass"))


def _read_text(tree: JsonTree) -> str:
    return _read_bytes(tree).decode("utf-8", "surrogatepass")


def _write_fraction(value: fractions.Fraction) -> list[str]:
    return [hex(value.numerator), hex(value.denominator)]


def _read_fraction(tree: JsonTree) -> fractions.Fraction:
    numerator, denominator = expect(list, tree)
    return fractions.Fraction(_read_int(numerator), _read_int(denominator))


def _read_range(tree: JsonTree) -> range:
    return range(*map(_read_int, expect(list, tree)))


def _write_timedelta(value: dt.timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _read_timedelta(tree: JsonTree) -> dt.timedelta:
    days, seconds, microseconds = (expect(int, part) for part in expect(list, tree))
    return dt.timedelta(days, seconds, microseconds)


def _write_zone(value: dt.tzinfo | None) -> JsonTree:
    """A zone's key, or a fixed offset as [seconds, name]."""
    if type(value) is zoneinfo.ZoneInfo:
        if value.key is None or zoneinfo.ZoneInfo(value.key) is not value:
            raise Unstorable("a ZoneInfo that ZoneInfo(key) does not give")
        return value.key
    if type(value) is dt.timezone:
        offset, *name = value.__getinitargs__()  # type: ignore[attr-defined]
        return [_write_timedelta(offset), *name]
    raise Unstorable(f"a zone of type {type(value).__name__}")


def _read_zone(tree: JsonTree) -> dt.tzinfo:
    if type(tree) is list:
        offset, *name = tree
        return dt.timezone(_read_timedelta(offset), *(expect(str, part) for part in name))
    key = expect(str, tree)
    if not _ZONE_KEY.fullmatch(key):
        raise ValueError("a zone key was expected")
    try:
        return zoneinfo.ZoneInfo(key)
    except zoneinfo.ZoneInfoNotFoundError:
        raise TypeNotFound(
            f"time zone {key!r} is not known here: install tzdata", "zoneinfo:ZoneInfo"
        ) from None


def _write_moment(value: dt.datetime | dt.time) -> JsonTree:
    """ISO text; with a zone or a fold that the text can't say: [text, zone or None, fold]."""
    zone = value.tzinfo
    if zone is None or (type(zone) is dt.timezone and len(zone.__getinitargs__()) == 1):  # type: ignore[attr-defined]
        text = value.isoformat()
        return [text, None, value.fold] if value.fold else text
    return [value.replace(tzinfo=None).isoformat(), _write_zone(zone), value.fold]


def _read_moment(kind: type[dt.datetime] | type[dt.time], tree: JsonTree) -> Any:
    if type(tree) is str:
        return kind.fromisoformat(tree)
    text, zone, fold = expect(list, tree)
    moment = kind.fromisoformat(expect(str, text)).replace(fold=expect(int, fold))
    return moment if zone is None else moment.replace(tzinfo=_read_zone(zone))


def _read_unset(tree: JsonTree) -> Any:
    return msgspec.UNSET


PLAIN_VALUES: dict[type, PlainValue] = {
    int: PlainValue("int", hex, _read_int),
    float: PlainValue("float", _write_float, _read_float),
    complex: PlainValue("complex", _write_complex, _read_complex),
    str: PlainValue("str", _write_text, _read_text),
    bytes: PlainValue("bytes", _write_bytes, _read_bytes),
    bytearray: PlainValue("bytearray", _write_bytes, lambda tree: bytearray(_read_bytes(tree))),
    range: PlainValue(
        "range", lambda value: [hex(n) for n in (value.start, value.stop, value.step)], _read_range
    ),
    Decimal: PlainValue("Decimal", str, lambda tree: Decimal(expect(str, tree))),
    fractions.Fraction: PlainValue("Fraction", _write_fraction, _read_fraction),
    uuid.UUID: PlainValue("UUID", str, lambda tree: uuid.UUID(expect(str, tree))),
    dt.datetime: PlainValue("datetime", _write_moment, lambda tree: _read_moment(dt.datetime, tree)),
    dt.time: PlainValue("time", _write_moment, lambda tree: _read_moment(dt.time, tree)),
    dt.date: PlainValue("date", dt.date.isoformat, lambda tree: dt.date.fromisoformat(expect(str, tree))),
    dt.timedelta: PlainValue("timedelta", _write_timedelta, _read_timedelta),
    dt.timezone: PlainValue("timezone", _write_zone, _read_zone),
    zoneinfo.ZoneInfo: PlainValue("ZoneInfo", _write_zone, _read_zone),
    pathlib.PurePosixPath: PlainValue(
        "PurePosixPath", str, lambda tree: pathlib.PurePosixPath(expect(str, tree))
    ),
    pathlib.PureWindowsPath: PlainValue(
        "PureWindowsPath", str, lambda tree: pathlib.PureWindowsPath(expect(str, tree))
    ),
    pathlib.PosixPath: PlainValue("Path", str, lambda tree: pathlib.Path(expect(str, tree))),
    type(msgspec.UNSET): PlainValue("UNSET", lambda value: None, _read_unset),
}
