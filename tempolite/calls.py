"""What the engine needs to know of a callable: its name, its arguments, how it travels; looked at once."""

from __future__ import annotations

import copy
import functools
import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import FunctionType
from typing import Any

import msgspec

from tempolite.actors.frames import Shipping
from tempolite.codec import dump_callable, importable_name
from tempolite.core.events import RunCreated
from tempolite.core.queues import DEFAULT_QUEUE
from tempolite.core.retry import RetryPolicy, RetrySpec
from tempolite.definitions import (
    Activity,
    ActivityOptions,
    Declared,
    Workflow,
    WorkflowOptions,
    callable_name,
    callable_part,
)
from tempolite.errors import ActivityError, InvalidArguments

ACTIVITY_CONTEXT = "ActivityContext"
WORKFLOW_CONTEXTS = ("WorkflowContext", "AsyncWorkflowContext")
CALLS_MAX = 4_096


@dataclass(frozen=True)
class Shape:
    """Which arguments a callable takes, its context left out."""

    signature: inspect.Signature
    least: int
    most: float
    is_simple: bool

    def check(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Refuses arguments that the call would refuse (P4).

        Raises:
            InvalidArguments: wrong count or names.
        """
        if not kwargs and self.is_simple and self.least <= len(args) <= self.most:
            return
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArguments(f"{name}{self.signature}: {error}") from None


class Described:
    """What the engine knows of a callable.

    Attributes:
        target: what was given.
        callable: what is called in the end.
        name: recorded for it.
        names: the name and all aliases.
        signature: its own, context included.
        shape: its arguments.
        takes_context: its first parameter is the context.
        is_async: it must be awaited.
    """

    def __init__(
        self, target: Any, contexts: tuple[str, ...], name: str | None, aliases: tuple[str, ...]
    ) -> None:
        self.target = target
        self.callable = callable_part(target.fn if isinstance(target, Declared) else target)
        self.name = name or callable_name(self.callable)
        self.names = frozenset((self.name, *aliases))
        self.signature = signature = _signature(self.callable)
        self.takes_context = _takes_context(self.callable, signature, contexts)
        self.shape = _shape(signature, skip_first=self.takes_context)
        self.is_async = inspect.iscoroutinefunction(
            inspect.unwrap(self.callable)
        ) or inspect.iscoroutinefunction(
            getattr(self.callable, "__call__", None)  # noqa: B004 - the method itself is looked at
        )


class ActivityCall(Described):
    """An activity, looked at."""

    def __init__(self, target: Any) -> None:
        self.options: ActivityOptions = target.declared if isinstance(target, Activity) else ActivityOptions()
        super().__init__(target, (ACTIVITY_CONTEXT,), self.options.name, self.options.aliases)
        self._types: frozenset[type] = frozenset()
        self._goes_by_value = False
        self._shipping: Shipping | None = None

    def carrying(self, types: set[type]) -> ActivityCall:
        """This one, taking along the types among these that no name leads to in a worker."""
        homeless = frozenset(kind for kind in types if importable_name(kind) is None)
        if homeless <= self._types:
            return self
        other = copy.copy(self)
        other._types, other._shipping = homeless, None
        return other

    def with_options(
        self, retry: RetryPolicy | None = None, timeout: float | timedelta | None = None
    ) -> ActivityCall:
        """This one, with these options where they are given.

        Raises:
            InvalidArguments: one is out of range.
        """
        mine, other = self.options, copy.copy(self)
        other.options = replace(
            mine,
            retry=mine.retry if retry is None else retry,
            timeout=mine.timeout if timeout is None else timeout,
        )
        return other

    def check_with_context(self, args: tuple[Any, ...]) -> None:
        """Refuses arguments that the call would refuse where its first one is a saga's context.

        Raises:
            InvalidArguments: wrong count.
        """
        try:
            self.signature.bind(None, *args)
        except TypeError as error:
            raise InvalidArguments(
                f"{self.name}{self.signature}, called with its context and {args!r}: {error}"
            ) from None

    def shipping(self) -> Shipping:
        """How it travels to a worker: by name where one leads to it, else by value.

        Raises:
            NotStorable: it holds something that can't leave this process.
        """
        if self._shipping is not None:
            return self._shipping
        name = None if self._types or self._goes_by_value else importable_name(self.callable)
        if name is not None:
            self._shipping = Shipping(name, name)
            return self._shipping
        code = dump_callable(self.callable, self._types)
        shipping = Shipping(hashlib.blake2b(code, digest_size=16).digest(), "", code)
        if isinstance(self.callable, FunctionType) and not self.callable.__closure__:
            # Without cells or an instance nothing in it changes: it is looked at once.
            self._shipping = shipping
        return shipping

    def ship_by_value(self, reason: str) -> None:
        """Its name led nowhere in a worker: from now on it goes by value.

        Raises:
            ActivityError: it did already.
        """
        if self._goes_by_value or self._types:
            raise ActivityError(f"{self.name} can't be loaded in a worker process: {reason}")
        self._goes_by_value, self._shipping = True, None


class WorkflowCall(Described):
    """A workflow function, looked at."""

    def __init__(self, target: Any) -> None:
        self.options: WorkflowOptions = target.declared if isinstance(target, Workflow) else WorkflowOptions()
        super().__init__(target, WORKFLOW_CONTEXTS, self.options.name, self.options.aliases)
        if not self.takes_context:
            raise InvalidArguments(
                f"{self.name}: a workflow's first parameter is its context, `ctx: WorkflowContext`"
            )

    def run_created(self, workflow: str, args: msgspec.Raw, **more: Any) -> RunCreated:
        """The first event of a run of this function, as its options of today say.

        Args:
            workflow: the run's id.
            args: the encoded arguments.
            more: fields of the event that the options don't know: ``seed``, ``run_group``, a child's parent;
                they win over the options.
        """
        options = self.options
        fields: dict[str, Any] = {
            "function": self.name,
            "queue": options.queue or DEFAULT_QUEUE,
            "priority": options.priority,
            "retry": options.retry.recorded() if options.retry else RetrySpec(),
            "timeout_s": options.timeout_s,
            "deferred": options.defer,
            "versions": dict(options.versions),
        }
        return RunCreated(workflow=workflow, args=args, **(fields | more))


def activity_call(target: Any) -> ActivityCall:
    """What an engine needs to know of an activity.

    Raises:
        InvalidArguments: it is nothing that can be run.
    """
    # Instances and bound methods are looked at anew each time: what they hold may have changed.
    return _activity_call(target) if type(target) in (FunctionType, Activity) else ActivityCall(target)


def workflow_call(target: Any) -> WorkflowCall:
    """What an engine needs to know of a workflow function.

    Raises:
        InvalidArguments: it is not callable, or takes no context.
    """
    return _workflow_call(target) if type(target) in (FunctionType, Workflow) else WorkflowCall(target)


# Bounded, because a lambda made for each call is a new target each time.
_activity_call = functools.lru_cache(maxsize=CALLS_MAX)(ActivityCall)
_workflow_call = functools.lru_cache(maxsize=CALLS_MAX)(WorkflowCall)


def _signature(fn: Any) -> inspect.Signature:
    try:
        return inspect.signature(fn)
    except (TypeError, ValueError):
        # Some callables of C have none: they are taken at their word.
        anything = [
            inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
            inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
        ]
        return inspect.Signature(anything)


def _takes_context(fn: Any, signature: inspect.Signature, contexts: tuple[str, ...]) -> bool:
    first = next(iter(signature.parameters.values()), None)
    if first is None or first.kind in (first.VAR_POSITIONAL, first.VAR_KEYWORD, first.KEYWORD_ONLY):
        return False
    annotation = first.annotation
    if annotation is inspect.Parameter.empty:
        return first.name == "ctx"
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    if text.strip("'\"").split("[")[0].rsplit(".", 1)[-1] in contexts:
        return True
    return (first.name == "ctx" and text in ("Any", "typing.Any", "object")) or _alias_of_context(
        fn, first.name, contexts
    )


def _alias_of_context(fn: Any, name: str, contexts: tuple[str, ...]) -> bool:
    """Whether a text annotation is another name of a context, as after ``import … as``."""
    found = getattr(fn, "__globals__", {}).get(str(getattr(fn, "__annotations__", {}).get(name)))
    return getattr(found, "__name__", None) in contexts


def _shape(signature: inspect.Signature, *, skip_first: bool) -> Shape:
    parameters = list(signature.parameters.values())[1 if skip_first else 0 :]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    has_rest = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    needs_names = any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)
    return Shape(
        signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty),
        least=sum(p.default is p.empty for p in positional),
        most=float("inf") if has_rest else len(positional),
        is_simple=not needs_names,
    )
