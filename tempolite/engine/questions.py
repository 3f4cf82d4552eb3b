"""What a client asks: the messages that calls send, as they travel."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from tempolite.actors.control_socket import wire
from tempolite.actors.controls import (
    Cancel,
    ContinueArrived,
    Enqueue,
    Pause,
    QueryArrived,
    Resume,
    SignalArrived,
    ToRun,
    UpdateArrived,
)
from tempolite.actors.live_schedule import (
    DeleteSchedule,
    PauseSchedule,
    ResumeSchedule,
    SetSchedule,
    TriggerSchedule,
)
from tempolite.actors.messages import AwaitIdle, AwaitOutcome, StartRun
from tempolite.engine.flat_values import flat_argument
from tempolite.engine.serving import PLAIN, READS


def call_of(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> wire.Call:
    """A call of a method of the owner's.

    Raises:
        NotStorable: an argument is none that such a call takes.
    """
    flat = {key: flat_argument(value) for key, value in kwargs.items()}
    return wire.Call(name, PLAIN.encode_call(tuple(map(flat_argument, args)), flat))


def question_of(message: Any) -> wire.Question:
    """What travels for a message to an actor of the owner's; a question is one already."""
    match message:
        case StartRun(workflow, created):
            # Without the function itself, its options are the owner's.
            options = None
            if message.code is not None:
                options = msgspec.convert(created, wire.RunOptions, from_attributes=True)
            return wire.Start(workflow, created.function, bytes(created.args), options)
        case ToRun(workflow, inner):
            return _tell(workflow, inner)
        case AwaitOutcome(workflow):
            return wire.Outcome(workflow)
        case AwaitIdle():
            return wire.Rest()
        case SetSchedule(name, spec):
            return wire.PutSchedule(
                name, spec.timing, spec.function, bytes(spec.args), spec.overlap, spec.catchup
            )
        case PauseSchedule(name):
            return wire.ToSchedule(name, "pause")
        case ResumeSchedule(name):
            return wire.ToSchedule(name, "resume")
        case TriggerSchedule(name):
            return wire.ToSchedule(name, "trigger")
        case DeleteSchedule(name):
            return wire.ToSchedule(name, "delete")
        case _:
            assert isinstance(message, get_args(wire.Question)), f"{message!r} is no message that travels"
            question: wire.Question = message
            return question


def is_repeatable(question: wire.Question) -> bool:
    """Whether asking twice does what asking once does."""
    match question:
        case wire.Tell(kind="signal", dedup=dedup):
            return dedup is not None
        case wire.Tell(kind=kind):
            return kind == "query"
        case wire.Call(name):
            return name in READS
        case wire.ToSchedule():
            return False
        case _:
            return True


def _tell(workflow: str, inner: Any) -> wire.Tell:
    match inner:
        case SignalArrived(name, value, dedup):
            return wire.Tell(workflow, "signal", name, value, dedup)
        case QueryArrived(name, args):
            return wire.Tell(workflow, "query", name, args)
        case UpdateArrived(name, args):
            return wire.Tell(workflow, "update", name, args)
        case ContinueArrived(args):
            return wire.Tell(workflow, "continue", payload=args)
        case Pause():
            return wire.Tell(workflow, "pause")
        case Resume():
            return wire.Tell(workflow, "resume")
        case Cancel():
            return wire.Tell(workflow, "cancel")
        case Enqueue():
            return wire.Tell(workflow, "enqueue")
        case _:
            raise AssertionError(f"{inner!r} is no message to a run")
