"""The seeded dispatcher: one thread, virtual time, and an order that a seed repeats."""

from __future__ import annotations

import select
from functools import partial
from typing import Any

import pytest

from tempolite.actors.clock import SystemClock, VirtualClock
from tempolite.actors.futures import Reply
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tests.actors.probes import Collector, Do, Hold, Probe, Say

ACTORS = 5
MESSAGES = 8


def order_under(seed: int) -> list[Any]:
    """The order in which the mail of some actors is read."""
    dispatcher, log = SeededDispatcher(seed), list[Any]()
    actors = [Collector(log, f"actor-{number}") for number in range(ACTORS)]
    for actor in actors:
        actor.launch(dispatcher)
    for number in range(MESSAGES):
        for actor in actors:
            actor.actor_ref.tell(number)
    dispatcher.run_until_idle()
    return log


def ask(ref: Any, message: Any) -> Reply[Any]:
    """A question that nobody waits for yet."""
    reply: Reply[Any] = ref.ask(message, block=False)
    return reply


# ── order ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_the_same_seed_gives_the_same_order(seed: int) -> None:
    """A failure under a seed comes again."""
    assert order_under(seed) == order_under(seed)


def test_another_seed_gives_another_order() -> None:
    """Twenty seeds, twenty orders."""
    assert len({tuple(order_under(seed)) for seed in range(20)}) == 20


@pytest.mark.parametrize("seed", range(10))
def test_the_mail_of_one_actor_stays_in_order(seed: int) -> None:
    """Whatever comes in between; and nothing is lost."""
    order = order_under(seed)

    for actor in range(ACTORS):
        assert [message for name, message in order if name == f"actor-{actor}"] == list(range(MESSAGES))


def test_every_actor_can_be_the_first() -> None:
    """No order is ruled out by who was launched first."""
    firsts = {order_under(seed)[0][0] for seed in range(60)}

    assert firsts == {f"actor-{number}" for number in range(ACTORS)}


def test_hooks_and_mail_come_in_any_order() -> None:
    """A hook may run before mail that was there already, as it may under load."""

    def order(seed: int) -> list[Any]:
        dispatcher, log = SeededDispatcher(seed), list[Any]()
        collector = Collector(log)
        collector.launch(dispatcher)
        collector.actor_ref.tell("mail")
        dispatcher.before_sleep(partial(log.append, "hook"))
        dispatcher.run_until_idle()
        return log

    assert {tuple(order(seed)) for seed in range(20)} == {("mail", "hook"), ("hook", "mail")}


def test_running_until_idle_tells_how_much_was_done() -> None:
    """One for each message, hook and timer."""
    dispatcher = SeededDispatcher(seed=1)
    collector = Collector()
    collector.launch(dispatcher)
    for number in range(3):
        collector.actor_ref.tell(number)
    dispatcher.before_sleep(lambda: None)
    dispatcher.call_at(5.0, lambda: None)

    assert dispatcher.run_until_idle() == 5
    assert dispatcher.run_until_idle() == 0
    assert not dispatcher.step()


# ── waiting ─────────────────────────────────────────────────────────────────────────────────────────────


def test_waiting_runs_actors_until_the_reply_is_there() -> None:
    """And no further."""
    dispatcher = SeededDispatcher(seed=1)
    probe = Probe()
    ref = probe.launch(dispatcher)
    asked = ask(ref, Say(1))
    ref.tell(Say(2))

    assert dispatcher.wait(asked, timeout=None) == 1
    assert probe.said == [1]


def test_waiting_raises_what_the_actor_raised() -> None:
    """As ``get`` does."""
    dispatcher = SeededDispatcher(seed=1)
    ref = Probe().launch(dispatcher)

    with pytest.raises(TypeError, match="does not understand"):
        dispatcher.wait(ask(ref, "what?"), timeout=None)


def test_a_deadlock_is_reported_with_its_seed() -> None:
    """Nobody has mail, no timer is set, and the reply isn't there: it would wait for ever."""
    dispatcher = SeededDispatcher(seed=4711)
    ref = Probe().launch(dispatcher)

    with pytest.raises(RuntimeError, match=r"deadlock under seed 4711"):
        dispatcher.wait(ask(ref, Hold()), timeout=None)


def test_an_actor_that_waits_for_another_one_is_found_out() -> None:
    """In one thread that can't end, so it is refused at once."""
    dispatcher = SeededDispatcher(seed=1)
    waiter, other = Probe(), Probe()
    ref, other_ref = waiter.launch(dispatcher), other.launch(dispatcher)

    asked = ask(ref, Do(lambda: dispatcher.wait(ask(other_ref, Say()), None)))

    with pytest.raises(AssertionError, match="waits for another one"):
        dispatcher.wait(asked, timeout=None)


def test_the_dispatcher_knows_when_it_runs_an_actor() -> None:
    """Then, and only then, the caller is in its thread."""
    dispatcher = SeededDispatcher(seed=1)
    ref = Probe().launch(dispatcher)

    assert not dispatcher.is_current_thread()
    assert dispatcher.wait(ask(ref, Do(dispatcher.is_current_thread)), None) is True


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────


def test_time_moves_only_when_nobody_has_mail() -> None:
    """All mail of this moment is read at this moment."""
    clock = VirtualClock()
    dispatcher, seen = SeededDispatcher(seed=3, clock=clock), list[tuple[str, float]]()
    probe = Probe()
    ref = probe.launch(dispatcher)

    def note(what: str) -> None:
        seen.append((what, round(clock.monotonic_s(), 3)))

    def first() -> None:
        note("first timer")
        for _ in range(3):
            ref.tell(Do(partial(note, "its mail")))

    dispatcher.call_at(10.0, first)
    dispatcher.call_at(10.5, partial(note, "second timer"))
    ref.tell(Do(partial(note, "mail")))
    dispatcher.run_until_idle()

    assert seen == [("mail", 0.0), ("first timer", 10.0), *[("its mail", 10.0)] * 3, ("second timer", 10.5)]


def test_both_clocks_move_together() -> None:
    """Wall time and monotonic time differ by a constant."""
    clock = VirtualClock(start_us=1_000_000)
    dispatcher = SeededDispatcher(seed=1, clock=clock)

    dispatcher.call_at(2.5, lambda: None)
    dispatcher.run_until_idle()

    assert clock.now_us() - 1_000_000 == pytest.approx(clock.monotonic_s() * 1e6)
    assert 2.5 <= clock.monotonic_s() < 2.501


def test_timers_fire_in_the_order_of_their_due_times() -> None:
    """Equal times in the order they were set, and none before its time."""
    clock = VirtualClock()
    dispatcher, fired = SeededDispatcher(seed=2, clock=clock), list[tuple[float, int]]()
    due = [3.0, 1.0, 2.0, 1.0, 0.0, 3.0, 1e-6]

    for number, due_s in enumerate(due):
        dispatcher.call_at(due_s, partial(fired.append, (due_s, number)))
        dispatcher.call_at(due_s, lambda due_s=due_s: check(due_s))  # type: ignore[misc]

    def check(due_s: float) -> None:
        assert clock.monotonic_s() >= due_s

    dispatcher.run_until_idle()

    assert fired == sorted((due_s, number) for number, due_s in enumerate(due))


def test_a_timer_can_set_another_one() -> None:
    """Also for the same moment."""
    dispatcher, fired = SeededDispatcher(seed=1), list[str]()

    def first() -> None:
        fired.append("first")
        dispatcher.call_at(1.0, partial(fired.append, "second"))

    dispatcher.call_at(1.0, first)
    dispatcher.run_until_idle()

    assert fired == ["first", "second"]


def test_a_cancelled_timer_does_not_fire_and_moves_no_time() -> None:
    """It is as if it had never been set."""
    clock = VirtualClock()
    dispatcher, fired = SeededDispatcher(seed=1, clock=clock), list[str]()

    dispatcher.call_at(1.0, partial(fired.append, "kept"))
    dispatcher.call_at(1e6, partial(fired.append, "cancelled")).cancel()
    dispatcher.run_until_idle()

    assert fired == ["kept"]
    assert clock.monotonic_s() < 1.001


def test_time_can_be_made_to_stand_still() -> None:
    """Then only timers that are due already fire."""
    clock = VirtualClock()
    dispatcher, fired = SeededDispatcher(seed=1, clock=clock), list[str]()
    dispatcher.call_at(0.0, partial(fired.append, "due"))
    dispatcher.call_at(5.0, partial(fired.append, "later"))

    dispatcher.run_until_idle(advance_time=False)
    assert (fired, clock.monotonic_s()) == (["due"], 0.0)

    clock.advance(5.0)
    dispatcher.run_until_idle(advance_time=False)
    assert fired == ["due", "later"]


def test_real_time_is_not_pushed_forward() -> None:
    """With the system's clock a timer that is not due ends the run."""
    dispatcher, fired = SeededDispatcher(seed=1), list[str]()
    dispatcher.clock = clock = SystemClock()
    dispatcher.call_at(clock.monotonic_s() + 3600.0, partial(fired.append, "in an hour"))

    dispatcher.run_until_idle()

    assert fired == []


def test_virtual_time_does_not_go_back() -> None:
    """It is told forward only."""
    with pytest.raises(ValueError, match="forward"):
        VirtualClock().advance(-0.1)


def test_there_is_no_io_under_a_seed() -> None:
    """What comes from a descriptor has no order that could be drawn."""
    with pytest.raises(NotImplementedError, match="inline"):
        SeededDispatcher(seed=1).watch(0, select.EPOLLIN, lambda mask: None)


def test_after_a_stop_nobody_is_run() -> None:
    """Mail that waits stays unread."""
    dispatcher = SeededDispatcher(seed=1)
    probe = Probe()
    probe.launch(dispatcher).tell(Say(1))

    assert dispatcher.stop(timeout_s=1.0)
    dispatcher.run_until_idle()

    assert probe.said == []
