"""Hears what actors tell one another, as it is sent; for tests. Where nobody listens, there is none of it.

An actor that is launched within earshot gets a mailbox that notes each letter, with whoever runs at that
moment as its sender; calls that it has its dispatcher make later (timers, what is collected for the end of a
round) count as its own.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pykka._envelope import Envelope

from tempolite.actors.actor import Actor
from tempolite.actors.dispatcher import Dispatcher, TimerHandle

Hear = Callable[[Actor | str, Actor, Any], None]
"""Told the sender (the name of its thread where it is no actor), the receiver and the message, in order."""


class Overhearing:
    """Hears what is told and asked among the actors of one or more engines.

    Args:
        hear: told of each message when it is sent.
    """

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._now = threading.local()

    def attend(self, actor: Actor) -> None:
        """From its launch on, all mail of that actor is heard."""
        speaks = self.as_speaker
        handle_next, on_start = actor.handle_next, actor.on_start

        def handle_as_itself() -> None:
            with speaks(actor):
                handle_next()

        def start_as_itself() -> None:
            with speaks(actor):
                on_start()

        actor.handle_next = handle_as_itself  # type: ignore[method-assign]
        actor.on_start = start_as_itself  # type: ignore[method-assign]
        actor.actor_inbox.mail = _HeardMail(actor.actor_inbox.mail, lambda letter: self.note(actor, letter))
        actor.dispatcher = _Attributing(_unwrapped(actor.dispatcher), actor, self)

    def note(self, receiver: Actor, letter: Any) -> None:
        """A letter is in the receiver's mail now."""
        message = letter.message if type(letter) is Envelope else letter
        sender = getattr(self._now, "speaker", None) or threading.current_thread().name
        self._hear(sender, receiver, message)

    @contextmanager
    def as_speaker(self, actor: Actor) -> Iterator[None]:
        """What is sent meanwhile, in this thread, is from that actor."""
        before, self._now.speaker = getattr(self._now, "speaker", None), actor
        try:
            yield
        finally:
            self._now.speaker = before


class _HeardMail(deque[Any]):
    """An actor's mail; what is added at its end is new, what comes back to its front was heard before."""

    def __init__(self, letters: deque[Any], note: Callable[[Any], None]) -> None:
        super().__init__(letters)
        self._note = note
        for letter in letters:
            note(letter)

    def append(self, letter: Any, /) -> None:
        self._note(letter)
        super().append(letter)


class _Attributing:
    """A dispatcher as one actor sees it: what it has called back is that actor's doing."""

    def __init__(self, dispatcher: Dispatcher, actor: Actor, overhearing: Overhearing) -> None:
        self._dispatcher = dispatcher
        self._actor = actor
        self._overhearing = overhearing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dispatcher, name)

    def call_at(self, monotonic_s: float, callback: Callable[[], None]) -> TimerHandle:
        return self._dispatcher.call_at(monotonic_s, self._as_actor(callback))

    def before_sleep(self, hook: Callable[[], None], *, is_last: bool = False) -> None:
        self._dispatcher.before_sleep(self._as_actor(hook), is_last=is_last)

    def _as_actor(self, call: Callable[[], None]) -> Callable[[], None]:
        def called() -> None:
            with self._overhearing.as_speaker(self._actor):
                call()

        return called


def _unwrapped(dispatcher: Any) -> Dispatcher:
    """The dispatcher itself, where an actor launches another one on what it takes for its own."""
    found: Dispatcher = dispatcher._dispatcher if type(dispatcher) is _Attributing else dispatcher
    return found
