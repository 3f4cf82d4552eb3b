"""What a failed test's traceback leaves out: the way of its call through the engine.

A report ends with the line of the test that made the call, and the error; ``pytest --full-trace`` shows
the rest.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tempolite.errors import RemoteTraceback, TempoliteError

if TYPE_CHECKING:
    import pytest

PACKAGE = "tempolite."
SHOWN = "tempolite.cli."
"""The demo's workflows are code like a user's."""

MARK = "__tracebackhide__"
"""pytest asks for it in the globals of each frame."""


def hide_own_frames() -> None:
    """Marks the modules that are imported by now, here and not in their files: only tests need it."""
    for name, module in list(sys.modules.items()):
        if name.startswith(PACKAGE) and not name.startswith(SHOWN):
            vars(module).setdefault(MARK, is_meant)


def is_meant(caught: pytest.ExceptionInfo[BaseException] | None) -> bool:
    """Whether the engine raises the error on purpose; a fault of its own is shown with its place."""
    error = caught.value if caught is not None else None
    if isinstance(error, TempoliteError | TimeoutError):
        return True
    while error is not None:
        if isinstance(error, RemoteTraceback):
            return True
        error = error.__cause__
    return False
