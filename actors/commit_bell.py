"""Rings when something became durable: who follows the log sleeps until then."""

from __future__ import annotations

from collections import deque

from tempolite.actors.futures import Reply


class CommitBell:
    """Wakes all who wait for the next commit; from any thread to any thread, and without a lock.

    Whoever waits takes a reply first and then looks at the file once more, so no commit comes in between.
    """

    def __init__(self) -> None:
        self._waiting: deque[Reply[bool]] = deque()
        self._is_closed = False

    def next_commit(self) -> Reply[bool]:
        """Says True when there was a commit, False when there will be none any more."""
        reply: Reply[bool] = Reply()
        self._waiting.append(reply)
        # Append first, then look: whoever closes looks at the waiting after closing.
        if self._is_closed:
            self.ring()
        return reply

    def ring(self) -> None:
        """There was a commit; costs next to nothing where nobody waits."""
        while self._waiting:
            try:
                reply = self._waiting.popleft()
            except IndexError:
                return
            reply.set(not self._is_closed)

    def close(self) -> None:
        """There will be none any more."""
        self._is_closed = True
        self.ring()
