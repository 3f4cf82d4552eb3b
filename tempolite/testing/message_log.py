"""What the actors of a test told one another, as a list that reads like a log."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from tempolite.actors.activity_pool import ActivityPool
from tempolite.actors.actor import Actor
from tempolite.actors.workflow import WorkflowActor
from tempolite.testing.message_text import kinds_of, text_of

MESSAGES_MAX = 100_000
"""More are not kept; the oldest go first."""

OUTSIDE = "outside"
"""Who sends what no actor does: the test, and everybody who holds an engine or a handle."""

_THREADS = {"tempolite-actors": "worker process", "tempolite-side-effect": "side effect"}
"""Names of senders that are no actors but threads of ours."""


@dataclass(frozen=True, slots=True, repr=False)
class SentMessage:
    """One message, from one actor to another.

    Two are equal when they read the same.

    Attributes:
        sender: who sent it: ``directory``, ``workflow order-1``, ``pool default``, ``outside``.
        receiver: to whom.
        message: the message itself; what it carries is encoded.
        sender_classes, receiver_classes: names of their classes, for filters.
    """

    sender: str
    receiver: str
    message: Any = field(compare=False)
    sender_classes: frozenset[str] = field(compare=False)
    receiver_classes: frozenset[str] = field(compare=False)

    @property
    def text(self) -> str:
        """The message in one line."""
        return text_of(self.message)

    def __str__(self) -> str:
        return f"{self.sender} -> {self.receiver}: {self.text}"

    def __repr__(self) -> str:
        return f"<SentMessage {self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SentMessage) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


class MessageLog(Sequence[SentMessage]):
    """Messages in the order in which they were sent; ``str()`` is the log, a line for each.

    Args:
        messages: what it holds.
        left_out: messages before these that were not kept.
    """

    def __init__(self, messages: Iterable[SentMessage], left_out: int = 0) -> None:
        self._messages = list(messages)
        self.left_out = left_out

    def to(self, receiver: str | type) -> MessageLog:
        """What was sent to an actor, by its name in the log, or to actors of a class, by that or its name."""
        return self._chosen(lambda sent: _is_meant(receiver, sent.receiver, sent.receiver_classes))

    def sent_by(self, sender: str | type) -> MessageLog:
        """What an actor sent, or actors of a class; ``"outside"`` is everybody who is none."""
        return self._chosen(lambda sent: _is_meant(sender, sent.sender, sent.sender_classes))

    def of(self, *types: str | type) -> MessageLog:
        """Messages of a type, also where another one brings them to their run: ``of(Signal)``."""
        names = {kind if isinstance(kind, str) else kind.__name__ for kind in types}
        return self._chosen(lambda sent: bool(names & kinds_of(sent.message)))

    @overload
    def __getitem__(self, index: int) -> SentMessage: ...
    @overload
    def __getitem__(self, index: slice) -> MessageLog: ...
    def __getitem__(self, index: int | slice) -> SentMessage | MessageLog:
        return MessageLog(self._messages[index]) if isinstance(index, slice) else self._messages[index]

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[SentMessage]:
        return iter(self._messages)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (MessageLog, list, tuple)):
            return NotImplemented
        return self._messages == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        before = [f"… {self.left_out} messages before these"] if self.left_out else []
        return "\n".join((*before, *map(str, self._messages)))

    def __repr__(self) -> str:
        return f"<MessageLog of {len(self)} messages>\n{self}"

    def _chosen(self, is_meant: Any) -> MessageLog:
        return MessageLog(filter(is_meant, self._messages))


class MessageTaker:
    """Takes down what is heard; from any thread."""

    def __init__(self) -> None:
        self._taken: deque[SentMessage] = deque(maxlen=MESSAGES_MAX)
        self._count = 0

    def hear(self, sender: Actor | str, receiver: Actor, message: Any) -> None:
        """Adds a message; a sender that is no actor is known by the name of its thread."""
        self._count += 1
        sent = SentMessage(name_of(sender), name_of(receiver), message, _classes(sender), _classes(receiver))
        self._taken.append(sent)

    @property
    def log(self) -> MessageLog:
        """Everything so far."""
        messages = self._taken.copy()
        return MessageLog(messages, max(0, self._count - len(messages)))


def name_of(actor: Actor | str) -> str:
    """How an actor, or a thread that is none, is called in a log."""
    if isinstance(actor, str):
        return _THREADS.get(actor, actor if actor.startswith("tempolite-") else OUTSIDE)
    if isinstance(actor, WorkflowActor):
        return f"workflow {actor.actor_urn}"
    if isinstance(actor, ActivityPool):
        return f"pool {actor.queue.name}"
    names = (base.__name__ for base in type(actor).__mro__)
    return next((_NAMES[name] for name in names if name in _NAMES), type(actor).__name__)


_NAMES = {
    "Directory": "directory",
    "PersistenceActor": "persistence",
    "TimerActor": "timers",
    "SchedulerActor": "schedules",
    "SideEffectActor": "side effects",
    "SagaCoordinator": "sagas",
    "RetentionActor": "retention",
    "Supervisor": "supervisor",
}


def _is_meant(wanted: str | type, name: str, classes: frozenset[str]) -> bool:
    text = wanted if isinstance(wanted, str) else wanted.__name__
    return text == name or text in classes


def _classes(actor: Actor | str) -> frozenset[str]:
    return frozenset() if isinstance(actor, str) else frozenset(base.__name__ for base in type(actor).__mro__)
