"""How a step or a run failed, as plain data.

No exception object is ever pickled: the process in which it was raised turns it into a :class:`Failure`,
which travels (msgpack from a worker, JSON in the database) and is rebuilt, where it can be, at its reader.

``args`` and ``state`` are *trees*: the plain JSON values that the codec makes of them, tags included. Bytes
or ``msgspec.Raw`` would be valid in only one of the two encodings, and JSON text inside JSON is hard to
query; a tree is the same in both, and ``json_extract(payload, '$.args[0]')`` works.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One exception, taken apart.

    Attributes:
        type_name: its class, ``module:qualname``.
        message: its text, shortened where it is very long.
        traceback: where it was raised and what had caused it, as text without local variables.
        lineage: names of its class and of all bases, in the order of the MRO, without ``object``.
        args: tree of its arguments; None where they could not be stored.
        state: tree of its attributes by name, those that could be stored; None where there are none.
        notes: what was added with ``add_note``.
        cause: what it was raised from, or raised while handling.
        cause_is_explicit: the cause was given by ``raise ... from``.
        is_exception: False for what ``except Exception`` does not catch, such as SystemExit.
        retryable: False where another try can't help, whatever the policy says.
    """

    type_name: str
    message: str
    traceback: str = ""
    lineage: tuple[str, ...] = ()
    args: list[Any] | None = None
    state: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    cause: Failure | None = None
    cause_is_explicit: bool = False
    is_exception: bool = True
    retryable: bool = True
