"""What is declared: activities and workflows, and the options that are put on them.

An option travels on the callable: ``@activity(timeout=5)``, ``activity(charge, timeout=5)`` and
``charge.options(timeout=5)`` all give an :class:`Activity` that is called like the function itself. Plain
functions need no decorator. What the engine needs to know of any such callable is found out in ``calls.py``.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Any, Generic, Literal, ParamSpec, TypeVar, overload

from tempolite.core.identifiers import is_name
from tempolite.core.retry import RetryPolicy
from tempolite.core.terms import Terms
from tempolite.errors import InvalidArguments

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class ActivityOptions:
    """How an activity runs; every field can be given by decorator or at the call.

    Attributes:
        retry: None takes the engine's ``default_retry``.
        timeout: seconds (or timedelta) for one attempt, from its start.
        deadline: seconds (or timedelta) for all attempts together, from the start of the first.
        heartbeat_timeout: seconds (or timedelta) between two heartbeats.
        queue: None is the run's queue.
        priority: higher first.
        memory_limit: bytes beyond what its worker process has; in worker processes only.
        grace: seconds (or timedelta) from TERM to KILL.
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
    grace: float | timedelta = 5.0
    once: bool = False
    name: str | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for option in ("timeout", "deadline", "heartbeat_timeout", "grace"):
            _check_seconds(option, getattr(self, option))
        _check_bytes("memory_limit", self.memory_limit)
        _check_flag("once", self.once)
        _check_common(self)

    @functools.cached_property
    def terms(self) -> Terms:
        """What a pool has to know of them; worked out once, for it is asked for at every attempt."""
        return Terms(
            seconds(self.timeout),
            seconds(self.deadline),
            seconds(self.heartbeat_timeout),
            grace_s=seconds(self.grace) or 0.0,
            priority=self.priority,
            memory_limit=self.memory_limit,
            once=self.once,
            alone=self.once or self.memory_limit is not None,
        )


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
        id: of a child, ``parent/step`` unless given; of a root that is executed with the id None.
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
            raise InvalidArguments(
                f"on_parent_close is {self.on_parent_close!r}, expected 'cancel' or 'abandon'"
            )
        for option in ("defer", "detach"):
            _check_flag(option, getattr(self, option))
        _check_name("id", self.id)
        _check_versions(self.versions)
        _check_common(self)

    @property
    def timeout_s(self) -> float | None:
        """The limit of the run."""
        return seconds(self.timeout)


Options = TypeVar("Options", ActivityOptions, WorkflowOptions)


class Declared(Generic[P, R, Options]):
    """A callable with options; behaves as the callable itself."""

    def __init__(self, fn: Callable[P, R], options: Options) -> None:
        self.fn = fn
        self.declared: Options = options
        functools.update_wrapper(self, fn, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.fn(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        return type(self)(self.fn.__get__(instance, owner), self.declared)

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {getattr(self.fn, '__qualname__', self.fn)}>"


class Activity(Declared[P, R, ActivityOptions]):
    """An activity with options."""

    def options(self, **changes: Any) -> Activity[P, R]:
        """The same activity with some options changed."""
        return Activity(self.fn, _changed(self.declared, changes))


class Workflow(Declared[P, R, WorkflowOptions]):
    """A workflow function with options."""

    def options(self, **changes: Any) -> Workflow[P, R]:
        """The same workflow with some options changed."""
        return Workflow(self.fn, _changed(self.declared, changes))


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
        return lambda function: Activity(callable_part(function), chosen)
    if isinstance(fn, Activity):
        return fn.options(**options)
    return Activity(callable_part(fn), _made(ActivityOptions, options))


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
            DECLARED[name] = declared
        return declared

    if fn is None:
        return declare
    return Workflow(fn, chosen) if options else declare(fn)


def callable_name(fn: Any) -> str:
    """``module:qualname`` of a callable; of its class where it is an object."""
    if isinstance(fn, functools.partial):
        return callable_name(fn.func)
    owner = fn if hasattr(fn, "__qualname__") else type(fn)
    # Methods of built-in types, such as ``str.upper``, have no module of their own.
    home = getattr(owner, "__module__", None) or _owning_type(owner).__module__
    return f"{home}:{owner.__qualname__}"


def _owning_type(method: Any) -> type:
    owner: type = getattr(method, "__objclass__", None) or type(getattr(method, "__self__", method))
    return owner


def seconds(value: float | timedelta | None) -> float | None:
    """A duration in seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def callable_part(target: Any) -> Any:
    """What is called: the thing itself, or the ``run`` of an object.

    Raises:
        InvalidArguments: it is nothing that can be called.
    """
    if isinstance(target, Declared):
        return target.fn
    if callable(target):
        return target
    run = getattr(target, "run", None)
    if callable(run):
        return run.fn if isinstance(run, Declared) else run
    raise InvalidArguments(
        f"{target!r} is not callable and has no method `run`; pass the function itself, not called, and "
        "where the call takes a name, the name before it"
    )


def _made(kind: type[Options], options: Mapping[str, Any]) -> Options:
    return _changed(kind(), options)


def _changed(options: Options, changes: Mapping[str, Any]) -> Options:
    known = {option.name for option in fields(options)}
    unknown = sorted(set(changes) - known)
    if unknown:
        raise InvalidArguments(f"unknown option {unknown[0]!r}; there are {', '.join(sorted(known))}")
    changed: Options = replace(options, **changes)
    return changed


def _check_seconds(name: str, value: Any) -> None:
    number = seconds(value) if isinstance(value, timedelta) else value
    if number is None:
        return
    if not isinstance(number, (int, float)) or isinstance(number, bool) or not 0 <= number < float("inf"):
        raise InvalidArguments(f"{name} is {value!r}, expected seconds from 0, or a timedelta")


def _check_bytes(name: str, value: Any) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise InvalidArguments(f"{name} is {value!r}, expected bytes, an int from 1")


def _check_versions(versions: Any) -> None:
    if not isinstance(versions, Mapping) or not all(
        is_name(change) and isinstance(version, int) and not isinstance(version, bool)
        for change, version in versions.items()
    ):
        raise InvalidArguments(f"versions is {versions!r}, expected a version, an int, for each change")


def _check_common(options: ActivityOptions | WorkflowOptions) -> None:
    if options.retry is not None and not isinstance(options.retry, RetryPolicy):
        raise InvalidArguments(f"retry is {options.retry!r}, expected a RetryPolicy")
    if not _is_int(options.priority):
        raise InvalidArguments(f"priority is {options.priority!r}, expected an int of 64 bits")
    for option in ("queue", "name"):
        _check_name(option, getattr(options, option))
    aliases: Any = options.aliases
    if isinstance(aliases, str) or not isinstance(aliases, Iterable):
        raise InvalidArguments(f"aliases is {aliases!r}, expected a tuple of names")
    object.__setattr__(options, "aliases", tuple(aliases))
    for alias in options.aliases:
        if not is_name(alias):
            raise InvalidArguments(f"aliases holds {alias!r}, expected non-empty texts")


def _check_name(option: str, value: Any) -> None:
    if value is not None and not is_name(value):
        raise InvalidArguments(f"{option} is {value!r}, expected a non-empty text")


def _check_flag(option: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise InvalidArguments(f"{option} is {value!r}, expected True or False")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
