"""The actors of a test's engines: who is there, until they rest, and what they are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tempolite.actors.actor import Actor
from tempolite.errors import InvalidArguments, WorkflowNotFound
from tempolite.testing.engines import Engines

if TYPE_CHECKING:
    import pykka

REST_S = 30.0
"""After that long, what does not come to rest is a failure of the test."""


class TestActorSystem:
    """The actors of every engine of a test.

    Args:
        engines: of the test.
    """

    __test__ = False

    def __init__(self, engines: Engines) -> None:
        self.engines = engines

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
