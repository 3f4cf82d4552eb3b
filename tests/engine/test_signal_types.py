"""What a signal's value may be asked to be: ``ctx.signal(name, type)``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from tempolite import InvalidArguments, Tempolite, WorkflowContext
from tests.engine.conftest import EngineMaker

GOOD = [
    (str, "why", "why"),
    (bool, True, True),
    (int, 3, 3),
    (date, date(2024, 2, 29), date(2024, 2, 29)),
    (list[int], [1, 2], [1, 2]),
    (tuple[int, str], [1, "a"], (1, "a")),
    (str | None, None, None),
]


def asked(ctx: WorkflowContext, name: str) -> Any:
    kind = next((kind for kind, _, _ in GOOD if str(kind) == name), None)
    return ctx.signal("item", type=kind).get()


@pytest.mark.parametrize(("kind", "sent", "expected"), GOOD, ids=lambda value: str(value))
def test_a_signal_may_be_asked_to_be_any_type(engine: Tempolite, kind: Any, sent: Any, expected: Any) -> None:
    """Plain types and those made of others, as well as dataclasses."""
    info = engine.execute("a", asked, str(kind))

    engine.signal("a", "item", sent)

    assert info.get(timeout=10) == expected
    assert type(info.get()) is type(expected)


def test_types_within_a_type_are_found_again(make_engine: EngineMaker, path: Any) -> None:
    """A class that no name leads to, and no code or annotation names, in a list, after a restart."""

    @dataclass
    class Item:
        name: str

    kinds = {"items": list[Item]}

    def collect(ctx: WorkflowContext) -> list[str]:
        items = ctx.signal("items", kinds["items"])
        ctx.signal("go").get()
        return [item.name for item in items.get()]

    first = make_engine(path)
    first.execute("a", collect)
    first.wait(timeout=10)  # the code has asked for them
    first.signal("a", "items", [Item("cup"), Item("pot")])
    first.close()
    engine = make_engine(path, workflows=[collect])

    engine.signal("a", "go")

    assert engine.get("a").get(timeout=10) == ["cup", "pot"]


def test_what_a_signal_is_instead_of_what_was_asked_for_is_told(engine: Tempolite) -> None:
    """The error has the name, the value and both types."""
    info = engine.execute("a", asked, str(int))

    engine.signal("a", "item", "three")

    with pytest.raises(InvalidArguments, match=r"signal 'item' has 'three', expected int: .*got `str`"):
        info.get(timeout=10)


def test_only_a_type_can_be_asked_for(engine: Tempolite) -> None:
    """A value in its place is refused at the call."""

    def asks_for_a_value(ctx: WorkflowContext) -> None:
        ctx.signal("item", 3)

    with pytest.raises(InvalidArguments, match="type is 3, expected a type such as"):
        engine.execute("a", asks_for_a_value).get(timeout=10)
