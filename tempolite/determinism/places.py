"""Which line of the user's code a stack of frames leads to, and which modules' own doings don't count."""

from __future__ import annotations

import sysconfig
from types import FrameType

_PATHS = sysconfig.get_paths()
LIBRARIES = tuple(
    {_PATHS[kind] + "/" for kind in ("stdlib", "platstdlib", "purelib", "platlib")} | {"<frozen "}
)
"""Code under these was written by somebody else than the user."""

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


def outwards(frame: FrameType | None, bases: frozenset[int]) -> list[FrameType]:
    """The frames of workflow code from this one outwards; none if this is not within workflow code.

    Args:
        frame: the innermost.
        bases: identities of the code that runs workflow code.
    """
    frames: list[FrameType] = []
    while frame is not None:
        if id(frame.f_code) in bases:
            return frames
        frames.append(frame)
        frame = frame.f_back
    return []


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


def place_of(frames: list[FrameType]) -> str:
    """``file:line`` of the innermost frame that the user wrote."""
    users = (frame for frame in frames if not frame.f_code.co_filename.startswith(LIBRARIES))
    frame = next((frame for frame in users if package_of(frame) != "tempolite"), frames[0])
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
