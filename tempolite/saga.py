"""What a saga consists of: transactions, and what undoes them; declared before a run asks for it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, Protocol, Self, TypeVarTuple, overload

from tempolite.calls import ActivityCall, activity_call
from tempolite.core.identifiers import is_name, step_key
from tempolite.core.retry import RetryPolicy
from tempolite.errors import InvalidArguments
from tempolite.saga_context import CompensationContext, TransactionContext

Args = TypeVarTuple("Args")

_FORBIDDEN_IN_NAMES = re.compile(r"/|#\d+$")


class PlannedStep(NamedTuple):
    """One step of a saga.

    Attributes:
        name: unique within the saga.
        transaction: what it does.
        compensation: what undoes it.
        args: of both, after their context.
    """

    name: str
    transaction: ActivityCall
    compensation: ActivityCall | None
    args: tuple[Any, ...]


class SagaStep(Protocol[*Args]):
    """An object that is a step of a saga; it may have a ``compensation`` as well."""

    def transaction(self, tx: TransactionContext, /, *args: *Args) -> Any:
        """What it does."""
        ...


class Saga:
    """Transactions in order, each with what undoes it; ``ctx.saga("checkout", saga)`` runs them.

    ``Saga().add(reserve, release, args=(order,)).add(charge, refund, name="charge")``
    """

    def __init__(self) -> None:
        self._steps: tuple[PlannedStep, ...] = ()

    @property
    def steps(self) -> tuple[PlannedStep, ...]:
        """Its steps until now."""
        return self._steps

    @overload
    def add(
        self,
        transaction: Callable[[TransactionContext], Any] | SagaStep[()],
        compensation: Callable[[CompensationContext], Any] | None = None,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
    ) -> Self: ...
    @overload
    def add(
        self,
        transaction: Callable[[TransactionContext, *Args], Any],
        compensation: Callable[[CompensationContext, *Args], Any] | None = None,
        *,
        args: tuple[*Args],
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
    ) -> Self: ...
    @overload
    def add(
        self,
        transaction: SagaStep[*Args],
        compensation: Callable[[CompensationContext, *Args], Any] | None = None,
        *,
        args: tuple[*Args],
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
    ) -> Self: ...
    def add(
        self,
        transaction: Any,
        compensation: Callable[..., Any] | None = None,
        *,
        args: Sequence[Any] = (),
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
    ) -> Self:
        """Adds a step, after those before it; gives the saga.

        Args:
            transaction: ``transaction(tx: TransactionContext, *args)``; or an object that has a method of
                that name, and perhaps another one called ``compensation``.
            compensation: ``compensation(tx: CompensationContext, *args)``; without one nothing is undone.
            args: of both.
            name: the function's, unless given; unique within the saga.
            retry: of each of the two; else what its options say, else the engine's ``default_retry``.
            timeout: of one attempt of each of the two, in seconds or as timedelta.

        Raises:
            InvalidArguments: something is not callable, a name is given twice, the arguments don't fit, or a
                value is out of range.
        """
        doing, undoing = _pair(transaction, compensation)
        given = _checked_args(args)
        calls = [
            call.with_options(retry, timeout)
            for call in (_call("transaction", doing), _call("compensation", undoing))
            if call is not None
        ]
        for call in calls:
            call.check_with_context(given)
        chosen = self._own_name(transaction) if name is None else self._checked_name(name)
        step = PlannedStep(chosen, calls[0], calls[1] if len(calls) > 1 else None, given)
        self._steps = (*self._steps, step)
        return self

    def __repr__(self) -> str:
        return f"<saga of {', '.join(step.name for step in self._steps) or 'no steps'}>"

    def _checked_name(self, name: Any) -> str:
        if not is_name(name) or _FORBIDDEN_IN_NAMES.search(name):
            raise InvalidArguments(
                f"name is {name!r}, expected a non-empty text without '/', which does not end in '#' and a "
                "number"
            )
        if name in self._names():
            raise InvalidArguments(f"name {name!r} is given twice; each step of a saga has its own")
        return name

    def _own_name(self, given: Any) -> str:
        """The function's name, or the object's class's; ``#2`` and so on where it is taken."""
        name = _short_name(given)
        occurrence, taken = 1, self._names()
        while step_key(name, occurrence) in taken:
            occurrence += 1
        return step_key(name, occurrence)

    def _names(self) -> set[str]:
        return {step.name for step in self._steps}


def _pair(transaction: Any, compensation: Any) -> tuple[Any, Any]:
    """What is called, where one object may hold both."""
    doing = getattr(transaction, "transaction", None)
    if doing is None:
        return transaction, compensation
    if compensation is None:
        compensation = getattr(transaction, "compensation", None)
    return doing, compensation


def _call(role: str, target: Any) -> ActivityCall | None:
    if target is None and role == "compensation":
        return None
    if not callable(target):
        raise InvalidArguments(f"{role} is {target!r}, expected a callable")
    return activity_call(target)


def _checked_args(args: Any) -> tuple[Any, ...]:
    if not isinstance(args, (tuple, list)):
        raise InvalidArguments(f"args is {args!r}, expected a tuple of arguments")
    return tuple(args)


def _short_name(target: Any) -> str:
    if isinstance(target, functools.partial):
        return _short_name(target.func)
    name = getattr(target, "__name__", None)
    return name if isinstance(name, str) else type(target).__name__
