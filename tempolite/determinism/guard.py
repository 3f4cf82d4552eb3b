"""A look at the calls that workflow code makes while it runs: those that must not be made there are refused.

It is a profile hook, which costs a few times what the code itself does; so it is there under pytest and with
``debug=True`` only. What it sees and a look at the code can't: helpers in other modules, libraries, methods.

Rejected: audit hooks (clocks and randomness raise no event, and a hook can't be removed), and replacing
``time.time`` and its like (process-wide, and the host's own threads call them too).
"""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any

from tempolite.determinism.forbidden import Forbidden, Index, index
from tempolite.determinism.places import Eyes, is_users_doing, place_of
from tempolite.errors import NotAllowedInWorkflow


def is_under_pytest() -> bool:
    """Whether a test of pytest's is running in this process."""
    return "pytest" in sys.modules and "PYTEST_CURRENT_TEST" in os.environ


class Guard:
    """Refuses forbidden calls of workflow code, between ``with`` and its end, in that thread.

    A profiler, tracer or debugger of the host is left alone: while there is one, nothing is refused. After a
    refusal that the code has caught, the rest of the stretch is not looked at: Python takes the hook away.

    Args:
        eyes: tell workflow code from other code.
    """

    def __init__(self, eyes: Eyes) -> None:
        self._eyes = eyes
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
            self._refuse(entry, caller)

    def _c_method(self, function: Any) -> Forbidden | None:
        owner, entry = self._index.c_methods.get(function.__name__, (None, None))
        return entry if owner is not None and isinstance(function.__self__, owner) else None

    def _refuse(self, entry: Forbidden, caller: FrameType | None) -> None:
        """Raises in the code, if it is workflow code that made this call.

        Raises:
            NotAllowedInWorkflow: it is.
        """
        frames = self._eyes.frames(caller)
        if caller is not None and self._eyes.is_held(caller):
            sys.setprofile(None)
        elif is_users_doing(frames):
            raise NotAllowedInWorkflow(
                f"{entry.name}() can't be called in workflow code, at {place_of(frames)}; {entry.instead}"
            )
