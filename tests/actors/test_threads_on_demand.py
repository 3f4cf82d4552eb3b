"""Threads for work that may block, in a process that can have no more of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tempolite.actors.threads_on_demand import ThreadsOnDemand

WAIT_S = 20


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
