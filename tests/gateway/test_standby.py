"""The thread of a stand-by: there only while there is something to do, and gone after a close."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tempolite.actors.standby import Standby
from tests.actors.slow_start import SlowStart

WAIT_S = 20.0


def test_a_close_beside_a_wake_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the thread is about to start: it is waited for, and tries nothing."""
    tries: list[int] = []
    stand = Standby(lambda: bool(tries.append(1)))
    slow = SlowStart(monkeypatch, "tempolite-standby")
    with ThreadPoolExecutor(2) as threads:
        waking = threads.submit(stand.wake)
        assert slow.has_begun.wait(WAIT_S)
        closing = threads.submit(stand.close)
        slow.may_end.set()

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
