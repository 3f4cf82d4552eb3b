"""Our base class over :class:`pykka.Actor`: an actor that a dispatcher runs when it has mail.

Pykka's three hooks (``_create_actor_inbox``, ``_create_future``, ``_start_actor_loop``) are all that is
overridden, and ``_handle_receive`` handles one message, so proxies and ``stop`` work as everywhere. What
is different from a ``ThreadingActor``:

- no thread of its own, and no place in Pykka's global registry, so a host's ``stop_all`` leaves it alone;
- a ``BaseException`` in a handler is contained here; with Pykka it would stop every actor of the process;
- a failure is reported upwards, to whoever was given as ``on_actor_failure``, instead of being logged
  and forgotten;
- an ask that races with the end of the actor is answered with ``ActorDeadError``, never left waiting.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, cast

import pykka
from pykka import ActorDeadError, ActorRef
from pykka._envelope import Envelope

from tempolite.actors.futures import Reply
from tempolite.actors.lost_threads import ThreadLost

if TYPE_CHECKING:
    from tempolite.actors.dispatcher import Dispatcher

logger = logging.getLogger("tempolite")

LATER: Final = object()
"""Returned by a handler that took ``self.reply_to`` and answers when it can."""

_MESSAGE_MARK = "_tempolite_messages"


def receives(*messages: type) -> Callable[[Any], Any]:
    """Marks the method that handles these messages."""

    def mark(method: Any) -> Any:
        setattr(method, _MESSAGE_MARK, messages)
        return method

    return mark


class Ref(ActorRef[Any]):
    """Pykka's reference; what it tells goes without an envelope, which only a question needs."""

    actor_inbox: Inbox

    def tell(self, message: Any) -> None:
        """Sends a message.

        Raises:
            ActorDeadError: the actor has stopped.
        """
        if self.actor_inbox.is_closed:
            raise ActorDeadError(f"{self} not found")
        self.actor_inbox.put(message)

    def ask_nowait(self, message: Any) -> Reply[Any]:
        """Sends a question; what ``ask(message, block=False)`` does, in fewer steps.

        The reply fails with ``ActorDeadError`` where the actor has stopped.
        """
        reply: Reply[Any] = Reply()
        if self.actor_inbox.is_closed:
            reply.fail(ActorDeadError(f"{self} not found"))
        else:
            self.actor_inbox.put(Envelope(message, reply))
        return reply


def tell_if_alive(ref: ActorRef[Any], message: Any) -> None:
    """Sends a message that means nothing to an actor of ours that has stopped."""
    inbox: Any = ref.actor_inbox
    if not inbox.is_closed:
        inbox.put(message)


class Flag:
    """The part of a ``threading.Event`` that Pykka asks actors for; nobody waits for it."""

    __slots__ = ("_is_set",)

    def __init__(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._is_set

    def set(self) -> None:
        """Sets it, for good."""
        self._is_set = True


class Inbox:
    """An actor's mail, and the way it tells its dispatcher of it.

    What was told lies here as it is; what was asked is an ``Envelope``, with the reply that waits.

    Attributes:
        mail: letters, the oldest first; the actor takes them from here.
        is_closed: the actor has stopped.
    """

    __slots__ = ("_actor", "_dispatcher", "_ready", "is_closed", "mail")

    def __init__(self) -> None:
        self.mail: deque[Any] = deque()
        self._dispatcher: Dispatcher | None = None
        self._ready: Any = None
        self._actor: Actor | None = None
        self.is_closed = False

    def bind(self, actor: Actor, dispatcher: Dispatcher) -> None:
        """From now on mail is announced; what came before is announced now."""
        self._dispatcher, self._ready = dispatcher, dispatcher.ready
        # Last: with it the inbox is bound, for those who put letters from other threads.
        self._actor = actor
        for _ in range(len(self.mail)):
            self._ready.append(actor)
        if self.mail and dispatcher.may_sleep:
            dispatcher.wake()

    def put(self, letter: Any, /) -> None:
        """Adds a message, or an envelope with a question, from any thread."""
        self.mail.append(letter)
        # Append first, then look: whoever closes looks at the mail after closing, so one of both sees it.
        if (actor := self._actor) is not None:
            self._ready.append(actor)
            # The sleeper sets the flag, then looks at the mail; we add mail, then look at the flag.
            if self._dispatcher.may_sleep:  # type: ignore[union-attr]
                self._dispatcher.wake()  # type: ignore[union-attr]
        elif self.is_closed:
            self._refuse_mail()

    def get(self) -> Any:
        """The oldest letter."""
        return self.mail.popleft()

    def empty(self) -> bool:
        """Whether there is no mail."""
        return not self.mail

    def take_told(self) -> list[Any]:
        """Takes out what was told and not yet read; what was asked stays, to be refused."""
        letters = list(self.mail)
        self.mail.clear()
        self.mail.extend(letter for letter in letters if type(letter) is Envelope)
        return [letter for letter in letters if type(letter) is not Envelope]

    def put_back(self, letters: list[Any]) -> None:
        """Letters that were taken out and not read, before all others; in the actor's own thread."""
        self.mail.extendleft(reversed(letters))
        if self.is_closed:
            self._refuse_mail()
        elif self._actor is not None:
            for _ in letters:
                self._ready.append(self._actor)

    def close(self) -> None:
        """No more mail: what is left is refused, and so is what comes later."""
        self.is_closed = True
        self._actor = None
        self._refuse_mail()

    @property
    def owner(self) -> Actor | None:
        """The actor that reads this inbox, until it is closed."""
        return self._actor

    def _refuse_mail(self) -> None:
        while self.mail:
            try:
                letter = self.mail.popleft()
            except IndexError:
                return
            if type(letter) is Envelope and letter.reply_to is not None:
                _settle_quietly(
                    letter.reply_to, ActorDeadError("the actor stopped before it read the message")
                )


class Actor(pykka.Actor):
    """An actor without a thread; subclasses mark their handlers with :func:`receives`.

    Attributes:
        dispatcher: who runs it, from its launch on.
        reply_to: waits for the answer to the question under way; None where there is none.
    """

    dispatcher: Dispatcher
    actor_inbox: Inbox

    _handlers: ClassVar[dict[type, Callable[[Any, Any], Any]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        handlers = dict(cls._handlers)
        for method in vars(cls).values():
            for message in getattr(method, _MESSAGE_MARK, ()):
                handlers[message] = method
        cls._handlers = handlers

    def __init__(
        self,
        *,
        urn: str | None = None,
        on_actor_failure: Callable[[Actor, BaseException], None] | None = None,
    ) -> None:
        # In place of Pykka's: its UUID and its event would be a tenth of the cost of a run. These four
        # attributes are all that it sets, which a contract test holds on to.
        self.actor_urn = urn or f"tempolite:{type(self).__name__}"
        self.actor_inbox = self._create_actor_inbox()
        self.actor_stopped = Flag()  # type: ignore[assignment]
        self._actor_ref = self._ref = Ref(self)
        self.reply_to: Reply[Any] | None = None
        self._on_actor_failure = on_actor_failure
        # The class's, looked up once: it is asked for at every letter.
        self._handler_by_type = self._handlers

    @property
    def actor_ref(self) -> Ref:
        """Where its mail goes."""
        return self._ref

    def launch(self, dispatcher: Dispatcher) -> ActorRef[Self]:
        """Starts the actor on a dispatcher (``start`` is Pykka's, which registers globally)."""
        self.dispatcher = dispatcher
        if dispatcher.ears is not None:
            dispatcher.ears.attend(self)
        self._start_actor_loop()
        return self.actor_ref

    def handle_next(self) -> None:
        """The oldest letter, contained: nothing that a handler raises gets past here.

        Called once for each letter; one that has been refused meanwhile, because the actor stopped, is gone.
        """
        inbox = self.actor_inbox
        if not inbox.mail or inbox.is_closed:
            return
        letter = inbox.mail.popleft()
        handler = self._handler_by_type.get(type(letter))
        if handler is None:
            # An envelope: somebody waits for the answer. What was told, which is nearly all, goes on here.
            self._answer(letter)
            return
        try:
            handler(self, letter)
        except ThreadLost:
            raise
        except BaseException as error:
            self._contain(error, None)

    def on_receive(self, message: Any) -> Any:
        """A message that there is no handler for."""
        raise TypeError(f"{type(self).__name__} does not understand {type(message).__name__}")

    def stop_now(self) -> None:
        """Ends the actor within its own dispatcher thread: mail that is left is refused."""
        self._stop()

    def _answer(self, letter: Any) -> None:
        """A question, or a message without a handler of ours."""
        message, reply_to = letter, None
        if type(letter) is Envelope:
            message, reply_to = letter.message, cast("Reply[Any] | None", letter.reply_to)
        self.reply_to = reply_to
        handler = self._handlers.get(type(message))
        try:
            # What has no handler of ours may be one of Pykka's own messages: stop, or a proxy's.
            response = self._handle_receive(message) if handler is None else handler(self, message)
        except ThreadLost:
            raise
        except BaseException as error:
            self._contain(error, reply_to)
        else:
            if reply_to is not None and response is not LATER:
                reply_to.set(response)
        finally:
            self.reply_to = None

    def _contain(self, error: BaseException, reply_to: Reply[Any] | None) -> None:
        if reply_to is not None and not reply_to.is_set:
            reply_to.fail(error)
            if isinstance(error, Exception):
                return
        if self._on_actor_failure is not None:
            self._on_actor_failure(self, error)
        else:
            logger.error("%s failed", self, exc_info=error)

    def _stop(self) -> None:
        self.actor_stopped.set()
        self.actor_inbox.close()
        try:
            self.on_stop()
        except ThreadLost:
            raise
        except BaseException as error:
            logger.error("%s failed while stopping", self, exc_info=error)

    @staticmethod
    def _create_actor_inbox() -> Inbox:
        return Inbox()

    @staticmethod
    def _create_future() -> Reply[Any]:
        return Reply()

    def _start_actor_loop(self) -> None:
        self.actor_inbox.bind(self, self.dispatcher)
        try:
            self.on_start()
        except ThreadLost:
            raise
        except BaseException as error:
            self._contain(error, None)


def _settle_quietly(reply: Any, error: BaseException) -> None:
    if not reply.is_set:
        reply.fail(error)
