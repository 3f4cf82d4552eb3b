"""The parts of a run that most runs never need: each is made when it is first asked for.

A run of a few activities has no signal, timer, saga or handler. Making these for each run would be a tenth of
its cost, and most of what the cycle collector has to look through; so who only wants to know whether
something waits there asks ``made`` first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from tempolite.execution.children import Children
from tempolite.execution.conditions import Conditions
from tempolite.execution.handlers import Handlers
from tempolite.execution.requests import Requests
from tempolite.execution.sagas import Sagas
from tempolite.execution.side_effects import SideEffects
from tempolite.execution.signals import Signals
from tempolite.execution.timers import Timers
from tempolite.execution.versions import Versions
from tempolite.execution.waits import Waits

T = TypeVar("T")


class Rare(Generic[T]):
    """An attribute that holds a part from the first time on that somebody asks for it."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, execution: Parts, owner: type | None = None) -> T:
        part = execution.made[self._name] = self._make(execution)
        # From now on the instance's own attribute is found first.
        setattr(execution, self._name, part)
        return part


class Parts:
    """What an execution has of them.

    Attributes:
        made: those that were made, by name. One that is missing is as if its code had just begun.
    """

    side_effects = Rare(SideEffects)
    sagas = Rare(Sagas)
    children = Rare(Children)
    timers = Rare(Timers)
    signals = Rare(Signals)
    conditions = Rare(Conditions)
    versions = Rare(Versions)
    waits = Rare(Waits)
    handlers = Rare(Handlers)
    requests = Rare(Requests)

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}

    def begin_parts(self) -> None:
        """The code begins anew: what it said to them it says again."""
        for name, part in self.made.items():
            if name in _BEGIN_ANEW:
                part.begin()


_BEGIN_ANEW = frozenset({"handlers", "signals", "conditions", "sagas"})
