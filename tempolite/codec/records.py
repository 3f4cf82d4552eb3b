"""Typed values by field: dataclasses, msgspec structs, pydantic models, namedtuples and enums.

Each is written as ``{"$": "module:qualname", "v": fields}`` and rebuilt field by field: no constructor, no
``__post_init__``, no validator, no property runs. A class whose fields have changed since is a
:class:`TypeChanged`, unless a plain default fills the gap.

Rejected: ``cls.__new__``, which a user may have written; ``copyreg`` and ``__reduce__``, which run
``__init__``.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from tempolite.codec.fields import FieldAccess, attributes_of, has_finalizer
from tempolite.codec.plain_values import JsonTree, Unstorable, expect
from tempolite.codec.type_names import (
    TypeChanged,
    class_attribute,
    class_dict,
    type_name,
)

TagChild: TypeAlias = Callable[[Any, str], JsonTree]
UntagChild: TypeAlias = Callable[[JsonTree], Any]

Defaults: TypeAlias = dict[str, Callable[[], Any]]

# Makers of defaults that are no user's code, and defaults that instances can share.
_PLAIN_FACTORIES = (list, dict, set, frozenset, tuple, str, int, float, bool, bytes)
_SHARED_TYPES = (str, int, float, bool, bytes, type(None))


class Shape(Protocol):
    """How the instances of one class are written and read."""

    def write(self, value: Any, child: TagChild) -> dict[str, JsonTree]:
        """What stands beside the type's name in the tree."""
        ...

    def read(self, tree: dict[str, JsonTree], child: UntagChild) -> Any:
        """The instance again."""
        ...


class EnumShape:
    """Members by name; what a Flag combines by value."""

    def __init__(self, cls: type[enum.Enum]) -> None:
        self._cls = cls
        self._members: Mapping[str, enum.Enum] = class_dict(cls)["_member_map_"]

    def write(self, value: Any, child: TagChild) -> dict[str, JsonTree]:
        name = value._name_
        if self._members.get(name) is value:
            return {"v": name}
        if isinstance(value, enum.Flag):
            return {"v": child(value._value_, ".value")}
        raise Unstorable("no member of its enum")

    def read(self, tree: dict[str, JsonTree], child: UntagChild) -> Any:
        written = child(tree["v"])
        if type(written) is str:
            member = self._members.get(written)
        elif issubclass(self._cls, enum.Flag):
            member = self._combination(expect(int, written))
        else:
            member = None
        if type(member) is not self._cls:
            raise _changed(self._cls, f"has no member {written!r}")
        return member

    def _combination(self, value: int) -> Any:
        known = class_dict(self._cls)["_value2member_map_"].get(value)
        if known is not None:
            return known
        try:
            # The base's own method: a user's _missing_ would be code run for a payload.
            return enum.Flag.__dict__["_missing_"].__func__(self._cls, value)
        except ValueError:
            return None


class NamedShape:
    """Namedtuples, by field name."""

    def __init__(self, cls: type) -> None:
        self._cls = cls
        self._fields: tuple[str, ...] = class_attribute(cls, "_fields")
        defaults: Mapping[str, Any] = class_attribute(cls, "_field_defaults") or {}
        self._defaults: Defaults = {name: functools.partial(_same, item) for name, item in defaults.items()}
        self._access = FieldAccess(cls)

    def write(self, value: Any, child: TagChild) -> dict[str, JsonTree]:
        if len(value) != len(self._fields) or self._access.read(value):
            raise Unstorable("it holds more or less than its fields")
        items = zip(self._fields, tuple.__iter__(value), strict=True)
        return {"v": {name: child(item, f".{name}") for name, item in items}}

    def read(self, tree: dict[str, JsonTree], child: UntagChild) -> Any:
        values = _read_fields(tree, child)
        _complete(self._cls, values, self._fields, self._defaults, tree)
        return tuple.__new__(self._cls, [values[name] for name in self._fields])


class DataShape:
    """Dataclasses, and what lies in slots or in ``__dict__`` of their instances."""

    def __init__(self, cls: type) -> None:
        self._cls = cls
        self._access = FieldAccess(cls)
        fields = [
            field
            for field in class_attribute(cls, "__dataclass_fields__").values()
            if field._field_type is dataclasses._FIELD  # type: ignore[attr-defined]
        ]
        self._steps = {field.name: f".{field.name}" for field in fields}
        self._defaults = {field.name: _default_of(field) for field in fields if _has_plain_default(field)}
        _check_is_plain_object(cls, self._access, self._steps)

    def write(self, value: Any, child: TagChild) -> dict[str, JsonTree]:
        steps = self._steps
        found = self._access.read(value)
        if not found.keys() <= steps.keys():
            raise Unstorable(f"its attributes {_listed(found.keys() - steps.keys())} are no fields")
        tree: dict[str, JsonTree] = {
            "v": {name: child(found[name], step) for name, step in steps.items() if name in found}
        }
        return tree if len(found) == len(steps) else _with_unset(tree, steps)

    def read(self, tree: dict[str, JsonTree], child: UntagChild) -> Any:
        values = _read_fields(tree, child)
        _complete(self._cls, values, self._steps, self._defaults, tree)
        instance: Any = object.__new__(self._cls)
        self._access.write(instance, values)
        return instance


class StructShape:
    """msgspec structs."""

    def __init__(self, cls: type[msgspec.Struct]) -> None:
        self._cls = cls
        self._access = FieldAccess(cls)
        fields = msgspec.structs.fields(cls)
        self._steps = {field.name: f".{field.name}" for field in fields}
        self._defaults = {field.name: _default_of(field) for field in fields if _has_plain_default(field)}
        self._hidden = self._access.slots.keys() - self._steps.keys()
        if has_finalizer(cls):
            raise Unstorable("its type has a finalizer")

    def write(self, value: Any, child: TagChild) -> dict[str, JsonTree]:
        found = self._access.read(value)
        if not found.keys() <= self._steps.keys() | self._hidden:
            raise Unstorable(f"its attributes {_listed(found.keys() - self._steps.keys())} are no fields")
        return {"v": {name: child(found[name], step) for name, step in self._steps.items()}}

    def read(self, tree: dict[str, JsonTree], child: UntagChild) -> Any:
        values = _read_fields(tree, child)
        _complete(self._cls, values, self._steps, self._defaults, tree)
        if class_attribute(self._cls, "__post_init__") is None and type(self._cls) is type(msgspec.Struct):
            return self._cls(**values)
        instance = _blank_struct(self._cls)
        self._access.write(instance, values)
        return instance


class ModelShape:
    """pydantic models: their fields, and which of them were set, extra and private ones."""

    def __init__(self, cls: type) -> None:
        self._cls = cls
        self._access = FieldAccess(cls)
        self._fields: Mapping[str, Any] = class_attribute(cls, "__pydantic_fields__")
        self._defaults = {
            name: _default_of(field)
            for name, field in self._fields.items()
            if type(field.default) in _SHARED_TYPES or field.default_factory in _PLAIN_FACTORIES
        }
        _check_is_plain_object(cls, self._access, ())

    def write(self, value: Any, child: TagChild) -> dict[str, JsonTree]:
        found = self._access.read(value)
        fields_set = found.pop("__pydantic_fields_set__", set())
        extra = found.pop("__pydantic_extra__", None)
        private = found.pop("__pydantic_private__", None)
        if not found.keys() <= self._fields.keys():
            raise Unstorable(f"its attributes {_listed(found.keys() - self._fields.keys())} are no fields")
        tree: dict[str, JsonTree] = {
            "v": {name: child(item, f".{name}") for name, item in found.items()},
            "set": sorted(fields_set),
        }
        if extra is not None:
            tree["extra"] = {name: child(item, f".{name}") for name, item in extra.items()}
        if private is not None:
            tree["private"] = {name: child(item, f".{name}") for name, item in private.items()}
        return tree if len(found) == len(self._fields) else _with_unset(tree, self._fields)

    def read(self, tree: dict[str, JsonTree], child: UntagChild) -> Any:
        values = _read_fields(tree, child)
        _complete(self._cls, values, self._fields, self._defaults, tree)
        instance: Any = object.__new__(self._cls)
        attributes_of(instance).update(values)
        hidden = {
            "__pydantic_fields_set__": {expect(str, name) for name in expect(list, tree["set"])},
            "__pydantic_extra__": _read_fields(tree, child, "extra") if "extra" in tree else None,
            "__pydantic_private__": _read_fields(tree, child, "private") if "private" in tree else None,
        }
        self._access.write(instance, hidden)
        return instance


def _read_fields(tree: dict[str, JsonTree], child: UntagChild, part: str = "v") -> dict[str, Any]:
    return {name: child(item) for name, item in expect(dict, tree[part]).items()}


def _with_unset(tree: dict[str, JsonTree], fields: Iterable[str]) -> dict[str, JsonTree]:
    """A tree that says which fields have no value, so that they can be told from fields added later."""
    return {**tree, "unset": sorted(set(fields) - tree["v"].keys())}


def _complete(
    cls: type, values: dict[str, Any], fields: Iterable[str], defaults: Defaults, tree: dict[str, JsonTree]
) -> None:
    """Fill in what the class has got since; refuse what it has lost."""
    known = set(fields)
    if values.keys() == known:
        return
    if unknown := values.keys() - known:
        raise _changed(cls, f"has no longer the fields {_listed(unknown)}")
    missing = known.difference(values, expect(list, tree.get("unset", [])))
    if without := missing - defaults.keys():
        raise _changed(cls, f"has new fields without a plain default: {_listed(without)}")
    for name in missing:
        values[name] = defaults[name]()


def _check_is_plain_object(cls: type, access: FieldAccess, fields: Iterable[str]) -> None:
    if has_finalizer(cls):
        raise Unstorable("its type has a finalizer")
    if not access.takes(fields, cls):
        raise Unstorable("a field of its type is a property")
    try:
        object.__new__(cls)
    except TypeError:
        raise Unstorable("its type is built on one that holds data of its own") from None


def _has_plain_default(field: Any) -> bool:
    return _is_given(field.default) or field.default_factory in _PLAIN_FACTORIES


def _default_of(field: Any) -> Callable[[], Any]:
    if field.default_factory in _PLAIN_FACTORIES:
        return field.default_factory  # type: ignore[no-any-return]
    return functools.partial(_same, field.default)


def _same(default: Any) -> Any:
    return default


def _is_given(default: Any) -> bool:
    return default is not dataclasses.MISSING and default is not msgspec.NODEFAULT


def _blank_struct(cls: type) -> Any:
    """An instance of a struct whose ``__post_init__`` or metaclass would run if it were called."""
    import ctypes  # only for such structs

    allocate = ctypes.pythonapi.PyType_GenericAlloc
    allocate.restype, allocate.argtypes = ctypes.py_object, (ctypes.py_object, ctypes.c_ssize_t)
    return allocate(cls, 0)


def _changed(cls: type, how: str) -> TypeChanged:
    name = type_name(cls)
    return TypeChanged(f"type {name!r} {how}: give it back what was stored, or finish its runs first", name)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(map(repr, names)))
