"""The steps of the code: what it has asked for, and the outcomes on their way to it.

One rule, live and on replay: when the code can't go on, it gets the outcome that was recorded first among
those of steps that it has asked for. So the order of delivery is the order of recording, and code that was
changed under a running workflow simply asks in another order.
"""

from __future__ import annotations

import heapq
import re
from typing import TYPE_CHECKING, Any

from tempolite.core.identifiers import StepKey, is_name, step_key
from tempolite.core.saga_steps import COMPENSATION_PREFIX, TRANSACTION_PREFIX, UNDO_PREFIX
from tempolite.core.step_records import VERSION_PREFIX, Outcome, StepKind, StepRecord
from tempolite.errors import (
    ActivityError,
    InvalidArguments,
    NonDeterminismError,
    WorkflowCancelled,
    WorkflowFailed,
)
from tempolite.execution.fence import Fenced
from tempolite.execution.run_log import RUN_STEP
from tempolite.execution.saga_outcomes import add_errors, values_of
from tempolite.failures import rebuild_failure

if TYPE_CHECKING:
    from tempolite.execution.infos import StepInfo
    from tempolite.execution.run_log import RunLog
    from tempolite.execution.services import Services

ANY_FUNCTION = frozenset({""})
"""Of steps that have no function to compare."""

WAITED_FOR_IN_VAIN = (StepKind.SIGNAL, StepKind.CONDITION)
"""Code that asked for these and went on without them left no trace."""

SIGNAL_PREFIX = "signal:"
TIMEOUT_PREFIX = "time-out:"
ASYNCIO_PREFIX = "asyncio:"
SAGA_PREFIXES = (TRANSACTION_PREFIX, COMPENSATION_PREFIX, UNDO_PREFIX)
OWN_PREFIXES = (SIGNAL_PREFIX, TIMEOUT_PREFIX, ASYNCIO_PREFIX, VERSION_PREFIX, *SAGA_PREFIXES)
"""Beginnings of keys that the engine gives, for what has no name of the user's."""

_OCCURRENCE_SUFFIX = re.compile(r"#\d+$")


class Steps:
    """Matches what the code asks for with what is recorded, by name.

    Attributes:
        last_step: the step that was asked for last; seeds ``ctx.random``.
        code_time_us: time of the last outcome that the code has seen.
        is_replaying: the code has not yet gone beyond what is recorded.
    """

    def __init__(self, log: RunLog, services: Services) -> None:
        self._log = log
        self._services = services
        # What was recorded before has been seen by the code: unless it never ran, or was paused.
        state = log.state
        seen = state.seq if state.paused_seq is None else state.paused_seq
        has_run = state.began_at is not None and log.stream not in services.continued
        services.continued.discard(log.stream)
        self._replayed_until = seen if has_run else 0
        self.is_replaying = self._replayed_until > 0
        self._ready: list[tuple[int, int, StepKey]] = []
        self.begin()

    def begin_attempt(self) -> None:
        """A new attempt of the code: what it does is new, whatever it gets."""
        self._replayed_until, self.is_replaying = 0, False
        self.begin()

    def begin_replay(self) -> None:
        """The code goes through what it has seen once more."""
        self._replayed_until, self.is_replaying = self._log.state.seq, True
        self.begin()

    def begin(self) -> None:
        """The code begins anew, with the outcomes that stand."""
        state = self._log.state
        # Updates and a cancellation come at their place among the outcomes.
        self._ready = []
        for seq in state.updates:
            self.insert(seq)
        if state.cancel_seq is not None:
            self.insert(state.cancel_seq)
        self._held = {key: step.outcome for key, step in state.steps.items() if step.outcome is not None}
        self._infos: dict[StepKey, StepInfo[Any]] = {}
        self._met: set[StepKey] = set()
        self._occurrences: dict[str, int] = {}
        self.last_step = ""
        self.code_time_us = state.began_at or 0

    def clear(self) -> None:
        """Infos and contexts lead back here: without this a run would wait for the cycle collector."""
        self._infos.clear()

    def is_rerun(self) -> bool:
        """Whether the code was once further than it is now: this stretch of it does not count as live."""
        # Steps that nobody asked for yet show it. An outcome alone doesn't: it may have come with the one
        # before it, and the code been ended between both.
        return self.is_replaying and len(self._infos) + len(self._met) < len(self._log.state.steps)

    def meet(self, key: StepKey) -> None:
        """The code asked for what has no outcome to wait for."""
        self._met.add(key)

    def next_key(self, name: str) -> StepKey:
        """The key of the next use of a name.

        Raises:
            InvalidArguments: it can't be a step's name.
        """
        if not is_name(name) or ("#" in name and _OCCURRENCE_SUFFIX.search(name)):
            raise InvalidArguments(
                f"step name is {name!r}, expected a non-empty text that does not end in '#' and a number"
            )
        if name.startswith(OWN_PREFIXES):
            raise InvalidArguments(
                f"step name is {name!r}: names that begin with {', '.join(map(repr, OWN_PREFIXES))} are the "
                "engine's own"
            )
        key = self.own_key(name)
        self.last_step = key
        return key

    def is_recorded(self, name: str) -> bool:
        """Whether the next use of a name is in the history."""
        return step_key(name, self._occurrences.get(name, 0) + 1) in self._log.state.steps

    def own_key(self, name: str) -> StepKey:
        """The key of the next use of a name that the engine gives: a signal's, a time-out's.

        It seeds no randomness, so that waiting in another way shifts no draw.
        """
        occurrence = self._occurrences[name] = self._occurrences.get(name, 0) + 1
        return step_key(name, occurrence)

    def known(self, key: StepKey, kind: StepKind, names: frozenset[str]) -> StepRecord | None:
        """What is recorded of the step, if it stands; the code must agree with it (P1)."""
        step = self._log.state.steps.get(key)
        if step is None:
            self._go_beyond(key, kind)
            return None
        if step.kind is not kind or step.function not in names:
            self._log.halt(_disagreement(step, kind, names), NonDeterminismError.__name__)
            raise Fenced
        if step.outcome is None and not step.is_open and not step.is_cancelled:
            # It failed in an earlier attempt of the run, and is run again.
            self._go_beyond(key, kind)
            return None
        return step

    def _go_beyond(self, key: StepKey, kind: StepKind) -> None:
        """The code asks for what is not recorded; that it waited for something in vain never is."""
        if kind in WAITED_FOR_IN_VAIN:
            return
        if self._log.is_sealed:
            raise NonDeterminismError(f"the history has no {kind} {key!r}, the code asks for it")
        self.is_replaying = False

    def expect(self, info: StepInfo[Any], key: StepKey, step: StepRecord | None) -> None:
        """The code has asked for a step."""
        self._infos[key] = info
        if step is not None and key in self._held:
            self._push(self._held[key].seq, key)

    def offer(self, key: StepKey) -> None:
        """A step's outcome was recorded: the code gets it if it has asked, else when it asks."""
        outcome = self._log.state.steps[key].outcome
        assert outcome is not None, "only recorded outcomes are offered"
        self._held[key] = outcome
        if key in self._infos:
            self._push(outcome.seq, key)

    def insert(self, seq: int) -> None:
        """An update or a cancellation was recorded: the code meets it at its place."""
        self._push(seq, RUN_STEP)

    def _push(self, seq: int, key: StepKey) -> None:
        """What a paused run was given at once, an update or its end, came before all else of the pause."""
        place = self._log.state.paused_at.get(seq, seq)
        heapq.heappush(self._ready, (place, seq, key))

    def unsettled(self) -> list[str]:
        """What the code asked for and was not given."""
        return [f"{key!r}" for key, info in self._infos.items() if not info.done]

    def not_asked_for(self) -> list[str]:
        """Steps of the latest attempt that are recorded, and that the code did not ask for."""
        state = self._log.state
        return [
            f"{step.kind} {key!r}"
            for key, step in state.steps.items()
            if step.scheduled_seq > state.began_seq
            and key not in self._infos
            and step.kind not in (StepKind.VERSION, StepKind.SAGA_STEP)
        ]

    def next_ready(self) -> tuple[int, StepKey] | None:
        """What the code gets next, taken out: sequence number and step; None when it has to wait.

        Nothing that was recorded after a pause is delivered before the run is resumed, but for updates.
        """
        limit = self._log.state.paused_seq
        if self._ready and (limit is None or self._ready[0][0] <= limit):
            place, seq, key = heapq.heappop(self._ready)
            if place > self._replayed_until:
                self.is_replaying = False
            return seq, key
        if limit is None:
            # From here on everything is new.
            self.is_replaying = False
        return None

    @property
    def are_held_back(self) -> bool:
        """Whether a pause keeps outcomes from the code: what it will wait for after them is not known."""
        return self._log.state.paused_seq is not None and bool(self._ready)

    def deliver(self, key: StepKey) -> None:
        """Gives the code a step's outcome.

        Raises:
            TypeNotFound: the value's type is not known here.
        """
        outcome = self._held.pop(key)
        step = self._log.state.steps[key]
        # Never back: an outcome of an earlier attempt may be older than the attempt that gets it.
        self.code_time_us = max(self.code_time_us, outcome.at)
        if outcome.failure is None:
            self._infos[key].settle(self._value(step, outcome), None)
        else:
            self._infos[key].settle(None, self._error(step, outcome))

    def _value(self, step: StepRecord, outcome: Outcome) -> Any:
        assert outcome.result is not None, "a success has a value"
        if step.kind is StepKind.ACTIVITY:
            # Nearly all are.
            return self._services.codec.decode(outcome.result)
        match step.kind:
            case StepKind.TIMER | StepKind.TIMEOUT | StepKind.SAGA_UNDO:
                return None
            case StepKind.SAGA:
                return values_of(self._log.state.steps, step.key, self._services.codec)
            case StepKind.CONDITION:
                return outcome.result == b"true"
            case _:
                return self._services.codec.decode(outcome.result)

    def _error(self, step: StepRecord, outcome: Outcome) -> BaseException:
        assert outcome.failure is not None, "asked of failures only"
        if outcome.cancelled:
            return WorkflowCancelled(f"child workflow {step.child!r} was cancelled")
        error = rebuild_failure(
            outcome.failure,
            self._services.codec,
            step=step.key,
            attempt=step.attempts + 1 if step.kind is StepKind.ACTIVITY else 0,
            fallback=WorkflowFailed if step.kind is StepKind.CHILD else ActivityError,
        )
        add_errors(error, self._log.state.steps, step, self._services.codec)
        return error


def _disagreement(step: StepRecord, kind: StepKind, names: frozenset[str]) -> str:
    asked = f"{kind} {step.key!r}" + (f" ({', '.join(sorted(names))})" if names != ANY_FUNCTION else "")
    recorded = f"{step.kind} {step.key!r}" + (f" ({step.function})" if step.function else "")
    return f"the history has {recorded}, the code asks for {asked}"
