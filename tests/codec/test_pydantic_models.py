"""pydantic models are stored by field, and rebuilt without validating anything again."""

from __future__ import annotations

import functools
import sys
from typing import Any, Generic, TypeVar

import pytest

from tempolite.codec import JsonCodec, TypeChanged
from tempolite.errors import NotStorable

pydantic = pytest.importorskip("pydantic", minversion="2")

T = TypeVar("T")
RAN: list[str] = []


class Order(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    number: int
    items: list[str] = []  # noqa: RUF012 - pydantic copies it
    _seen: int = pydantic.PrivateAttr(0)

    @pydantic.field_validator("number")
    @classmethod
    def check(cls, number: int) -> int:
        RAN.append("validator")
        return number

    def model_post_init(self, context: Any) -> None:
        RAN.append("model_post_init")
        super().model_post_init(context)

    @functools.cached_property
    def double(self) -> int:
        return self.number * 2


class Frozen(pydantic.BaseModel, frozen=True):
    order: Order
    pair: tuple[int, ...] = ()


class Root(pydantic.RootModel[list[int]]):
    pass


class Box(pydantic.BaseModel, Generic[T]):
    content: T


IntBox = Box[int]


@pydantic.dataclasses.dataclass
class Data:
    x: int


@pytest.mark.parametrize(
    "value",
    [
        Order(number=1),
        Order(number=1, items=["a"], other=(1, 2)),
        Frozen(order=Order(number=2), pair=(1, 2)),
        Root([1, 2]),
        IntBox(content=1),
        Box(content="x"),
        Data(1),
        Order.model_construct(items=["a"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_model_comes_back_as_it_was(value: Any) -> None:
    """Fields, extra fields, and which fields had been set."""
    decoded = JsonCodec().decode(JsonCodec().encode(value))

    assert type(decoded) is type(value)
    assert decoded == value
    assert getattr(decoded, "model_fields_set", None) == getattr(value, "model_fields_set", None)


def test_reading_a_model_validates_nothing() -> None:
    """No validator and no post-init hook runs; private attributes are kept, cached ones computed again."""
    value = Order(number=1)
    value._seen = value.double
    payload = JsonCodec().encode(value)
    RAN.clear()

    decoded = JsonCodec().decode(payload)

    assert RAN == []
    assert (decoded._seen, decoded.double) == (2, 2)
    assert decoded.model_copy(update={"number": 5}).number == 5


def test_what_a_model_holds_has_its_path() -> None:
    """A value that can't be stored is found in it."""
    with pytest.raises(NotStorable, match=r"^value\.content\[0\]: object"):
        JsonCodec().encode(Box(content=[object()]))


def test_fields_added_later_take_plain_defaults_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that are certain are filled in; others strand."""
    payload = JsonCodec().encode(Data(1)).replace(b":Data", b":Order").replace(b'"x"', b'"items"')

    with pytest.raises(TypeChanged, match="number"):
        JsonCodec().decode(payload.replace(b"}}", b'},"set":[]}'))


def test_types_of_a_model_are_found_through_annotations() -> None:
    """The types of its fields, too."""

    class Inner(pydantic.BaseModel):
        x: int

    class Outer(pydantic.BaseModel):
        inner: Inner

    def fn(a: Any) -> None: ...

    fn.__annotations__["a"] = Outer
    codec = JsonCodec()

    codec.learn(fn)

    assert codec.decode(codec.encode(Outer(inner=Inner(x=1)))) == Outer(inner=Inner(x=1))
    assert "pydantic" in sys.modules
