"""Asks and tells that race with the end of an actor: each ends, within a deadline."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import pykka
import pytest
from pykka._envelope import Envelope

from tempolite.actors.actor import receives
from tempolite.actors.futures import Reply
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tests.actors.probes import DEADLINE_S, Probe, Say, in_thread, join, thread_dispatcher

STOPS = 150
ASKERS = 3
TELLS = 2_000


def test_an_ask_that_races_with_a_stop_never_hangs() -> None:
    """It is answered by the actor, or with its death; Pykka's own would wait for ever now and then."""
    with thread_dispatcher() as dispatcher:
        outcomes: list[str] = []
        for _ in range(STOPS):
            ref = Probe().launch(dispatcher)

            join(in_thread(*[asking(ref, outcomes)] * ASKERS, partial(ref.stop, timeout=DEADLINE_S)))

    assert set(outcomes) <= {"answered", "dead"}
    assert outcomes.count("dead") == STOPS * ASKERS, "each asker ends by finding the actor dead"


def asking(ref: pykka.ActorRef[Any], outcomes: list[str]) -> Callable[[], None]:
    """Asks until the actor is dead."""

    def ask() -> None:
        while True:
            try:
                ref.ask(Say(), timeout=DEADLINE_S)
                outcomes.append("answered")
            except pykka.ActorDeadError:
                outcomes.append("dead")
                return
            except pykka.Timeout:
                outcomes.append("hung")
                return

    return ask


def test_a_letter_that_was_on_its_way_when_the_inbox_closed_is_refused() -> None:
    """Its sender had seen the actor alive."""
    probe, reply = Probe(), Reply[Any]()
    probe.launch(SeededDispatcher(seed=1))
    probe.stop_now()

    probe.actor_inbox.put(Envelope(Say(), reply_to=reply))

    assert reply.is_set
    with pytest.raises(pykka.ActorDeadError):
        reply.get(timeout=0)


class LateMail(deque[Any]):
    """Lets a letter come at the worst moment: when the inbox has just been found empty.

    Args:
        deliver: brings it, once.
    """

    def __init__(self, deliver: Callable[[], None]) -> None:
        super().__init__()
        self._deliver = [deliver]

    def __bool__(self) -> bool:
        is_empty = not len(self)
        if is_empty and self._deliver:
            self._deliver.pop()()
        return not is_empty


def test_a_letter_that_comes_while_the_inbox_is_closed_is_refused() -> None:
    """Either who closes sees it, or it sees that the inbox is closed; never neither."""
    probe, reply = Probe(), Reply[Any]()
    probe.launch(SeededDispatcher(seed=1))
    inbox: Any = probe.actor_inbox
    inbox.mail = LateMail(lambda: inbox.put(Envelope(Say(), reply_to=reply)))

    probe.stop_now()

    assert reply.is_set


def test_an_ask_that_races_with_a_stop_from_inside_never_hangs() -> None:
    """A workflow actor stops itself, in the middle of a turn, while others ask."""
    with thread_dispatcher() as dispatcher:
        outcomes: list[str] = []
        for _ in range(STOPS):
            probe = Quitter()
            ref = probe.launch(dispatcher)

            join(in_thread(*[asking(ref, outcomes)] * ASKERS))

    assert set(outcomes) <= {"answered", "dead"}
    assert outcomes.count("dead") == STOPS * ASKERS


class Quitter(Probe):
    """Stops itself at the third message."""

    @receives(Say)
    def on_say_thrice(self, message: Say) -> Any:
        """Answers, the third time as its last."""
        self.said.append(message.value)
        if len(self.said) == 3:
            self.stop_now()
        return message.value


def test_no_tell_of_any_thread_is_lost() -> None:
    """However the dispatcher falls asleep and wakes up in between."""
    with thread_dispatcher() as dispatcher:
        probe = Probe()
        ref = probe.launch(dispatcher)

        def tell(sender: int) -> None:
            for number in range(TELLS):
                ref.tell(Say((sender, number)))

        join(in_thread(*(partial(tell, sender) for sender in range(4))))
        ref.ask(Say("end"), timeout=DEADLINE_S)

    told = probe.said[:-1]
    assert len(told) == 4 * TELLS
    assert all([n for s, n in told if s == sender] == list(range(TELLS)) for sender in range(4))


def test_mail_that_comes_during_the_launch_is_read() -> None:
    """Before, while or after the inbox learns of its dispatcher."""
    with thread_dispatcher() as dispatcher:
        for _ in range(200):
            probe = Probe()
            got: list[Any] = []

            join(in_thread(partial(ask_thrice, probe, got), partial(probe.launch, dispatcher)))

            assert got == [0, 1, 2]


def ask_thrice(probe: Probe, got: list[Any]) -> None:
    got.extend(probe.actor_ref.ask(Say(number), timeout=DEADLINE_S) for number in range(3))


def test_handlers_of_one_dispatcher_never_overlap() -> None:
    """All its actors run in its one thread."""
    with thread_dispatcher() as dispatcher:
        seen: set[int] = set()

        class Witness(Probe):
            def on_receive(self, _message: Any) -> None:
                seen.add(threading.get_ident())

        refs = [Witness().launch(dispatcher) for _ in range(4)]
        join(in_thread(*(partial(ref.tell, "?") for ref in refs * 5)))
        for ref in refs:
            ref.ask("?", timeout=DEADLINE_S)

    assert len(seen) == 1
