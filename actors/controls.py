"""What the world outside tells a run: signals, queries, updates, pause, resume, cancel, continue-as-new.

A user sends the first group to ``info.actor_ref``; the engine's methods send the same. Values of users are
encoded on their way in (:class:`SignalArrived`, …), so that a run never shares an object with its sender.
Every such message travels as :class:`ToRun` through the directory, and as :class:`Asked` to the run, with the
reply that is given once what it led to is durable.
"""

from __future__ import annotations

from typing import Any

from tempolite.actors.futures import Reply
from tempolite.actors.messages import Message
from tempolite.core.identifiers import WorkflowId

# ── what users send ─────────────────────────────────────────────────────────────────────────────────────


class Signal(Message, frozen=True):
    """A value for the next ``ctx.signal(name)`` of the run.

    Attributes:
        name: which signal.
        value: what it carries.
        dedup: a second signal of this name and ``dedup`` to the same workflow is dropped.
    """

    name: str
    value: Any = None
    dedup: str | None = None


class Query(Message, frozen=True):
    """Read through the handler that the workflow gave to ``ctx.on_query``; answered with its result."""

    name: str
    args: tuple[Any, ...] = ()


class Update(Message, frozen=True):
    """Change the workflow through the handler that it gave to ``ctx.on_update``; answered with its result."""

    name: str
    args: tuple[Any, ...] = ()


class ContinueAsNew(Message, frozen=True):
    """End the run by beginning the next one, with these arguments."""

    args: tuple[Any, ...] = ()


class Pause(Message, frozen=True):
    """Record outcomes, deliver none, until the run is resumed.

    Attributes:
        by_parent: the parent was paused; a run that can't be is left alone.
    """

    by_parent: bool = False


class Resume(Message, frozen=True):
    """Go on from where the run stopped, whatever stopped it.

    Attributes:
        by_parent: the parent was resumed; a run that is not paused is left alone.
        held: wait for the queue's ``max_runs`` first; set by the directory.
    """

    by_parent: bool = False
    held: bool = False


class Cancel(Message, frozen=True):
    """Raise ``Cancelled`` in the code, where it waits.

    Attributes:
        by_parent: the parent was cancelled or has ended; a run that has ended is left alone.
    """

    by_parent: bool = False


# ── what a run gets ─────────────────────────────────────────────────────────────────────────────────────


class SignalArrived(Message, frozen=True):
    """A signal; its value as the codec's JSON."""

    name: str
    value: bytes
    dedup: str | None = None


class QueryArrived(Message, frozen=True):
    """A query; its arguments as the codec's JSON of a call."""

    name: str
    args: bytes


class UpdateArrived(Message, frozen=True):
    """An update; its arguments as the codec's JSON of a call."""

    name: str
    args: bytes


class ContinueArrived(Message, frozen=True):
    """Begin the next run; its arguments as the codec's JSON of a call."""

    args: bytes


class Enqueue(Message, frozen=True):
    """Start a deferred run.

    Attributes:
        held: wait for the queue's ``max_runs`` first; set by the directory.
    """

    held: bool = False


class Admit(Message, frozen=True):
    """The queue's ``max_runs`` has room: a run that waited for it begins, or goes on."""


class Hold(Message, frozen=True):
    """The queue's ``max_runs`` has no room: a run that was stranded waits in line before it goes on."""


class Asked(Message, frozen=True):
    """A message that somebody may wait for.

    Attributes:
        message: one of the above.
        reply: answered when what it led to is durable; None where it was only told.
    """

    message: Any
    reply: Reply[Any] | None = None


class Answer(Message, frozen=True):
    """An answer, sent once the turn that gave it is durable.

    Attributes:
        reply: who waits.
        value: what they get.
        error: what they get instead.
    """

    reply: Reply[Any]
    value: Any = None
    error: BaseException | None = None


# ── to the directory ────────────────────────────────────────────────────────────────────────────────────


class ToRun(Message, frozen=True):
    """Hand a message to a run, alive or not; asked or told.

    Attributes:
        workflow: whose latest run.
        message: one of those that a run gets.
    """

    workflow: WorkflowId
    message: Any


class GiveUp(Message, frozen=True):
    """Who waited for this reply waits no more.

    Attributes:
        reply: the reply.
        workflow: whose outcome it waited for; None where it waited for all runs to rest.
    """

    reply: Reply[Any]
    workflow: WorkflowId | None = None
