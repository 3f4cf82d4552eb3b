"""A client's end of the control socket: many questions at once, from any thread, over one connection.

An actor on a dispatcher of its own, so one thread for each client, which sleeps while nothing comes. Where
the connection ends, questions that can be asked twice wait for the next owner of the file, for a while; the
others fail, since nobody knows what became of them.

    idle ── ask ──▶ seeking ── Welcome ──▶ connected ── the owner ends ──▶ seeking, or idle
                       └── nobody within patience_s ──▶ idle; whoever waits is told
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from tempolite.actors import forking
from tempolite.actors.actor import LATER, Actor, receives
from tempolite.actors.control_socket import socket_file, wire
from tempolite.actors.control_socket.framed_socket import FramedSocket
from tempolite.actors.dispatcher import TimerHandle
from tempolite.actors.futures import Reply
from tempolite.actors.messages import Message
from tempolite.core.failure import Failure
from tempolite.errors import Busy, ConnectionLost, EngineClosed, PayloadTooLarge

QUESTIONS_MAX = 100_000
"""Open questions; more are refused."""
SEEK_AGAIN_S = 0.02
"""Pause between two looks for an owner, while there is none."""

ENGINE_CLOSED = "tempolite.errors:EngineClosed"
CLOSED = "this client was closed"


class Question(msgspec.Struct):
    """A question under way.

    Attributes:
        question: what is asked.
        reply: gets the answer.
        is_repeatable: asked twice, it does what it does once.
        is_sent: the owner may have it.
    """

    question: wire.Question
    reply: Reply[Any]
    is_repeatable: bool
    is_sent: bool = False


class Seeker(msgspec.Struct, frozen=True):
    """Who waits for an owner, and until when."""

    reply: Reply[Any]
    until_s: float


class Put(Message, frozen=True):
    """Ask this; answered with what the owner, this one or the next, answers.

    Attributes:
        question: what.
        is_repeatable: asked twice, it does what it does once.
    """

    question: wire.Question
    is_repeatable: bool


class TakeBack(Message, frozen=True):
    """Nobody waits for that answer any more."""

    reply: Reply[Any]


class Seek(Message, frozen=True):
    """Find an owner; answered with its ``Welcome``.

    Attributes:
        patience_s: how long to look for one.
    """

    patience_s: float


class End(Message, frozen=True):
    """End the connection; whoever waits is told."""


class LinkActor(Actor):
    """Holds the connection.

    Args:
        database: path of the file.
        patience_s: how long questions wait for an owner, from the end of the last one on.
        error_of: makes an owner's error an error of here.
        on_lost: told when an owner has ended, in this actor's thread.
    """

    def __init__(
        self,
        database: str,
        patience_s: float,
        error_of: Callable[[Failure], BaseException],
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._database = database
        self._patience_s = patience_s
        self._error_of = error_of
        self._on_lost = on_lost
        self._socket: FramedSocket | None = None
        self.welcome: wire.Welcome | None = None
        self._numbers = itertools.count(1)
        self._questions: dict[int, Question] = {}
        self._number_of: dict[Reply[Any], int] = {}
        self._seekers: list[Seeker] = []
        self._until_s = 0.0
        self._timer: TimerHandle | None = None
        self._is_ended = False

    @receives(Put)
    def on_put(self, message: Put) -> Any:
        """Asks it, now or when there is an owner."""
        if self._is_ended:
            raise EngineClosed(CLOSED)
        if len(self._questions) >= QUESTIONS_MAX:
            raise Busy(f"{QUESTIONS_MAX} open questions of one client are the most")
        assert self.reply_to is not None, "Put is asked, not told"
        if self.welcome is None and not self._questions:
            self._until_s = self._now_s() + self._patience_s
        number = next(self._numbers)
        question = Question(message.question, self.reply_to, message.is_repeatable)
        self._questions[number] = question
        self._number_of[question.reply] = number
        if self.welcome is not None:
            self._send(number, question)
        else:
            self._seek()
        return LATER

    @receives(TakeBack)
    def on_take_back(self, message: TakeBack) -> None:
        """Forgets it, on both sides."""
        number = self._number_of.get(message.reply)
        if number is not None and self._taken(number).is_sent and self._socket is not None:
            self._socket.send(wire.encode(wire.Forget(number)))

    @receives(Seek)
    def on_seek(self, message: Seek) -> Any:
        """Connects, unless it is connected."""
        if self._is_ended:
            raise EngineClosed(CLOSED)
        if self.welcome is not None:
            return self.welcome
        assert self.reply_to is not None, "Seek is asked, not told"
        self._seekers.append(Seeker(self.reply_to, self._now_s() + message.patience_s))
        self._seek()
        return LATER

    @receives(End)
    def on_end(self, _message: End) -> None:
        """Ends it."""
        self._is_ended = True
        self._stop_timer()
        if self._socket is not None:
            self._socket.flush()
            self._socket.close()
        self._socket = self.welcome = None
        self._fail_all(EngineClosed(CLOSED))

    # ── an owner ────────────────────────────────────────────────────────────────────────────────────────

    def _seek(self) -> None:
        if self._socket is None:
            self._stop_timer()
            self._try()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _try(self) -> None:
        self._timer = None
        try:
            connection = forking.open_socket(partial(socket_file.connect, self._database))
        except OSError as error:
            self._wait_for_owner(error)
            return
        self._socket = FramedSocket(
            self.dispatcher,
            connection,
            wire.ANSWER_MAX + wire.BESIDE_PAYLOAD_BYTES,
            on_body=self._on_body,
            on_end=self._on_socket_end,
        )
        self._socket.send(wire.encode(wire.Hello(wire.VERSION)))

    def _wait_for_owner(self, reason: OSError) -> None:
        """There is none now: who has no patience left is told, for the others it is tried again."""
        now_s = self._now_s()
        error = EngineClosed(f"no engine can be reached that has {self._database} open: {reason}")
        if self._questions and now_s >= self._until_s:
            self._fail_questions(error)
        impatient = [seeker for seeker in self._seekers if now_s >= seeker.until_s]
        self._seekers = [seeker for seeker in self._seekers if now_s < seeker.until_s]
        for seeker in impatient:
            seeker.reply.fail(error)
        if self._questions or self._seekers:
            self._timer = self.dispatcher.call_at(now_s + SEEK_AGAIN_S, self._try)

    def _now_s(self) -> float:
        return self.dispatcher.clock.monotonic_s()

    def _on_socket_end(self, reason: str) -> None:
        was, self.welcome, self._socket = self.welcome, None, None
        if was is not None:
            self._until_s = self._now_s() + self._patience_s
            lost = ConnectionLost(
                f"the engine that had {self._database} open (process {was.pid}) is gone ({reason}); whether "
                "the call took effect is unknown"
            )
            for number, question in list(self._questions.items()):
                if not question.is_repeatable and question.is_sent:
                    self._taken(number).reply.fail(lost)
                question.is_sent = False
            self._on_lost()
        if self._questions or self._seekers:
            self._wait_for_owner(ConnectionResetError(reason))

    def _fail_all(self, error: Exception) -> None:
        seekers, self._seekers = self._seekers, []
        for seeker in seekers:
            seeker.reply.fail(error)
        self._fail_questions(error)

    def _fail_questions(self, error: Exception) -> None:
        for number in list(self._questions):
            question = self._taken(number)
            if isinstance(question.question, wire.NextCommit):
                question.reply.set(False)
            else:
                question.reply.fail(error)

    # ── frames ──────────────────────────────────────────────────────────────────────────────────────────

    def _send(self, number: int, question: Question) -> None:
        assert self._socket is not None, "who is welcome is connected"
        assert self.welcome is not None, "who is connected asks once it is welcome"
        body, most = wire.encode(wire.Ask(number, question.question)), wire.question_max(self.welcome)
        if len(body) > most:
            # It would cost the connection, and every question that is under way would be asked again.
            error = PayloadTooLarge(f"the call has {len(body)} bytes, {most} are the most")
            self._taken(number).reply.fail(error)
            return
        question.is_sent = True
        self._socket.send(body)

    def _on_body(self, body: bytes) -> None:
        assert self._socket is not None, "a frame comes out of a socket"
        try:
            frame = wire.FROM_OWNER.decode(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            self._socket.close()
            self._on_socket_end(f"it said something that is no frame: {error}")
            return
        match frame:
            case wire.Welcome():
                self._on_welcome(frame)
            case wire.Refused(reason):
                self._on_refused(reason)
            case wire.Answer(number, value) | wire.Named(number, value):
                self._on_answer(number, value)
            case wire.Failed(number, failure):
                self._on_failed(number, failure)
            case wire.NotNow(number):
                self._keep_for_next_owner(number)

    def _on_refused(self, reason: str) -> None:
        assert self._socket is not None, "a frame comes out of a socket"
        self._socket.close()
        was, self._socket, self.welcome = self.welcome, None, None
        self._fail_all(EngineClosed(f"{self._database}: its engine refused this client: {reason}"))
        if was is not None:
            self._on_lost()

    def _on_welcome(self, frame: wire.Welcome) -> None:
        self.welcome = frame
        seekers, self._seekers = self._seekers, []
        for seeker in seekers:
            seeker.reply.set(frame)
        for number, question in list(self._questions.items()):
            if isinstance(question.question, wire.NextCommit):
                # There may have been one meanwhile: who waits looks again.
                self._taken(number).reply.set(True)
            else:
                self._send(number, question)

    def _on_answer(self, number: int, value: Any) -> None:
        found = self._questions.get(number)
        if found is None:
            return
        if value is False and isinstance(found.question, wire.NextCommit):
            # No more commits of this owner's.
            self._keep_for_next_owner(number)
        else:
            self._taken(number).reply.set(value)

    def _on_failed(self, number: int, failure: Failure) -> None:
        found = self._questions.get(number)
        if found is None:
            return
        if failure.type_name == ENGINE_CLOSED and found.is_repeatable:
            self._keep_for_next_owner(number)
            return
        self._taken(number).reply.fail(self._error_of(failure))

    def _keep_for_next_owner(self, number: int) -> None:
        if (found := self._questions.get(number)) is not None:
            found.is_sent = False

    def _taken(self, number: int) -> Question:
        """A question that is over."""
        question = self._questions.pop(number)
        del self._number_of[question.reply]
        return question
