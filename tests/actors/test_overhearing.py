"""Overhearing: who told whom what, without a word about it in the actors themselves."""

from __future__ import annotations

import threading
from typing import Any

from tempolite.actors.actor import Actor, receives
from tempolite.actors.clock import SystemClock
from tempolite.actors.dispatcher import ThreadDispatcher
from tempolite.actors.overhearing import Overhearing
from tempolite.actors.seeded_dispatcher import SeededDispatcher

WAIT_S = 10.0
OUTSIDE = threading.current_thread().name


class Talker(Actor):
    """Passes on what it is told: at once, at the end of the round, or by a timer."""

    def __init__(self, name: str, other: Actor | None = None) -> None:
        super().__init__(urn=name)
        self.other = other
        self.heard: list[str] = []
        self.has_heard_twice = threading.Event()

    def on_start(self) -> None:
        """Greets."""
        if self.other is not None:
            self.other.actor_ref.tell("hello")

    @receives(str)
    def on_text(self, text: str) -> None:
        """Remembers it; the first one passes it on, in one of three ways."""
        self.heard.append(text)
        if self.other is None:
            if len(self.heard) == 2:
                self.has_heard_twice.set()
        elif text == "timer":
            self.dispatcher.call_at(1.0, lambda: self.pass_on(text))
        elif text == "hook":
            self.dispatcher.before_sleep(lambda: self.pass_on(text))
        else:
            self.pass_on(text)

    @receives(int)
    def on_number(self, number: int) -> int:
        """An answer."""
        return 2 * number

    def pass_on(self, text: str) -> None:
        """To the other one."""
        assert self.other is not None
        self.other.actor_ref.tell(text)


def family(dispatcher: Any) -> tuple[Talker, Talker, list[tuple[str, str, Any]]]:
    """Two talkers, the first of which passes on to the second, and what is heard of them."""
    said = list[tuple[str, str, Any]]()

    def hear(sender: Actor | str, receiver: Actor, message: Any) -> None:
        said.append((sender if isinstance(sender, str) else sender.actor_urn, receiver.actor_urn, message))

    dispatcher.ears = Overhearing(hear)
    second = Talker("second")
    first = Talker("first", second)
    second.launch(dispatcher)
    first.launch(dispatcher)
    return first, second, said


def test_every_message_is_heard_with_its_sender() -> None:
    """What is sent at once, at the end of a round and by a timer; an outsider is called by his thread."""
    dispatcher = SeededDispatcher(seed=1)
    first, second, said = family(dispatcher)

    for text in ("now", "hook", "timer"):
        first.actor_ref.tell(text)
        dispatcher.run_until_idle()

    assert said[0] == ("first", "second", "hello")
    for number, text in enumerate(("now", "hook", "timer")):
        assert said[1 + 2 * number : 3 + 2 * number] == [(OUTSIDE, "first", text), ("first", "second", text)]
    assert second.heard == ["hello", "now", "hook", "timer"]


def test_questions_are_heard_without_their_envelope() -> None:
    """And are answered as ever."""
    dispatcher = SeededDispatcher(seed=1)
    first, _, said = family(dispatcher)

    assert dispatcher.wait(first.actor_ref.ask_nowait(21), None) == 42
    assert said[-1] == (OUTSIDE, "first", 21)


def test_mail_that_came_before_the_launch_is_heard_at_the_launch() -> None:
    """And is read in its order."""
    dispatcher, said = SeededDispatcher(seed=1), list[Any]()
    dispatcher.ears = Overhearing(lambda _sender, _receiver, message: said.append(message))
    talker = Talker("early")
    talker.actor_ref.tell("first")
    talker.actor_ref.tell("second")

    talker.launch(dispatcher)
    dispatcher.run_until_idle()

    assert said == talker.heard == ["first", "second"]


def test_who_sends_is_known_in_threads_too() -> None:
    """Each thread has a sender of its own."""
    dispatcher = ThreadDispatcher("test-actors", SystemClock())
    first, second, said = family(dispatcher)
    dispatcher.start()
    try:
        first.actor_ref.tell("now")
        assert second.has_heard_twice.wait(WAIT_S)
        first.actor_ref.ask_nowait(1).get(timeout=WAIT_S)
    finally:
        dispatcher.stop(WAIT_S)

    assert [(sender, receiver) for sender, receiver, _ in said] == [
        ("first", "second"),
        (OUTSIDE, "first"),
        ("first", "second"),
        (OUTSIDE, "first"),
    ]


def test_an_actor_that_nobody_listens_to_is_as_it_was() -> None:
    """Nothing of it is replaced, so nothing of it is slower."""
    dispatcher = SeededDispatcher(seed=1)
    talker = Talker("alone")
    talker.launch(dispatcher)

    assert "handle_next" not in vars(talker)
    assert talker.dispatcher is dispatcher
    assert type(talker.actor_inbox.mail).__name__ == "deque"
