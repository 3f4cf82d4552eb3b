"""Callables and classes by name."""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import Any

from tempolite.errors import NotRegistered


def importable_name(fn: Any) -> str | None:
    """``module:qualname``, if that leads to ``fn`` in the modules imported now; else None.

    A wrapper found under the name counts, when its ``fn`` or ``__wrapped__`` is this very object.
    """
    module, qualname = getattr(fn, "__module__", None), getattr(fn, "__qualname__", None)
    if type(module) is not str or type(qualname) is not str or module == "__main__" or "<" in qualname:
        return None
    name = f"{module}:{qualname}"
    try:
        found = resolve_name(name)
    except NotRegistered:
        return None
    wrapped = (inspect.getattr_static(found, attribute, None) for attribute in ("fn", "__wrapped__"))
    return name if found is fn or any(inner is fn for inner in wrapped) else None


def resolve_name(name: str, import_module: bool = False) -> Any:
    """What stands at ``module:qualname``; a static method as its function.

    Raises:
        NotRegistered: nothing does, or the module is not imported and is not to be.
    """
    module_name, _, qualname = name.partition(":")
    found: Any = sys.modules.get(module_name)
    if found is None and import_module and module_name and qualname:
        try:
            found = importlib.import_module(module_name)
        except ImportError as reason:
            raise NotRegistered(f"{name!r} leads nowhere: {reason}") from None
    for part in qualname.split("."):
        found = inspect.getattr_static(found, part, None)
    if found is None:
        raise NotRegistered(f"{name!r} leads nowhere in the modules that are imported")
    return found.__func__ if isinstance(found, staticmethod) else found
