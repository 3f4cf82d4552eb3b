"""The owner's end of the control socket: other processes of the same user ask here what a caller could ask.

It lives in the actors' thread and sleeps with it: a client costs a socket, a question an entry in a table.
Questions to actors are answered when those answer; calls that read the file or take long run on threads of
their own. A client that sends what is no frame, asks for more than its share, or leaves its answers lying
loses its connection, and nobody else notices.
"""

from __future__ import annotations

import logging
import os
import select
import socket
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import msgspec

from tempolite.actors import forking
from tempolite.actors.actor import Actor, receives, tell_if_alive
from tempolite.actors.control_socket import socket_file, wire
from tempolite.actors.control_socket.framed_socket import FramedSocket
from tempolite.actors.dispatcher import TimerHandle
from tempolite.actors.futures import Reply, dead_is_closed
from tempolite.actors.messages import Message
from tempolite.actors.threads_on_demand import ThreadsOnDemand
from tempolite.core.failure import Failure
from tempolite.errors import Busy

logger = logging.getLogger("tempolite")

CLIENTS_MAX = 1_000
QUESTIONS_MAX = 100_000
"""Open questions of one client; thousands of waits for outcomes are usual."""
CALLS_MAX = 32
"""Calls of one client that run or wait for a thread; beyond that nothing more is read from it."""
THREADS_MAX = 8
UNREAD_S = 30.0
"""A client that has taken nothing of what lies there for it in all this time is given up."""
HELLO_S = 10.0
"""Whoever connects says what it is within this time."""
ACCEPT_AGAIN_S = 1.0
"""Pause before the next client where no more files can be opened."""


class Service(Protocol):
    """What the engine answers; methods are called in the actors' thread unless they say otherwise."""

    def welcome(self) -> wire.Welcome:
        """What a client is told first."""
        ...

    def ask(self, question: wire.Question) -> tuple[Any, Reply[Any]]:
        """The message that the question means, and the reply that will be there."""
        ...

    def give_up(self, message: Any, reply: Reply[Any]) -> None:
        """Nobody waits for that reply any more."""
        ...

    def call(self, call: wire.Call) -> bytes:
        """What a call gives; may take long, from any thread."""
        ...

    def failure_of(self, error: BaseException) -> Failure:
        """An error as data; from any thread."""
        ...


class Settled(Message, frozen=True):
    """A reply that a client waits for is there."""

    visitor: Visitor
    number: int


class Called(Message, frozen=True):
    """A call of a client is done; ``answer`` is what it is told."""

    visitor: Visitor
    answer: wire.Answer | wire.Failed


class Visitor:
    """A client as the gateway knows it."""

    def __init__(self) -> None:
        self.socket: FramedSocket
        self.patience: TimerHandle
        self.is_watched = False
        self.is_greeted = False
        self.questions: dict[int, tuple[Any, Reply[Any]]] = {}
        self.calls = 0


class GatewayActor(Actor):
    """Answers clients.

    Args:
        database: path of the file.
        service: the engine.
    """

    def __init__(self, database: str, service: Service, **options: Any) -> None:
        super().__init__(**options)
        self._database = database
        self._service = service
        self._listener: socket.socket | None = None
        self._visitors: set[Visitor] = set()
        self._threads = ThreadsOnDemand("tempolite-gateway", THREADS_MAX)
        self._is_ending = False

    def open(self) -> None:
        """Lets clients in; in the actors' thread. Where the folder takes no sockets, nobody comes in."""
        try:
            self._listener = forking.open_socket(partial(socket_file.listen, self._database))
        except OSError as error:
            logger.warning(
                "%s: other processes can't connect, its folder takes no socket: %s", self._database, error
            )
            return
        self._watch_door()

    def end_visits(self) -> None:
        """Nobody comes in any more, and what is asked from now on is for the next owner."""
        self._is_ending = True
        if self._listener is not None:
            with suppress(FileNotFoundError):
                os.unlink(socket_file.socket_path(self._database))
        self._close_door()

    def finish_calls(self, timeout_s: float) -> None:
        """Waits for the calls under way, after ``end_visits``; from outside, so that they are answered."""
        self._threads.shut_down(timeout_s)

    def close(self) -> None:
        """Ends every connection, once it has been told what the socket takes; in the actors' thread."""
        self._is_ending = True
        self._close_door()
        for visitor in list(self._visitors):
            visitor.socket.flush()
            self._forget(visitor)
        self._threads.shut_down(timeout_s=0.1)

    # ── the door ────────────────────────────────────────────────────────────────────────────────────────

    def _watch_door(self) -> None:
        if self._listener is not None:
            self.dispatcher.watch(self._listener.fileno(), select.EPOLLIN, self._on_knock)

    def _close_door(self) -> None:
        if self._listener is not None:
            self.dispatcher.unwatch(self._listener.fileno())
            forking.close(self._listener.detach())
            self._listener = None

    def _on_knock(self, _mask: int) -> None:
        if (listener := self._listener) is None:
            return
        try:
            connection = forking.open_socket(lambda: listener.accept()[0])
        except BlockingIOError:
            return
        except OSError as error:
            # Too many open files, most likely. Watched on, the door would keep this thread busy.
            logger.warning("%s: a client can't come in: %s", self._database, error)
            self.dispatcher.unwatch(listener.fileno())
            self.dispatcher.call_at(self.dispatcher.clock.monotonic_s() + ACCEPT_AGAIN_S, self._watch_door)
            return
        if socket_file.is_same_user(connection):
            self._let_in(connection)
        else:
            logger.warning("%s: a process of another user was refused", self._database)
            forking.close(connection.detach())

    def _let_in(self, connection: socket.socket) -> None:
        visitor = Visitor()
        visitor.socket = FramedSocket(
            self.dispatcher,
            connection,
            wire.question_max(self._service.welcome()),
            on_body=partial(self._on_body, visitor),
            on_end=partial(self._on_end, visitor),
        )
        due_s = self.dispatcher.clock.monotonic_s() + HELLO_S
        visitor.patience = self.dispatcher.call_at(due_s, partial(self._refuse, visitor, "it said nothing"))
        self._visitors.add(visitor)
        if len(self._visitors) > CLIENTS_MAX:
            self._refuse(visitor, f"{CLIENTS_MAX} clients are the most")

    def _on_end(self, visitor: Visitor, reason: str) -> None:
        logger.debug("%s: a client is gone: %s", self._database, reason)
        self._forget(visitor)

    def _refuse(self, visitor: Visitor, reason: str) -> None:
        """Tells a client why it can't be served, and ends its connection."""
        if visitor in self._visitors:
            logger.warning("%s: a client was refused: %s", self._database, reason)
            self._say(visitor, wire.Refused(reason))
            visitor.socket.flush()
            self._forget(visitor)

    def _forget(self, visitor: Visitor) -> None:
        self._visitors.discard(visitor)
        visitor.patience.cancel()
        visitor.socket.close()
        while visitor.questions:
            _, (message, reply) = visitor.questions.popitem()
            self._service.give_up(message, reply)

    # ── questions and answers ───────────────────────────────────────────────────────────────────────────

    def _on_body(self, visitor: Visitor, body: bytes) -> None:
        try:
            frame = wire.FROM_CLIENT.decode(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            self._refuse(visitor, f"it sent something that is no frame: {error}")
            return
        match frame:
            case wire.Hello(version):
                self._greet(visitor, version)
            case _ if not visitor.is_greeted:
                self._refuse(visitor, "its first frame is no Hello")
            case wire.Ask(number, question):
                self._take(visitor, number, question)
            case wire.Forget(number):
                if (found := visitor.questions.pop(number, None)) is not None:
                    self._service.give_up(*found)

    def _greet(self, visitor: Visitor, version: int) -> None:
        if version != wire.VERSION:
            ours = wire.VERSION
            self._refuse(visitor, f"it speaks version {version} of the protocol, this engine {ours}")
            return
        visitor.is_greeted = True
        visitor.patience.cancel()
        self._say(visitor, self._service.welcome())

    def _take(self, visitor: Visitor, number: int, question: wire.Question) -> None:
        if self._is_ending:
            self._say(visitor, wire.NotNow(number))
        elif isinstance(question, wire.Call):
            visitor.calls += 1
            if visitor.calls >= CALLS_MAX:
                visitor.socket.pause()
            self._threads.run(partial(self._call, visitor, number, question))
        else:
            self._ask(visitor, number, question)

    def _ask(self, visitor: Visitor, number: int, question: wire.Question) -> None:
        try:
            if len(visitor.questions) >= QUESTIONS_MAX or number in visitor.questions:
                raise Busy(f"{QUESTIONS_MAX} open questions of one client are the most")
            message, reply = self._service.ask(question)
        except Exception as error:
            self._say(visitor, wire.Failed(number, self._service.failure_of(error)))
            return
        visitor.questions[number] = message, reply
        # By mail, since a reply may be given in any thread.
        reply.add_callback(partial(tell_if_alive, self.actor_ref, Settled(visitor, number)))

    @receives(Settled)
    def on_settled(self, message: Settled) -> None:
        """Tells the client the answer, if it still waits."""
        found = message.visitor.questions.pop(message.number, None)
        if found is None:
            return
        try:
            with dead_is_closed():
                answer: wire.FromOwner = wire.answer(message.number, found[1].get(timeout=0))
        except BaseException as error:
            answer = wire.Failed(message.number, self._service.failure_of(error))
        self._say(message.visitor, answer)

    def _call(self, visitor: Visitor, number: int, call: wire.Call) -> None:
        """Runs on a thread of its own."""
        answer: wire.Answer | wire.Failed
        try:
            answer = wire.Answer(number, self._service.call(call))
        except BaseException as error:
            answer = wire.Failed(number, self._service.failure_of(error))
        tell_if_alive(self.actor_ref, Called(visitor, answer))

    @receives(Called)
    def on_called(self, message: Called) -> None:
        """Tells the client what its call gave."""
        visitor = message.visitor
        visitor.calls -= 1
        visitor.socket.resume()
        self._say(visitor, message.answer)

    def _say(self, visitor: Visitor, frame: wire.FromOwner) -> None:
        # Made when it is its turn: who asked for much at once finds it in this process only once.
        visitor.socket.send_in_turn(partial(self._body_of, frame))
        if visitor.socket.is_behind and not visitor.is_watched:
            self._watch_reading(visitor)

    def _body_of(self, frame: wire.FromOwner) -> bytes:
        body = wire.encode(frame)
        if len(body) > wire.ANSWER_MAX and isinstance(frame, wire.Answer):
            error = Busy(f"the answer has {len(body)} bytes, {wire.ANSWER_MAX} are the most; ask for less")
            body = wire.encode(wire.Failed(frame.number, self._service.failure_of(error)))
        return body

    def _watch_reading(self, visitor: Visitor) -> None:
        """Looks again after a while whether a client that is behind has taken anything meanwhile."""
        visitor.is_watched, taken_bytes = True, visitor.socket.taken_bytes

        def look() -> None:
            visitor.is_watched = False
            if visitor not in self._visitors or not visitor.socket.is_behind:
                return
            if visitor.socket.taken_bytes > taken_bytes:
                self._watch_reading(visitor)
                return
            self._forget(visitor)
            logger.warning("%s: a client was given up: it does not read its answers", self._database)

        self.dispatcher.call_at(self.dispatcher.clock.monotonic_s() + UNREAD_S, look)
