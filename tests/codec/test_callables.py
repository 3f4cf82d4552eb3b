"""Callables on their way to our own workers: by name, or by dill where that copies nothing that lives."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tempolite.codec import importable_name, resolve_name
from tempolite.errors import NotRegistered

FACTOR = 3
GLOBAL_LOCK = threading.Lock()


def triple(x: int) -> int:
    return x * FACTOR


def decorated(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def wrapper(*args: Any) -> Any:
        return fn(*args)

    return wrapper


@decorated
def wrapped(x: int) -> int:
    return x


class Definition:
    """A wrapper that holds its function as ``fn``."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn


def _charge(x: int) -> int:
    return x


_charge.__qualname__ = "charge"
charge = Definition(_charge)


class Multiply:
    def __init__(self, by: Any) -> None:
        self.by = by

    def run(self, x: int) -> Any:
        return x * self.by

    @staticmethod
    def plain(x: int) -> int:
        return x

    @classmethod
    def make(cls) -> Multiply:
        return cls(1)


def closure(held: Any) -> Callable[[int], Any]:
    return lambda x: (x, held)


def test_an_importable_function_is_known_by_its_name() -> None:
    """Functions, classes, methods of a class and static methods lead to themselves."""
    for fn in (triple, json.dumps, Multiply, Multiply.run, Multiply.plain, len):
        name = importable_name(fn)

        assert name is not None
        assert resolve_name(name) is fn


def test_a_function_behind_a_wrapper_keeps_its_name() -> None:
    """The name leads to the wrapper that holds it as ``fn`` or ``__wrapped__``."""
    assert importable_name(_charge) == f"{__name__}:charge"
    assert importable_name(wrapped.__wrapped__) == f"{__name__}:wrapped"  # type: ignore[attr-defined]
    assert importable_name(wrapped) == f"{__name__}:wrapped"


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x,
        closure(1),
        Multiply(2).run,
        Multiply.make,
        Multiply(2),
        functools.partial(triple, 1),
        "".upper,
    ],
    ids=["lambda", "closure", "method", "classmethod", "object", "partial", "builtin method"],
)
def test_what_no_name_leads_to_has_none(fn: Any) -> None:
    """The name must lead to this very object."""
    assert importable_name(fn) is None


def test_a_function_of_main_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a worker, ``__main__`` is another module."""
    monkeypatch.setattr(triple, "__module__", "__main__")

    assert importable_name(triple) is None


@pytest.mark.parametrize(
    "name", ["", ":", "json", "json:", ":dumps", "json:nope", "json:dumps.nope", "no.such:x"]
)
def test_a_name_that_leads_nowhere_is_told(name: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(NotRegistered):
        resolve_name(name)
    with pytest.raises(NotRegistered):
        resolve_name(name, import_module=True)


def test_a_module_is_imported_only_when_that_is_asked_for() -> None:
    """A name from a database never imports one; a worker's own does."""
    code = (
        "import sys; from tempolite.codec import resolve_name\n"
        "try: resolve_name('colorsys:rgb_to_hsv')\n"
        "except LookupError: print('colorsys' in sys.modules)\n"
        "print(resolve_name('colorsys:rgb_to_hsv', import_module=True).__name__)"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.split() == ["False", "rgb_to_hsv"]
