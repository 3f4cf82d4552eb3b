"""What is public: the package's exports, what the type checker sees, and the reference agree."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path

import pytest

import tempolite

ROOT = Path(__file__).parents[1]


def test_the_reference_lists_exactly_the_public_names() -> None:
    """Each name has one line in docs/reference.md, and nothing else has."""
    lines = (ROOT / "docs" / "reference.md").read_text("utf-8").splitlines()

    listed = [found[1] for line in lines if (found := re.match(r"- `(\w+)`\W+\w", line))]

    assert sorted(listed) == sorted(tempolite.__all__)


def test_the_type_checker_sees_exactly_the_public_names() -> None:
    """Names are loaded when they are used; the imports for the type checker must be the same ones."""
    tree = ast.parse(Path(tempolite.__file__).read_text("utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]

    imported = [(node.module, each.asname) for node in block.body for each in node.names]  # type: ignore[attr-defined]

    assert sorted(imported) == sorted((home_of(name), name) for name in tempolite.__all__)


@pytest.mark.parametrize("name", tempolite.__all__)
def test_a_public_name_can_be_imported_and_is_documented(name: str) -> None:
    """It is there, it is ours (`Cancelled` is asyncio's, on purpose), and `help` says more than nothing."""
    found = getattr(tempolite, name)

    assert found.__module__.startswith("tempolite.") or found is asyncio.CancelledError
    assert inspect.getdoc(found), f"{name} has no docstring"


def test_an_unknown_name_is_refused_as_in_any_module() -> None:
    """Loading on demand doesn't change what a typing error looks like."""
    with pytest.raises(AttributeError, match="no attribute 'Tempolight'"):
        tempolite.Tempolight  # noqa: B018 - the access is what is tested


def home_of(name: str) -> str | None:
    """Module that a public name is loaded from."""
    return tempolite._HOME_OF.get(name)
