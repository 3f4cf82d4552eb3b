"""Types are found through the annotations of functions."""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict

import msgspec

from tempolite.codec import JsonCodec
from tempolite.errors import NotStorable


def local_type() -> type:
    """A dataclass that no module has under its name."""

    @dataclasses.dataclass
    class Local:
        x: int

    return Local


def types_of(fn: Callable[..., Any], *values: Any) -> set[str]:
    """Names of the classes of ``values`` that can be stored once ``fn`` is learned."""
    codec = JsonCodec()
    codec.learn(fn)
    found = set()
    for value in values:
        try:
            found.add(type(codec.decode(codec.encode(value))).__name__)
        except NotStorable:
            continue
    return found


def test_types_are_found_through_annotations() -> None:
    """Arguments and result, in containers, unions, aliases and the fields of other types."""

    @dataclasses.dataclass
    class Inner:
        x: int

    @dataclasses.dataclass
    class Outer:
        inner: list[Inner] | None = None

    class Struct(msgspec.Struct):
        x: int

    class Named(NamedTuple):
        x: int

    class Kind(enum.Enum):
        ONE = 1

    class InDict(msgspec.Struct):
        x: int

    class Pairs(TypedDict):
        it: InDict

    alias = NewType("alias", Struct)  # type: ignore[valid-newtype]

    def fn(
        ctx: Any, a: dict[str, Outer], b: Annotated[alias, 1], *c: Literal[Kind.ONE], d: Pairs
    ) -> tuple[Named, ...]: ...

    fn.__annotations__ = {
        "a": dict[str, Outer],
        "b": Annotated[alias, 1],
        "c": Literal[Kind.ONE],
        "d": Pairs,
        "return": tuple[Named, ...],
    }
    Outer.__annotations__["inner"] = list[Inner] | None
    Pairs.__annotations__["it"] = InDict

    found = types_of(fn, Inner(1), Outer(), Struct(1), Named(1), Kind.ONE, InDict(1))

    assert found == {"Inner", "Outer", "Struct", "Named", "Kind", "InDict"}


def test_local_types_in_the_closure_are_found_by_text_annotations() -> None:
    """``from __future__ import annotations`` makes text of them; the function's closure has the name."""

    @dataclasses.dataclass
    class Local:
        x: int

    def fn(a: Local) -> Local:
        return Local(a.x)

    assert types_of(fn, Local(1)) == {"Local"}


def test_annotations_that_can_not_be_evaluated_are_left_out() -> None:
    """One that exists for the type checker only does not hide the others."""
    local = local_type()

    def fn(a: NoSuchName, b: Any, c: 1 / 0) -> None: ...  # type: ignore  # noqa: F821

    fn.__annotations__["b"] = local

    assert types_of(fn, local(1)) == {"Local"}


def test_types_are_found_behind_methods_and_partials() -> None:
    """Whatever the callable is, its function's annotations count."""
    local = local_type()

    class Multiply:
        def run(self, x: Any) -> None: ...

    Multiply.run.__annotations__["x"] = local

    assert types_of(Multiply().run, local(1)) == {"Local"}
    assert types_of(functools.partial(Multiply().run, 1), local(1)) == {"Local"}
    assert types_of(Multiply(), local(1)) == {"Local"}  # type: ignore[arg-type]


def test_what_has_no_annotations_teaches_nothing() -> None:
    """Built-in functions and odd callables are no error."""
    codec = JsonCodec()

    for fn in (len, print, int, types.SimpleNamespace, functools.partial(len), lambda x: x):
        codec.learn(fn)
