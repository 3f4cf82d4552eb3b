"""Conditions of a run: what ``wait_until`` waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tempolite.core import events
from tempolite.core.identifiers import StepKey
from tempolite.core.step_records import StepKind
from tempolite.errors import InvalidArguments, TurnTooLong
from tempolite.execution.infos import ConditionInfo
from tempolite.execution.steps import ANY_FUNCTION

if TYPE_CHECKING:
    from tempolite.execution.execution import Execution


class Conditions:
    """What a run's conditions do.

    A condition is looked at after each signal, update and step, while the code waits; what was found is
    recorded, so a replay asks the history and not the condition.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._log, self._steps = execution.log, execution.steps
        self._open: dict[StepKey, Callable[[], Any]] = {}

    def schedule(self, name: str, predicate: Callable[[], Any]) -> ConditionInfo:
        """The code waits for a condition."""
        self._execution.check_is_live()
        if not callable(predicate):
            raise InvalidArguments(f"wait_until {name!r}: {predicate!r} is not callable")
        key = self._steps.next_key(name)
        info = ConditionInfo(self._execution, key)
        step = self._steps.known(key, StepKind.CONDITION, ANY_FUNCTION)
        if step is None:
            self._open[key] = predicate
        self._steps.expect(info, key, step)
        return info

    def begin(self) -> None:
        """The code begins anew."""
        self._open.clear()

    def look(self) -> None:
        """Looks at every open condition."""
        if not self._open or self._log.state.paused_seq is not None:
            return
        for key in list(self._open):
            self._look_at(key)

    def give_up(self, info: ConditionInfo) -> None:
        """Its time is over: that is what the code gets."""
        if self._open.pop(info.key, None) is not None:
            self._log.record(events.ConditionDecided(is_met=False), info.key)
            self._steps.offer(info.key)

    def _look_at(self, key: StepKey) -> None:
        try:
            with self._execution.reading():
                is_met = bool(self._execution.code.ask(self._open[key]))
        except TurnTooLong:
            raise
        except Exception as error:
            body: events.ConditionDecided | events.ConditionFailed = events.ConditionFailed(
                self._execution.services.capture(error)
            )
        else:
            if not is_met:
                return
            body = events.ConditionDecided(is_met=True)
        del self._open[key]
        self._log.record(body, key)
        self._steps.offer(key)
