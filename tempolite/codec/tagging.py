"""From values to trees: what JSON has is left as it is, all else is tagged.

The walk dispatches on the exact type and copies nothing that needs no tag, so that plain data costs one pass
over it. Text is not looked at here: JSON encoding finds lone surrogates, and only then a second, slower walk
tags them (``text_is_checked``).
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeAlias

import msgspec

from tempolite.codec.plain_values import PLAIN_VALUES, JsonTree, Unstorable
from tempolite.codec.type_names import display_name
from tempolite.codec.typed_values import TypedValues
from tempolite.core.identifiers import is_text

DEPTH_MAX = 200
"""Levels of nesting. SQLite reads a thousand levels of JSON, and Python's stack has a thousand frames."""

TAGGED_LEVELS = 2
"""What a tagged value counts beyond its own level: its tree and its walk are deeper than a list's."""

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
"""Whole numbers that SQLite and every JSON reader of ours keep exactly."""

REMEDY = "pass plain data, a dataclass or another typed value instead"
REMEDY_ATTRIBUTE = "__tempolite_remedy__"
"""A class of which no value can be stored says in it what to pass instead."""

FACTORIES: dict[str, Any] = {
    kind.__name__: kind for kind in (list, dict, set, tuple, frozenset, int, float, str, bool, bytes)
}
"""What a defaultdict may make its values with: anything else is code."""


class Refused(Exception):
    """A value can't be stored; its path is put together while the walk unwinds."""

    def __init__(self, culprit: Any, reason: str = "can't be stored", remedy: str = REMEDY) -> None:
        super().__init__(reason)
        self.culprit = culprit
        self.reason = reason
        self.remedy = remedy
        self._steps: list[tuple[str, Any]] = []

    def within(self, parent: Any, step: str) -> None:
        """The culprit is, or is in, ``parent``'s ``step``."""
        self._steps.append((step, parent))

    def text(self, root: str) -> str:
        """What is refused, where, why, and what to do."""
        path, culprit = root, self.culprit
        seen: set[int] = set()
        for step, parent in reversed(self._steps):
            if id(parent) in seen:
                return f"{path}: {display_name(parent)} contains itself and can't be stored; break the cycle"
            seen.add(id(parent))
            path += step
        remedy = self.remedy
        if remedy is REMEDY:
            remedy = getattr(type(culprit), REMEDY_ATTRIBUTE, REMEDY)
        if isinstance(culprit, Coroutine):
            remedy = "await it, and pass the value"
        return f"{path}: {display_name(culprit)} {self.reason}; {remedy}"


Handler: TypeAlias = Callable[[Any, int], JsonTree]


class Tagger:
    """Makes trees of values."""

    def __init__(self, typed: TypedValues, *, text_is_checked: bool = False) -> None:
        self._typed = typed
        # The type of text that needs no look: none, where it is checked.
        self._plain_text = None if text_is_checked else str
        self._handlers: dict[type, Handler] = {
            str: self._text if text_is_checked else _as_it_is,
            bool: _as_it_is,
            type(None): _as_it_is,
            list: self._list,
            dict: self._dict,
            tuple: self._tuple,
            int: self._int,
            float: self._float,
            set: self._set,
            frozenset: self._set,
            collections.deque: self._deque,
            collections.OrderedDict: self._ordered,
            collections.Counter: self._counter,
            collections.defaultdict: self._defaultdict,
        }

    def tag(self, value: Any, depth: int = 0) -> JsonTree:
        """The tree of ``value``: the very same object when nothing in it needs a tag.

        Raises:
            Refused: something in it can't be stored exactly.
        """
        handler = self._handlers.get(type(value))
        return self._other(value, depth) if handler is None else handler(value, depth)

    def child(self, value: Any, depth: int, parent: Any, step: str) -> JsonTree:
        """The tree of what stands at ``step`` of ``parent``, which lies at ``depth``."""
        try:
            return self.tag(value, depth + 1)
        except Refused as refusal:
            refusal.within(parent, step)
            raise

    def _list(self, items: list[Any], depth: int) -> JsonTree:
        return self.tag_items(items, items, depth)

    # The two loops below see nearly every value: text and numbers are looked at in place, without a call.

    def tag_items(self, items: Sequence[Any], parent: Any, depth: int = 0) -> JsonTree:
        """The trees of several values: the very same sequence when none of them needs a tag.

        Args:
            items: the values.
            parent: what holds them.
            depth: at which it lies.

        Raises:
            Refused: as :meth:`tag`.
        """
        if depth > DEPTH_MAX:
            raise _too_deep(parent)
        text, tree = self._plain_text, items
        for index, item in enumerate(items):
            kind = type(item)
            if kind is text:
                continue
            if kind is int:
                if INT_MIN <= item <= INT_MAX:
                    continue
            elif kind is float and item - item == 0.0:
                continue
            try:
                tagged = self.tag(item, depth + 1)
            except Refused as refusal:
                refusal.within(parent, f"[{index}]")
                raise
            if tagged is not item:
                if tree is items:
                    tree = list(items)
                tree[index] = tagged  # type: ignore[index]
        return tree

    def _dict(self, items: dict[Any, Any], depth: int) -> JsonTree:
        if depth > DEPTH_MAX:
            raise _too_deep(items)
        text, tree = self._plain_text, items
        for key, item in items.items():
            if type(key) is not str:
                return {"$": "pairs", "v": self._pairs(items, depth)}
            kind = type(item)
            if kind is text or kind is bool:
                continue
            if kind is int:
                if INT_MIN <= item <= INT_MAX:
                    continue
            elif kind is float and item - item == 0.0:
                continue
            try:
                tagged = self.tag(item, depth + 1)
            except Refused as refusal:
                refusal.within(items, key_step(key))
                raise
            if tagged is not item:
                if tree is items:
                    tree = dict(items)
                tree[key] = tagged
        if text is not str and not all(map(is_text, items)):
            return {"$": "pairs", "v": self._pairs(items, depth)}
        return {"$": "dict", "v": tree} if "$" in items else tree

    def _pairs(self, items: dict[Any, Any], depth: int) -> JsonTree:
        depth += TAGGED_LEVELS
        _check_depth(items, depth)
        return [
            [
                self.child(key, depth, items, f"{{key {display_name(key)}}}"),
                self.child(item, depth, items, key_step(key)),
            ]
            for key, item in items.items()
        ]

    def _tuple(self, items: tuple[Any, ...], depth: int) -> JsonTree:
        return {"$": "tuple", "v": self.tag_items(list(items), items, depth + TAGGED_LEVELS)}

    def _set(self, items: set[Any] | frozenset[Any], depth: int) -> JsonTree:
        depth += TAGGED_LEVELS
        _check_depth(items, depth)
        trees: Iterable[JsonTree] = [self.child(item, depth, items, "{}") for item in items]
        # In a fixed order, so that equal sets have equal text in every process.
        return {"$": type(items).__name__, "v": sorted(trees, key=_sort_key)}

    def _deque(self, items: collections.deque[Any], depth: int) -> JsonTree:
        return {
            "$": "deque",
            "v": self.tag_items(list(items), items, depth + TAGGED_LEVELS),
            "maxlen": items.maxlen,
        }

    def _ordered(self, items: collections.OrderedDict[Any, Any], depth: int) -> JsonTree:
        _check_no_attributes(items)
        return {"$": "OrderedDict", "v": self._pairs(items, depth)}

    def _counter(self, items: collections.Counter[Any], depth: int) -> JsonTree:
        _check_no_attributes(items)
        return {"$": "Counter", "v": self._pairs(items, depth)}

    def _defaultdict(self, items: collections.defaultdict[Any, Any], depth: int) -> JsonTree:
        factory = items.default_factory
        name = None if factory is None else next((n for n, f in FACTORIES.items() if f is factory), "")
        if name == "":
            raise Refused(items, "has a default_factory that can't be stored", "pass dict(...) of it")
        return {"$": "defaultdict", "v": self._pairs(items, depth), "factory": name}

    def _int(self, value: int, depth: int) -> JsonTree:
        return value if INT_MIN <= value <= INT_MAX else {"$": "int", "v": hex(value)}

    def _float(self, value: float, depth: int) -> JsonTree:
        # NaN and the infinities are the only floats whose difference from themselves is not 0.
        return value if value - value == 0.0 else {"$": "float", "v": repr(value)}

    def _text(self, value: str, depth: int) -> JsonTree:
        return value if is_text(value) else _plain_tree(value)

    def _other(self, value: Any, depth: int) -> JsonTree:
        if type(value) in PLAIN_VALUES:
            tree = _plain_tree(value)
            return tree if self._plain_text is str else {"$": tree["$"], "v": self.tag(tree["v"], depth + 1)}
        depth += TAGGED_LEVELS
        _check_depth(value, depth)
        try:
            return self._typed.write(value, lambda item, step: self.child(item, depth, value, step))
        except Unstorable as reason:
            raise Refused(value, _why(reason), reason.remedy or REMEDY) from None


def _as_it_is(value: Any, depth: int) -> JsonTree:
    return value


def key_step(key: Any) -> str:
    """A dictionary key as a step of a path."""
    if type(key) is str:
        return "[" + msgspec.json.encode(key.encode("utf-8", "replace").decode()).decode() + "]"
    if type(key) in (float, bool, type(None)) or (type(key) is int and INT_MIN <= key <= INT_MAX):
        return f"[{key!r}]"
    return f"[<{display_name(key)}>]"


def _plain_tree(value: Any) -> JsonTree:
    plain = PLAIN_VALUES[type(value)]
    try:
        return {"$": plain.tag, "v": plain.write(value)}
    except Unstorable as reason:
        raise Refused(value, _why(reason), reason.remedy or REMEDY) from None


def _why(reason: Unstorable) -> str:
    return f"can't be stored ({reason})" if str(reason) else "can't be stored"


def _check_depth(value: Any, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise _too_deep(value)


def _too_deep(value: Any) -> Refused:
    return Refused(value, f"is nested deeper than {DEPTH_MAX} levels", "flatten the data")


def _check_no_attributes(value: Any) -> None:
    if vars(value):
        raise Refused(
            value, f"has attributes ({', '.join(vars(value))}) that can't be stored", "pass dict(...) of it"
        )


def _sort_key(tree: JsonTree) -> bytes:
    return msgspec.json.encode(tree)
