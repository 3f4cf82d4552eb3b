"""A thread that does not come back is replaced by another one; there is never none, and never two."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from tempolite.actors import watchdog as watchdogs
from tempolite.actors.dispatcher import ThreadDispatcher
from tempolite.actors.lost_threads import NAME, LostThread
from tempolite.actors.watchdog import Watchdog
from tests.actors.probes import Do, Probe, Say, thread_dispatcher
from tests.actors.waiting import wait_until
from tests.engine.conftest import hang_guard as hang_guard

LIMIT_S = 0.002
ROUNDS = 60


class Eyes:
    """Sees all code as the user's."""

    def place_of(self, frame: FrameType) -> str | None:
        return "here"

    def line_of(self, frame: FrameType) -> str | None:
        return "here"

    def is_held(self, frame: FrameType) -> bool:
        return False


class Bench:
    """An actor whose letters hold stretches of code, with a watchdog that gives threads up."""

    def __init__(self, dispatcher: ThreadDispatcher) -> None:
        self.dispatcher = dispatcher
        self.lost: list[LostThread] = []
        self.done: list[int] = []
        self.probe = Probe()
        self.probe.launch(dispatcher)
        self.watchdog = Watchdog(LIMIT_S, Eyes())
        self.watchdog.change_thread = lambda lost: dispatcher.change_thread(lost, self.take_over)
        self.watchdog.start()

    def take_over(self, lost: LostThread) -> None:
        self.lost.append(lost)
        lost.settle()

    def tell(self, number: int, code: Callable[[], Any]) -> None:
        """A letter: the code, and a note after it."""
        owner = SimpleNamespace(workflow=f"w{number}")

        def handle() -> None:
            self.watchdog.run(code, lambda: False, owner)
            self.done.append(number)

        self.probe.actor_ref.tell(Do(handle))

    def say(self, number: int) -> Any:
        """Asks the actor for an answer, behind all that it was told."""
        return self.probe.actor_ref.ask(Say(number), timeout=10)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """One, whose threads are given up soon."""
    monkeypatch.setattr(watchdogs, "LOST_S", LIMIT_S)
    with thread_dispatcher() as dispatcher:
        bench = Bench(dispatcher)
        yield bench
        bench.watchdog.stop()


def lost_threads() -> list[str]:
    """Names of all that live."""
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith(NAME))


def test_each_letter_is_done_or_lost_whatever_moment_its_code_comes_back_at(bench: Bench) -> None:
    """Around the moment at which its thread is given up; all letters after it are read once."""
    draw = random.Random(1)

    for number in range(ROUNDS):
        pause_s = draw.uniform(0.5, 8) * LIMIT_S
        bench.tell(number, lambda pause_s=pause_s: threading.Event().wait(pause_s))  # type: ignore[misc]
        assert bench.say(number) == number

    wait_until(lambda: not lost_threads(), "what was lost has ended")
    lost = [int(each.execution.workflow[1:]) for each in bench.lost]
    assert sorted(bench.done + lost) == list(range(ROUNDS))
    assert bench.probe.said == list(range(ROUNDS))


def test_code_that_comes_back_at_that_very_moment_keeps_its_thread(bench: Bench) -> None:
    """Whoever is first has it; the other thread ends at once."""
    before = bench.dispatcher._thread
    lost: Any = LostThread(SimpleNamespace(workflow="w"), "", lambda taken: False)  # type: ignore[arg-type]

    assert not bench.dispatcher.change_thread(lost, bench.take_over)

    assert bench.say(1) == 1
    assert bench.dispatcher._thread is before
    assert bench.lost == bench.dispatcher.lost_threads() == lost_threads() == []


def test_a_lost_thread_still_counts_as_one_of_the_engine(bench: Bench) -> None:
    """Code that comes back there is not taken for a caller from outside."""
    gate, answers = threading.Event(), []

    def code() -> None:
        try:
            gate.wait()
        except BaseException:
            answers.append(bench.dispatcher.is_current_thread())

    bench.tell(1, code)
    assert bench.say(1) == 1
    assert lost_threads() == [f"{NAME} w1"]
    gate.set()

    wait_until(lambda: not lost_threads(), "it ends")
    assert answers == [True]
    assert not bench.dispatcher.is_current_thread()


def test_code_left_to_a_thread_is_ended_there(bench: Bench) -> None:
    """When it comes back, and whatever that code does."""
    gate, ended = threading.Event(), []

    def end() -> None:
        ended.append(threading.current_thread().name)
        raise SystemExit

    def take_over(lost: LostThread) -> None:
        lost.leave(end)
        lost.leave(end)
        lost.settle()

    bench.take_over = take_over  # type: ignore[method-assign]
    bench.tell(1, gate.wait)
    assert bench.say(1) == 1
    assert ended == []
    gate.set()

    wait_until(lambda: not lost_threads(), "it ends")
    assert ended == [f"{NAME} w1"] * 2


def test_the_number_of_lost_threads_is_bounded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One more holds everybody up, until one comes back; that is said once."""
    monkeypatch.setattr(watchdogs, "LOST_THREADS_MAX", 2)
    gates = [threading.Event() for _ in range(3)]
    with caplog.at_level(logging.ERROR, "tempolite"):
        for number, gate in enumerate(gates):
            bench.tell(number, gate.wait)
        answer = bench.probe.actor_ref.ask(Say("read"), block=False)
        wait_until(lambda: bool(caplog.messages), "it is reported")
    assert not answer.is_set  # type: ignore[attr-defined]
    gates[0].set()

    assert answer.get(timeout=10) == "read"
    assert len(bench.lost) == 3
    assert len([text for text in caplog.messages if "blocks 2 threads" in text]) == 1
    for gate in gates:
        gate.set()
    wait_until(lambda: not lost_threads(), "they end")


def test_a_thread_that_can_not_be_started_leaves_all_as_it_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others wait for the code that blocks; it is tried again."""
    gate, start = threading.Event(), threading.Thread.start

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    bench.tell(1, gate.wait)
    wait_until(lambda: "can't start new thread" in caplog.text, "it was tried")
    monkeypatch.setattr(threading.Thread, "start", start)

    assert bench.say(1) == 1
    gate.set()
    wait_until(lambda: not lost_threads(), "it ends")
