"""A look at the calls that workflow code makes while it runs: those that must not be made there are found.

With ``debug=True`` such a call raises; under pytest it is reported, so that a test sees what the code does in
production, and the log says what is wrong with it.

It is a profile hook, which costs a few times what the code itself does; so it is there under pytest and with
``debug=True`` only. What it sees and a look at the code can't: helpers in other modules, libraries, methods.

Rejected: audit hooks (clocks and randomness raise no event, and a hook can't be removed), and replacing
``time.time`` and its like (process-wide, and the host's own threads call them too).
"""

from __future__ import annotations

import logging
import os
import sys
from types import FrameType
from typing import Any

from tempolite.determinism.forbidden import Forbidden, Index, index
from tempolite.determinism.places import Eyes, is_users_doing, place_of
from tempolite.errors import NotAllowedInWorkflow

logger = logging.getLogger("tempolite")


def is_under_pytest() -> bool:
    """Whether a test of pytest's is running in this process."""
    return "pytest" in sys.modules and "PYTEST_CURRENT_TEST" in os.environ


class Guard:
    """Finds forbidden calls of workflow code, between ``with`` and its end, in that thread.

    A profiler, tracer or debugger of the host is left alone: while there is one, nothing is found. After a
    refusal that the code has caught, the rest of the stretch is not looked at: Python takes the hook away.

    Args:
        eyes: tell workflow code from other code.
        refuses: a forbidden call raises; else it is reported, once for each place.
    """

    def __init__(self, eyes: Eyes, *, refuses: bool) -> None:
        self._eyes = eyes
        self._refuses = refuses
        self._reported: set[str] = set()
        self._index: Index = index()
        self._hook = self._look

    def __enter__(self) -> None:
        if sys.getprofile() is None and sys.gettrace() is None:
            self._index = index()
            sys.setprofile(self._hook)

    def __exit__(self, *_: object) -> None:
        if sys.getprofile() is self._hook:
            sys.setprofile(None)

    def _look(self, frame: FrameType, event: str, arg: Any) -> None:
        caller: FrameType | None = frame
        if event == "c_call":
            entry = self._index.builtins.get(arg) or self._c_method(arg)
            if arg is breakpoint:
                # A debugger is coming: what it does from here on is the user's, at the keyboard.
                sys.setprofile(None)
        elif event == "call":
            entry = self._index.codes.get(id(frame.f_code))
            caller = frame.f_back
        else:
            return
        if entry is not None:
            self._find(entry, caller)

    def _c_method(self, function: Any) -> Forbidden | None:
        owner, entry = self._index.c_methods.get(function.__name__, (None, None))
        return entry if owner is not None and isinstance(function.__self__, owner) else None

    def _find(self, entry: Forbidden, caller: FrameType | None) -> None:
        """Raises in the code, or reports it, if it is workflow code that made this call.

        Raises:
            NotAllowedInWorkflow: it is.
        """
        frames = self._eyes.frames(caller)
        if caller is not None and self._eyes.is_held(caller):
            sys.setprofile(None)
        elif is_users_doing(frames):
            text = f"{entry.name}() can't be called in workflow code, at {place_of(frames)}; {entry.instead}"
            if self._refuses:
                raise NotAllowedInWorkflow(text)
            if text not in self._reported:
                self._reported.add(text)
                logger.warning("%s", text)
