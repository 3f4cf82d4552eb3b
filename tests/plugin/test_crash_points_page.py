"""The page on seeded runs and crash points: each example is run, and what shows a fault fails with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.plugin.conftest import Project

PAGE = Path(__file__).parents[2] / "docs" / "crash_points.md"


class Example(NamedTuple):
    """A block of the page."""

    line: int
    code: str
    fault: str


def examples() -> list[Example]:
    """All blocks of Python, each with the line of the report that it must fail with, if any."""
    text = PAGE.read_text("utf-8")
    found = re.finditer(r"(?:<!-- fails: (?P<fault>.*?) -->\n)?```python\n(?P<code>.*?)```", text, re.DOTALL)
    return [
        Example(text.count("\n", 0, each.start("code")) + 1, each["code"], each["fault"] or "")
        for each in found
    ]


@pytest.mark.parametrize("example", examples(), ids=lambda example: f"line {example.line}")
def test_every_example_of_the_page_does_what_it_says(project: Project, example: Example) -> None:
    """As a test file of its own."""
    result = project(example.code)

    outcomes = result.parseoutcomes()
    if example.fault:
        assert set(outcomes) == {"failed"}
        assert example.fault in result.stdout.str()
    else:
        assert set(outcomes) == {"passed"}
