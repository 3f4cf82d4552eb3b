"""The lock around an engine's start and end: no signal handler waits for the thread that it interrupts."""

from __future__ import annotations

import threading

import pytest

from tempolite.actors.life_lock import LifeLock

WAIT_S = 20


class Interrupted:
    """A lock in whose calls a signal handler comes, before and after they take effect."""

    def __init__(self, life: LifeLock) -> None:
        self._life, self._lock = life, threading.Lock()
        self.seen: list[bool] = []

    def acquire(self) -> None:
        self.seen.append(self._life.is_mine)
        self._lock.acquire()
        self.seen.append(self._life.is_mine)

    def release(self) -> None:
        self.seen.append(self._life.is_mine)
        self._lock.release()
        self.seen.append(self._life.is_mine)


def test_a_handler_knows_at_every_moment_that_its_thread_is_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on the way in and out: there it would wait for ever."""
    life = LifeLock()
    interrupted = Interrupted(life)
    monkeypatch.setattr(life, "_lock", interrupted)

    with life:
        pass

    assert interrupted.seen == [True] * 4
    assert not life.is_mine


def test_another_thread_is_not_inside() -> None:
    """It waits for its turn."""
    life, seen = LifeLock(), list[bool]()

    with life:
        looker = threading.Thread(target=lambda: seen.append(life.is_mine))
        looker.start()
        looker.join(WAIT_S)

    assert seen == [False]


def test_who_was_interrupted_on_the_way_in_is_not_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later close of the same thread closes."""
    life = LifeLock()

    class Refusing:
        def acquire(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(life, "_lock", Refusing())

    with pytest.raises(KeyboardInterrupt), life:
        pass

    assert not life.is_mine
