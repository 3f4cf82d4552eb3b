"""Values whose class is named in the payload: finding the class, and the way its instances are written."""

from __future__ import annotations

from typing import Any

from tempolite.codec.exceptions import ErrorShape
from tempolite.codec.plain_values import JsonTree, Unstorable
from tempolite.codec.records import (
    DataShape,
    EnumShape,
    ModelShape,
    NamedShape,
    Shape,
    StructShape,
    TagChild,
    UntagChild,
)
from tempolite.codec.type_names import Kind, TypeDirectory, TypeNotFound, kind_of, type_name

PLAIN_TYPES = (str, int, float, dict, list, tuple, set, frozenset, bytes)


class TypedValues:
    """Writes and reads values by their class."""

    def __init__(self, types: TypeDirectory) -> None:
        self._types = types
        self._shapes: dict[type, tuple[str, Shape]] = {}

    def write(self, value: Any, child: TagChild) -> JsonTree:
        """The tree of an instance of a storable class.

        Raises:
            Unstorable: its class is none, can't be found by name, or can't be rebuilt without running code.
        """
        cls = type(value)
        name, shape = self._shapes.get(cls) or self._new_shape(cls)
        # Each time, for a class may be defined anew under the name of an old one.
        if not self._types.knows(cls, name):
            raise _not_known(cls, name)
        return {"$": name, **shape.write(value, child)}

    def read(self, tree: dict[str, JsonTree], child: UntagChild) -> Any:
        """The instance that a tree stands for.

        Raises:
            TypeNotFound: the class is not known here, or has changed.
        """
        name = tree["$"]
        cls = self._types.look_up(name)
        known = None if cls is None else self._shapes.get(cls)
        if known is None:
            try:
                known = self._new_shape(self._types.find(name))
            except Unstorable as reason:
                raise TypeNotFound(f"{name!r} can't be rebuilt from a payload: {reason}", name) from None
        return known[1].read(tree, child)

    def _new_shape(self, cls: type) -> tuple[str, Shape]:
        _check_is_storable(cls)
        name = type_name(cls)
        if not self._types.knows(cls, name):  # kept for known classes only: others would pile up
            raise _not_known(cls, name)
        known = self._shapes[cls] = name, _shape_of(cls)
        return known


def _not_known(cls: type, name: str) -> Unstorable:
    return Unstorable(
        f"{name} does not lead to its type",
        f"register it with tp.codec.register({cls.__name__}), or define it at the top of a module",
    )


def _check_is_storable(cls: type) -> None:
    if kind_of(cls) is not None:
        return
    for plain in PLAIN_TYPES:
        if issubclass(cls, plain):
            raise Unstorable(f"it is a subclass of {plain.__name__}", f"pass {plain.__name__}(...) of it")
    raise Unstorable("")


def _shape_of(cls: type) -> Shape:
    match kind_of(cls):
        case Kind.ENUM:
            return EnumShape(cls)
        case Kind.NAMED:
            return NamedShape(cls)
        case Kind.DATA:
            return DataShape(cls)
        case Kind.STRUCT:
            return StructShape(cls)
        case Kind.MODEL:
            return ModelShape(cls)
        case Kind.ERROR:
            return ErrorShape(cls)
        case None:
            raise Unstorable("its type is none that payloads can name")
