"""The programs of ``docs/testing.md`` are run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


def programs() -> dict[str, str]:
    """The page's programs by the names in their first lines."""
    return dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S))


def test_every_program_of_the_page_has_a_name() -> None:
    """So each of them is run."""
    assert len(programs()) == PAGE.read_text("utf-8").count("```python") == 7


def test_the_tests_of_the_page_pass(pytester: pytest.Pytester) -> None:
    """All of them, side by side in one project."""
    for name, text in programs().items():
        (pytester.path / name).write_text(text, "utf-8")

    outcome = pytester.runpytest_inprocess("-q", "-pno:hypothesispytest", "-pno:asyncio", "-pno:xdist")

    outcome.assert_outcomes(passed=19)
