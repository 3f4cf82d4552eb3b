"""How hosts end an engine: from signal handlers, in the middle of calls, and told when it has ended."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tempolite import EngineClosed, Queue, StorageFailed, Tempolite, WorkflowContext
from tests.engine.conftest import EngineMaker
from tests.engine.test_awaitable_twins import standing_still
from tests.engine.waiting import wait_until

WAIT_S = 15
INLINE = [Queue("default", kind="inline")]


def waiting(ctx: WorkflowContext) -> Any:
    return ctx.signal("go").get()


@contextmanager
def handling(number: int, handler: Callable[[], Any]) -> Iterator[None]:
    """The host handles that signal."""
    before = signal.signal(number, lambda *_: handler())
    try:
        yield
    finally:
        signal.signal(number, before)


def send_once(number: int, is_time: Callable[[], bool]) -> threading.Thread:
    """Sends this process a signal when it is time."""

    def send() -> None:
        wait_until(is_time)
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    return sender


def waiters_of(engine: Tempolite) -> Any:
    return engine._system.directory._waiters


@pytest.mark.parametrize("call", ["get", "wait"])
def test_a_handler_may_close_the_engine_that_the_main_thread_waits_for(
    make_engine: EngineMaker, path: Path, call: str
) -> None:
    """The wait ends with ``EngineClosed``; nobody waits for anybody."""
    engine = make_engine(path, queues=[Queue("default", kind="thread", workers=0)])
    info = engine.execute("a", waiting)
    engine.execute("b", lambda ctx: ctx.activity("held", os.getpid).get())
    waiters = waiters_of(engine)
    is_waiting = {"get": lambda: waiters._of_outcomes, "wait": lambda: waiters._of_rest}[call]

    with handling(signal.SIGUSR1, engine.close):
        sender = send_once(signal.SIGUSR1, lambda: bool(is_waiting()))
        with pytest.raises(EngineClosed):
            info.get() if call == "get" else engine.wait()
        sender.join()

    again = make_engine(path, workflows=[waiting])
    assert again.get("a").status == "WAITING"


def test_a_second_signal_while_the_engine_closes_is_no_deadlock(make_engine: EngineMaker) -> None:
    """The handler's close returns at once, the first one goes on."""
    engine = make_engine()
    still = standing_still(engine)
    still.__enter__()
    closings: list[str] = []

    def close_again() -> None:
        engine.close()
        closings.append("handler")
        still.__exit__(None, None, None)

    with handling(signal.SIGUSR1, close_again):
        sender = send_once(signal.SIGUSR1, lambda: engine._phase.value == "closed")
        engine.close()
        closings.append("main")
        sender.join()

    assert closings == ["handler", "main"]


def test_a_handler_that_closes_in_the_middle_of_a_start_is_heard(
    monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    """The engine closes as soon as it has started, and the start says so."""
    engine = Tempolite(path, queues=INLINE)
    opened = engine._open

    def interrupted() -> None:
        signal.raise_signal(signal.SIGUSR1)
        opened()

    monkeypatch.setattr(engine, "_open", interrupted)
    with handling(signal.SIGUSR1, engine.close), pytest.raises(EngineClosed, match="while it started"):
        engine.start()

    with Tempolite(path, queues=INLINE) as other:
        assert other.count() == 0


def test_a_handler_that_closes_while_a_queue_is_created_is_heard(
    make_engine: EngineMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine closes when the queue is there."""
    engine = make_engine()
    create = engine._system.create_queue

    def interrupted(queue: Queue) -> None:
        signal.raise_signal(signal.SIGUSR1)
        create(queue)

    monkeypatch.setattr(engine._system, "create_queue", interrupted)
    with handling(signal.SIGUSR1, engine.close):
        engine.create_queue(Queue("other", kind="inline"))

    with pytest.raises(EngineClosed):
        engine.count()


def test_a_handler_may_close_in_the_middle_of_a_read(make_engine: EngineMaker, path: Path) -> None:
    """The actors need no reader's place that the main thread is just taking."""
    engine = make_engine(path)
    engine.execute("a", waiting)

    with handling(signal.SIGUSR1, engine.close), engine._file.reader() as connection:
        signal.raise_signal(signal.SIGUSR1)
        assert connection.execute("SELECT 1").fetchall() == [(1,)]

    with pytest.raises(EngineClosed):
        engine.count()


def test_who_asked_is_told_once_of_the_end(make_engine: EngineMaker) -> None:
    """When it is closed, and at once when that has been; a second close tells nobody again."""
    engine, told = make_engine(), []
    engine.when_ended(lambda: told.append("closed"))
    assert told == []

    engine.close()
    engine.close()
    assert told == ["closed"]

    engine.when_ended(lambda: told.append("at once"))
    assert told == ["closed", "at once"]


def test_who_asked_is_told_of_a_failure(make_engine: EngineMaker) -> None:
    """An engine that can't write any more has ended, though nobody closed it."""
    engine, told = make_engine(), threading.Event()
    engine.when_ended(told.set)

    engine._system.supervisor.on_child_failure(engine._system.sagas, RuntimeError("broken"))

    assert told.is_set()
    with pytest.raises(StorageFailed, match="broken"):
        engine.count()
