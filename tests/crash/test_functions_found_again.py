"""Runs that were left in a file go on as soon as their function is known, however it is made known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tempolite import Queue, Tempolite, WorkflowContext, WorkflowStranded, workflow

DEADLINE_S = 20


def one() -> int:
    """An activity."""
    return 1


@workflow
def decorated(ctx: WorkflowContext) -> int:
    """Decorated without parentheses."""
    return ctx.activity("one", one).get()


@workflow(name="another name")
def decorated_with_options(ctx: WorkflowContext) -> int:
    """Decorated with options."""
    return ctx.activity("one", one).get()


def plain(ctx: WorkflowContext) -> int:
    """Not decorated at all."""
    return ctx.activity("one", one).get()


FUNCTIONS: dict[str, Any] = {"bare": decorated, "with options": decorated_with_options, "plain": plain}


@pytest.fixture
def later(tmp_path: Path) -> Iterator[Tempolite]:
    """A second engine on a file in which a first one left a run of each function."""
    with Tempolite(tmp_path / "runs.db", queues=[Queue("default", workers=0)]) as first:
        for id, function in FUNCTIONS.items():
            first.execute(id, function)
    with Tempolite(tmp_path / "runs.db", queues=[Queue("default", kind="inline")]) as second:
        yield second


@pytest.mark.parametrize("id", ["bare", "with options"])
def test_decorated_function_of_an_imported_module_is_known(later: Tempolite, id: str) -> None:
    """``@workflow``, with or without parentheses, needs no further word."""
    assert later.get(id).get(timeout=DEADLINE_S) == 1


def test_run_of_an_unknown_function_is_stranded(later: Tempolite) -> None:
    """It says so, and ``get`` does not wait for ever."""
    with pytest.raises(WorkflowStranded, match="plain"):
        later.get("plain").get(timeout=DEADLINE_S)

    assert later.get("plain").status == "STRANDED"


def test_stranded_run_goes_on_when_its_function_is_registered(later: Tempolite) -> None:
    """``register`` after the start."""
    later.register(plain)

    assert later.get("plain").get(timeout=DEADLINE_S) == 1


def test_stranded_run_goes_on_when_its_function_is_executed(later: Tempolite) -> None:
    """``execute`` of another run makes the function known as well."""
    assert later.execute("other", plain).get(timeout=DEADLINE_S) == 1

    assert later.get("plain").get(timeout=DEADLINE_S) == 1
