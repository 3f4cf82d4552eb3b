"""Exceptions taken apart and put together again, without running a line of theirs.

What is kept: arguments, attributes (``__dict__``, slots, and such members of the built-in types as
``OSError.filename``) and notes. An exception is made by the nearest built-in base's own ``__new__`` and
``__init__``; a user's constructor, properties and ``__setattr__`` stay out of it.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

from tempolite.codec.fields import FieldAccess, has_finalizer
from tempolite.codec.plain_values import JsonTree, Unstorable, expect
from tempolite.codec.records import TagChild, UntagChild
from tempolite.codec.type_names import lineage, type_name

CAUSES_MAX = 8
"""Links of a chain of causes that are kept."""

NOTES_MAX = 100

_DICT = BaseException.__dict__["__dict__"].__get__
_ARGS = BaseException.__dict__["args"]
_CAUSE = BaseException.__dict__["__cause__"]

# Members of built-in exceptions: only such values are looked at (AttributeError.obj could be anything).
_MEMBER_TYPES = (str, int, bytes)

# Not told by the flags of the type: ExceptionGroup is made at run time, and is built in all the same.
_BUILTIN = frozenset(
    found for found in vars(builtins).values() if isinstance(found, type) and issubclass(found, BaseException)
)

# Built-in bases that look into their arguments, and what they may look into: other types could run code.
_PARSING = (OSError, UnicodeError, SyntaxError, BaseExceptionGroup)
_PARSED_TYPES = frozenset((str, int, float, bool, bytes, tuple, list, type(None)))


class CannotRebuild(Exception):
    """The exception can't be made again from what is stored of it."""


class ErrorShape:
    """One exception type as a typed value: with its explicit causes, without tracebacks."""

    def __init__(self, cls: type[BaseException]) -> None:
        self._cls = cls
        if has_finalizer(cls):
            raise Unstorable("its type has a finalizer")

    def write(self, value: BaseException, child: TagChild) -> dict[str, JsonTree]:
        """The trees of its arguments, attributes, notes and explicit cause."""
        tree: dict[str, JsonTree] = {
            "args": [child(item, f".args[{i}]") for i, item in enumerate(args_of(value))]
        }
        if state := state_of(value):
            tree["state"] = {name: child(item, f".{name}") for name, item in state.items()}
        if notes := notes_of(value):
            tree["notes"] = list(notes)
        cause = cause_of(value)
        if cause is not None and _has_short_chain(value):
            tree["cause"] = child(cause, ".__cause__")
        return tree

    def read(self, tree: dict[str, JsonTree], child: UntagChild) -> BaseException:
        """The exception again, made without running its code."""
        args = [child(item) for item in expect(list, tree["args"])]
        state = {name: child(item) for name, item in expect(dict, tree.get("state", {})).items()}
        notes = [expect(str, note) for note in expect(list, tree.get("notes", []))]
        error = build_error(self._cls, args, state, notes)
        if "cause" in tree:
            set_cause(error, child(tree["cause"]))
        return error


def args_of(error: BaseException) -> tuple[Any, ...]:
    """The arguments, past any property of that name."""
    return _ARGS.__get__(error)  # type: ignore[no-any-return]


def cause_of(error: BaseException) -> BaseException | None:
    """What it was explicitly raised from."""
    return _CAUSE.__get__(error)  # type: ignore[no-any-return]


def set_cause(error: BaseException, cause: BaseException) -> None:
    """``error.__cause__ = cause``, past any ``__setattr__``."""
    _CAUSE.__set__(error, cause)


def notes_of(error: BaseException) -> tuple[str, ...]:
    """What was added with ``add_note``."""
    notes = _DICT(error).get("__notes__", ())
    if type(notes) is not list:
        return ()
    return tuple(note for note in notes[:NOTES_MAX] if type(note) is str)


def set_notes(error: BaseException, notes: Sequence[str]) -> None:
    """Replace the notes, past any ``__setattr__``."""
    _DICT(error)["__notes__"] = list(notes)


def state_of(error: BaseException) -> dict[str, Any]:
    """Attributes by name that making the exception from its arguments would not give."""
    state = FieldAccess(type(error)).read(error)
    state.pop("__notes__", None)
    members = _member_values(error)
    try:
        usual = _member_values(_make(_builtin_base(type(error)), args_of(error)))
    except CannotRebuild:
        usual = {}
    builtin = FieldAccess(_builtin_base(type(error))).slots.keys()
    attributes = {name: value for name, value in state.items() if name not in builtin}
    return attributes | {name: value for name, value in members.items() if usual.get(name) != value}


def build_error(
    cls: type[BaseException], args: Sequence[Any], state: Mapping[str, Any], notes: Sequence[str]
) -> BaseException:
    """An exception of that type with these arguments, attributes and notes.

    Raises:
        CannotRebuild: its built-in base does not take the arguments, or an attribute has no place.
    """
    if has_finalizer(cls):
        raise CannotRebuild(f"{type_name(cls)} has a finalizer")
    error = _make(cls, args)
    try:
        FieldAccess(cls).write(error, state)
    except (AttributeError, TypeError, ValueError) as reason:
        raise CannotRebuild(f"{type_name(cls)}: {reason}") from None
    if notes:
        set_notes(error, notes)
    return error


def _has_short_chain(error: BaseException) -> bool:
    """Whether its explicit causes come to an end soon: a cycle of them does not."""
    link: BaseException | None = error
    for _ in range(CAUSES_MAX + 1):
        link = None if link is None else cause_of(link)
    return link is None


def _make(cls: type[BaseException], args: Sequence[Any]) -> BaseException:
    base = _builtin_base(cls)
    if issubclass(base, _PARSING) and not all(type(arg) in _PARSED_TYPES for arg in args):
        raise CannotRebuild(f"{type_name(cls)} can't be made with the arguments stored")
    # The later ways are for those whose own constructor passed on fewer arguments, or whose args were
    # changed later: a group needs two.
    for given in (tuple(args), tuple(args[:2]), ()):
        try:
            error = base.__new__(cls, *given)
            if given:
                base.__init__(error, *given)
        except Exception:
            continue
        if type(error) is cls:
            _ARGS.__set__(error, tuple(args))
            return error
    raise CannotRebuild(f"{type_name(cls)} can't be made with the arguments stored")


def _builtin_base(cls: type[BaseException]) -> type[BaseException]:
    """The nearest class of the lineage that is no Python code."""
    return next(base for base in lineage(cls) if base in _BUILTIN)


def _member_values(error: BaseException) -> dict[str, Any]:
    """What its built-in base keeps outside of ``args`` and ``__dict__``."""
    found = {}
    for name, member in FieldAccess(_builtin_base(type(error))).slots.items():
        if name.startswith("__"):
            continue
        try:
            value = member.__get__(error)
        except AttributeError:
            continue
        if type(value) in _MEMBER_TYPES:
            found[name] = value
    return found
