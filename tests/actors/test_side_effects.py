"""Side effects: off the actors' threads, in parallel up to a bound, each told once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pykka
import pytest

from tempolite.actors import threads_on_demand
from tempolite.actors.messages import RunSideEffect, SideEffectEnded
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tempolite.actors.side_effects import THREADS_MAX, SideEffectActor
from tempolite.core.failure import Failure
from tempolite.core.identifiers import StepKey
from tests.actors.probes import DEADLINE_S, Collector, thread_dispatcher

STEP = StepKey("draw")


class PlainInterpreter:
    """Turns errors into data, and runs nothing."""

    def capture(self, error: BaseException) -> Failure:
        """Name and text."""
        return Failure(type_name=type(error).__name__, message=str(error))


class Told(Collector):
    """Collects answers, and lets a test wait for a number of them."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def on_receive(self, message: Any) -> None:
        """Keeps it."""
        with self._changed:
            self.log.append(message)
            self._changed.notify_all()

    def wait_for(self, count: int, within_s: float = DEADLINE_S) -> list[SideEffectEnded]:
        """Until that many are there; within the deadline."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.log) >= count, within_s), self.log
            return list(self.log)


@contextmanager
def bench() -> Iterator[tuple[SideEffectActor, Told]]:
    """The actor on a thread of its own, and somebody who asks for side effects."""
    with thread_dispatcher() as dispatcher:
        actor, told = SideEffectActor(PlainInterpreter()), Told()  # type: ignore[arg-type]
        for each in (actor, told):
            each.launch(dispatcher)
        yield actor, told
        actor.shut_down(0.01)


def effect(told: Any, function: Any, step: StepKey = STEP) -> RunSideEffect:
    return RunSideEffect(getattr(told, "actor_ref", told), step, function)


def test_the_value_of_a_side_effect_comes_back() -> None:
    """With its step."""
    with bench() as (actor, told):
        actor.actor_ref.tell(effect(told, lambda: b"42"))

        assert told.wait_for(1) == [SideEffectEnded(STEP, b"42")]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit("out"), KeyboardInterrupt("stop")], ids=repr)
def test_what_a_side_effect_raises_becomes_data(error: BaseException) -> None:
    """No thread ends by it: the next one runs."""

    def fail() -> bytes:
        raise error

    with bench() as (actor, told):
        actor.actor_ref.tell(effect(told, fail))
        told.wait_for(1)
        actor.actor_ref.tell(effect(told, lambda: b"1"))

        answers = told.wait_for(2)

    failure = Failure(type_name=type(error).__name__, message=str(error))
    assert answers == [SideEffectEnded(STEP, None, failure), SideEffectEnded(STEP, b"1")]


def test_side_effects_do_not_run_in_the_dispatcher_s_thread() -> None:
    """A slow one holds no actor up."""
    gate, seen = threading.Event(), list[bool]()
    with bench() as (actor, told):
        dispatcher: Any = actor.dispatcher

        def slow() -> bytes:
            seen.append(dispatcher.is_current_thread())
            gate.wait(DEADLINE_S)
            return b"1"

        actor.actor_ref.tell(effect(told, slow))
        told.actor_ref.ask("still answers", timeout=DEADLINE_S)
        gate.set()
        told.wait_for(2)

    assert seen == [False]


def test_side_effects_run_at_once_up_to_a_bound() -> None:
    """So many threads and no more; the rest waits and is done in the end."""
    count, gate, lock = THREADS_MAX + 10, threading.Event(), threading.Lock()
    full, now = threading.Event(), list[int]([0, 0])

    def work() -> bytes:
        with lock:
            now[0] += 1
            now[1] = max(now[1], now[0])
            if now[0] == THREADS_MAX:
                full.set()
        gate.wait(DEADLINE_S)
        with lock:
            now[0] -= 1
        return b"1"

    with bench() as (actor, told):
        for _ in range(count):
            actor.actor_ref.tell(effect(told, work))
        assert full.wait(DEADLINE_S)
        gate.set()
        told.wait_for(count)

    assert now[1] == THREADS_MAX


def test_a_thread_is_used_again() -> None:
    """One after the other needs one."""
    seen = set[int]()

    def note() -> bytes:
        seen.add(threading.get_ident())
        return b"1"

    with bench() as (actor, told):
        for number in range(1, 21):
            actor.actor_ref.tell(effect(told, note))
            told.wait_for(number)
            wait_until_idle(actor)

    assert len(seen) == 1


def test_many_side_effects_are_each_told_once() -> None:
    """However threads and messages race."""
    with bench() as (actor, told):
        for number in range(500):
            actor.actor_ref.tell(effect(told, partial(str(number).encode), StepKey(f"s{number}")))

        answers = told.wait_for(500)

    assert sorted(answer.step for answer in answers) == sorted(f"s{number}" for number in range(500))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_shutting_down_ends_every_thread(count: int) -> None:
    """Those that have nothing to do end at once, however many there are."""
    meeting = threading.Barrier(count)

    def meet() -> bytes:
        meeting.wait(DEADLINE_S)
        return b"1"

    with bench() as (actor, told):
        for _ in range(count):
            actor.actor_ref.tell(effect(told, meet))
        told.wait_for(count)

        actor.shut_down(0.5)

        assert not [thread for thread in actor._threads._threads if thread.is_alive()]


def test_shutting_down_does_not_wait_for_what_hangs() -> None:
    """It gives up at its deadline, and the thread ends after what it is doing."""
    gate, entered = threading.Event(), threading.Event()

    def hang() -> bytes:
        entered.set()
        gate.wait(DEADLINE_S)
        return b"1"

    with bench() as (actor, told):
        actor.actor_ref.tell(effect(told, hang))
        assert entered.wait(DEADLINE_S)

        actor.shut_down(0.01)
        gate.set()
        told.wait_for(1)


def test_a_thread_without_work_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while; the next side effect gets a new one."""
    monkeypatch.setattr(threads_on_demand, "IDLE_S", 0.01)
    with bench() as (actor, told):
        actor.actor_ref.tell(effect(told, lambda: b"1"))
        told.wait_for(1)
        assert wait_for_threads(actor, 0)
        actor.actor_ref.tell(effect(told, lambda: b"2"))

        assert told.wait_for(2)[1].result == b"2"


def test_work_that_comes_while_the_last_thread_leaves_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the decision that a thread is there and the handing over, that thread may go."""
    monkeypatch.setattr(threads_on_demand, "IDLE_S", 0.1)
    with bench() as (actor, told):
        actor.actor_ref.tell(effect(told, lambda: b"1"))
        told.wait_for(1)
        wait_until_idle(actor)
        real: Any = actor._threads._work

        class SlowQueue:
            """Hands over only when the thread that was waiting has left, or will not."""

            get, empty = real.get, real.empty

            def put(self, message: Any) -> None:
                wait_for_threads(actor, 0, within_s=0.5)
                real.put(message)

        actor._threads._work = SlowQueue()  # type: ignore[assignment]
        actor.actor_ref.tell(effect(told, lambda: b"2"))

        try:
            assert [answer.result for answer in told.wait_for(2, within_s=1.0)] == [b"1", b"2"]
        finally:
            actor._threads._work = real


def test_a_sender_that_is_gone_is_not_told() -> None:
    """A run that was put away asks again when it comes back."""
    with bench() as (actor, told):
        told.actor_ref.stop(timeout=DEADLINE_S)
        other = Told()
        other.launch(actor.dispatcher)

        actor.actor_ref.tell(effect(told, lambda: b"1"))
        actor.actor_ref.tell(effect(other, lambda: b"2"))

        assert [answer.result for answer in other.wait_for(1)] == [b"2"]


def test_a_sender_that_goes_just_now_costs_no_thread() -> None:
    """It was alive when it was looked at, and dead when it was told."""

    class Leaving:
        def is_alive(self) -> bool:
            return True

        def tell(self, _message: Any) -> None:
            raise pykka.ActorDeadError("gone")

    with bench() as (actor, told):
        for _ in range(THREADS_MAX):
            actor.actor_ref.tell(effect(Leaving(), lambda: b"1"))
        actor.actor_ref.tell(effect(told, lambda: b"2"))

        assert [answer.result for answer in told.wait_for(1, within_s=1.0)] == [b"2"]


def test_inline_side_effects_run_in_the_dispatcher_s_own_thread() -> None:
    """So that a seed decides about everything."""
    dispatcher, seen = SeededDispatcher(seed=1), list[bool]()
    actor, told = SideEffectActor(PlainInterpreter(), is_inline=True), Collector()  # type: ignore[arg-type]
    for each in (actor, told):
        each.launch(dispatcher)

    def note() -> bytes:
        seen.append(dispatcher.is_current_thread())
        return b"1"

    actor.actor_ref.tell(effect(told, note))
    dispatcher.run_until_idle()

    assert (seen, told.log) == ([True], [SideEffectEnded(STEP, b"1")])


def wait_until_idle(actor: SideEffectActor) -> None:
    """Until every thread waits for work."""
    deadline_s = time.monotonic() + DEADLINE_S
    while actor._threads._open and time.monotonic() < deadline_s:
        threading.Event().wait(0.001)
    assert not actor._threads._open


def wait_for_threads(actor: SideEffectActor, count: int, within_s: float = DEADLINE_S) -> bool:
    """Until only so many of its threads are left; False where that doesn't come."""
    deadline_s = time.monotonic() + within_s
    while len(actor._threads._threads) > count:
        if time.monotonic() > deadline_s:
            return False
        threading.Event().wait(0.001)
    return True
