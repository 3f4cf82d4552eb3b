"""Which workflow functions an engine knows, and by which names."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from tempolite.calls import WorkflowCall, workflow_call
from tempolite.codec import JsonCodec
from tempolite.definitions import DECLARED, callable_name
from tempolite.determinism.code_look import Found, look_at
from tempolite.errors import InvalidArguments

logger = logging.getLogger("tempolite")


class Registry:
    """Functions that were registered or executed, and those decorated in imported modules.

    Nothing is imported because a stored name says so.

    Args:
        codec: learns the types in their annotations.
        on_new: told of names that were not known before, in the thread that brings them.
    """

    def __init__(
        self, codec: JsonCodec, on_new: Callable[[tuple[str, ...]], None] = lambda _names: None
    ) -> None:
        self._codec = codec
        self._on_new = on_new
        self._calls: dict[str, WorkflowCall] = {}
        self._reported: set[Found] = set()

    def add(self, target: Any) -> WorkflowCall:
        """Makes a workflow function known by its name and aliases; the latest of a name is the one that runs.

        Raises:
            InvalidArguments: it is no workflow function.
        """
        return self.add_call(workflow_call(target))

    def add_call(self, call: WorkflowCall) -> WorkflowCall:
        """The same, for one that was looked at."""
        if self._calls.get(call.name) is not call:
            self._codec.learn(call.callable)
            self._report(call)
            new = tuple(name for name in call.names if name not in self._calls)
            for name in call.names:
                self._calls[name] = call
            if new:
                self._on_new(new)
        return call

    def add_all_of(self, other: Registry) -> None:
        """Makes known whatever the other one knows."""
        for call in dict.fromkeys(other._calls.values()):
            self.add_call(call)

    def _report(self, call: WorkflowCall) -> None:
        """Warns of each place in the function's code that does what belongs elsewhere; once for an engine."""
        for found in look_at(call.callable):
            if found not in self._reported:
                self._reported.add(found)
                logger.warning(
                    "workflow %s calls %s() in its own code, at %s:%d: on replay it runs again and may give "
                    "something else; %s",
                    call.name,
                    found.name,
                    found.file,
                    found.line,
                    found.instead,
                )

    def find(self, name: str) -> WorkflowCall | None:
        """The function of a recorded name, or None."""
        call = self._calls.get(name)
        if call is None and (declared := DECLARED.get(name)) is not None:
            call = self.add(declared)
        return call

    def call_of(self, function: Any) -> WorkflowCall:
        """A workflow function's call, which is known from now on; or the one of a recorded name.

        Raises:
            InvalidArguments: it is no workflow function, and no name of a known one.
        """
        if not isinstance(function, str):
            return self.add(function)
        call = self.find(function)
        if call is None:
            raise InvalidArguments(unknown_function(function))
        return call

    def name_of(self, function: Any) -> str:
        """The name that a filter means: a text as it is, a callable by its recorded name."""
        return function_name(function)


def function_name(function: Any) -> str:
    """The recorded name of a workflow function; a text is one already.

    Raises:
        InvalidArguments: it is neither.
    """
    if isinstance(function, str):
        return function
    if not callable(function):
        raise InvalidArguments(f"function is {function!r}, expected a workflow function or its name")
    declared = getattr(function, "declared", None)
    return getattr(declared, "name", None) or callable_name(getattr(function, "fn", function))


def unknown_function(name: str, *, call: str = "tp.register(fn)") -> str:
    """Why a run is stranded, and the remedy; ``call`` is the call that makes it known."""
    remedy = (
        f"function {name!r} is not known to this engine; pass it in Tempolite(workflows=[...]), call "
        f"{call}, or import the module where it is decorated with @workflow"
    )
    if not name.startswith("__main__:"):
        return remedy
    # The same function has another name where its file is imported, and has been passed in vain.
    return f"{remedy}; it was recorded by a script: elsewhere it needs @workflow(name={name!r})"
