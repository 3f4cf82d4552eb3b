"""A look at a workflow's code when it is registered: a warning for each place, and nothing else."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tempolite import Tempolite, WorkflowContext
from tempolite.determinism.code_look import look_at
from tempolite.determinism.forbidden import NAMED
from tests.determinism import samples
from tests.engine.conftest import EngineMaker


def name_of(value: Any) -> str | None:
    """An id for a parameter that is a function."""
    return getattr(value, "__name__", None)


@pytest.mark.parametrize(("fn", "name", "instead", "line"), samples.BAD, ids=name_of)
def test_what_belongs_elsewhere_is_found_with_its_line(
    fn: Callable[..., Any], name: str, instead: str, line: int
) -> None:
    """By whatever name it is called, at any depth of the function's own code."""
    (found,) = look_at(fn)

    assert (found.name, found.line) == (name, fn.__code__.co_firstlineno + line)
    assert found.file == samples.__file__
    assert instead in found.instead


@pytest.mark.parametrize("fn", samples.GOOD, ids=name_of)
def test_what_is_handed_on_is_not_reported(fn: Callable[..., Any]) -> None:
    """Side effects, activities and the context's own calls are what the reports recommend."""
    assert look_at(fn) == []


@pytest.mark.parametrize("target", [len, object(), samples.Teller().time, None])
def test_anything_can_be_looked_at(target: Any) -> None:
    """What is no function of Python has nothing to be found in it."""
    assert look_at(target) == []


def test_names_of_modules_that_are_not_imported_are_known() -> None:
    """Nothing is imported to be looked at."""

    def fetch(ctx: WorkflowContext) -> Any:
        import requests  # type: ignore[import-not-found, import-untyped, unused-ignore]
        from boto3 import client  # type: ignore[import-not-found, import-untyped, unused-ignore]

        return requests.get("http://localhost"), client("s3")

    assert [found.name for found in look_at(fetch)] == ["boto3.client", "requests.get"]


def test_every_name_of_the_standard_library_in_the_table_exists() -> None:
    """A name that is written wrong would never be found."""
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    parts, count = name.split('.'), name.count('.')\n"
        "    owner = None\n"
        "    while owner is None and count > 0:\n"
        "        try: owner = importlib.import_module('.'.join(parts[:count]))\n"
        "        except ImportError: count -= 1\n"
        "    for part in parts[count:]: owner = getattr(owner or __builtins__, part)\n"
    )
    names = [name for name in NAMED if "." not in name or name.partition(".")[0] in sys.stdlib_module_names]

    done = subprocess.run([sys.executable, "-c", program, *names], capture_output=True, text=True, timeout=60)

    assert (len(names) > 100, done.stderr) == (True, "")


def test_places_are_found_without_columns_too() -> None:
    """``python -X no_debug_ranges`` leaves lines only."""
    program = (
        "import time\n"
        "from tempolite.determinism.code_look import look_at\n"
        "def flow(ctx):\n"
        "    ctx.activity('clock', time.time)\n"
        "    return time.time()\n"
        "print([found.line for found in look_at(flow)])\n"
    )

    done = subprocess.run(
        [sys.executable, "-X", "no_debug_ranges", "-c", program], capture_output=True, text=True, timeout=60
    )

    # A line does not tell whether a function is called there or handed on.
    assert done.stdout == "[4, 5]\n", done.stderr


def test_registering_warns_once_of_each_place(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """With file and line, what it is and what to use instead; the function is registered all the same."""
    engine = make_engine()

    with caplog.at_level(logging.WARNING, "tempolite"):
        engine.register(samples.clock)
        engine.register(samples.clock)

    (text,) = [record.getMessage() for record in caplog.records]
    line = samples.clock.__code__.co_firstlineno + 1
    assert f"{samples.__file__}:{line}" in text
    assert "tests.determinism.samples:clock" in text
    assert "time.time()" in text
    assert "ctx.now()" in text


def test_functions_that_are_given_or_executed_are_looked_at(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """``workflows=[…]``, ``execute`` and child workflows register as well."""

    def child(ctx: WorkflowContext) -> Any:
        return ctx.attempt if ctx.attempt else samples.time.time_ns()

    def parent(ctx: WorkflowContext) -> Any:
        return ctx.workflow("child", child).get()

    with caplog.at_level(logging.WARNING, "tempolite"):
        engine: Tempolite = make_engine(workflows=[samples.noise])
        engine.execute("a", parent).get(timeout=10)

    texts = [record.getMessage() for record in caplog.records]
    assert [text.split("()")[0].split()[-1] for text in texts] == ["os.urandom", "time.time_ns"]
