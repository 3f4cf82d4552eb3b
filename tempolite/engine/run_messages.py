"""What users say to a run, as the run gets it, and its answers, as users get them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

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
from tempolite.actors.futures import Reply, dead_is_closed
from tempolite.core.identifiers import WorkflowId, is_text
from tempolite.errors import InvalidArguments, WorkflowNotFound
from tempolite.execution.signals import checked_name

if TYPE_CHECKING:
    from tempolite.engine.port import Port


def decoded(engine: Port, inner: Reply[Any]) -> Reply[Any]:
    """The answer of a run, decoded where it is a value of the workflow's."""
    # A plain reply, no class of its own: Pykka's ``join`` and ``map`` make another one of the same class.
    reply: Reply[Any] = Reply()
    reply.process = os.getpid()

    def take() -> None:
        try:
            with dead_is_closed():
                reply.set(engine.decode_answer(inner.get(timeout=0)))
        except BaseException as error:
            reply.fail(error)

    inner.add_callback(take)
    return reply


def to_run(engine: Port, workflow: str, message: Any) -> ToRun:
    """The message as the run gets it: users' values are encoded, so that nobody shares an object with it.

    Raises:
        InvalidArguments, NotStorable, PayloadTooLarge: it is no message to a run, or holds such a value.
        WorkflowNotFound: nothing can have that id.
    """
    if not is_text(workflow):
        raise WorkflowNotFound(f"no workflow {workflow!r}")
    services = engine.services
    match message:
        case Signal(name, value, dedup):
            if dedup is not None and not is_text(dedup):
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
