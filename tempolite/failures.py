"""Exceptions to :class:`~tempolite.core.failure.Failure` and back.

Capturing never raises, whatever the exception's own code does. Rebuilding never runs that code: the type is
looked for by name among types that are known here, and made by its built-in base (``codec/exceptions.py``).
"""

from __future__ import annotations

import os
import traceback
from types import TracebackType
from typing import Any

import msgspec

from tempolite.codec.exceptions import (
    CAUSES_MAX,
    CannotRebuild,
    args_of,
    build_error,
    cause_of,
    notes_of,
    set_cause,
    set_notes,
    state_of,
)
from tempolite.codec.json_codec import JsonCodec
from tempolite.codec.plain_values import JsonTree
from tempolite.codec.type_names import lineage, type_name
from tempolite.core.failure import Failure
from tempolite.errors import (
    ActivityError,
    NonRetryable,
    NotStorable,
    PayloadTooLarge,
    RemoteTraceback,
    TempoliteError,
    WorkflowFailed,
)

MESSAGE_MAX = 10_000
TRACEBACK_MAX = 50_000
"""Characters that are kept; of longer texts the beginning and the end."""

TREE_BYTES_MAX = 2**20
"""Arguments or attributes larger than that count as not storable."""

OWN_FILES = os.path.dirname(__file__) + os.sep
"""At the end of a traceback they say nothing to whoever called us."""

CALLERS = (
    f"{OWN_FILES}execution{os.sep}",
    f"{OWN_FILES}actors{os.sep}",
    f"{OWN_FILES}activity_runner.py",
    os.path.join(os.path.dirname(os.__file__), "asyncio") + os.sep,
)
"""What calls the user's code; at the beginning of a traceback they say nothing to whoever wrote that."""

_CONTEXT = BaseException.__dict__["__context__"]
_SUPPRESS = BaseException.__dict__["__suppress_context__"]
_TRACEBACK = BaseException.__dict__["__traceback__"]


def capture_failure(error: BaseException, codec: JsonCodec) -> Failure:
    """The exception as plain data; its traceback begins with the user's code."""
    try:
        return _captured(error, codec, [error], _traceback_text(error))
    except Exception:  # the stack is at its end, or memory is
        return Failure(type_name=_names(error)[0], message=_message(error), lineage=_names(error))


def rebuild_failure(
    failure: Failure,
    codec: JsonCodec,
    *,
    step: str = "",
    attempt: int = 0,
    fallback: type[ActivityError] | type[WorkflowFailed] = ActivityError,
) -> BaseException:
    """The exception again: its own type where that can be made without running its code, else ``fallback``.

    A note names step and attempt; the remote traceback is its ``__cause__``, or that of its deepest cause
    where it had been raised ``from`` one.
    """
    error = _rebuilt(failure, codec, fallback)
    if step:
        where = f"in step {step!r}" + (f", attempt {attempt}" if attempt else "")
        set_notes(error, [*notes_of(error), where])
    return error


def failure_matches(failure: Failure, classes: tuple[type[BaseException], ...]) -> bool:
    """Whether ``except classes`` would have caught it, by the names of its bases."""
    names = {type_name(cls) for cls in classes}
    return not names.isdisjoint(failure.lineage)


def _captured(error: BaseException, codec: JsonCodec, chain: list[BaseException], text: str) -> Failure:
    names = _names(error)
    cause = _next_in_chain(error, chain)
    return Failure(
        type_name=names[0],
        message=_message(error),
        traceback=text,
        lineage=names,
        args=_args_tree(error, codec),
        state=_state_tree(error, codec),
        notes=tuple(_clean(note, MESSAGE_MAX) for note in _guarded(notes_of, error, ())),
        cause=None if cause is None else _captured(cause, codec, [*chain, cause], ""),
        cause_is_explicit=cause is not None and cause is cause_of(error),
        is_exception=issubclass(type(error), Exception),
        retryable=not issubclass(type(error), NonRetryable | NotStorable | PayloadTooLarge),
    )


def _names(error: BaseException) -> tuple[str, ...]:
    return tuple(_clean(type_name(cls), MESSAGE_MAX) for cls in lineage(type(error)) if cls is not object)


def _next_in_chain(error: BaseException, chain: list[BaseException]) -> BaseException | None:
    cause = cause_of(error)
    if cause is None and not _SUPPRESS.__get__(error):
        cause = _CONTEXT.__get__(error)
    # The text of a remote traceback is in our own text already.
    if (
        issubclass(type(cause), RemoteTraceback)
        or len(chain) >= CAUSES_MAX
        or any(cause is seen for seen in chain)
    ):
        return None
    return cause


def _guarded(look: Any, error: BaseException, otherwise: Any) -> Any:
    """``look(error)``, or ``otherwise`` when the exception's own code fails, SystemExit included."""
    try:
        return look(error)
    except BaseException:
        return otherwise


def _message(error: BaseException) -> str:
    return _clean(_guarded(str, error, "<its text can't be made>"), MESSAGE_MAX)


def _args_tree(error: BaseException, codec: JsonCodec) -> list[JsonTree] | None:
    args = list(args_of(error))
    tree = _tree(args, codec)
    return tree if type(tree) is list else None


def _state_tree(error: BaseException, codec: JsonCodec) -> dict[str, JsonTree] | None:
    state = _guarded(state_of, error, {})
    trees = {name: _tree([item], codec) for name, item in state.items() if type(name) is str}
    kept = {_clean(name, MESSAGE_MAX): tree[0] for name, tree in trees.items() if tree is not None}
    return kept or None


def _tree(items: list[Any], codec: JsonCodec) -> list[JsonTree] | None:
    """The trees of some values as they are now; None where one can't be stored, or all are too large."""
    try:
        text = codec.encode(items)
    except BaseException:
        return None
    return msgspec.json.decode(text) if len(text) <= TREE_BYTES_MAX else None


def _traceback_text(error: BaseException) -> str:
    if _TRACEBACK.__get__(error) is None and cause_of(error) is None and _CONTEXT.__get__(error) is None:
        return ""
    try:
        trace: TracebackType | None = _TRACEBACK.__get__(error)
        while trace is not None and trace.tb_next is not None and _is_caller(trace):
            trace = trace.tb_next
        made = traceback.TracebackException(type(error), error, trace, compact=True)
        if _is_on_purpose(error):
            while len(made.stack) > 1 and made.stack[-1].filename.startswith(OWN_FILES):
                made.stack.pop()
        return _clean("".join(made.format()), TRACEBACK_MAX)
    except BaseException:
        return _clean(f"{type_name(type(error))}: {_message(error)}\n", TRACEBACK_MAX)


def _is_caller(trace: TracebackType) -> bool:
    return trace.tb_frame.f_code.co_filename.startswith(CALLERS)


def _is_on_purpose(error: BaseException) -> bool:
    """Whether our code raises it as it should: an error of ours, or one that came from elsewhere."""
    link: BaseException | None = error
    for _ in range(CAUSES_MAX):
        if issubclass(type(link), TempoliteError | RemoteTraceback):
            return True
        link = None if link is None else cause_of(link)
    return False


def _clean(text: str, length_max: int) -> str:
    """Exactly a ``str``, encodable, and not longer than that."""
    text = str.encode(text, "utf-8", "backslashreplace").decode()
    if len(text) <= length_max:
        return text
    half = length_max // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def _rebuilt(
    failure: Failure, codec: JsonCodec, fallback: type[ActivityError] | type[WorkflowFailed]
) -> BaseException:
    """The exception with its explicit causes, the remote traceback at the end of them."""
    first = last = _one_rebuilt(failure, codec, fallback)
    link = failure
    while link.cause is not None and link.cause_is_explicit:
        link = link.cause
        cause = _one_rebuilt(link, codec, fallback)
        set_cause(last, cause)
        last = cause
    if failure.traceback:
        set_cause(last, RemoteTraceback(failure.traceback))
    return first


def _one_rebuilt(
    failure: Failure, codec: JsonCodec, fallback: type[ActivityError] | type[WorkflowFailed]
) -> BaseException:
    try:
        cls = codec.find_type(failure.type_name)
        if not issubclass(cls, Exception) or not failure.is_exception:
            raise CannotRebuild(f"{failure.type_name} is no Exception")
        args = (failure.message,) if failure.args is None else codec.unpack(failure.args)
        state = {name: codec.unpack(tree) for name, tree in (failure.state or {}).items()}
        return build_error(cls, args, state, failure.notes)
    except (TempoliteError, CannotRebuild):
        error = fallback(failure.message, failure.type_name, failure.traceback)
        set_notes(error, failure.notes)
        return error
