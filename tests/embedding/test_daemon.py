"""``tempolite.contrib.daemon``: a program that runs an engine until a signal ends it."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from tempolite import EngineClosed, Queue, StorageFailed, Tempolite, WorkflowContext
from tempolite.contrib import daemon
from tests.embedding.test_ending import send_once
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Gate, pass_gate
from tests.engine.waiting import wait_until

WAIT_S = 15
INLINE = [Queue("default", kind="inline")]
THREAD = [Queue("default", kind="thread", workers=1)]


class Listening(Tempolite):
    """Remembers the times that it was given to close in."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.given: list[float] = []

    def close(self, timeout: float = -1) -> None:
        self.given.append(timeout)
        super().close(timeout)


def holding(ctx: WorkflowContext, gate: str) -> Any:
    return ctx.activity("hold", pass_gate, gate).get()


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]


def is_installed() -> bool:
    """Whether the daemon waits for its signal by now."""
    return getattr(signal.getsignal(signal.SIGTERM), "__module__", "") == daemon.__name__


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_runs_until_a_signal_and_puts_the_handlers_back(
    nothing_left: None, path: Path, number: signal.Signals
) -> None:
    """It starts the engine, says which signal came, and the engine is closed then."""
    before, engine = handlers(), Listening(path, queues=INLINE)
    sender = send_once(number, is_installed)

    came = daemon.run(engine, drain=7)

    sender.join()
    assert (came, engine.given[0]) == (number, 7)
    assert handlers() == before
    with pytest.raises(EngineClosed):
        engine.count()


def test_a_signal_lets_running_activities_finish(
    nothing_left: None, path: Path, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    """They get their time, and are not run again at the next start."""
    engine = Tempolite(path, queues=THREAD).start()
    engine.execute("a", holding, gate.path)
    gate.wait_until_reached()
    sender = send_once(signal.SIGTERM, is_installed)

    def open_when_it_drains() -> None:
        wait_until(lambda: engine._phase.value == "closed")
        gate.release()

    opener = threading.Thread(target=open_when_it_drains)
    opener.start()

    daemon.run(engine, drain=WAIT_S)

    opener.join(), sender.join()
    assert [text for text in caplog.messages if "still run" in text] == []
    with Tempolite(path, queues=THREAD, workflows=[holding]) as again:
        assert again.get("a").get(timeout=WAIT_S) == "passed"
        assert not gate.is_reached_within(0)


def test_what_does_not_end_in_time_goes_on_at_the_next_start(
    make_engine: EngineMaker, path: Path, gate: Gate
) -> None:
    """The rest of the drain is cut off; nothing is lost by it."""
    queues = [Queue("default", workers=1)]
    engine = make_engine(path, queues=queues)
    engine.execute("a", holding, gate.path)
    gate.wait_until_reached()
    sender = send_once(signal.SIGTERM, is_installed)

    daemon.run(engine, drain=0)

    sender.join()
    again = make_engine(path, queues=queues, workflows=[holding])
    gate.wait_until_reached()
    gate.release()
    assert again.get("a").get(timeout=WAIT_S) == "passed"


def test_a_daemon_whose_engine_fails_ends_with_the_reason(nothing_left: None, path: Path) -> None:
    """It does not stand there with an engine that does nothing any more."""
    engine = Tempolite(path, queues=INLINE).start()
    before = handlers()

    def fail() -> None:
        # In the actors' thread, as always: the daemon closes the engine at the same moment.
        system = engine._system
        system._perform(lambda: system.supervisor.on_child_failure(system.sagas, RuntimeError("broken")))

    failer = threading.Thread(target=fail)
    failer.start()
    with pytest.raises(StorageFailed, match="broken"):
        daemon.run(engine)
    failer.join()

    assert handlers() == before


def test_a_daemon_whose_engine_is_closed_by_somebody_else_ends(nothing_left: None, path: Path) -> None:
    """``EngineClosed``, as for everybody who waits."""
    engine = Tempolite(path, queues=INLINE).start()
    closer = threading.Thread(target=engine.close)
    closer.start()

    with pytest.raises(EngineClosed):
        daemon.run(engine)
    closer.join()


def test_a_daemon_in_another_thread_is_refused(nothing_left: None, path: Path) -> None:
    """Only the main thread gets signals; the engine is closed, and nothing is left."""
    engine, raised = Tempolite(path, queues=INLINE), []

    def run() -> None:
        try:
            daemon.run(engine)
        except ValueError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()

    assert "main thread" in str(raised[0])
