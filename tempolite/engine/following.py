"""The log of all events: read in pages, and followed without polling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from tempolite.actors.futures import Reply
from tempolite.engine.listing import Event
from tempolite.engine.port import Port
from tempolite.engine.settings import checked_count
from tempolite.errors import EngineClosed


class Following(Port):
    """Calls that read the whole log."""

    def events(self, after: int = 0, follow: bool = False) -> Iterator[Event]:
        """The whole event log behind that ``seq``, oldest first; what is the engine's own has workflow "".

        With ``follow`` it waits for more at the end of the log, and ends when the engine closes. Any number
        of followers can read at their own pace; none holds up the engine or another one.

        Raises:
            InvalidArguments: ``after`` is no number from 0.
            EngineClosed: the engine is not started, or was closed meanwhile.
        """
        self._check_started()
        return self._events(checked_count("after", after), follow)

    async def aevents(self, after: int = 0, follow: bool = False) -> AsyncIterator[Event]:
        """Awaitable twin of :meth:`events`: an async iterator."""
        self._check_started()
        position = checked_count("after", after)
        while True:
            bell = self._next_commit() if follow else None
            page = await asyncio.to_thread(self._page, position, is_followed=follow)
            for event in page:
                yield event
                position = event.seq
            if page:
                continue
            if bell is None or not await self._await_bell(bell):
                return

    def _events(self, position: int, follow: bool) -> Iterator[Event]:
        while True:
            # Taken before the file is looked at: no commit comes in between unheard.
            bell = self._next_commit() if follow else None
            page = self._page(position, is_followed=follow)
            for event in page:
                yield event
                position = event.seq
            if page:
                continue
            if bell is None or not self._wait_for(bell):
                return

    async def _await_bell(self, bell: Reply[bool]) -> bool:
        return await bell

    def _page(self, position: int, *, is_followed: bool) -> list[Event]:
        """What comes next; nothing where who follows outlives an engine that was closed in order."""
        try:
            return self.events_page(position)
        except EngineClosed:
            if is_followed and self._was_closed:
                return []
            raise
