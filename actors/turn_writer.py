"""A writer that gives each turn a transaction of its own: for tests that count commits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tempolite.actors.actor import receives
from tempolite.actors.database_file import DatabaseFile
from tempolite.actors.messages import Commit
from tempolite.actors.persistence import PersistenceActor


class TurnWriter(PersistenceActor):
    """Commits each turn at once and alone, so that commit *n* is the same whenever the order is.

    Args:
        on_durable: told of a commit when it is durable, before its sender is.
    """

    def __init__(
        self, file: DatabaseFile, *, on_durable: Callable[[Commit], None] | None, **options: Any
    ) -> None:
        super().__init__(file, **options)
        self._on_durable = on_durable

    @receives(Commit)
    def on_commit(self, message: Commit) -> None:
        """Writes it now."""
        self._make_durable([message])

    def _write(self, batch: list[Commit], *, free_pages: int = 0) -> None:
        super()._write(batch, free_pages=free_pages)
        if self._on_durable is not None:
            for commit in batch:
                self._on_durable(commit)
