"""What code gets from its context that is being ended."""

from __future__ import annotations


class Fenced(BaseException):
    """Raised by every call of a context whose code is being ended: nothing it does is recorded."""
