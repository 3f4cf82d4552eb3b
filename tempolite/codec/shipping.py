"""Callables on their way to our own workers, and the types that they need there.

What an importable module has travels as a reference, all else by value, with dill: code, closures, the
globals that it uses, classes of ``__main__``. Modules that only this process could import (pytest and
notebooks load files under names that lead nowhere) are named with their file, and loaded from it.

dill is imported when the first callable is shipped by value: it costs 100 ms.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import io
import pathlib
import pickletools
import sys
import types
from collections.abc import Iterable
from typing import Any

import msgspec

from tempolite.codec.class_recipes import recipe_of
from tempolite.codec.holdings import live_holding
from tempolite.errors import NotStorable


def dump_callable(fn: Any, types: Iterable[type] = ()) -> bytes:
    """The callable with what it holds, for :func:`load_callable` in a process of our own.

    ``types`` go with it, the same classes there as those that its code mentions.

    Raises:
        NotStorable: it holds something that lives in this process only, such as a lock or a connection.
    """
    name = _name_of(fn)
    if found := live_holding(fn):
        raise NotStorable(f"{name}: {found} can't go to a worker process; make it inside the activity")
    try:
        pickled = _pickled((fn, tuple(types)))
    except Exception as reason:
        why = f"{type(reason).__name__}: {reason}"
        raise NotStorable(f"{name} can't go to a worker process: {why}") from reason
    return msgspec.msgpack.encode((_files_of_modules(pickled), pickled))


def load_callable(data: bytes) -> Any:
    """What :func:`dump_callable` was given. Runs code: never for bytes from a file."""
    return load_shipped(data)[0]


def load_shipped(data: bytes) -> tuple[Any, tuple[type, ...]]:
    """The callable and the types that were dumped with it."""
    files, pickled = msgspec.msgpack.decode(data)
    for _ in range(len(files) + 1):
        try:
            fn, found = _dill().loads(pickled)
        except ModuleNotFoundError as missing:
            # Only now: most of what is named here is either found by its name or not needed.
            name = _first_below(missing.name, files)
            if name is None:
                raise
            _load_file(name, pathlib.Path(files.pop(name)))
        else:
            return fn, found
    raise AssertionError("each turn takes a file away or ends")


def _pickled(value: Any) -> bytes:
    buffer = io.BytesIO()
    _pickler()(buffer, protocol=4, byref=False, recurse=True).dump(value)
    return buffer.getvalue()


@functools.cache
def _pickler() -> Any:
    """dill's pickler, with recipes for the classes that it can't copy."""

    class Pickler(_dill().Pickler):  # type: ignore[misc]
        def reducer_override(self, value: Any) -> Any:
            return recipe_of(value)

    Pickler.__module__ = _dill().Pickler.__module__  # by which dill knows its own
    return Pickler


def _dill() -> Any:
    is_new = "dill" not in sys.modules
    dill = importlib.import_module("dill")
    if is_new:
        # dill's import changes the application's pickle: take that back, its own pickler keeps its types.
        dill.extend(use_dill=False)
    return dill


def _files_of_modules(pickled: bytes) -> dict[str, str]:
    """The modules that the pickle may refer to, with their files."""
    mentioned = {argument for _, argument, _ in pickletools.genops(pickled) if isinstance(argument, str)}
    files = {}
    for name in mentioned - {"__main__"}:
        file = getattr(sys.modules.get(name), "__file__", None)
        if (
            isinstance(file, str)
            and file.endswith(".py")
            and name.split(".")[0] not in sys.stdlib_module_names
        ):
            files[name] = file
    return files


def _first_below(package: str | None, files: Iterable[str]) -> str | None:
    """The module that was looked for when ``package`` was not found: itself or one in it."""
    if package is None:
        return None
    return next((name for name in sorted(files) if f"{name}.".startswith(f"{package}.")), None)


def _load_file(name: str, file: pathlib.Path) -> None:
    """The module under the name that it had where it was loaded."""
    parts = name.split(".")
    for length in range(1, len(parts)):
        # Parents that lead nowhere either: empty packages, so that imports below them look beside the file.
        parent = types.ModuleType(".".join(parts[:length]))
        parent.__path__ = [str(file.parents[len(parts) - 1 - length])]
        sys.modules.setdefault(parent.__name__, parent)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{name!r} can't be loaded from {str(file)!r}", name=name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _name_of(fn: Any) -> str:
    name = getattr(fn, "__qualname__", None)
    return name if isinstance(name, str) else type(fn).__qualname__
