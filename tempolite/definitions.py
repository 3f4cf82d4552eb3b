"""What is declared: activities and workflows, and the options that are put on them.

An option travels on the callable: ``@activity(timeout=5)``, ``activity(charge, timeout=5)`` and
``charge.options(timeout=5)`` all give an :class:`Activity` that is called like the function itself. Plain
functions need no decorator. :func:`activity_call` and :func:`workflow_call` look at any such callable once
and say everything that the engine needs to know of it.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from types import FunctionType
from typing import Any, Generic, Literal, ParamSpec, TypeVar, overload

from tempolite.actors.frames import Shipping
from tempolite.codec import dump_callable, importable_name
from tempolite.core.retry import RetryPolicy
from tempolite.errors import InvalidArguments

P = ParamSpec("P")
R = TypeVar("R")

ACTIVITY_CONTEXT = "ActivityContext"
WORKFLOW_CONTEXTS = ("WorkflowContext", "AsyncWorkflowContext")
CALLS_MAX = 4_096


@dataclass(frozen=True, kw_only=True)
class ActivityOptions:
    """How an activity runs; see ``docs/`` and the contract, section 3.

    Attributes:
        retry: None takes the engine's ``default_retry``.
        timeout: seconds (or timedelta) for one attempt, from its start.
        deadline: seconds for all attempts together.
        heartbeat_timeout: seconds between two heartbeats.
        queue: None is the run's queue.
        priority: higher first.
        memory_limit: bytes.
        grace: seconds from TERM to KILL.
        once: at most once; an interrupted attempt becomes ``UnknownOutcome``.
        name: recorded instead of ``module:qualname``.
        aliases: further names that mean this activity in older histories.
    """

    retry: RetryPolicy | None = None
    timeout: float | timedelta | None = None
    deadline: float | timedelta | None = None
    heartbeat_timeout: float | timedelta | None = None
    queue: str | None = None
    priority: int = 0
    memory_limit: int | None = None
    grace: float = 5.0
    once: bool = False
    name: str | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for option in ("timeout", "deadline", "heartbeat_timeout", "grace"):
            _check_seconds(option, getattr(self, option))
        _check_common(self)

    @property
    def timeout_s(self) -> float | None:
        """The limit of one attempt."""
        return seconds(self.timeout)


@dataclass(frozen=True, kw_only=True)
class WorkflowOptions:
    """How a run runs; as a root or as a child.

    Attributes:
        retry: of the whole code; successes stand in a new attempt.
        timeout: seconds for the whole run.
        queue: None is the parent's queue, or ``"default"``.
        priority: higher first.
        versions: overrides of ``get_version``.
        defer: create it ``PENDING``, until somebody calls ``enqueue``.
        detach: a run group of its own; the parent doesn't wait.
        on_parent_close: what becomes of a child when its parent ends first.
        id: of the child; ``parent/step`` unless given.
        name: recorded instead of ``module:qualname``.
        aliases: further names that mean this workflow in older histories.
    """

    retry: RetryPolicy | None = None
    timeout: float | timedelta | None = None
    queue: str | None = None
    priority: int = 0
    versions: Mapping[str, int] = field(default_factory=dict)
    defer: bool = False
    detach: bool = False
    on_parent_close: Literal["cancel", "abandon"] = "cancel"
    id: str | None = None
    name: str | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_seconds("timeout", self.timeout)
        if self.on_parent_close not in ("cancel", "abandon"):
            raise InvalidArguments(f"on_parent_close is {self.on_parent_close!r}, expected 'cancel' or 'abandon'")
        _check_common(self)

    @property
    def timeout_s(self) -> float | None:
        """The limit of the run."""
        return seconds(self.timeout)


Options = TypeVar("Options", ActivityOptions, WorkflowOptions)


class _Declared(Generic[P, R, Options]):
    """A callable with options; behaves as the callable itself."""

    _options_class: type[Any]

    def __init__(self, fn: Callable[P, R], options: Options) -> None:
        self.fn = fn
        self.declared = options
        functools.update_wrapper(self, fn, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.fn(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        return type(self)(self.fn.__get__(instance, owner), self.declared)

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {getattr(self.fn, '__qualname__', self.fn)}>"

    def _with(self, changes: Mapping[str, Any]) -> Options:
        return _changed(self.declared, changes)


class Activity(_Declared[P, R, ActivityOptions]):
    """An activity with options."""

    def options(self, **changes: Any) -> Activity[P, R]:
        """The same activity with some options changed."""
        return Activity(self.fn, self._with(changes))


class Workflow(_Declared[P, R, WorkflowOptions]):
    """A workflow function with options."""

    def options(self, **changes: Any) -> Workflow[P, R]:
        """The same workflow with some options changed."""
        return Workflow(self.fn, self._with(changes))


DECLARED: weakref.WeakValueDictionary[str, Workflow[..., Any]] = weakref.WeakValueDictionary()
"""Workflows decorated with ``@workflow`` in modules that are imported, by name and alias."""


@overload
def activity(fn: Callable[P, R], /, **options: Any) -> Activity[P, R]: ...
@overload
def activity(**options: Any) -> Callable[[Callable[P, R]], Activity[P, R]]: ...
def activity(fn: Any = None, /, **options: Any) -> Any:
    """Puts options on an activity: as a decorator, with or without them, or around it at the call.

    Raises:
        InvalidArguments: an unknown option, or a value out of range.
    """
    if fn is None:
        chosen = _made(ActivityOptions, options)
        return lambda function: Activity(_callable_part(function), chosen)
    if isinstance(fn, Activity):
        return fn.options(**options)
    return Activity(_callable_part(fn), _made(ActivityOptions, options))


@overload
def workflow(fn: Callable[P, R], /, **options: Any) -> Workflow[P, R]: ...
@overload
def workflow(**options: Any) -> Callable[[Callable[P, R]], Workflow[P, R]]: ...
def workflow(fn: Any = None, /, **options: Any) -> Any:
    """Puts options on a workflow: as a decorator, with or without them, or around it at the call.

    A function decorated at the top of a module is known to every engine of the process.
    """
    if isinstance(fn, Workflow):
        return fn.options(**options)
    chosen = _made(WorkflowOptions, options)

    def declare(function: Any) -> Workflow[..., Any]:
        declared: Workflow[..., Any] = Workflow(function, chosen)
        for name in (chosen.name or callable_name(function), *chosen.aliases):
            DECLARED.setdefault(name, declared)
        return declared

    return declare if fn is None else Workflow(fn, chosen)


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
        shape: its arguments.
        takes_context: its first parameter is the context.
        is_async: it must be awaited.
    """

    def __init__(self, target: Any, contexts: tuple[str, ...], name: str | None, aliases: tuple[str, ...]) -> None:
        self.target = target
        self.callable = _callable_part(target.fn if isinstance(target, _Declared) else target)
        self.name = name or callable_name(self.callable)
        self.names = frozenset((self.name, *aliases))
        signature = _signature(self.callable)
        self.takes_context = _takes_context(self.callable, signature, contexts)
        self.shape = _shape(signature, skip_first=self.takes_context)
        self.is_async = inspect.iscoroutinefunction(inspect.unwrap(self.callable)) or inspect.iscoroutinefunction(
            getattr(self.callable, "__call__", None)  # noqa: B004 - the method itself is looked at
        )


class ActivityCall(Described):
    """An activity, looked at."""

    def __init__(self, target: Any) -> None:
        self.options: ActivityOptions = target.declared if isinstance(target, Activity) else ActivityOptions()
        super().__init__(target, (ACTIVITY_CONTEXT,), self.options.name, self.options.aliases)
        self._shipping: Shipping | None = None

    def shipping(self) -> Shipping:
        """How it travels to a worker: by name where one leads to it, else by value."""
        if self._shipping is not None:
            return self._shipping
        name = importable_name(self.callable)
        if name is not None:
            self._shipping = Shipping(name, name, functools.partial(dump_callable, self.callable))
            return self._shipping
        code = dump_callable(self.callable)
        shipping = Shipping(hashlib.blake2b(code, digest_size=16).digest(), "", lambda: code)
        if isinstance(self.callable, FunctionType) and not self.callable.__closure__:
            # Without cells or an instance nothing in it changes: it is looked at once.
            self._shipping = shipping
        return shipping


class WorkflowCall(Described):
    """A workflow function, looked at."""

    def __init__(self, target: Any) -> None:
        self.options: WorkflowOptions = target.declared if isinstance(target, Workflow) else WorkflowOptions()
        super().__init__(target, WORKFLOW_CONTEXTS, self.options.name, self.options.aliases)
        if not self.takes_context:
            raise InvalidArguments(
                f"{self.name}: a workflow's first parameter is its context, `ctx: WorkflowContext`"
            )


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


def callable_name(fn: Any) -> str:
    """``module:qualname`` of a callable; of its class where it is an object."""
    if isinstance(fn, functools.partial):
        return callable_name(fn.func)
    owner = fn if hasattr(fn, "__qualname__") else type(fn)
    return f"{owner.__module__}:{owner.__qualname__}"


def seconds(value: float | timedelta | None) -> float | None:
    """A duration in seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def _callable_part(target: Any) -> Any:
    """What is called: the thing itself, or the ``run`` of an object."""
    if isinstance(target, _Declared):
        return target.fn
    if callable(target):
        return target
    run = getattr(target, "run", None)
    if callable(run):
        return run.fn if isinstance(run, _Declared) else run
    raise InvalidArguments(f"{target!r} is not callable and has no method `run`")


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
    return first.name == "ctx" and text in ("Any", "typing.Any", "object") or _alias_of_context(fn, first.name, contexts)


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


def _made(kind: type[Options], options: Mapping[str, Any]) -> Options:
    return _changed(kind(), options)


def _changed(options: Options, changes: Mapping[str, Any]) -> Options:
    known = {option.name for option in fields(options)}
    unknown = sorted(set(changes) - known)
    if unknown:
        raise InvalidArguments(f"unknown option {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return replace(options, **changes)


def _check_seconds(name: str, value: Any) -> None:
    number = seconds(value) if isinstance(value, timedelta) else value
    if number is None:
        return
    if not isinstance(number, (int, float)) or isinstance(number, bool) or not 0 <= number < float("inf"):
        raise InvalidArguments(f"{name} is {value!r}, expected seconds from 0, or a timedelta")


def _check_common(options: ActivityOptions | WorkflowOptions) -> None:
    if options.retry is not None and not isinstance(options.retry, RetryPolicy):
        raise InvalidArguments(f"retry is {options.retry!r}, expected a RetryPolicy")
    if not isinstance(options.priority, int):
        raise InvalidArguments(f"priority is {options.priority!r}, expected an int")
    if isinstance(options.aliases, str):
        raise InvalidArguments(f"aliases is {options.aliases!r}, expected a tuple of names")
    object.__setattr__(options, "aliases", tuple(options.aliases))
