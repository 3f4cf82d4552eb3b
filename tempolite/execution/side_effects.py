"""Side effects of a run: small calls that run once, in the engine's process, off the actors' threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from tempolite.actors.messages import RunSideEffect, SideEffectEnded
from tempolite.calls import activity_call
from tempolite.core import events
from tempolite.core.step_records import StepKind
from tempolite.errors import InvalidArguments
from tempolite.execution.infos import SideEffectInfo
from tempolite.execution.steps import ANY_FUNCTION

if TYPE_CHECKING:
    from tempolite.execution.execution import Execution


class SideEffects:
    """What a run's side effects do."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._log, self._steps = execution.log, execution.steps

    def schedule(self, name: str, function: Callable[[], Any]) -> SideEffectInfo[Any]:
        """The code asks for a side effect; only its value is recorded, an unrecorded one runs again."""
        self._execution.check_is_live()
        if not callable(function):
            raise InvalidArguments(f"side effect {name!r}: {function!r} is not callable")
        activity_call(function).shape.check(f"side effect {name!r}: ", (), {})
        key = self._steps.next_key(name)
        info: SideEffectInfo[Any] = SideEffectInfo(self._execution, key)
        step = self._steps.known(key, StepKind.SIDE_EFFECT, ANY_FUNCTION)
        if step is None and key not in self._log.in_flight:
            services = self._execution.services
            self._log.in_flight[key] = ""
            self._log.send(RunSideEffect(self._log.actor, key, lambda: services.encode(function(), "result")))
        self._steps.expect(info, key, step)
        return info

    def take_end(self, message: SideEffectEnded) -> None:
        """It ran: from now on the code gets this value, and nothing runs it again."""
        if self._log.in_flight.pop(message.step, None) is None:
            return
        if message.failure is not None:
            self._log.record(events.SideEffectFailed(message.failure), message.step)
        else:
            assert message.result is not None, "a side effect ends with a value or a failure"
            self._log.record(events.SideEffectCompleted(msgspec.Raw(message.result)), message.step)
        self._steps.offer(message.step)
