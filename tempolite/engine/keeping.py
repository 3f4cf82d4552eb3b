"""Keeping the file small and sound: deletion, space, copies, checks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from datetime import timedelta
from functools import partial

from tempolite.actors.messages import DeleteRuns, GiveSpaceBack
from tempolite.core.identifiers import WorkflowId, is_text
from tempolite.engine.lifecycle import Lifecycle
from tempolite.engine.listing import checked_statuses, span_us
from tempolite.engine.settings import checked_path, checked_several
from tempolite.engine.verifying import VerifyReport, verify_file
from tempolite.errors import InvalidArguments
from tempolite.store.deleting import Selection

DELETED_PER_COMMIT = 1_000
"""Workflows that go in one transaction where they are chosen by what they are, not by their ids."""

ALL = -1
"""No limit, as SQL has it."""


class Keeping(Lifecycle):
    """Calls that look after the file."""

    def delete(
        self,
        ids: str | Iterable[str] | None = None,
        *,
        status: str | Iterable[str] | None = None,
        older_than: timedelta | None = None,
    ) -> int:
        """Deletes finished workflows with everything that belongs to them; returns how many.

        All conditions must hold; without any, every finished workflow is meant. Skipped are unknown ids,
        unfinished workflows, and children whose outcome their unfinished parent has still to record. A
        workflow goes as a whole, with all its runs; named ones go in one transaction, others by the thousand.

        Raises:
            InvalidArguments: an unknown status, an ``older_than`` that is no span of time, ids that are none.
        """
        self._check_started()
        cutoff = None if older_than is None else self._clock.now_us() - span_us("older_than", older_than)
        chosen = Selection(
            ids=None if ids is None else _checked_ids(ids),
            statuses=None if status is None else checked_statuses(status),
            finished_before=cutoff,
        )
        return self._delete(chosen)

    async def adelete(
        self,
        ids: str | Iterable[str] | None = None,
        *,
        status: str | Iterable[str] | None = None,
        older_than: timedelta | None = None,
    ) -> int:
        """Awaitable twin of :meth:`delete`."""
        return await asyncio.to_thread(partial(self.delete, ids, status=status, older_than=older_than))

    def gc(self, older_than: timedelta | None = None) -> int:
        """Deletes workflows that finished so long ago, and gives space back; returns how many were deleted.

        Without ``older_than`` the engine's ``retention`` says it; without that either, nothing is deleted.

        Raises:
            InvalidArguments: ``older_than`` is no span of time.
        """
        self._check_started()
        kept_us = self._retention_us if older_than is None else span_us("older_than", older_than)
        deleted = 0
        if kept_us is not None:
            deleted = self._delete(Selection(finished_before=self._clock.now_us() - kept_us))
        self._give_space_back()
        return deleted

    async def agc(self, older_than: timedelta | None = None) -> int:
        """Awaitable twin of :meth:`gc`."""
        return await asyncio.to_thread(self.gc, older_than)

    def backup(self, path: str | os.PathLike[str]) -> None:
        """An online copy of everything committed so far: one file, 0600, a database of its own.

        Raises:
            InvalidArguments: something lies at ``path``; it is left untouched.
            StorageFailed: the copy could not be written; nothing is left of it.
        """
        self._check_started()
        self._file.copy_to(os.path.abspath(checked_path("path", path)))

    async def abackup(self, path: str | os.PathLike[str]) -> None:
        """Awaitable twin of :meth:`backup`."""
        await asyncio.to_thread(self.backup, path)

    def verify(self) -> VerifyReport:
        """Checks the file, every recorded event, and that all indexes say what the events say.

        It reads everything, as of one moment; meanwhile runs go on.
        """
        self._check_started()
        return verify_file(self._file)

    async def averify(self) -> VerifyReport:
        """Awaitable twin of :meth:`verify`."""
        return await asyncio.to_thread(self.verify)

    def _delete(self, chosen: Selection) -> int:
        limit = DELETED_PER_COMMIT if chosen.ids is None else ALL
        after, deleted = 0, 0
        while rows := self._rows(*chosen.select(after, limit)):
            after = rows[-1][0]
            deleted += self._ask_for_commit(DeleteRuns(tuple(WorkflowId(row[1]) for row in rows)))
        return deleted

    def _give_space_back(self) -> None:
        left, before = self._system.ask_writer(GiveSpaceBack()), None
        while left and left != before:
            left, before = self._system.ask_writer(GiveSpaceBack()), left


def _checked_ids(ids: str | Iterable[str]) -> list[str]:
    wanted = [ids] if isinstance(ids, str) else list(checked_several("ids", ids))
    if not all(map(is_text, wanted)):
        raise InvalidArguments(f"ids is {ids!r}, expected texts")
    return wanted
