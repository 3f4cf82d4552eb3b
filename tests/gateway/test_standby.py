"""The thread of a stand-by: there only while there is something to do, and gone after a close."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from tempolite.actors import standby
from tempolite.actors.standby import Standby

WAIT_S = 20.0


class SlowThread(threading.Thread):
    """One whose start takes until somebody lets it go on."""

    is_starting = threading.Event()
    may_start = threading.Event()

    def start(self) -> None:
        self.is_starting.set()
        self.may_start.wait(WAIT_S)
        super().start()


def test_a_close_beside_a_wake_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the thread is about to start: it is waited for, and tries nothing."""
    tries: list[int] = []
    stand = Standby(lambda: bool(tries.append(1)))
    monkeypatch.setattr(standby, "threading", SimpleNamespace(Thread=SlowThread))
    with ThreadPoolExecutor(2) as threads:
        waking = threads.submit(stand.wake)
        assert SlowThread.is_starting.wait(WAIT_S)
        closing = threads.submit(stand.close)
        SlowThread.may_start.set()

        closing.result(WAIT_S)
        waking.result(WAIT_S)
    assert len(tries) <= 1


def test_a_closed_stand_by_is_not_woken() -> None:
    """Whoever wakes it comes too late."""
    tries: list[int] = []
    stand = Standby(lambda: bool(tries.append(1)))
    stand.close()

    stand.wake()

    assert tries == []
