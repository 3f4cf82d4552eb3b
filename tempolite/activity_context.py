"""What an activity can ask of its surroundings."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from tempolite.core.identifiers import run_of_key
from tempolite.core.log_fields import log_fields
from tempolite.errors import InvalidArguments


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose records say which run they belong to, beside what a call's own ``extra`` says."""

    extra: Mapping[str, object]

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Adds the fields to a call's own, which the standard adapter would drop."""
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **self.extra}
        return msg, kwargs


class Surroundings(Protocol):
    """What a context needs of whoever runs the activity."""

    def beat(self, details: Any) -> None:
        """The activity lives."""
        ...

    def show_progress(self, done: float, total: float | None) -> None:
        """How far it is."""
        ...

    def last_heartbeat(self) -> Any:
        """What was told last before this attempt."""
        ...

    def is_cancelled(self) -> bool:
        """Whether the activity is to end."""
        ...


class Alone:
    """Surroundings of an activity that somebody calls directly, in a test for instance: nobody listens."""

    def beat(self, details: Any) -> None:
        """Nobody waits for it."""

    def show_progress(self, done: float, total: float | None) -> None:
        """Nobody looks."""

    def last_heartbeat(self) -> Any:
        """There was none."""
        return None

    def is_cancelled(self) -> bool:
        """Nobody can ask for that."""
        return False


@dataclass(frozen=True)
class ActivityContext:
    """Optional first parameter of an activity: ``def charge(ctx: ActivityContext, order): ...``.

    Attributes:
        workflow_id: id of the run that asked for it.
        step: its step there.
        attempt: from 1.
        idempotency_key: the same across retries and crashes, so that a service outside can tell a second
            try from a second order; a new one when a recorded outcome is run again.
    """

    workflow_id: str
    step: str
    attempt: int
    idempotency_key: str
    surroundings: Surroundings = field(default_factory=Alone, compare=False, repr=False)

    @cached_property
    def logger(self) -> RunLogger:
        """Writes to ``tempolite.activity``; its records have ``workflow_id``, ``run``, ``step``, ``attempt``.

        What an activity in a worker process logs is handled by the loggers of the engine's process.
        """
        run = run_of_key(self.idempotency_key, self.workflow_id)
        fields = log_fields(self.workflow_id, run, self.step, self.attempt)
        return RunLogger(logging.getLogger("tempolite.activity"), fields)

    def heartbeat(self, details: Any = None) -> None:
        """Tells the engine that this attempt lives, and how far it is; from any thread.

        The latest details are at hand for the next attempt as :attr:`last_heartbeat`; they are recorded
        when an attempt fails, not with each heartbeat. At most 50 a second go out.

        Raises:
            NotStorable: details that the codec can't carry.
        """
        self.surroundings.beat(details)

    def progress(self, done: float, total: float | None = None) -> None:
        """Shows how far this attempt is, of how much, in its run's ``info.progress``; a heartbeat as well.

        Raises:
            InvalidArguments: these are no numbers.
        """
        if not isinstance(done, (int, float)) or not isinstance(total, (int, float, type(None))):
            raise InvalidArguments(f"progress is {done!r} of {total!r}, expected numbers")
        self.surroundings.show_progress(done, total)

    @property
    def last_heartbeat(self) -> Any:
        """Details of the last heartbeat before this attempt; None where there was none."""
        return self.surroundings.last_heartbeat()

    @property
    def cancelled(self) -> bool:
        """True once this attempt is to end: the run was cancelled, or its time is over.

        Whoever looks at it, at least twice a second, is trusted to return within half of ``grace``. An
        activity in a worker process that does not is interrupted, and killed when its grace is over.
        """
        return self.surroundings.is_cancelled()
