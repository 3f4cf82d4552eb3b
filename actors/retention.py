"""Deletes finished workflows by itself when their time is over.

It sleeps until the oldest of them is due, and where there is none until one ends: it never polls.
"""

from __future__ import annotations

from typing import Any

import pykka

from tempolite.actors.actor import Actor, receives
from tempolite.actors.clock import MICROS_PER_S
from tempolite.actors.deletions import DeletionStore
from tempolite.actors.messages import DeleteRuns, Message, RunFinished

DELETED_PER_COMMIT = 1_000
"""Workflows that go in one transaction: others' commits get their turn in between."""

PAUSE_S = 60.0
"""Before those are looked at again that were due and could not go."""


class LookForExpired(Message, frozen=True):
    """Somebody's time may be over."""


class RetentionActor(Actor):
    """Keeps finished workflows for so long, and no longer.

    Args:
        directory: deletes them.
        store: knows when they ended.
        retention_us: how long they are kept.
    """

    def __init__(
        self, directory: pykka.ActorRef[Any], store: DeletionStore, retention_us: int, **options: Any
    ) -> None:
        super().__init__(**options)
        self._directory = directory
        self._store = store
        self._retention_us = retention_us
        self._is_busy = False
        self._is_set = False

    def on_start(self) -> None:
        """What came due while no engine had the file open."""
        self.actor_ref.tell(LookForExpired())

    @receives(RunFinished)
    def on_run_finished(self, _message: RunFinished) -> None:
        """Where nothing waits to come due, this run does from now on."""
        if not self._is_set and not self._is_busy:
            self._wake_in(self._retention_us / MICROS_PER_S)

    @receives(LookForExpired)
    def on_look(self, _message: LookForExpired) -> None:
        """Deletes what is due, or sleeps until something is."""
        if self._is_busy:
            return
        now_us = self.dispatcher.clock.now_us()
        expired = self._store.expired(now_us - self._retention_us, DELETED_PER_COMMIT)
        if not expired:
            self._sleep(now_us)
            return
        self._is_busy = True
        # Pykka's type is that of any future; ours can call back.
        reply: Any = self._directory.ask(DeleteRuns(expired), block=False)
        reply.add_callback(lambda: self._on_deleted(reply))

    def _on_deleted(self, reply: Any) -> None:
        self._is_busy = False
        try:
            deleted = reply.get(timeout=0)
        except Exception:
            # The engine closes, or the file can't be written: both are told elsewhere.
            return
        if deleted and self.actor_ref.is_alive():
            self.actor_ref.tell(LookForExpired())
        else:
            self._wake_in(PAUSE_S)

    def _sleep(self, now_us: int) -> None:
        first = self._store.first_end()
        if first is not None:
            self._wake_in((first + self._retention_us - now_us) / MICROS_PER_S)

    def _wake_in(self, seconds: float) -> None:
        self._is_set = True
        self.dispatcher.call_at(self.dispatcher.clock.monotonic_s() + max(0.0, seconds), self._wake)

    def _wake(self) -> None:
        self._is_set = False
        if self.actor_ref.is_alive():
            self.actor_ref.tell(LookForExpired())
