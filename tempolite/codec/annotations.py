"""The types that a function's annotations mention.

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

from tempolite.codec.type_names import Kind, kind_of

TYPES_MAX = 10_000
"""Types looked at for one function: more than any that is written by hand."""


def mentioned_types(fn: Callable[..., Any]) -> list[type]:
    """Storable types in the annotations of a callable, and in those of their fields."""
    found: dict[type, None] = {}
    looked_at: set[int] = set()
    pending = list(_annotations(_function_of(fn)))
    kept: list[Any] = []  # ids in `looked_at` stay unique while the objects live
    while pending and len(kept) < TYPES_MAX:
        annotation = pending.pop()
        if id(annotation) in looked_at:
            continue
        looked_at.add(id(annotation))
        kept.append(annotation)
        pending.extend(_parts(annotation))
        if type(annotation) is not types.GenericAlias and isinstance(annotation, type):
            if kind_of(annotation) is not None:
                found[annotation] = None
            pending.extend(_fields(annotation))
    return list(found)


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
        part = inspect.getattr_static(annotation, name, None)
        if part is not None and name != "__value__":
            yield part
        elif part is not None:
            yield getattr(annotation, name, None)
    if typing.get_origin(annotation) is typing.Literal:
        yield from (type(part) for part in typing.get_args(annotation))


def _fields(cls: type) -> Iterator[Any]:
    """Annotations of a class that has typed fields, those of its bases included."""
    kind = kind_of(cls)
    if kind is Kind.ENUM or (kind is None and not typing.is_typeddict(cls)):
        return
    for base in cls.__mro__:
        if base.__module__ not in ("builtins", "typing", "pydantic.main"):
            yield from _annotations(base)
