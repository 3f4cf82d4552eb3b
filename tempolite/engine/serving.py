"""What other processes may ask of an engine: what comes through the gateway, as the engine's own calls.

Questions about runs and schedules become the messages that the engine's calls send. Everything else is a call
of one of the methods below, by its name; the arguments are plain values, read by a codec of its own that
knows no type of a user's. Values of users are payloads, which the client's codec made.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, assert_never, cast

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
from tempolite.actors.futures import Reply
from tempolite.actors.live_schedule import (
    DeleteSchedule,
    PauseSchedule,
    ResumeSchedule,
    TriggerSchedule,
)
from tempolite.actors.messages import AwaitIdle, AwaitOutcome, StartRun
from tempolite.calls import WorkflowCall
from tempolite.codec import JsonCodec
from tempolite.core.failure import Failure
from tempolite.core.identifiers import WorkflowId
from tempolite.engine.flat_values import flat
from tempolite.engine.settings import checked_id, checked_timing
from tempolite.errors import InvalidArguments, NotRegistered, OutcomeError, TempoliteError
from tempolite.execution.signals import checked_name
from tempolite.failures import capture_failure
from tempolite.registry import unknown_function

if TYPE_CHECKING:
    from tempolite.engine.engine import Tempolite
    from tempolite.engine.lifecycle import Lifecycle

T = TypeVar("T")

READS = frozenset(
    {
        "count",
        "events_page",
        "get",
        "get_row",
        "get_schedule",
        "history",
        "metrics",
        "queue",
        "replay",
        "schedule_history",
        "schedule_names",
        "share_done",
        "stored_end",
        "tree",
        "verify",
        "workflows",
    }
)
"""Methods that change nothing: who has lost the answer may ask again."""

CALLS = READS | {"backup", "create_queue", "delete", "fork", "gc", "retry", "scale"}
"""Every method that may be called from outside."""

PLAIN = JsonCodec()
"""For arguments and answers that are our own; the engine's codec is for users' values."""

_SCHEDULE_COMMANDS = {
    "pause": PauseSchedule,
    "resume": ResumeSchedule,
    "trigger": TriggerSchedule,
    "delete": DeleteSchedule,
}


class Serving:
    """Answers for an engine; see ``tempolite.actors.control_socket.gateway.Service``."""

    def __init__(self, engine: Lifecycle) -> None:
        self._engine = cast("Tempolite", engine)

    def welcome(self) -> wire.Welcome:
        """Who the owner is."""
        return wire.Welcome(wire.VERSION, os.getpid(), self._engine.services.limits.payload)

    def ask(self, question: wire.Question) -> tuple[Any, Reply[Any]]:
        """Asks the actor that knows.

        Raises:
            TempoliteError: the engine's own call would raise it.
        """
        if isinstance(question, wire.NextCommit):
            return question, self._engine._next_commit()
        message = self._message(question)
        return message, self._engine._ask_nowait(message)

    def give_up(self, message: Any, reply: Reply[Any]) -> None:
        """Nobody waits for it any more."""
        self._engine._give_up(message, reply)

    def call(self, call: wire.Call) -> bytes:
        """Calls a method.

        Raises:
            InvalidArguments: it is none that may be called from outside.
            Exception: what it raises.
        """
        if call.name not in CALLS:
            raise InvalidArguments(f"{call.name!r} can't be called from another process")
        args, kwargs = PLAIN.decode_call(call.args)
        found = getattr(self._engine, call.name)(*args, **kwargs)
        # What a workflow returned is the user's.
        codec = self._engine.codec if call.name == "replay" else PLAIN
        return codec.encode(flat(found), "result")

    def failure_of(self, error: BaseException) -> Failure:
        """An error as data; where it was raised says something only of users' code."""
        failure = capture_failure(error, self._engine.codec)
        if isinstance(error, TempoliteError) and not isinstance(error, OutcomeError):
            failure = msgspec.structs.replace(failure, traceback="")
        return failure

    # ── questions as messages ───────────────────────────────────────────────────────────────────────────

    def _message(self, question: wire.Question) -> Any:
        match question:
            case wire.Start():
                return self._start(question)
            case wire.Tell():
                return self._to_run(question)
            case wire.Outcome(workflow):
                return AwaitOutcome(WorkflowId(workflow))
            case wire.Rest():
                return AwaitIdle()
            case wire.PutSchedule(name, timing, function, args, overlap, catchup):
                call = self._known(function)
                values, _ = self._checked(call, args)
                checked_timing(timing)
                return self._engine._schedule_request(name, timing, call.target, values, (overlap, catchup))
            case wire.ToSchedule(name, kind):
                return _SCHEDULE_COMMANDS[kind](name)
            case wire.NextCommit() | wire.Call():
                raise AssertionError("these are no questions to an actor")
            case _:
                assert_never(question)

    def _start(self, question: wire.Start) -> StartRun:
        checked_id(question.workflow)
        call = self._known(question.function)
        self._checked(call, question.args)
        options = {} if question.options is None else msgspec.structs.asdict(question.options)
        created = call.run_created(
            question.workflow,
            msgspec.Raw(question.args),
            seed=self._engine.services.new_seed(),
            run_group=question.workflow,
            **options,
        )
        self._engine._check_queue(created.queue)
        return StartRun(WorkflowId(question.workflow), created, code=call)

    def _to_run(self, tell: wire.Tell) -> ToRun:
        codec, payload = self._engine.codec, tell.payload
        match tell.kind:
            case "signal":
                self._readable(codec.decode, payload, f"signal {tell.name!r}")
                message: msgspec.Struct = SignalArrived(checked_name(tell.name), payload, tell.dedup)
            case "query":
                self._readable(codec.decode_call, payload, f"query {tell.name!r}")
                message = QueryArrived(checked_name(tell.name), payload)
            case "update":
                self._readable(codec.decode_call, payload, f"update {tell.name!r}")
                message = UpdateArrived(checked_name(tell.name), payload)
            case "continue":
                args, _ = self._readable(codec.decode_call, payload, "args")
                message = ContinueArrived(self._engine.encode_call_of(tell.workflow, args))
            case "pause":
                message = Pause()
            case "resume":
                message = Resume()
            case "cancel":
                message = Cancel()
            case "enqueue":
                message = Enqueue()
            case _:
                assert_never(tell.kind)
        return ToRun(WorkflowId(tell.workflow), message)

    def _known(self, function: str) -> WorkflowCall:
        call = self._engine._registry.find(function)
        if call is None:
            raise NotRegistered(unknown_function(function))
        return call

    def _checked(self, call: WorkflowCall, payload: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, where they fit the function as the owner has it."""
        args, kwargs = self._readable(self._engine.codec.decode_call, payload, call.name)
        call.shape.check(call.name, args, kwargs)
        return args, kwargs

    def _readable(self, decode: Callable[[bytes], T], payload: bytes, what: str) -> T:
        """A value that a client encoded; what can't be read here would stop the run that gets it.

        Raises:
            InvalidArguments, PayloadTooLarge: nothing is recorded.
        """
        self._engine.services.check_size(payload, what)
        try:
            return decode(payload)
        except TempoliteError as error:
            raise InvalidArguments(f"{what}: the owner of the file can't read this: {error}") from None
