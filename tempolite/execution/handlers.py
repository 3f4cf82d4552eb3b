"""Queries and updates: the code's own handlers, called between its waits."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from tempolite.actors.controls import QueryArrived, UpdateArrived
from tempolite.calls import activity_call
from tempolite.core import events
from tempolite.errors import HandlerNotFound, InvalidArguments, TurnTooLong
from tempolite.execution.signals import checked_name

if TYPE_CHECKING:
    from tempolite.execution.execution import Execution

Handler = Callable[..., Any]


class Handlers:
    """What the code gave to ``ctx.on_query`` and ``ctx.on_update``."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._log, self._services = execution.log, execution.services
        self.begin()

    def begin(self) -> None:
        """The code begins anew, and says again what it answers to."""
        self._queries: dict[str, Handler] = {}
        self._updates: dict[str, tuple[Handler, Handler | None]] = {}
        self._unhandled: list[int] = []

    def on_query(self, name: str, fn: Handler) -> None:
        """The code answers queries of that name."""
        self._execution.check_is_live()
        self._queries[checked_name(name)] = _checked_handler("query", name, fn)

    def on_update(self, name: str, fn: Handler, validator: Handler | None) -> None:
        """The code takes updates of that name; those of a replay that came before are handled now."""
        self._execution.check_is_live()
        if validator is not None:
            _checked_handler("validator of update", name, validator)
        self._updates[checked_name(name)] = _checked_handler("update", name, fn), validator
        waiting, self._unhandled = self._unhandled, []
        for seq in waiting:
            self._execution.steps.insert(seq)

    def query(self, message: QueryArrived) -> bytes:
        """Reads; nothing is recorded.

        Raises:
            HandlerNotFound: there is no such handler.
            TurnTooLong: it took longer than a stretch of code may; the run goes on.
            Exception: what the handler raises.
        """
        self._execution.look_at_code()
        handler = self._queries.get(message.name)
        if handler is None:
            raise HandlerNotFound(self._missing("query", message.name, self._queries))
        args, kwargs = self._services.codec.decode_call(message.args)
        activity_call(handler).shape.check(f"query {message.name!r}", args, kwargs)
        with self._execution.reading():
            result = self._execution.code.ask(lambda: handler(*args, **kwargs), may_look=True)
        return self._services.encode(result, "result")

    def update(self, message: UpdateArrived) -> bytes:
        """Validates, handles and records; answers with the handler's result.

        Raises:
            HandlerNotFound: there is no such handler.
            TurnTooLong: it took longer than a stretch of code may; if it was the handler, the run is stuck.
            Exception: what the validator raises (nothing is recorded), or the handler (that is recorded).
        """
        known = self._updates.get(message.name)
        if known is None:
            raise HandlerNotFound(self._missing("update", message.name, self._updates))
        handler, validator = known
        args, kwargs = self._services.codec.decode_call(message.args)
        activity_call(handler).shape.check(f"update {message.name!r}", args, kwargs)
        if validator is not None:
            with self._execution.reading():
                self._execution.code.ask(lambda: validator(*args, **kwargs))
        payload, result, failure, error = msgspec.Raw(message.args), events.NO_VALUE, None, None
        try:
            value = self._execution.code.ask(lambda: handler(*args, **kwargs))
            result = msgspec.Raw(self._services.encode(value, "result"))
        except TurnTooLong as too_long:
            # How much of it took effect, nobody can say.
            self._execution.code.halt(too_long)
            raise
        except Exception as raised:
            error, failure = raised, self._services.capture(raised)
        self._log.record(events.UpdateAccepted(message.name, payload, result, failure))
        if error is not None:
            raise error
        return bytes(result)

    def repeat(self, seq: int) -> None:
        """A recorded update, on a replay: it changes the code's state as it did before."""
        update = self._log.state.updates[seq]
        known = self._updates.get(update.name)
        if known is None:
            # The code has not come to its handler; it is handled as soon as there is one.
            self._unhandled.append(seq)
            return
        args, kwargs = self._services.codec.decode_call(bytes(update.args))
        try:
            self._execution.code.ask(lambda: known[0](*args, **kwargs))
        except TurnTooLong:
            raise
        except Exception:
            if update.failure is None:
                raise

    def _missing(self, kind: str, name: str, known: dict[str, Any]) -> str:
        there_are = ", ".join(sorted(known)) or "none"
        return f"workflow {self._log.workflow!r} has no {kind} handler {name!r}; there are: {there_are}"


def _checked_handler(kind: str, name: str, fn: Any) -> Handler:
    if not callable(fn) or inspect.iscoroutinefunction(fn):
        raise InvalidArguments(
            f"{kind} {name!r}: {fn!r} is no plain function; a handler can't wait, let it change what the "
            "workflow's code waits for"
        )
    handler: Handler = fn
    return handler
