"""Types by name, found without importing a module or running anybody's code.

A payload names a type as ``module:qualname``. It is looked for among the registered types, then in the
modules that are already imported, by walking plain dictionaries: no ``getattr``, so that neither a lazy
module, a metaclass nor a descriptor gets to run.
"""

from __future__ import annotations

import dataclasses
import enum
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tempolite.errors import InvalidArguments, TempoliteError

# The descriptors themselves: `cls.__dict__` would ask a metaclass first, `module.__dict__` a lazy module.
_MODULE_DICT: Callable[[Any], Mapping[str, Any]] = vars(types.ModuleType)["__dict__"].__get__
_TYPE_DICT: Callable[[Any], Mapping[str, Any]] = vars(type)["__dict__"].__get__
_TYPE_MRO: Callable[[Any], tuple[type, ...]] = vars(type)["__mro__"].__get__
_TYPE_MODULE: Callable[[Any], str] = vars(type)["__module__"].__get__
_TYPE_QUALNAME: Callable[[Any], str] = vars(type)["__qualname__"].__get__


_PUBLIC_NAMES = {"lock": "Lock"}  # threading.Lock is a function in Python 3.11


class TypeNotFound(TempoliteError):
    """A payload names a type that this process does not know; the message has the remedy.

    Attributes:
        type_name: the name, ``module:qualname``.
    """

    def __init__(self, message: str, type_name: str = "") -> None:
        super().__init__(message)
        self.type_name = type_name


class TypeChanged(TypeNotFound):
    """A type is found, but has not the fields or members that the payload has."""


class Kind(enum.Enum):
    """What a type must be, to be named in a payload."""

    ENUM = "enum"
    ERROR = "exception"
    STRUCT = "msgspec struct"
    MODEL = "pydantic model"
    NAMED = "namedtuple"
    DATA = "dataclass"


KINDS_TEXT = "dataclass, msgspec struct, enum, namedtuple, pydantic model or Exception type"


class TypeDirectory:
    """Finds the types that payloads name."""

    def __init__(self) -> None:
        self._registered: dict[str, type] = {}

    def register(self, cls: type) -> None:
        """Let ``cls`` be found under its name, wherever it was defined; the latest of a name wins."""
        if not isinstance(cls, type) or kind_of(cls) is None:
            raise InvalidArguments(f"register expected a {KINDS_TEXT}, got {cls!r}")
        self._registered[type_name(cls)] = cls

    def find(self, name: str) -> type:
        """The type of that name.

        Raises:
            TypeNotFound: it is not known here, or is none of the kinds that payloads may name.
        """
        found = self.look_up(name)
        if found is None:
            remedy = "register it with tp.codec.register(T) or import its module"
            raise TypeNotFound(f"type {name!r} is not known here: {remedy}", name)
        if kind_of(found) is None:
            raise TypeNotFound(f"{name!r} is no {KINDS_TEXT}: it can't be rebuilt from a payload", name)
        return found

    def look_up(self, name: str) -> type | None:
        """The class of that name, of whatever kind, or None."""
        return self._registered.get(name) or imported_type(name)

    def knows(self, cls: type, name: str) -> bool:
        """Whether :meth:`find` gives this very class for its name."""
        registered = self._registered.get(name)
        if registered is cls:
            return True
        if imported_type(name) is not cls:
            return False
        if registered is not None:  # defined anew since, as in a notebook
            self._registered[name] = cls
        return True


def type_name(cls: type) -> str:
    """``module:qualname``, read past metaclasses."""
    try:
        module = _TYPE_MODULE(cls)
    except AttributeError:
        module = "?"
    return f"{module if type(module) is str else '?'}:{_TYPE_QUALNAME(cls)}"


def display_name(value: Any) -> str:
    """What its type is called by those who make one."""
    name = _TYPE_QUALNAME(type(value))
    return _PUBLIC_NAMES.get(name, name)


def imported_type(name: str) -> type | None:
    """The class of that name in a module that is already imported, or None."""
    module_name, _, qualname = name.partition(":")
    module = sys.modules.get(module_name)
    if not qualname or not issubclass(type(module), types.ModuleType):
        return None
    names, found = _MODULE_DICT(module), None
    for part in qualname.split("."):
        found = names.get(part)
        if not issubclass(type(found), type):
            return None
        names = _TYPE_DICT(found)
    return found


def class_dict(cls: type) -> Mapping[str, Any]:
    """The class's own attributes, read past metaclasses."""
    return _TYPE_DICT(cls)


def lineage(cls: type) -> tuple[type, ...]:
    """The class and its bases, read past metaclasses."""
    return _TYPE_MRO(cls)


def class_attribute(cls: type, name: str) -> Any:
    """An attribute as some class of the lineage defines it, or None; no descriptor is run."""
    for base in lineage(cls):
        names = class_dict(base)
        if name in names:
            return names[name]
    return None


def kind_of(cls: type) -> Kind | None:
    """What kind of storable type it is, or None."""
    bases = lineage(cls)
    if enum.Enum in bases:
        return Kind.ENUM
    if Exception in bases:
        return Kind.ERROR
    if msgspec.Struct in bases[1:]:
        return Kind.STRUCT
    model = pydantic_model()
    if model is not None and model in bases[1:]:
        return Kind.MODEL
    if tuple in bases:
        return Kind.NAMED if _has_named_items(cls) else None
    if dataclasses._FIELDS in {name for base in bases for name in class_dict(base)}:  # type: ignore[attr-defined]
        return Kind.DATA
    return None


def pydantic_model() -> type | None:
    """``pydantic.BaseModel``, if the application has imported pydantic."""
    module = sys.modules.get("pydantic.main")
    return None if module is None else vars(module).get("BaseModel")


def _has_named_items(cls: type) -> bool:
    fields = class_attribute(cls, "_fields")
    return type(fields) is tuple and all(type(field) is str for field in fields)
