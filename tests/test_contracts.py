"""The floors: imports point down only, and a broken contract does not go unnoticed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports('setup.cfg', no_cache=True))"


def test_every_import_points_down() -> None:
    """The contracts in setup.cfg hold for the whole package."""
    checked = lint(ROOT)

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("codec/json_codec.py", "import tempolite.engine.engine", "Imports point down only"),
        ("actors/system.py", "import tempolite.store.schema", "Imports point down only"),
        ("core/retry.py", "import apsw", "The core does no I/O"),
    ],
)
def test_an_import_that_must_not_be_is_found(module: str, line: str, contract: str, tmp_path: Path) -> None:
    """The same contracts break on a copy of the package with one import more."""
    shutil.copytree(ROOT / "tempolite", tmp_path / "tempolite", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    with (tmp_path / "tempolite" / module).open("a") as file:
        file.write(f"\n{line}\n")

    checked = lint(tmp_path)

    broken = [text for text in checked.stdout.splitlines() if " BROKEN" in text]
    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert any(text.startswith(contract) for text in broken), checked.stdout


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Checks the contracts of the package in that folder, not of the one that is installed."""
    return subprocess.run(
        [sys.executable, "-c", LINT], cwd=folder, capture_output=True, text=True, timeout=60
    )
