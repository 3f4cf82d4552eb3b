"""What code gets from its context that is being ended."""

from __future__ import annotations

from typing import NoReturn


class Fenced(BaseException):
    """Raised by every call of a context whose code is being ended: nothing it does is recorded."""


class _Fence:
    """In place of what code must not use any more."""

    def __getattr__(self, name: str) -> NoReturn:
        raise Fenced


FENCE = _Fence()
