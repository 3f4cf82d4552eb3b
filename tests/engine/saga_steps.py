"""Transactions and compensations for tests of sagas: they note what they do, in any process."""

from __future__ import annotations

from typing import Any

from tempolite import CompensationContext, RetryPolicy, Saga, TransactionContext
from tests.engine.gates import Effects, Gate, note, pass_gate

FAST = RetryPolicy(max_attempts=3, initial_interval=0, jitter=False)


def do(tx: TransactionContext, path: str, name: str) -> str:
    """Does it; one that is called ``fail``, or ends in ``!``, fails afterwards."""
    what = name.removesuffix("!")
    note(path, f"do {what}")
    if what != name or name == "fail":
        raise ValueError(name)
    return name


async def do_async(tx: TransactionContext, path: str, name: str) -> str:
    """The same, awaited, and not noted."""
    return name


def undo(tx: CompensationContext, path: str, name: str) -> None:
    """Undoes it."""
    if path:
        note(path, f"undo {name}")


def undo_not(tx: CompensationContext, path: str, name: str) -> None:
    """Can't undo it."""
    note(path, f"try to undo {name}")
    raise OSError(f"can not undo {name}")


def hold(tx: Any, gate: str) -> str:
    """Waits at the gate."""
    return pass_gate(gate)


def held(effects: Effects, gate: Gate, *, back: Gate | None = None) -> Saga:
    """A step, one that is held at the gate, and one more; undoing the first may be held as well."""
    saga = Saga().add(do, undo, args=(effects.path, "a"))
    if back is not None:
        saga.add(note_it, hold_back, args=(effects.path, back.path))
    return saga.add(hold, args=(gate.path,)).add(do, undo, args=(effects.path, "z"))


def note_it(tx: Any, path: str, gate: str) -> None:
    """Has something to undo."""
    note(path, "do b")


def hold_back(tx: Any, path: str, gate: str) -> None:
    """Undoes it, once the test lets it."""
    pass_gate(gate)
    note(path, "undo b")


class Ledger:
    """A step that is an object."""

    def __init__(self, name: str) -> None:
        self.name = name

    def transaction(self, tx: TransactionContext, line: str) -> str:
        """Writes a line."""
        tx.store("line", line)
        return f"{self.name} {line}"

    def compensation(self, tx: CompensationContext, line: str) -> None:
        """Strikes it out."""
        assert tx.load("line") == line
