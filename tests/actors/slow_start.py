"""Threads that are slow to start, for what happens meanwhile."""

from __future__ import annotations

import threading

import pytest

WAIT_S = 20.0


class SlowStart:
    """Has the threads of one name start only when somebody lets them.

    Attributes:
        has_begun: one of them is about to start.
        may_end: lets them.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.has_begun = threading.Event()
        self.may_end = threading.Event()
        start = threading.Thread.start

        def start_slowly(thread: threading.Thread) -> None:
            if thread.name == name:
                self.has_begun.set()
                self.may_end.wait(WAIT_S)
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", start_slowly)
