"""What mypy and pyright make of right and of wrong calls.

The programs under ``cases`` are not run. A line that ends in ``# error`` must be an error to both checkers,
and no other line; what a call gives is held with ``assert_type``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = Path(__file__).parent / "cases"
HANG_GUARD_S = 300

Place = tuple[str, int]


def mypy_errors() -> dict[Place, str]:
    """Where mypy, at its strictest, finds errors."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context"]
    said = run([*command, "--show-absolute-path", "--cache-dir", str(ROOT / ".mypy_cache"), str(CASES)])
    found = re.findall(r"^(.+?):(\d+): error: (.*)$", said, re.MULTILINE)
    return {(Path(file).name, int(line)): text for file, line, text in found}


def pyright_errors() -> dict[Place, str]:
    """Where pyright finds errors."""
    said = run([sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(CASES)])
    errors = (one for one in json.loads(said)["generalDiagnostics"] if one["severity"] == "error")
    return {(Path(one["file"]).name, one["range"]["start"]["line"] + 1): one["message"] for one in errors}


def run(command: list[str]) -> str:
    """What a checker prints."""
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=HANG_GUARD_S, check=False
    )
    assert done.stdout, done.stderr
    return done.stdout


def marked() -> set[Place]:
    """Lines that must be errors."""
    return {
        (file.name, number)
        for file in CASES.glob("*.py")
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if line.endswith("# error")
    }


@pytest.mark.parametrize("errors", [mypy_errors, pyright_errors])
def test_checkers_refuse_every_wrong_call_and_no_right_one(errors: Callable[[], dict[Place, str]]) -> None:
    """A wrong argument is an error before the program runs, and results have the types they will have."""
    found, wanted = errors(), marked()

    assert {place: text for place, text in found.items() if place not in wanted} == {}
    assert sorted(wanted - found.keys()) == []
    assert len(wanted) > 40
