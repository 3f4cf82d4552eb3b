"""Fields of an object, read and written where they lie: past properties and ``__setattr__``."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable, Mapping
from typing import Any

from tempolite.codec.type_names import class_attribute, class_dict, lineage

# What typing and pytest leave on instances: about the object's making, not its value.
_IGNORED = frozenset({"__orig_class__"})


class FieldAccess:
    """The slots and the attribute dictionary of one class's instances."""

    def __init__(self, cls: type) -> None:
        self.slots: dict[str, Any] = {
            name: member
            for base in reversed(lineage(cls))
            for name, member in class_dict(base).items()
            if type(member) is types.MemberDescriptorType
        }
        self._left_out = _IGNORED.union(
            name
            for base in lineage(cls)
            for name, member in class_dict(base).items()
            if type(member) is functools.cached_property
        )
        self.has_dict = any("__dict__" in class_dict(base) for base in lineage(cls))

    def read(self, instance: Any) -> dict[str, Any]:
        """All that is set on the instance, by name, but what a cached_property has computed."""
        found = dict(attributes_of(instance)) if self.has_dict else {}
        for name, member in self.slots.items():
            try:
                found[name] = member.__get__(instance)
            except AttributeError:
                continue
        if self._left_out.isdisjoint(found):
            return found
        return {name: value for name, value in found.items() if name not in self._left_out}

    def write(self, instance: Any, values: Mapping[str, Any]) -> None:
        """Set each of ``values``; a name without a place is a ValueError."""
        for name, value in values.items():
            if name in self.slots:
                self.slots[name].__set__(instance, value)
            elif self.has_dict:
                attributes_of(instance)[name] = value
            else:
                raise ValueError(f"{type(instance).__name__} has no place for {name!r}")

    def takes(self, names: Iterable[str], cls: type) -> bool:
        """Whether each name is a slot or a plain attribute: no property or other descriptor handles it."""
        return all(
            name in self.slots or not _is_data_descriptor(class_attribute(cls, name)) for name in names
        )


def attributes_of(instance: Any) -> dict[str, Any]:
    """The instance's own ``__dict__``, past ``__getattribute__``."""
    return object.__getattribute__(instance, "__dict__")  # type: ignore[no-any-return]


def has_finalizer(cls: type) -> bool:
    """Whether dropping an instance runs code."""
    return class_attribute(cls, "__del__") is not None


def _is_data_descriptor(attribute: Any) -> bool:
    return class_attribute(type(attribute), "__set__") is not None
