"""Which frames are the user's doing, and which of them is named."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from tempolite.determinism.places import Eyes

SITE = sysconfig.get_paths()["purelib"]
STDLIB = sysconfig.get_paths()["stdlib"]


def base(call: Callable[[], Any]) -> Any:
    """Runs workflow code, as far as these tests go."""
    return call()


EYES = Eyes((base,))


def innermost(*files: str) -> FrameType:
    """A frame within functions of modules in these files, the outermost first, the last being innermost."""
    call: Callable[[], Any] = sys._getframe
    for file in reversed(files):
        name = file.rpartition("/")[2].removesuffix(".py")
        program = compile("def step(): return call()\n", file, "exec")
        scope: dict[str, Any] = {"call": call, "__name__": name}
        exec(program, scope)  # noqa: S102 - makes code of any file
        call = scope["step"]
    frame: FrameType = base(call)
    return frame


@pytest.mark.parametrize(
    ("files", "place"),
    [
        (["/app/flow.py"], "/app/flow.py:1"),
        (["/app/flow.py", "/app/part.py"], "/app/part.py:1"),
        (["/app/flow.py", f"{STDLIB}/json.py"], "/app/flow.py:1"),
        (["/app/flow.py", f"{SITE}/lib.py", f"{STDLIB}/json.py"], "/app/flow.py:1"),
        ([f"{SITE}/installed_flow.py", f"{STDLIB}/json.py"], f"{SITE}/installed_flow.py:1"),
        ([f"{STDLIB}/asyncio.py"], None),
        (["/app/flow.py", f"{STDLIB}/logging.py"], None),
        (["/app/flow.py", "/x/tempolite.py"], None),
        (["/app/flow.py", f"{STDLIB}/importlib.py", "/app/imported.py"], None),
        (["/x/tempolite.py", "/app/flow.py"], "/app/flow.py:1"),
    ],
)
def test_the_place_is_the_innermost_that_the_user_wrote(files: list[str], place: str | None) -> None:
    """None where a package that is trusted, or nobody's code, is at work."""
    assert EYES.place_of(innermost(*files)) == place


def test_what_is_not_called_by_a_base_is_no_workflow_code() -> None:
    """Such as this test."""
    assert EYES.place_of(sys._getframe()) is None


@pytest.mark.parametrize(("file", "is_held"), [("/x/pdb.py", True), ("/x/pdbs.py", False)])
def test_a_debugger_is_seen(file: str, is_held: bool) -> None:
    """At any depth."""
    assert EYES.is_held(innermost("/app/flow.py", file, "/x/prompt.py")) is is_held
