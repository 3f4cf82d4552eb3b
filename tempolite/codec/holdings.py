"""What a callable holds, and what of it lives in this process only.

dill copies locks, files and connections without a word, and the copies are dead: so a callable is looked
through before it is shipped.
"""

from __future__ import annotations

import collections
import functools
import inspect
import sys
import types
from collections.abc import Iterator
from typing import Any

from tempolite.codec.callables import importable_name
from tempolite.codec.fields import attributes_of
from tempolite.codec.type_names import display_name

HOLDINGS_MAX = 10_000
"""Objects looked at in what one callable holds; beyond that dill has the word."""

HOLDINGS_DEPTH_MAX = 4

# What must not be copied, by module and name: looked up in modules that are already imported only.
_LIVE_TYPES = (
    ("_thread", ("lock", "LockType", "RLock")),
    ("threading", ("Thread", "Condition", "Event", "Semaphore", "Barrier", "local")),
    (
        "_io",
        ("FileIO", "BufferedReader", "BufferedWriter", "BufferedRandom", "BufferedRWPair", "TextIOWrapper"),
    ),
    ("socket", ("socket",)),
    ("multiprocessing.process", ("BaseProcess",)),
    ("subprocess", ("Popen",)),
    ("asyncio.events", ("AbstractEventLoop",)),
    ("types", ("GeneratorType", "CoroutineType", "AsyncGeneratorType", "FrameType")),
    ("greenlet", ("greenlet",)),
    ("sqlite3", ("Connection", "Cursor")),
    ("apsw", ("Connection", "Cursor", "Blob")),
    ("pykka", ("ActorRef", "ActorProxy", "Actor")),
)
_HARMLESS = (str, int, float, bytes, types.ModuleType, types.BuiltinFunctionType, type(None))


def live_holding(fn: Any) -> str | None:
    """The first thing held that can't be copied, with its path; None if there is none."""
    live = tuple(_live_types())
    pending: collections.deque[tuple[Any, str, int]] = collections.deque([(fn, "", 0)])
    kept: dict[int, Any] = {}
    while pending and len(kept) < HOLDINGS_MAX:
        held, path, depth = pending.popleft()
        if id(held) in kept or isinstance(held, _HARMLESS):
            continue
        kept[id(held)] = held
        if isinstance(held, live):
            return f"{path.lstrip('.') or 'it'} ({display_name(held)})"
        if depth < HOLDINGS_DEPTH_MAX:
            pending.extend((part, path + step, depth + 1) for step, part in _holdings(held))
    return None


def _live_types() -> Iterator[type]:
    for module_name, names in _LIVE_TYPES:
        module = sys.modules.get(module_name)
        for name in names if module is not None else ():
            found = vars(module).get(name)
            if isinstance(found, type):
                yield found


def _holdings(held: Any) -> Iterator[tuple[str, Any]]:
    """What goes along when ``held`` is copied."""
    match held:
        case types.FunctionType():
            if importable_name(held) is None:
                yield from _function_holdings(held)
        case types.MethodType():
            yield ".__self__", held.__self__
            yield "", held.__func__
        case functools.partial():
            yield "", held.func
            yield from ((f".args[{i}]", part) for i, part in enumerate(held.args))
            yield from ((f".keywords[{name!r}]", part) for name, part in held.keywords.items())
        case list() | tuple() | set() | frozenset():
            yield from ((f"[{i}]", part) for i, part in enumerate(held))
        case dict():
            yield from (
                (f"[{name!r}]" if isinstance(name, str) else "[...]", part) for name, part in held.items()
            )
        case type():
            if importable_name(held) is None:
                yield from (
                    (f".{name}", part) for name, part in vars(held).items() if not name.startswith("__")
                )
        case _:
            yield from _instance_holdings(held)


def _function_holdings(fn: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        try:
            yield f".closure[{name!r}]", cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    defaults = fn.__defaults__ or ()
    names = fn.__code__.co_varnames[: fn.__code__.co_argcount]
    yield from zip(
        (f".default[{name!r}]" for name in names[len(names) - len(defaults) :]), defaults, strict=True
    )
    yield from ((f".default[{name!r}]", part) for name, part in (fn.__kwdefaults__ or {}).items())
    for name in sorted(global_names(fn.__code__)):
        if name in fn.__globals__:
            yield f".global[{name!r}]", fn.__globals__[name]


def global_names(code: types.CodeType) -> set[str]:
    """Names that the code, and code inside it, may look up in its module."""
    names = set(code.co_names)
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            names |= global_names(part)
    return names


def _instance_holdings(held: Any) -> Iterator[tuple[str, Any]]:
    """Attributes, unless the type says itself how it is copied."""
    cls = type(held)
    says_itself = any(
        inspect.getattr_static(cls, name, None) is not inspect.getattr_static(object, name, None)
        for name in ("__reduce__", "__reduce_ex__", "__getstate__")
    )
    if not says_itself and "__dict__" in dir(cls):
        yield from ((f".{name}", part) for name, part in attributes_of(held).items())
