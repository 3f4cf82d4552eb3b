"""The actor of a run, as a host sees it: an address that outlives put-aways, restarts and continue-as-new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
import pykka

from tempolite.actors.actor import Flag, Inbox
from tempolite.actors.controls import (
    Cancel,
    ContinueArrived,
    ContinueAsNew,
    Enqueue,
    Pause,
    Query,
    QueryArrived,
    Resume,
    Signal,
    SignalArrived,
    ToRun,
    Update,
    UpdateArrived,
)
from tempolite.actors.futures import Reply
from tempolite.actors.workflow import WorkflowActor
from tempolite.core.identifiers import WorkflowId
from tempolite.errors import InvalidArguments, InvalidState
from tempolite.execution.signals import checked_name

if TYPE_CHECKING:
    from tempolite.engine.lifecycle import Lifecycle


class RunRef(pykka.ActorRef[Any]):
    """Pykka's reference to a run.

    ``tell(Signal("approval", True))`` is fire-and-forget; ``ask(Pause())`` returns once what it led to is
    durable. It works whether or not the run is in memory at that moment. Its ``actor_urn`` is the id.
    """

    def __init__(self, engine: Lifecycle, workflow: str) -> None:
        # Not Pykka's: it would take these from a live actor, and the run may have none just now.
        self.actor_class = WorkflowActor
        self.actor_urn = workflow
        self.actor_inbox = Inbox()
        self.actor_stopped = Flag()  # type: ignore[assignment]
        self._engine = engine

    def __repr__(self) -> str:
        return f"<RunRef {self.actor_urn!r}>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunRef) and (other.actor_urn, other._engine) == (
            self.actor_urn,
            self._engine,
        )

    def __hash__(self) -> int:
        return hash(self.actor_urn)

    def is_alive(self) -> bool:
        """Whether the run is unfinished."""
        return not self._engine.get_row(self.actor_urn).is_finished

    def tell(self, message: Any) -> None:
        """Sends a message without waiting; what becomes of it can be seen in the history.

        Raises:
            EngineClosed: the engine is not started, or closed.
            InvalidArguments, NotStorable: the message is none that a run takes, or holds such a value.
        """
        self._engine.tell_run(self.actor_urn, message)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Sends a message; its answer comes once what it led to is durable.

        Args:
            message: ``Signal``, ``Query``, ``Update``, ``Pause``, ``Resume``, ``Cancel``, ``ContinueAsNew``.
            block: False gives the future of the answer.
            timeout: seconds to wait.

        Raises:
            TimeoutError: the time was over; the message may still take effect.
        """
        if block:
            return self._engine.ask_run(self.actor_urn, message, timeout)
        return self._engine.ask_run_nowait(self.actor_urn, message)

    def stop(self, *, block: bool = True, timeout: float | None = None) -> NoReturn:
        """Refused: a run is ended by its code, or by ``Cancel``.

        Raises:
            InvalidState: always.
        """
        raise InvalidState(
            f"a run is not stopped but cancelled: send Cancel() to workflow {self.actor_urn!r}"
        )

    def proxy(self) -> Any:
        """Refused: a run's attributes are nobody's but its own.

        Raises:
            InvalidState: always.
        """
        raise InvalidState(f"workflow {self.actor_urn!r} takes messages: tell() and ask() them")


class Answering(Reply[Any]):
    """The answer of a run, decoded where it is a value of the workflow's."""

    def __init__(self, engine: Lifecycle, inner: Reply[Any]) -> None:
        super().__init__()
        self._engine = engine
        inner.add_callback(lambda: self._take(inner))

    def _take(self, inner: Reply[Any]) -> None:
        try:
            self.set(self._engine.decode_answer(inner.get(timeout=0)))
        except BaseException as error:
            self.fail(error)


def to_run(engine: Lifecycle, workflow: str, message: Any) -> ToRun:
    """The message as the run gets it: users' values are encoded, so that nobody shares an object with it.

    Raises:
        InvalidArguments, NotStorable, PayloadTooLarge: it is no message to a run, or holds such a value.
    """
    services = engine.services
    match message:
        case Signal(name, value, dedup):
            if dedup is not None and not isinstance(dedup, str):
                raise InvalidArguments(f"dedup is {dedup!r}, expected a text")
            inner: msgspec.Struct = SignalArrived(checked_name(name), services.encode(value, "value"), dedup)
        case Query(name, args):
            inner = QueryArrived(checked_name(name), services.encode_call(tuple(args), {}))
        case Update(name, args):
            inner = UpdateArrived(checked_name(name), services.encode_call(tuple(args), {}))
        case ContinueAsNew(args):
            inner = ContinueArrived(engine.encode_call_of(workflow, tuple(args)))
        case Pause() | Resume() | Cancel():
            # A user's message can't claim to come from a parent.
            inner = type(message)()
        case Enqueue():
            inner = Enqueue()
        case _:
            raise InvalidArguments(
                f"{message!r} is no message to a run; there are Signal, Query, Update, Pause, Resume, Cancel "
                "and ContinueAsNew"
            )
    return ToRun(WorkflowId(workflow), inner)
