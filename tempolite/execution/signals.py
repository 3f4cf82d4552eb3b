"""Signals of a run: what came and was not taken, and the steps in line for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tempolite.actors.controls import SignalArrived
from tempolite.codec.annotations import types_of
from tempolite.core import events
from tempolite.core.identifiers import StepKey, is_name
from tempolite.core.step_records import StepKind
from tempolite.errors import Busy, InvalidArguments
from tempolite.execution.infos import SignalInfo
from tempolite.execution.steps import ANY_FUNCTION, SIGNAL_PREFIX
from tempolite.store import statements

if TYPE_CHECKING:
    from tempolite.execution.execution import Execution


class Signals:
    """What a run's signals do.

    A signal is acknowledged when it is recorded, and taken by the step that has been in line longest. That
    is decided only where the code has caught up with its history, and recorded too: so a replay never gives
    a signal to a step that had given up before it came.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._log, self._steps = execution.log, execution.steps
        self._lines: dict[str, list[SignalInfo[Any]]] = {}

    def schedule(self, name: str, kind: Any) -> SignalInfo[Any]:
        """The code asks for the next signal of a name."""
        self._execution.check_is_live()
        checked_name(name)
        self._learn(kind)
        key = self._steps.own_key(SIGNAL_PREFIX + name)
        info: SignalInfo[Any] = SignalInfo(self._execution, key, name, kind)
        step = self._steps.known(key, StepKind.SIGNAL, ANY_FUNCTION)
        self._steps.expect(info, key, step)
        if step is None:
            self.join(info)
        return info

    def begin(self) -> None:
        """The code begins anew."""
        self._lines.clear()

    def _learn(self, kind: Any) -> None:
        """Values of that type are read although no name leads to it, as to one defined in a function."""
        if kind is not None:
            for cls in types_of(checked_type(kind)):
                self._execution.services.codec.register(cls)

    def join(self, info: SignalInfo[Any]) -> None:
        """It is in line, at the end; where it is already, it keeps its place.

        One that is recorded to have its signal only waits for that, and needs no other.
        """
        step = self._log.state.steps.get(info.key)
        if step is not None and step.outcome is not None:
            return
        line = self._lines.setdefault(info.name, [])
        if info not in line:
            line.append(info)

    def leave(self, info: SignalInfo[Any]) -> None:
        """Its waiter gave up: the next signal is for somebody else, until it waits again."""
        line = self._lines.get(info.name, [])
        if info in line:
            line.remove(info)

    def receive(self, message: SignalArrived) -> None:
        """Acknowledges a signal.

        Raises:
            Busy: too many are unread.
        """
        state, workflow = self._log.state, self._log.workflow
        if message.dedup is not None and self._is_known(message.name, message.dedup):
            return
        limit = self._execution.services.limits.signals
        if len(state.signals) >= limit:
            raise Busy(f"workflow {workflow!r} has {limit} unread signals, no more are taken (signal_limit)")
        body = events.SignalReceived(message.name, msgspec.Raw(message.value), message.dedup)
        self._log.record(body)
        if message.dedup is not None:
            self._log.write((statements.NOTE_SIGNAL, (workflow, message.name, message.dedup)))

    def match(self) -> bool:
        """Gives unread signals to those in line; whether there was one."""
        state, is_matched = self._log.state, False
        if not self._lines or not state.signals or self._steps.are_held_back or self._log.is_sealed:
            return False
        for seq in sorted(state.signals):
            line = self._lines.get(state.signals[seq].name)
            if line:
                self._give(line.pop(0).key, seq)
                is_matched = True
        return is_matched

    def _give(self, key: StepKey, seq: int) -> None:
        self._log.record(events.SignalTaken(seq), key)
        self._steps.offer(key)

    def _is_known(self, name: str, dedup: str) -> bool:
        if (name, dedup) in self._log.state.dedups:
            return True
        # An earlier run of the workflow may have had it; its commit came before this run began.
        return self._log.state.created.run > 1 and self._execution.services.is_known_signal(
            self._log.workflow, name, dedup
        )


def checked_name(name: Any) -> str:
    """The name of a signal, query or update.

    Raises:
        InvalidArguments: it is no non-empty text.
    """
    if not is_name(name):
        raise InvalidArguments(f"name is {name!r}, expected a non-empty text")
    return name


def checked_type(kind: Any) -> Any:
    """What a signal's value must be.

    Raises:
        InvalidArguments: it is no type.
    """
    if not isinstance(kind, type):
        try:
            msgspec.inspect.type_info(kind)
        except TypeError:
            raise InvalidArguments(f"type is {kind!r}, expected a type such as Order or list[int]") from None
    return kind
