"""Which line of the user's code a stack of frames leads to, and which modules' own doings don't count."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable
from types import FrameType
from typing import Any

_PATHS = sysconfig.get_paths()
INSTALLED = tuple({_PATHS[kind] + "/" for kind in ("purelib", "platlib")})
"""Code under these may be the user's, but is most often somebody else's."""
STANDARD = tuple({_PATHS[kind] + "/" for kind in ("stdlib", "platstdlib")} | {"<frozen "})
"""Code under these comes with Python, but for what is installed there."""

TRUSTED = frozenset(
    {
        "tempolite",
        # What an import or a log record does is not the workflow's doing.
        *("importlib", "_frozen_importlib", "_frozen_importlib_external", "zipimport", "zoneinfo"),
        *("logging", "loguru", "structlog", "warnings", "sentry_sdk", "opentelemetry"),
        # Reads source files to show them.
        *("linecache", "traceback", "inspect", "pdb", "bdb"),
        # Runs whenever the collector does, or around a test's code.
        *("weakref", "_pytest", "pytest", "pluggy", "hypothesis"),
    }
)
"""Packages whose calls are their own business, whoever called them."""

DEBUGGERS = frozenset({"pdb", "bdb", "pydevd", "_pydevd_bundle", "debugpy", "IPython"})


def package_of(frame: FrameType) -> str:
    """The top-level package that a frame's code lies in."""
    name = frame.f_globals.get("__name__")
    return name.partition(".")[0] if isinstance(name, str) else ""


def is_trusted(frame: FrameType) -> bool:
    """Whether what happens here, and in what it calls, is not the workflow's doing."""
    # Finalizers run wherever the collector does.
    return package_of(frame) in TRUSTED or frame.f_code.co_name == "__del__"


def is_users_doing(frames: list[FrameType]) -> bool:
    """Whether workflow code did this itself, at any depth, and not a package that is trusted.

    The outermost frames are our own, they start the code: they don't count.
    """
    if not frames or is_trusted(frames[0]):
        return False
    is_within_trusted = False
    for frame in frames:
        if is_trusted(frame):
            is_within_trusted = True
        elif is_within_trusted:
            return False
    return True


def place_of(frames: list[FrameType]) -> str | None:
    """``file:line`` of the innermost frame that the user wrote, if there is one."""
    written = [frame for frame in frames if package_of(frame) != "tempolite" and not _is_standard(frame)]
    own = (frame for frame in written if not frame.f_code.co_filename.startswith(INSTALLED))
    frame = next(own, written[0] if written else None)
    return None if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _is_standard(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return file.startswith(STANDARD) and not file.startswith(INSTALLED)


class Eyes:
    """Tells where a thread is in workflow code, from its innermost frame.

    Args:
        bases: functions that run workflow code.
    """

    def __init__(self, bases: tuple[Callable[..., Any], ...]) -> None:
        self._bases = frozenset(id(base.__code__) for base in bases)

    def frames(self, frame: FrameType | None) -> list[FrameType]:
        """Those of workflow code, from this one outwards; none if this is not within workflow code."""
        frames: list[FrameType] = []
        while frame is not None:
            if id(frame.f_code) in self._bases:
                return frames
            frames.append(frame)
            frame = frame.f_back
        return []

    def place_of(self, frame: FrameType) -> str | None:
        """``file:line``, or None while nothing of the user's, or an import or the like, is under way."""
        frames = self.frames(frame)
        return place_of(frames) if is_users_doing(frames) else None

    def line_of(self, frame: FrameType) -> str | None:
        """The same, whatever it is that the user's code called; None where nothing of it is under way."""
        return place_of(self.frames(frame))

    def is_held(self, frame: FrameType) -> bool:
        """Whether a debugger has it."""
        return any(package_of(each) in DEBUGGERS for each in self.frames(frame))
