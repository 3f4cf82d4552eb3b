"""Transactions and compensations for tests of sagas: they note what they do, in any process."""

from __future__ import annotations

from tempolite import CompensationContext, RetryPolicy, TransactionContext
from tests.engine.gates import note

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
