"""From trees back to values.

Trusts nothing: an unknown tag, a wrong shape or a value out of range raises, and the codec makes one error of
it. The trees themselves are left as they were.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from tempolite.codec.plain_values import PLAIN_VALUES, JsonTree, expect
from tempolite.codec.tagging import FACTORIES
from tempolite.codec.typed_values import TypedValues

Reader: TypeAlias = Callable[[dict[str, JsonTree]], Any]


class Untagger:
    """Makes values of trees."""

    def __init__(self, typed: TypedValues) -> None:
        self._typed = typed
        self._readers: dict[str, Reader] = {
            "dict": self._escaped,
            "pairs": lambda tree: dict(self._pairs(tree)),
            "tuple": lambda tree: tuple(self._items(tree)),
            "set": lambda tree: set(self._items(tree)),
            "frozenset": lambda tree: frozenset(self._items(tree)),
            "deque": self._deque,
            "OrderedDict": lambda tree: collections.OrderedDict(self._pairs(tree)),
            "Counter": self._counter,
            "defaultdict": self._defaultdict,
        }
        self._plain = {plain.tag: plain.read for plain in PLAIN_VALUES.values()}

    def untag(self, tree: JsonTree) -> Any:
        """The value that ``tree`` stands for.

        Raises:
            TypeNotFound: it names a type that is not known here.
            ValueError, TypeError, LookupError, ArithmeticError: it is no tree of ours.
        """
        kind = type(tree)
        if kind is list:
            untag = self.untag
            return [untag(item) if type(item) in _CONTAINERS else item for item in tree]
        if kind is not dict:
            return tree
        if "$" in tree:
            return self._tagged(tree)
        return self._fields(tree)

    def _tagged(self, tree: dict[str, JsonTree]) -> Any:
        tag = expect(str, tree["$"])
        if ":" in tag:
            return self._typed.read(tree, self.untag)
        read = self._plain.get(tag)
        if read is not None:
            return read(self.untag(tree["v"]))
        reader = self._readers.get(tag)
        if reader is None:
            raise ValueError(f"unknown tag {tag!r}")
        return reader(tree)

    def _fields(self, tree: dict[str, JsonTree]) -> dict[str, Any]:
        untag = self.untag
        return {key: untag(item) if type(item) in _CONTAINERS else item for key, item in tree.items()}

    def _items(self, tree: dict[str, JsonTree]) -> Iterator[Any]:
        return map(self.untag, expect(list, tree["v"]))

    def _pairs(self, tree: dict[str, JsonTree]) -> Iterator[tuple[Any, Any]]:
        for pair in expect(list, tree["v"]):
            key, item = expect(list, pair)
            yield self.untag(key), self.untag(item)

    def _escaped(self, tree: dict[str, JsonTree]) -> dict[str, Any]:
        return self._fields(expect(dict, tree["v"]))

    def _deque(self, tree: dict[str, JsonTree]) -> collections.deque[Any]:
        maxlen = tree["maxlen"]
        return collections.deque(self._items(tree), None if maxlen is None else expect(int, maxlen))

    def _counter(self, tree: dict[str, JsonTree]) -> collections.Counter[Any]:
        counter: collections.Counter[Any] = collections.Counter()
        for key, count in self._pairs(tree):
            counter[key] = count
        return counter

    def _defaultdict(self, tree: dict[str, JsonTree]) -> collections.defaultdict[Any, Any]:
        name = tree["factory"]
        factory = None if name is None else FACTORIES[expect(str, name)]
        return collections.defaultdict(factory, self._pairs(tree))


_CONTAINERS = frozenset((dict, list))


def named_types(tree: JsonTree) -> Iterator[str]:
    """Names of the types that a tree names."""
    if type(tree) is list:
        for item in tree:
            yield from named_types(item)
    elif type(tree) is dict:
        tag = tree.get("$")
        if type(tag) is str and ":" in tag:
            yield tag
        for item in tree.values():
            yield from named_types(item)
