"""Several dispatchers in one order, waits that end by virtual time, and a dispatcher that is killed."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from pykka import Timeout

from tempolite import Deadlock
from tempolite.actors.clock import VirtualClock
from tempolite.actors.futures import Reply
from tempolite.actors.seeded_dispatcher import SeededDispatcher, SeededOrder
from tests.actors.probes import Collector, Do, Hold, Probe, Say


def ask(ref: Any, message: Any) -> Reply[Any]:
    """A question that nobody waits for yet."""
    reply: Reply[Any] = ref.ask(message, block=False)
    return reply


def order_of_two(seed: int) -> list[Any]:
    """The order in which the mail of two dispatchers is read, which share an order."""
    order, log = SeededOrder(seed), list[Any]()
    first, second = (SeededDispatcher(seed, order=order) for _ in range(2))
    for dispatcher, name in ((first, "first"), (second, "second")):
        ref = Collector(log, name).launch(dispatcher)
        for number in range(4):
            ref.tell(number)
    first.run_until_idle()
    return log


def test_dispatchers_that_share_an_order_are_run_together() -> None:
    """Who waits for one of them runs the other as well, in an order that the seed repeats."""
    orders = {tuple(order_of_two(seed)) for seed in range(20)}

    assert all(len(order) == 8 for order in orders)
    assert len(orders) > 15
    assert order_of_two(3) == order_of_two(3)


def test_a_stopped_dispatcher_runs_nothing_more() -> None:
    """Neither mail nor hooks nor timers, whoever goes on."""
    order, log = SeededOrder(1), list[Any]()
    stopped, other = (SeededDispatcher(1, order=order) for _ in range(2))
    Collector(log, "stopped").launch(stopped).tell(1)
    stopped.before_sleep(partial(log.append, "hook"))
    stopped.call_at(1.0, partial(log.append, "timer"))

    stopped.stop(0)
    other.run_until_idle()

    assert log == []


def test_an_actor_may_wait_for_one_of_another_engine() -> None:
    """Its own dispatcher is left alone meanwhile."""
    order = SeededOrder(1)
    mine, other = (SeededDispatcher(1, order=order) for _ in range(2))
    waiter, asked = Probe(), Probe()
    ref, asked_ref = waiter.launch(mine), asked.launch(other)

    answer = ask(ref, Do(lambda: other.wait(ask(asked_ref, Say(7)), None)))

    assert mine.wait(answer, None) == 7


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wait_ends_when_its_virtual_time_is_over() -> None:
    """What falls due before that happens first, and what falls due later does not."""
    clock, fired = VirtualClock(), list[str]()
    dispatcher = SeededDispatcher(1, clock)
    ref = Probe().launch(dispatcher)
    dispatcher.call_at(50.0, partial(fired.append, "before"))
    dispatcher.call_at(70.0, partial(fired.append, "after"))

    with pytest.raises(Timeout):
        dispatcher.wait(ask(ref, Hold()), timeout=60.0)

    assert fired == ["before"]
    assert clock.monotonic_s() == pytest.approx(60.0)


def test_running_for_a_while_handles_what_falls_due_at_its_time() -> None:
    """And leaves the clock where it was to be moved."""
    order, clock, seen = SeededOrder(1), VirtualClock(), list[float]()
    dispatcher = SeededDispatcher(1, clock, order)
    for due_s in (10.0, 20.0, 31.0):
        dispatcher.call_at(due_s, lambda: seen.append(round(clock.monotonic_s(), 2)))

    order.run_for(30.0, clock)

    assert seen == [10.0, 20.0]
    assert clock.monotonic_s() == pytest.approx(30.0)


def test_a_wait_that_can_not_end_is_an_error_of_its_own_kind() -> None:
    """Not a time-out: no time would bring the answer."""
    dispatcher = SeededDispatcher(seed=1)

    with pytest.raises(Deadlock, match="never comes"):
        dispatcher.wait(ask(Probe().launch(dispatcher), Hold()), timeout=None)


# ── killed ──────────────────────────────────────────────────────────────────────────────────────────────


def test_who_waits_for_a_killed_dispatcher_gets_no_answer() -> None:
    """Not even one that is there; what was sent before is read, and no timer fires."""
    dispatcher, read = SeededDispatcher(seed=1), list[Any]()
    reader, killer = Collector(read, "reader"), Probe()
    reader_ref, ref = reader.launch(dispatcher), killer.launch(dispatcher)
    dispatcher.call_at(1.0, partial(read.append, "timer"))

    def kill() -> None:
        reader_ref.tell("sent before")
        dispatcher.kill(LookupError("killed"))

    with pytest.raises(LookupError, match="killed"):
        dispatcher.wait(ask(ref, Do(kill)), timeout=None)
    assert read == [("reader", "sent before")]
    with pytest.raises(LookupError, match="killed"):
        dispatcher.wait(ask(ref, Hold()), timeout=None)
    assert "timer" not in read
