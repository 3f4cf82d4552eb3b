"""The environment that DBOS lives in: made once, outside the project's own, and kept for the next time."""

import subprocess
import sys
from pathlib import Path

from tests.benchmarks.plan import DBOS_VERSION

INSTALL_TIMEOUT_S = 600
READ_VERSION = "import importlib.metadata; print(importlib.metadata.version('dbos'))"


class DbosUnavailable(Exception):
    """DBOS could not be installed, or the environment that was named holds another version."""


def dbos_python(folder: Path, given: Path | None) -> Path:
    """An interpreter that has the right DBOS: the one that was given, else one made in `folder`."""
    if given is not None:
        return _checked(given)
    environment = folder / f"dbos-{DBOS_VERSION}-env"
    python = environment / "bin" / "python"
    if _dbos_version(python) != DBOS_VERSION:
        _install(environment)

    return _checked(python)


def _install(environment: Path) -> None:
    python = str(environment / "bin" / "python")
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(environment)],
        [python, "-m", "pip", "install", "--quiet", f"dbos=={DBOS_VERSION}"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
        if done.returncode:
            raise DbosUnavailable(f"could not install dbos {DBOS_VERSION}: {done.stderr.strip()[-1000:]}")


def _checked(python: Path) -> Path:
    found = _dbos_version(python)
    if found != DBOS_VERSION:
        raise DbosUnavailable(f"expected dbos {DBOS_VERSION} in {python}, found {found or 'none'}")

    return python


def _dbos_version(python: Path) -> str | None:
    if not python.exists():
        return None
    command = [str(python), "-c", READ_VERSION]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return done.stdout.strip() or None
