"""The steps of the code: what it has asked for, and the outcomes on their way to it.

One rule, live and on replay: when the code can't go on, it gets the outcome that was recorded first among
those of steps that it has asked for. So the order of delivery is the order of recording, and code that was
changed under a running workflow simply asks in another order.
"""

from __future__ import annotations

import heapq
import re
from typing import TYPE_CHECKING, Any

from tempolite.core.history import Outcome, StepKind, StepRecord
from tempolite.core.identifiers import StepKey, step_key
from tempolite.errors import (
    ActivityError,
    InvalidArguments,
    NonDeterminismError,
    WorkflowCancelled,
    WorkflowFailed,
)
from tempolite.execution.runner import Fenced
from tempolite.failures import rebuild_failure

if TYPE_CHECKING:
    from tempolite.execution.infos import StepInfo
    from tempolite.execution.run_log import RunLog
    from tempolite.execution.services import Services

ANY_FUNCTION = frozenset({""})
"""Of steps that have no function to compare."""

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
        self.is_replaying = log.state.seq > 0
        self.begin()

    def begin(self) -> None:
        """The code begins anew, with the outcomes that stand."""
        state = self._log.state
        self._ready: list[tuple[int, StepKey]] = []
        self._held = {key: step.outcome for key, step in state.steps.items() if step.outcome is not None}
        self._infos: dict[StepKey, StepInfo[Any]] = {}
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
        return self.is_replaying and len(self._infos) < len(self._log.state.steps)

    def next_key(self, name: str) -> StepKey:
        """The key of the next use of a name.

        Raises:
            InvalidArguments: it can't be a step's name.
        """
        if not isinstance(name, str) or not name or ("#" in name and _OCCURRENCE_SUFFIX.search(name)):
            raise InvalidArguments(
                f"step name is {name!r}, expected a non-empty text that does not end in '#' and a number"
            )
        occurrence = self._occurrences[name] = self._occurrences.get(name, 0) + 1
        key = step_key(name, occurrence)
        self.last_step = key
        return key

    def known(self, key: StepKey, kind: StepKind, names: frozenset[str]) -> StepRecord | None:
        """What is recorded of the step, if it stands; the code must agree with it (P1)."""
        step = self._log.state.steps.get(key)
        if step is None:
            self.is_replaying = False
            return None
        if step.kind is not kind or step.function not in names:
            self._log.halt(_disagreement(step, kind, names), NonDeterminismError.__name__)
            raise Fenced
        if step.outcome is None and not step.is_open:
            # It failed in an earlier attempt of the run, and is run again.
            self.is_replaying = False
            return None
        return step

    def expect(self, info: StepInfo[Any], key: StepKey, step: StepRecord | None) -> None:
        """The code has asked for a step."""
        self._infos[key] = info
        if step is not None and key in self._held:
            heapq.heappush(self._ready, (self._held[key].seq, key))

    def offer(self, key: StepKey) -> None:
        """A step's outcome was recorded: the code gets it if it has asked, else when it asks."""
        outcome = self._log.state.steps[key].outcome
        assert outcome is not None, "only recorded outcomes are offered"
        self._held[key] = outcome
        if key in self._infos:
            heapq.heappush(self._ready, (outcome.seq, key))

    def deliver_next(self) -> bool:
        """Gives the code the next outcome; False when there is none that it has asked for.

        Raises:
            TypeNotFound: the value's type is not known here.
        """
        if not self._ready:
            # From here on everything is new.
            self.is_replaying = False
            return False
        _, key = heapq.heappop(self._ready)
        outcome = self._held.pop(key)
        # Never back: an outcome of an earlier attempt may be older than the attempt that gets it.
        self.code_time_us = max(self.code_time_us, outcome.at)
        if outcome.failure is None:
            assert outcome.result is not None, "a success has a value"
            self._infos[key].settle(self._services.codec.decode(outcome.result), None)
        else:
            self._infos[key].settle(None, self._error(self._log.state.steps[key], outcome))
        return True

    def _error(self, step: StepRecord, outcome: Outcome) -> BaseException:
        assert outcome.failure is not None, "asked of failures only"
        if outcome.cancelled:
            return WorkflowCancelled(f"child workflow {step.child!r} was cancelled")
        return rebuild_failure(
            outcome.failure,
            self._services.codec,
            step=step.key,
            attempt=step.attempts + 1 if step.kind is StepKind.ACTIVITY else 0,
            fallback=WorkflowFailed if step.kind is StepKind.CHILD else ActivityError,
        )


def _disagreement(step: StepRecord, kind: StepKind, names: frozenset[str]) -> str:
    asked = f"{kind} {step.key!r}" + (f" ({', '.join(sorted(names))})" if names != ANY_FUNCTION else "")
    recorded = f"{step.kind} {step.key!r}" + (f" ({step.function})" if step.function else "")
    return f"the history has {recorded}, the code asks for {asked}"
