"""What code gets from its context that is being ended."""

from __future__ import annotations

from typing import NoReturn


class Fenced(BaseException):
    """Raised by every call of a context whose code is over, or being ended: nothing it does is recorded."""

    def __str__(self) -> str:
        # Seen only by who kept the context, such as a thread that the code has started.
        return "the workflow's code is over, or is being ended: its context does nothing more"


class _Fence:
    """In place of what code must not use any more."""

    def __getattr__(self, name: str) -> NoReturn:
        raise Fenced


FENCE = _Fence()
