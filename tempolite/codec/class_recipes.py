"""How enums and structs of ``__main__``, a notebook or a function are made again in a worker.

dill copies ordinary classes by their dictionary; these two are made by metaclasses that need more than that.
Each is a pair for ``pickle``: a skeleton, made first, and what is put on it when references to it can be
resolved (methods mention their own class).

Functions here are named in what is shipped: parent and worker are the same version, so they may change.
"""

from __future__ import annotations

import dataclasses
import enum
import types
from typing import Any, TypeVar

import msgspec

from tempolite.codec.callables import importable_name
from tempolite.codec.type_names import class_dict, pydantic_model

_METHODS = (types.FunctionType, property, classmethod, staticmethod)
_STRUCT_OPTIONS = (
    *("frozen", "eq", "order", "array_like", "gc", "weakref", "dict", "cache_hash", "tag", "tag_field"),
    *("repr_omit_defaults", "omit_defaults", "forbid_unknown_fields"),
)
_MEMBER_OWN = frozenset(("_value_", "_name_", "_sort_order_", "__objclass__"))


def recipe_of(value: Any) -> Any:
    """What ``reducer_override`` gives for a value: a recipe, or NotImplemented where dill knows better.

    Raises:
        TypeError: neither has a way.
    """
    if type(value) is TypeVar and value.__module__ == "__main__":
        arguments = value.__name__, value.__constraints__, value.__bound__
        return make_type_var, (*arguments, value.__covariant__, value.__contravariant__)
    if not issubclass(type(value), type) or importable_name(value) is not None:
        return NotImplemented
    bases = value.__mro__[1:]
    if enum.Enum in bases:
        return _enum_recipe(value)
    if msgspec.Struct in bases:
        return _struct_recipe(value)
    if pydantic_model() in bases:
        raise TypeError(f"pydantic model {value.__qualname__} can go from a module only: move it to one")
    return NotImplemented


def make_type_var(
    name: str, constraints: tuple[Any, ...], bound: Any, covariant: bool, contravariant: bool
) -> Any:
    """A type variable of ``__main__``: dill would look for its name there."""
    return TypeVar(name, *constraints, bound=bound, covariant=covariant, contravariant=contravariant)


def make_enum(name: str, names: dict[str, str], bases: tuple[type, ...], members: dict[str, Any]) -> type:
    """An enum with its members and nothing else."""
    metaclass, namespace, _ = types.prepare_class(name, bases)
    for member, value in members.items():
        namespace[member] = value
    cls: type = metaclass(name, bases, namespace)
    for attribute, text in names.items():
        setattr(cls, attribute, text)
    return cls


def finish_enum(cls: Any, state: tuple[dict[str, Any], dict[str, dict[str, Any]]]) -> None:
    """Its methods, and the attributes that its ``__init__`` had given to its members."""
    attributes, members = state
    for name, attribute in attributes.items():
        setattr(cls, name, attribute)
    for name, values in members.items():
        vars(cls._member_map_[name]).update(values)


def make_struct(
    name: str, names: dict[str, str], bases: tuple[type, ...], fields: list[Any], options: dict[str, Any]
) -> type:
    """A struct with its fields and options."""
    options = dict(options)
    namespace = {"__post_init__": _post_init} if options.pop("has_post_init") else {}
    made = [(field, kind, msgspec.field(**given)) for field, kind, given in fields]
    cls = msgspec.defstruct(name, made, bases=bases, namespace=namespace, **options)
    for attribute, text in names.items():
        setattr(cls, attribute, text)
    return cls


def finish_struct(cls: type, attributes: dict[str, Any]) -> None:
    """Its methods."""
    for name, attribute in attributes.items():
        setattr(cls, name, attribute)


def _post_init(self: Any) -> None:
    """What msgspec finds when the class is made: the method itself is put on it afterwards."""
    type(self).__post_init__(self)


def _names_of(cls: type) -> dict[str, str]:
    return {"__module__": cls.__module__, "__qualname__": cls.__qualname__}


def _enum_recipe(cls: type[enum.Enum]) -> Any:
    own = class_dict(cls)
    if isinstance(own.get("__new_member__"), types.FunctionType):
        raise TypeError(f"{cls.__qualname__} has a __new__ of its own: move it to a module")
    values = {name: member._value_ for name, member in cls.__members__.items()}
    methods = _methods_of(cls)
    members = {
        name: {key: value for key, value in vars(member).items() if key not in _MEMBER_OWN}
        for name, member in cls.__members__.items()
    }
    bases = cls.__bases__
    return (
        make_enum,
        (cls.__name__, _names_of(cls), bases, values),
        (methods, members),
        None,
        None,
        finish_enum,
    )


def _struct_recipe(cls: type[msgspec.Struct]) -> Any:
    own = class_dict(cls)
    annotations = own.get("__annotations__", {})
    fields = [field for field in msgspec.structs.fields(cls) if field.name in annotations]
    options = {name: getattr(cls.__struct_config__, name) for name in _STRUCT_OPTIONS}
    options["kw_only"] = any(field.name not in cls.__match_args__ for field in fields)
    options["has_post_init"] = "__post_init__" in own
    made = [(field.name, annotations[field.name], _given(field)) for field in fields]
    arguments = (cls.__name__, _names_of(cls), cls.__bases__, made, options)
    return make_struct, arguments, _methods_of(cls), None, None, finish_struct


def _given(field: Any) -> dict[str, Any]:
    """The arguments of ``msgspec.field``; a Field itself can't be pickled."""
    given: dict[str, Any] = {} if field.encode_name == field.name else {"name": field.encode_name}
    for name in ("default", "default_factory"):
        value = getattr(field, name)
        if value is not msgspec.NODEFAULT and value is not dataclasses.MISSING:
            given[name] = value
    return given


def _methods_of(cls: type) -> dict[str, Any]:
    return {
        name: attribute
        for name, attribute in class_dict(cls).items()
        if isinstance(attribute, _METHODS) and _is_defined_in(attribute, cls)
    }


def _is_defined_in(attribute: Any, cls: type) -> bool:
    """Whether its body is the class's own, not what a metaclass has put there."""
    function = getattr(attribute, "fget", None) or getattr(attribute, "__func__", attribute)
    return getattr(function, "__module__", None) == cls.__module__
