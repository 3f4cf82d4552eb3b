"""The types that a function mentions: in its annotations, and by name in its code.

Those in its code matter for what was shipped by value: in a worker, ``__main__`` does not have its types.
Annotations that can't be evaluated (names that exist for the type checker only) are left out: what they would
have named can still be registered by hand.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tempolite.codec.holdings import global_names
from tempolite.codec.type_names import Kind, class_attribute, class_dict, imported_type, kind_of, type_name

TYPES_MAX = 10_000
"""Types looked at for one function: more than any that is written by hand."""


def mentioned_types(fn: Callable[..., Any]) -> list[type]:
    """Storable types in the annotations of a callable and in those of their fields, and in its code."""
    function = _function_of(fn)
    in_code = list(_types_in_code(function))
    return _types_in([*in_code, *_annotations(function)], in_code)


def types_of(annotation: Any) -> list[type]:
    """Storable types that an annotation names, and those of their fields."""
    return _types_in([annotation], [])


def _types_in(pending: list[Any], known: list[type]) -> list[type]:
    # The first of a name wins: a dataclass with slots still holds the class that it was made from.
    found: dict[str, type] = {}
    for cls in known:
        found.setdefault(type_name(cls), cls)
    looked_at: dict[int, Any] = {}  # keeps what it has looked at, so that ids stay unique
    while pending and len(looked_at) < TYPES_MAX:
        annotation = pending.pop()
        if id(annotation) in looked_at:
            continue
        looked_at[id(annotation)] = annotation
        pending.extend(_parts(annotation))
        if type(annotation) is not types.GenericAlias and isinstance(annotation, type):
            if kind_of(annotation) is not None:
                found.setdefault(type_name(annotation), annotation)
            pending.extend(_fields(annotation))
    return list(found.values())


def _types_in_code(fn: Any) -> Iterator[type]:
    """Types that no name leads to, in the code of a function and of what that uses of the same module."""
    pending: list[Any] = [fn]
    looked_at: set[Any] = set()
    while pending and len(looked_at) < TYPES_MAX:
        user = pending.pop()
        if not isinstance(user, types.FunctionType | type) or user in looked_at:
            continue
        looked_at.add(user)
        if isinstance(user, types.FunctionType):
            used = _used_by(user)
            pending += [value for value in used if getattr(value, "__module__", "") == user.__module__]
        elif imported_type(type_name(user)) is not user:
            pending += [*class_dict(user).values(), *user.__bases__]
            if kind_of(user) is not None:
                yield user


def _used_by(fn: types.FunctionType) -> list[Any]:
    """Functions and classes that the code names, in its module or in a closure."""
    names = global_names(fn.__code__) & fn.__globals__.keys()
    values = [*(fn.__globals__[name] for name in names), *_closure(fn).values()]
    return [value for value in values if isinstance(value, types.FunctionType | type)]


def _function_of(fn: Any) -> Any:
    """The function behind partials, methods, wrappers and objects with ``run`` or ``__call__``."""
    for _ in range(10):
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif hasattr(fn, "__wrapped__"):
            fn = fn.__wrapped__
        elif isinstance(fn, types.MethodType):
            fn = fn.__func__
        else:
            break
    if isinstance(fn, types.FunctionType | type):
        return fn
    return getattr(type(fn), "run", None) or inspect.getattr_static(type(fn), "__call__", None)


def _annotations(owner: Any) -> Iterator[Any]:
    """What an owner's annotations evaluate to, one by one, without those that fail."""
    annotations = getattr(owner, "__annotations__", None)
    if not isinstance(annotations, dict):
        return
    global_names, local_names = _scope(owner)
    for annotation in list(annotations.values()):
        yield from _evaluated(annotation, global_names, local_names)


def _evaluated(
    annotation: Any, global_names: dict[str, Any], local_names: Mapping[str, Any]
) -> Iterator[Any]:
    carrier = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        yield typing.get_type_hints(carrier, global_names, dict(local_names), include_extras=True)["it"]
    except Exception:
        # A name that is not there at run time, or code in an annotation that fails: nothing to learn.
        return


def _scope(owner: Any) -> tuple[dict[str, Any], Mapping[str, Any]]:
    if isinstance(owner, types.FunctionType):
        return owner.__globals__, _closure(owner)
    module = sys.modules.get(getattr(owner, "__module__", ""), None)
    return dict(vars(module)) if module is not None else {}, vars(owner) if isinstance(owner, type) else {}


def _closure(fn: types.FunctionType) -> dict[str, Any]:
    found = {}
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found


def _parts(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of: the list and the items of ``list[Order]``, the members of a union."""
    yield from (
        part for part in typing.get_args(annotation) if not isinstance(part, str | int | float | bytes)
    )
    origin = typing.get_origin(annotation)
    if origin is not None:
        yield origin
    for name in ("__supertype__", "__value__", "__bound__"):  # NewType, alias, TypeVar
        try:
            yield getattr(annotation, name)
        except (AttributeError, NameError):  # an alias is evaluated when it is asked
            continue
    if typing.get_origin(annotation) is typing.Literal:
        yield from (type(part) for part in typing.get_args(annotation))


def _fields(cls: type) -> Iterator[Any]:
    """Annotations of a class that has typed fields, those of its bases included."""
    kind = kind_of(cls)
    if kind is Kind.MODEL:  # pydantic has evaluated them where the class was made
        yield from (field.annotation for field in class_attribute(cls, "__pydantic_fields__").values())
        return
    if kind is Kind.ENUM or (kind is None and not typing.is_typeddict(cls)):
        return
    for base in cls.__mro__:
        if base.__module__ not in ("builtins", "typing"):
            yield from _annotations(base)
