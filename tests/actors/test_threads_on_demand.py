"""Threads for work that may block: what becomes of it where they are slow to come, or can't be had."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from tempolite.actors.threads_on_demand import ThreadsOnDemand
from tests.actors.slow_start import SlowStart

WAIT_S = 20
WRONG_S = 0.2
"""So long a shut-down that would not wait for a thread is given to show it."""


@pytest.fixture
def threads() -> Iterator[ThreadsOnDemand]:
    made = ThreadsOnDemand("test", 4)
    yield made
    made.shut_down(WAIT_S)


def refuse(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_work_goes_on_in_the_threads_that_are_there(
    threads: ThreadsOnDemand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that can't be started is missed by nobody, and ends with the others."""
    going_on, done = threading.Event(), threading.Event()
    threads.run(lambda: going_on.wait(WAIT_S) and None)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        threads.run(done.set)
    going_on.set()

    assert done.wait(WAIT_S)


def test_where_no_thread_can_be_had_the_caller_is_told(
    threads: ThreadsOnDemand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work is done by the next one that there is."""
    done = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            threads.run(done.set)
    assert not done.is_set()

    threads.run(lambda: None)

    assert done.wait(WAIT_S)


def test_a_shut_down_waits_for_a_thread_that_is_about_to_start(
    threads: ThreadsOnDemand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work that it was made for is done when the shut-down returns."""
    done = threading.Event()
    slow = SlowStart(monkeypatch, "test")
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(threads.run, done.set)
        assert slow.has_begun.wait(WAIT_S)
        shutting_down = pool.submit(threads.shut_down, WAIT_S)
        wait([shutting_down], WRONG_S)
        slow.may_end.set()

        shutting_down.result(WAIT_S)
        running.result(WAIT_S)
        assert done.is_set()
