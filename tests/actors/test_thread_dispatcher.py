"""The thread that runs the actors of an engine: mail, timers, hooks, descriptors."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tempolite.actors.clock import SystemClock
from tempolite.actors.dispatcher import MESSAGES_PER_ROUND, ThreadDispatcher
from tests.actors.probes import DEADLINE_S, Do, Probe, Say, thread_dispatcher


class Signals:
    """Things that happened, in order, and a way to wait for one of them."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self._changed = threading.Condition()

    def note(self, what: Any) -> None:
        """It happened."""
        with self._changed:
            self.log.append(what)
            self._changed.notify_all()

    def wait_for(self, what: Any, times: int = 1) -> None:
        """Until it happened that often; within the deadline."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.log.count(what) >= times, DEADLINE_S), self.log

    def wait_until(self, is_true: Callable[[], bool]) -> None:
        """Until this holds, which nobody notes; within the deadline."""
        with self._changed:
            deadline_s = time.monotonic() + DEADLINE_S
            while not is_true():
                assert time.monotonic() < deadline_s
                self._changed.wait(0.001)


def do(probe: Probe, action: Any) -> Any:
    """Calls something in the dispatcher's thread."""
    return probe.actor_ref.ask(Do(action), timeout=DEADLINE_S)


# ── waking up ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_sleeping_dispatcher_is_woken_by_mail() -> None:
    """Each time, from any thread, well before anything else would wake it."""
    with thread_dispatcher() as dispatcher:
        ref = Probe().launch(dispatcher)

        for number in range(500):
            assert ref.ask(Say(number), timeout=DEADLINE_S) == number


class CountingClock(SystemClock):
    """Counts how often it is looked at; a dispatcher does so in each round."""

    def __init__(self) -> None:
        self.looks = 0

    def monotonic_s(self) -> float:
        self.looks += 1
        return super().monotonic_s()


def test_an_idle_dispatcher_sleeps() -> None:
    """Nothing polls: without mail, due timers and descriptors not a single round is run."""
    clock = CountingClock()
    idle = ThreadDispatcher("test-idle", clock)
    with thread_dispatcher() as other:
        probe, signals = Probe(), Signals()
        probe.launch(other)
        idle.call_at(clock.monotonic_s() + 3_600, lambda: signals.note("in an hour"))
        idle.start()
        signals.wait_until(lambda: idle.may_sleep)
        looks = clock.looks

        do(probe, lambda: other.call_at(other.clock.monotonic_s() + 0.15, partial(signals.note, "enough")))
        signals.wait_for("enough")

        assert clock.looks - looks <= 1, "one round may have been under way"
    assert idle.stop(DEADLINE_S)


def test_everything_runs_in_the_dispatcher_s_thread() -> None:
    """Mail, timers and hooks; and the dispatcher knows its own thread."""
    with thread_dispatcher() as dispatcher:
        probe, signals = Probe(), Signals()
        probe.launch(dispatcher)

        def check() -> None:
            signals.note(dispatcher.is_current_thread())

        def arrange() -> None:
            check()
            dispatcher.call_at(0.0, check)
            dispatcher.before_sleep(check)

        do(probe, arrange)
        signals.wait_for(True, times=3)

        assert not dispatcher.is_current_thread()


# ── timers ──────────────────────────────────────────────────────────────────────────────────────────────


def test_timers_fire_in_order_and_never_early() -> None:
    """By the monotonic clock, within a little of their time."""
    with thread_dispatcher() as dispatcher:
        probe, signals = Probe(), Signals()
        probe.launch(dispatcher)
        monotonic_s = dispatcher.clock.monotonic_s
        late: list[float] = []

        def arrange() -> None:
            for name, after_s in (("third", 0.06), ("first", 0.0), ("second", 0.03)):
                due_s = monotonic_s() + after_s
                dispatcher.call_at(due_s, partial(fire, name, due_s))

        def fire(name: str, due_s: float) -> None:
            late.append(monotonic_s() - due_s)
            signals.note(name)

        do(probe, arrange)
        signals.wait_for("third")

    assert signals.log == ["first", "second", "third"]
    assert all(0 <= seconds < 1.0 for seconds in late), late


def test_a_cancelled_timer_is_not_fired() -> None:
    """Also when it is due already, and cancelled by another one."""
    with thread_dispatcher() as dispatcher:
        probe, signals = Probe(), Signals()
        probe.launch(dispatcher)

        def arrange() -> None:
            victim = dispatcher.call_at(2e-6, partial(signals.note, "cancelled"))
            dispatcher.call_at(1e-6, victim.cancel)
            dispatcher.call_at(3e-6, partial(signals.note, "kept"))

        do(probe, arrange)
        signals.wait_for("kept")

    assert signals.log == ["kept"]


def test_a_timer_comes_through_while_mail_never_ends() -> None:
    """Mail is bounded in each round."""
    with thread_dispatcher() as dispatcher:
        probe, signals = Probe(), Signals()
        ref = probe.launch(dispatcher)

        def go_on() -> None:
            if "timer" not in signals.log:
                ref.tell(Do(go_on))

        do(probe, lambda: dispatcher.call_at(0.0, partial(signals.note, "timer")))
        ref.tell(Do(go_on))

        signals.wait_for("timer")


# ── hooks ───────────────────────────────────────────────────────────────────────────────────────────────


def test_hooks_run_once_after_the_mail_of_the_round() -> None:
    """In the order they were set, those that block after all others."""
    with thread_dispatcher() as dispatcher:
        probe, signals = Probe(), Signals()
        ref = probe.launch(dispatcher)

        def arrange() -> None:
            dispatcher.before_sleep(partial(signals.note, "last 1"), is_last=True)
            dispatcher.before_sleep(partial(signals.note, "hook 1"))
            dispatcher.before_sleep(partial(signals.note, "last 2"), is_last=True)
            dispatcher.before_sleep(partial(signals.note, "hook 2"))
            for number in range(3):
                ref.tell(Do(partial(signals.note, f"mail {number}")))

        do(probe, arrange)
        signals.wait_for("last 2")
        do(probe, lambda: None)

    assert signals.log == ["mail 0", "mail 1", "mail 2", "hook 1", "hook 2", "last 1", "last 2"]


def test_a_hook_set_by_a_hook_runs_in_the_next_round() -> None:
    """Without anything else to wake the dispatcher."""
    with thread_dispatcher() as dispatcher:
        probe, signals = Probe(), Signals()
        probe.launch(dispatcher)

        do(
            probe,
            lambda: dispatcher.before_sleep(lambda: dispatcher.before_sleep(partial(signals.note, "second"))),
        )

        signals.wait_for("second")


def test_a_hook_does_not_wait_for_endless_mail() -> None:
    """Under load a batch closes after so many messages, not when there are none left."""
    with thread_dispatcher() as dispatcher:
        probe, signals = Probe(), Signals()
        ref = probe.launch(dispatcher)
        handled: list[int] = []

        def arrange() -> None:
            for number in range(3 * MESSAGES_PER_ROUND):
                ref.tell(Do(partial(handled.append, number)))
            dispatcher.before_sleep(lambda: signals.note(len(handled)))

        do(probe, arrange)
        do(probe, lambda: None)

    assert 0 < signals.log[0] <= MESSAGES_PER_ROUND


# ── descriptors ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_watched_descriptor_calls_back_while_it_is_ready() -> None:
    """With the mask; not any more once it is unwatched."""
    read_fd, write_fd = os.pipe()
    with thread_dispatcher() as dispatcher:
        probe, signals = Probe(), Signals()
        probe.launch(dispatcher)

        def readable(mask: int) -> None:
            signals.note((bool(mask & select.EPOLLIN), os.read(read_fd, 10)))

        do(probe, partial(dispatcher.watch, read_fd, select.EPOLLIN, readable))
        os.write(write_fd, b"one")
        signals.wait_for((True, b"one"))
        do(probe, partial(dispatcher.unwatch, read_fd))
        os.write(write_fd, b"two")
        do(probe, lambda: None)
        do(probe, lambda: None)

    os.close(read_fd)
    os.close(write_fd)
    assert signals.log == [(True, b"one")]


def test_a_descriptor_can_be_watched_for_something_else() -> None:
    """The second call replaces mask and callback of the first."""
    read_fd, write_fd = os.pipe()
    with thread_dispatcher() as dispatcher:
        probe, signals = Probe(), Signals()
        probe.launch(dispatcher)

        def writable(_mask: int) -> None:
            dispatcher.unwatch(write_fd)
            signals.note("writable")

        do(probe, partial(dispatcher.watch, write_fd, 0, lambda mask: signals.note("the first")))
        do(probe, partial(dispatcher.watch, write_fd, select.EPOLLOUT, writable))
        signals.wait_for("writable")
        do(probe, partial(dispatcher.unwatch, write_fd))

    os.close(read_fd)
    os.close(write_fd)
    assert signals.log == ["writable"]


# ── failures and the end ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("error", [RuntimeError("bad"), SystemExit(2), KeyboardInterrupt()], ids=repr)
def test_a_failing_callback_does_not_end_the_thread(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a timer, a hook or a descriptor: it is logged, and everybody else goes on."""
    read_fd, write_fd = os.pipe()
    with thread_dispatcher() as dispatcher, caplog.at_level(logging.CRITICAL + 1, "tempolite"):
        probe, signals = Probe(), Signals()
        probe.launch(dispatcher)

        def fail(source: str, _mask: int = 0) -> None:
            if source == "descriptor":
                os.read(read_fd, 1)
            signals.note(source)
            raise error

        def arrange() -> None:
            dispatcher.call_at(0.0, partial(fail, "timer"))
            dispatcher.before_sleep(partial(fail, "hook"))
            dispatcher.before_sleep(partial(fail, "last hook"), is_last=True)
            dispatcher.watch(read_fd, select.EPOLLIN, partial(fail, "descriptor"))
            os.write(write_fd, b"x")

        do(probe, arrange)
        for source in ("timer", "hook", "last hook", "descriptor"):
            signals.wait_for(source)

        assert do(probe, lambda: "alive") == "alive"
        do(probe, partial(dispatcher.unwatch, read_fd))
    os.close(read_fd)
    os.close(write_fd)


def test_stopping_ends_the_thread() -> None:
    """It is joined, so nothing of it runs afterwards."""
    dispatcher = ThreadDispatcher("test-stop", SystemClock())
    dispatcher.start()

    assert dispatcher.stop(DEADLINE_S)

    assert "test-stop" not in [thread.name for thread in threading.enumerate()]


def test_a_thread_that_does_not_end_in_time_is_told() -> None:
    """``stop`` gives up at its deadline; a later one succeeds."""
    dispatcher, gate, signals = ThreadDispatcher("test-slow", SystemClock()), threading.Event(), Signals()
    dispatcher.start()
    ref = Probe().launch(dispatcher)

    def hold() -> None:
        signals.note("entered")
        gate.wait(DEADLINE_S)

    ref.tell(Do(hold))
    signals.wait_for("entered")

    assert not dispatcher.stop(0.01)
    gate.set()

    assert dispatcher.stop(DEADLINE_S)


def test_a_dispatcher_that_was_never_started_can_be_stopped() -> None:
    """Its descriptors are closed."""
    before = os.listdir("/proc/self/fd")
    dispatcher = ThreadDispatcher("test-unused", SystemClock())

    assert dispatcher.stop(0.0)

    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize("late", ["stop", "wake"])
def test_who_comes_after_the_end_touches_no_descriptor_of_others(late: str) -> None:
    """Numbers of closed descriptors are given out again: perhaps to the database."""
    dispatcher = ThreadDispatcher("test-late", SystemClock())
    dispatcher.start()
    assert dispatcher.stop(DEADLINE_S)
    others = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(4)]

    getattr(dispatcher, late)(*[0.0] * (late == "stop"))

    for fd in others:
        with pytest.raises(BlockingIOError):  # neither written to nor closed
            os.eventfd_read(fd)
    for fd in others:
        os.close(fd)


def test_no_descriptor_is_left_after_the_end() -> None:
    """Nor is one inherited by a child process meanwhile."""
    before = set(os.listdir("/proc/self/fd"))
    with thread_dispatcher():
        made = set(os.listdir("/proc/self/fd")) - before
        inherited = [fd for fd in made if is_open(int(fd)) and os.get_inheritable(int(fd))]

    assert inherited == []
    assert set(os.listdir("/proc/self/fd")) <= before


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
