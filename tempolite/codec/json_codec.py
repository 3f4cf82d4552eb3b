"""The default codec: JSON that SQL can read, with tags where JSON has no notation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from tempolite.codec.annotations import mentioned_types
from tempolite.codec.plain_values import JsonTree
from tempolite.codec.tagging import DEPTH_MAX, Refused, Tagger
from tempolite.codec.type_names import TypeDirectory, TypeNotFound
from tempolite.codec.typed_values import TypedValues
from tempolite.codec.untagging import Untagger, named_types
from tempolite.errors import DatabaseDamaged, NotStorable, TempoliteError

C = TypeVar("C", bound=type)

_to_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder().decode

_MARK, _MARK_TEXT = b'"$"', '"$"'
_NO_JSON = (msgspec.DecodeError, UnicodeError, RecursionError)


class JsonCodec:
    """Turns values into JSON text and back: equal, and of the same type, or refused with ``NotStorable``.

    Plain data (None, bool, 64-bit int, finite float, str, list, dict with text keys) is plain JSON; anything
    else is ``{"$": tag, "v": ...}``. Reading runs no constructor, imports nothing and executes nothing that a
    payload says. That one object stood at two places is not kept: two equal ones come back.

    Safe to use from several threads.
    """

    def __init__(self, types: Iterable[type] = ()) -> None:
        self._types = TypeDirectory()
        typed = TypedValues(self._types)
        self._tagger = Tagger(typed)
        self._careful_tagger = Tagger(typed, text_is_checked=True)
        self._untagger = Untagger(typed)
        for cls in types:
            self._types.register(cls)

    def encode(self, value: Any, path: str = "value") -> bytes:
        """The payload of a value.

        Raises:
            NotStorable: something in it can't be stored exactly; the message has its path, from ``path`` on.
        """
        try:
            return _to_json(self._tagger.tag(value))
        except UnicodeEncodeError:
            return _to_json(self._tagged(self._careful_tagger, value, path))
        except Refused as refusal:
            raise NotStorable(refusal.text(path)) from None
        except RecursionError:
            raise _too_deep(path) from None

    def decode(self, payload: bytes | str) -> Any:
        """The value of a payload.

        Raises:
            TypeNotFound: it names a type that is not known here, or has changed.
            DatabaseDamaged: it is no payload of this codec.
        """
        try:
            tree = _from_json(payload)
        except _NO_JSON as reason:
            raise _no_json(reason) from None
        marked = _MARK_TEXT in payload if isinstance(payload, str) else _MARK in payload
        return self.unpack(tree) if marked else tree

    def encode_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """The payload of a call: ``{"args": [...], "kwargs": {...}}``, the latter only where there are any.

        Raises:
            NotStorable: an argument can't be stored exactly.
        """
        try:
            # Nearly every call: arguments without names, of which none needs a tag, or none is refused.
            if not kwargs:
                return _to_json({"args": self._tagger.tag_items(args, args)})
        except (Refused, RecursionError, UnicodeEncodeError):
            # Looked at again below, where what is wrong is said.
            pass
        try:
            return _to_json(self._call_tree(self._tagger, args, kwargs))
        except UnicodeEncodeError:
            return _to_json(self._call_tree(self._careful_tagger, args, kwargs))

    def decode_call(self, payload: bytes | str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a call.

        Raises:
            TypeNotFound, DatabaseDamaged: as :meth:`decode`.
        """
        call = self.decode(payload)
        if type(call) is dict and type(args := call.get("args")) is list:
            kwargs = call.get("kwargs")
            if kwargs is None and "kwargs" not in call:
                return tuple(args), {}
            if type(kwargs) is dict and all(type(name) is str for name in kwargs):
                return tuple(args), kwargs
        raise DatabaseDamaged("a payload holds no arguments of a call")

    def unpack(self, tree: JsonTree) -> Any:
        """The value of a tree, which is what a payload's JSON holds; the tree is left as it is.

        Raises:
            TypeNotFound, DatabaseDamaged: as :meth:`decode`.
        """
        try:
            return self._untagger.untag(tree)
        except (TempoliteError, MemoryError):
            raise
        except RecursionError:
            raise DatabaseDamaged("a payload is nested too deep") from None
        except Exception as reason:
            raise DatabaseDamaged(f"a payload can't be read: {type(reason).__name__}: {reason}") from reason

    def register(self, cls: C) -> C:
        """Let values of a type be read although it is not found by its name, as one defined in a function.

        Returns ``cls``, so that it can be used as a decorator.
        """
        self._types.register(cls)
        return cls

    def learn(self, fn: Callable[..., Any]) -> None:
        """Register the types that a function's annotations mention, and those that their fields mention."""
        for cls in mentioned_types(fn):
            self._types.register(cls)

    def find_type(self, name: str) -> type:
        """The type of that name, ``module:qualname``.

        Raises:
            TypeNotFound: it is not known here, or is none that a payload may name.
        """
        return self._types.find(name)

    def payload_types(self, payload: bytes | str) -> set[type]:
        """The types that a payload names and that are known here."""
        if (_MARK_TEXT if isinstance(payload, str) else _MARK) not in payload:  # type: ignore[operator]
            return set()
        found = set()
        for name in set(named_types(_tree_of(payload))):
            try:
                found.add(self._types.find(name))
            except TypeNotFound:
                continue
        return found

    def _call_tree(self, tagger: Tagger, args: tuple[Any, ...], kwargs: dict[str, Any]) -> JsonTree:
        tree = {"args": self._tagged(tagger, list(args), "args")}
        if kwargs:
            tree["kwargs"] = self._tagged(tagger, kwargs, "kwargs")
        return tree

    def _tagged(self, tagger: Tagger, value: Any, path: str) -> JsonTree:
        try:
            return tagger.tag(value)
        except Refused as refusal:
            raise NotStorable(refusal.text(path)) from None
        except RecursionError:
            raise _too_deep(path) from None


def _tree_of(payload: bytes | str) -> JsonTree:
    try:
        return _from_json(payload)
    except _NO_JSON as reason:
        raise _no_json(reason) from None


def _no_json(reason: Exception) -> DatabaseDamaged:
    return DatabaseDamaged(f"a payload is no JSON text: {reason}")


def _too_deep(path: str) -> NotStorable:
    return NotStorable(f"{path}: is nested deeper than {DEPTH_MAX} levels; flatten the data")
