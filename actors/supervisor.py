"""Starts the actors in order, stops them in reverse, and says upwards when one of them failed.

Pykka is no supervisor: an exception under ``tell`` ends an actor for good, and nobody is told. Here a
failure of a workflow's actor is the directory's business (the run starts again from its history); a
failure of any other actor comes here. Such an actor may have lost a message in the middle, so it is not
patched up: the whole engine fails, and its next start begins from what is recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from tempolite.actors.actor import Actor, receives
from tempolite.actors.dispatcher import Dispatcher
from tempolite.actors.messages import Message

logger = logging.getLogger("tempolite")


class Perform(Message, frozen=True):
    """Call this in the dispatcher's thread; answered with what it returns.

    Attributes:
        action: takes nothing.
    """

    action: Callable[[], Any]


class Child(msgspec.Struct, frozen=True):
    """An actor and who runs it."""

    actor: Actor
    dispatcher: Dispatcher


class Supervisor(Actor):
    """The parent of all actors but the workflows'.

    Args:
        on_failure: told once, in the dispatcher's thread, with the first failure.
    """

    def __init__(self, on_failure: Callable[[Exception], None], **options: Any) -> None:
        super().__init__(**options)
        self._on_failure = on_failure
        self._children: list[Child] = []
        self._has_failed = False

    def add(self, actor: Actor, dispatcher: Dispatcher) -> None:
        """Starts a child, after the ones before it."""
        actor.launch(dispatcher)
        self._children.append(Child(actor, dispatcher))

    @property
    def children(self) -> list[Actor]:
        """Those that it started, in order."""
        return [child.actor for child in self._children]

    def stop_children(self) -> None:
        """Stops them in reverse order; their dispatchers must not be running them any more."""
        while self._children:
            self._children.pop().actor.stop_now()

    def on_child_failure(self, child: Actor, error: BaseException) -> None:
        """A child failed: upwards with it."""
        logger.critical("%s failed; the engine stops", type(child).__name__, exc_info=error)
        if not self._has_failed:
            self._has_failed = True
            self._on_failure(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    @receives(Perform)
    def on_perform(self, message: Perform) -> Any:
        """Does it, here."""
        return message.action()
