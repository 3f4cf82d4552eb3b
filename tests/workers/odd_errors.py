"""Exceptions that don't travel as they are."""

from __future__ import annotations

import threading


class HoldsALock(Exception):
    """Can't be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class RaisesWhenMade(Exception):
    """Its constructor works once, in the worker, and never again."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        if args != ("let me be",):
            raise RuntimeError("the constructor ran")


class RaisesWhenShown(Exception):
    """Says nothing about itself."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__
