"""Versions of a run's code: which side of a change it stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tempolite.core import events
from tempolite.core.identifiers import StepKey, is_name
from tempolite.core.step_records import VERSION_PREFIX
from tempolite.errors import InvalidArguments, VersionNotSupported

if TYPE_CHECKING:
    from tempolite.execution.execution import Execution


class Versions:
    """What a run knows of changes to its code."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._log = execution.log

    def get(self, change: str, minimum: int, maximum: int) -> int:
        """The version that was recorded, given or inherited; ``maximum`` the first time.

        Raises:
            InvalidArguments: the change has no name, or the range is none.
            VersionNotSupported: it lies outside of the range.
        """
        self._execution.check_is_live()
        _check(change, minimum, maximum)
        key = StepKey(VERSION_PREFIX + change)
        step = self._log.state.steps.get(key)
        version = self._execution.created.versions.get(change, maximum) if step is None else step.version
        if not minimum <= version <= maximum:
            raise VersionNotSupported(
                f"workflow {self._log.workflow!r} is at version {version} of {change!r}; this code supports "
                f"{minimum} to {maximum}"
            )
        self._execution.steps.meet(key)
        if step is None:
            self._log.record(events.VersionMarked(version), key)
        return version


def _check(change: Any, minimum: Any, maximum: Any) -> None:
    if not is_name(change):
        raise InvalidArguments(f"change is {change!r}, expected a non-empty text")
    for name, value in (("minimum", minimum), ("maximum", maximum)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidArguments(f"{name} is {value!r}, expected an int")
    if minimum > maximum:
        raise InvalidArguments(f"minimum is {minimum}, more than maximum, {maximum}")
