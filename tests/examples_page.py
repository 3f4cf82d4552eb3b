"""The page of the examples, made from their files: ``python -m tests.examples_page`` writes it anew.

Nothing of it is written by hand; ``test_examples.py`` looks whether it is up to date.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "examples.md"
FIRST = "first_order.py"

_HEAD = """# Examples

Whole programs, each a small job as it comes up; they need nothing but Tempolite and take a second or two.
All but the first take a folder to work in as their argument, and clean up behind them where none is given.

This page is made from the files in [`examples/`](../examples) by `python -m tests.examples_page`; the tests
run each of them, and look at what it did.
"""


def examples() -> list[Path]:
    """The programs, that of the README first."""
    return sorted((ROOT / "examples").glob("*.py"), key=lambda path: (path.name != FIRST, path.name))


def page() -> str:
    """All of them: a table of what each shows, and their text."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    yield "| program | what it is |\n|---|---|"
    for path in examples():
        yield f"| [`{path.name}`](#{path.stem}) | {_summary(path)} |"
    for path in examples():
        yield f"\n## {path.stem}\n\n```python\n{path.read_text('utf-8')}```"
    yield ""


def _summary(path: Path) -> str:
    """The first line of its docstring; the first example has none, as it is shown in the README."""
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    return docstring.splitlines()[0] if docstring else "The program of the README."


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
