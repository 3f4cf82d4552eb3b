"""The actor of a run, as a host sees it: an address that outlives put-aways, restarts and continue-as-new."""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

import pykka

from tempolite.actors.actor import Flag, Inbox
from tempolite.actors.futures import Reply
from tempolite.actors.workflow import WorkflowActor
from tempolite.errors import InvalidState


class Door(Protocol):
    """What a reference needs of the engine whose run it is."""

    def is_unfinished(self, workflow: str) -> bool:
        """Whether the run has no outcome yet."""
        ...

    def tell_run(self, workflow: str, message: Any) -> None:
        """Sends a message; nobody waits for what becomes of it."""
        ...

    def ask_run(self, workflow: str, message: Any, timeout: float | None = None) -> Any:
        """Sends a message and waits for its answer."""
        ...

    def ask_run_nowait(self, workflow: str, message: Any) -> Reply[Any]:
        """Sends a message; the answer can be awaited."""
        ...


class RunRef(pykka.ActorRef[Any]):
    """Pykka's reference to a run.

    ``tell(Signal("approval", True))`` is fire-and-forget; ``ask(Pause())`` returns once what it led to is
    durable. It works whether or not the run is in memory at that moment. Its ``actor_urn`` is the id.
    """

    def __init__(self, door: Door, workflow: str) -> None:
        # Not Pykka's: it would take these from a live actor, and the run may have none just now.
        self.actor_class = WorkflowActor
        self.actor_urn = workflow
        self.actor_inbox = Inbox()
        self.actor_stopped = Flag()  # type: ignore[assignment]
        self._door = door

    def __repr__(self) -> str:
        return f"<RunRef {self.actor_urn!r}>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunRef) and (other.actor_urn, other._door) == (
            self.actor_urn,
            self._door,
        )

    def __hash__(self) -> int:
        return hash(self.actor_urn)

    def is_alive(self) -> bool:
        """Whether the run is unfinished."""
        return self._door.is_unfinished(self.actor_urn)

    def tell(self, message: Any) -> None:
        """Sends a message without waiting; what becomes of it can be seen in the history.

        Raises:
            EngineClosed: the engine is not started, or closed.
            InvalidArguments, NotStorable: the message is none that a run takes, or holds such a value.
        """
        self._door.tell_run(self.actor_urn, message)

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
            return self._door.ask_run(self.actor_urn, message, timeout)
        return self._door.ask_run_nowait(self.actor_urn, message)

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
