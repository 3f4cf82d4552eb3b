"""Types that change while values of theirs are stored: filled in where that is certain, else stranded."""

from __future__ import annotations

import dataclasses
import enum
import sys
from typing import Any

import msgspec
import pytest

from tempolite.codec import JsonCodec, TypeChanged


@dataclasses.dataclass
class Item:
    name: str
    price: float = 1.0


class Colour(enum.Enum):
    RED = 1
    BLUE = (2, 3)


def stored_as(fields: list[Any], values: dict[str, Any]) -> bytes:
    """The payload of a dataclass ``Item`` as it once was."""
    once = dataclasses.make_dataclass("Item", fields, namespace={"__module__": __name__})
    return JsonCodec(types=[once]).encode(once(**values))


def test_a_field_added_with_a_default_is_filled_in() -> None:
    """Values stored before the field was added are still read."""
    payload = stored_as([("name", str)], {"name": "a"})

    assert JsonCodec().decode(payload) == Item("a", 1.0)


def test_a_field_added_without_a_default_strands() -> None:
    """Nothing is made up."""
    payload = stored_as([("price", float)], {"price": 2.0})

    with pytest.raises(TypeChanged, match="new fields without a plain default: 'name'"):
        JsonCodec().decode(payload)


def test_a_field_that_was_removed_strands() -> None:
    """Stored data is not dropped silently."""
    payload = stored_as([("name", str), ("old", int)], {"name": "a", "old": 1})

    with pytest.raises(TypeChanged, match="no longer the fields 'old'"):
        JsonCodec().decode(payload)


def test_a_dataclass_may_become_a_struct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are kept by field name, whatever kind of class has the fields."""
    payload = JsonCodec().encode(Item("a", 2.0))
    struct = msgspec.defstruct("Item", [("name", str), ("price", float)], module=__name__)
    monkeypatch.setattr(sys.modules[__name__], "Item", struct)

    assert JsonCodec().decode(payload) == struct("a", 2.0)


def test_a_removed_enum_member_strands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members are known by name."""
    payload = JsonCodec().encode(Colour.BLUE)
    monkeypatch.setattr(
        sys.modules[__name__], "Colour", enum.Enum("Colour", ["RED"], module=__name__, qualname="Colour")
    )

    with pytest.raises(TypeChanged, match="has no member 'BLUE'"):
        JsonCodec().decode(payload)
