"""What is installed: one top-level name, everything in it, and no harm to an application's own modules."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("actors", "pyproject.toml", "setup.cfg", "README.md", "LICENSE")
SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc")

APPLICATION = """
import actors, tempolite, tempolite.actors.system
from tempolite import Tempolite, WorkflowContext

def greet(ctx: WorkflowContext) -> str:
    return ctx.activity("name", actors.leading_lady).get()

with Tempolite() as tp:
    print(tp.execute("greeting", greet).get(timeout=30))
print(tempolite.__file__)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and an sdist, both built from a copy of the project."""
    project, out = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT / "tempolite", project / "tempolite", symlinks=True, ignore=SKIPPED)
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, project / part, ignore=SKIPPED)
        else:
            shutil.copy(ROOT / part, project)
    build(project, out, "--sdist", "--wheel")
    return out


def test_the_wheel_has_exactly_one_top_level_name(built: Path) -> None:
    """No `actors`, no `tests`: an application's modules of these names are never shadowed."""
    tops = {name.split("/")[0] for name in names_in(wheel(built))}

    assert tops == {"tempolite", metadata_folder(built)}


def test_the_wheel_has_every_file_of_the_package(built: Path) -> None:
    """The modules behind the link `tempolite/actors`, the type marker and the demo's data come along."""
    files = [path for path in followed(ROOT / "tempolite") if "__pycache__" not in path.parts]

    expected = {path.relative_to(ROOT).as_posix() for path in files}

    assert {name for name in names_in(wheel(built)) if name.startswith("tempolite/")} == expected
    assert {
        "tempolite/py.typed",
        "tempolite/actors/workflow.py",
        "tempolite/actors/control_socket/wire.py",
    } <= expected


def test_the_wheel_says_which_python_it_needs(built: Path) -> None:
    """An older Python is refused by the installer, with this line."""
    with zipfile.ZipFile(wheel(built)) as archive:
        metadata = message_from_bytes(archive.read(f"{metadata_folder(built)}/METADATA"))

    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"


def test_the_wheel_of_the_sdist_has_the_same_files(built: Path, tmp_path: Path) -> None:
    """Who builds from the sdist gets what we ship."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()

    build(unpacked, tmp_path / "again", "--wheel")

    assert names_in(wheel(tmp_path / "again")) == names_in(wheel(built))


def test_an_installed_wheel_leaves_the_applications_actors_alone(built: Path, tmp_path: Path) -> None:
    """With an `actors.py` in the working directory, that one is `actors`, here and in the workers."""
    installed, application = tmp_path / "installed", tmp_path / "application"
    application.mkdir()
    (application / "actors.py").write_text("def leading_lady() -> str:\n    return 'Sarah Bernhardt'\n")
    options = ["--quiet", "--no-deps", "--no-index", "--target", str(installed)]
    run([sys.executable, "-m", "pip", "install", *options, str(wheel(built))], tmp_path)

    said = run([sys.executable, "-c", APPLICATION], application, PYTHONPATH=str(installed))

    assert said.splitlines() == ["Sarah Bernhardt", str(installed / "tempolite" / "__init__.py")]


def build(project: Path, out: Path, *what: str) -> None:
    """Builds in this environment, so that no network is needed."""
    run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), *what, str(project)],
        out.parent,
    )


def run(command: list[str], folder: Path, **environment: str) -> str:
    """What a command says; its errors are in the failure."""
    # An empty environment but for these: settings of the machine must not help.
    needed = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        **environment,
    }
    done = subprocess.run(command, cwd=folder, env=needed, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def wheel(built: Path) -> Path:
    """The only wheel there."""
    (found,) = built.glob("*.whl")
    return found


def names_in(wheel_path: Path) -> set[str]:
    """Files in a wheel."""
    with zipfile.ZipFile(wheel_path) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def metadata_folder(built: Path) -> str:
    """Name of the wheel's own folder of metadata."""
    return "-".join(wheel(built).name.split("-")[:2]) + ".dist-info"


def followed(folder: Path) -> list[Path]:
    """Files in a folder, through links."""
    inside = [followed(entry) if entry.is_dir() else [entry] for entry in folder.iterdir()]
    return [path for paths in inside for path in paths]
