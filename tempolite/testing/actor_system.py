"""The actors of a test's engines: who is there, until they rest, and what they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tempolite.actors.actor import Actor
from tempolite.actors.rehearsed_system import Rehearsal
from tempolite.actors.seeded_dispatcher import SeededOrder
from tempolite.errors import InvalidArguments, InvalidState, WorkflowNotFound
from tempolite.testing.engines import Engines
from tempolite.testing.message_log import MessageLog

if TYPE_CHECKING:
    import pykka

REST_S = 30.0
"""After that long, what does not come to rest is a failure of the test."""


class TestActorSystem:
    """The actors of every engine of a test.

    Args:
        engines: of the test.
        note: takes a topic and a text for the report of a failed test.
    """

    __test__ = False

    def __init__(self, engines: Engines, note: Callable[[str, str], None]) -> None:
        self.engines = engines
        self._note = note
        self._taker = engines.listen()

    def seeded(self, seed: int) -> None:
        """Has all actors of the test's engines run in the test's own thread, in an order drawn from the seed.

        The engines do nothing by themselves: they go on while the test calls one of them, until the call
        has its answer. Activities and side effects run there, too, whatever their queue; each turn of a run
        has a commit of its own; time is virtual, and moves when nothing else is left to do. The same seed
        gives the same run, message by message.

        Raises:
            InvalidState: the test has made an engine already.
            InvalidArguments: the seed is no int.
        """
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise InvalidArguments(f"seed is {seed!r}, expected an int")
        if self.engines.made:
            raise InvalidState(
                f"actor_system.seeded({seed}) comes too late: the test has made an engine already; ask for "
                "tempolite_factory in place of tempolite_engine, and call it after this"
            )
        self.engines.rehearse(Rehearsal(SeededOrder(seed)))
        self._note("seed", f"actor_system was seeded with {seed}")

    @property
    def messages(self) -> MessageLog:
        """What passed between the actors so far, in the order in which it was sent; prints as a log."""
        return self._taker.log

    def refs(self, kind: str | type[Actor]) -> list[pykka.ActorRef[Any]]:
        """References of the actors of a class, or of the name of one; of engines that are open.

        Raises:
            InvalidArguments: there is no such class of actors.
        """
        actors = [actor for engine in self.engines.open() for actor in engine.actors()]
        name = kind if isinstance(kind, str) else getattr(kind, "__name__", repr(kind))
        if name not in (known := _names_of_actors()):
            raise InvalidArguments(f"no actors are called {name!r}; there are {', '.join(sorted(known))}")
        return [
            actor.actor_ref for actor in actors if name in (base.__name__ for base in type(actor).__mro__)
        ]

    def wait_idle(self, timeout: float = REST_S) -> None:
        """Returns when no actor has anything to do now, and no activity or side effect is under way.

        What waits for time, a signal or a worker doesn't count; time is not moved.

        Raises:
            TimeoutError: ``timeout`` seconds went by; it says what still goes on.
        """
        self.engines.settle(timeout)

    def send(self, id: str, message: Any) -> Any:
        """Sends ``Signal``, ``Pause``, ``Query`` … to a workflow; returns the answer, once that is durable.

        Raises:
            WorkflowNotFound: no open engine of the test knows it.
        """
        for engine in self.engines.open():
            try:
                info = engine.get(id)
            except WorkflowNotFound:
                continue
            return info.actor_ref.ask(message)
        raise WorkflowNotFound(f"no engine of this test has a workflow {id!r}")


def _names_of_actors() -> set[str]:
    found: list[type[Actor]] = [Actor]
    for kind in found:
        found += kind.__subclasses__()
    return {kind.__name__ for kind in found}
