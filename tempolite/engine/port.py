"""What calls and handles need of whoever serves them: the engine of this process, or the owner of the file.

Tempolite, with all its calls          Client, with the same calls
          │                                      │
Lifecycle: actors and file             link to the owner's control socket
          └──────────── both are a Port ─────────┘
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from tempolite.actors.controls import Query, ToRun, Update
from tempolite.actors.futures import Reply
from tempolite.actors.live_schedule import SetSchedule
from tempolite.actors.messages import RunEnded, StartRun
from tempolite.codec import JsonCodec
from tempolite.core.due_times import Timing
from tempolite.core.schedule_events import Catchup, Overlap
from tempolite.engine.listing import Event, ScheduleRow
from tempolite.engine.run_messages import decoded, to_run
from tempolite.errors import StorageFailed
from tempolite.execution.services import Services
from tempolite.store.queries import RunRow

COMMIT_S = 60.0
"""How long a call that only waits for a commit does so before it says that it did not hear of it."""


class Port(ABC):
    """Asks the actors of an engine, wherever they are.

    Attributes:
        codec: how values of users are stored.
    """

    codec: JsonCodec
    _failure: Exception | None = None

    @property
    @abstractmethod
    def services(self) -> Services:
        """What executions, and those who speak to them, need of the engine."""

    @abstractmethod
    def get_row(self, workflow: str) -> RunRow:
        """A workflow's latest run, as last committed.

        Raises:
            WorkflowNotFound: there is none.
        """

    @abstractmethod
    def share_done(self, workflow: str) -> float | None:
        """How much of what a run's activities have to do they have done, as far as they say so."""

    @abstractmethod
    def encode_call_of(self, workflow: str, args: tuple[Any, ...]) -> bytes:
        """Arguments for a workflow's function.

        Raises:
            WorkflowNotFound, InvalidArguments, NotStorable: there is none, or they don't fit.
        """

    @abstractmethod
    def stored_end(self, workflow: str) -> RunEnded | None:
        """What who has no patience is told: the outcome that is there."""

    @property
    @abstractmethod
    def _was_closed(self) -> bool:
        """Whether it was closed in order: who follows its log has seen the end."""

    @abstractmethod
    def _check_started(self) -> None:
        """Raises ``EngineClosed`` where calls can't be served."""

    @abstractmethod
    def _ask(self, message: Any, timeout: float | None) -> Any:
        """Asks an actor, and waits for its answer."""

    @abstractmethod
    def _ask_nowait(self, message: Any) -> Reply[Any]:
        """Asks an actor; the answer can be awaited."""

    @abstractmethod
    def _give_up(self, message: Any, reply: Reply[Any]) -> None:
        """Nobody waits for this answer any more."""

    @abstractmethod
    def _is_answered_now(self, reply: Reply[Any]) -> bool:
        """Whether an ``AwaitIdle`` whose time is over has its answer once those who know have looked."""

    @abstractmethod
    def _tell(self, message: Any) -> None:
        """Tells an actor; nobody waits for what becomes of it."""

    @abstractmethod
    def _start_request(
        self, id: str | None, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> StartRun:
        """The wish for a run, checked and encoded."""

    @abstractmethod
    def events_page(self, after: int) -> list[Event]:
        """What the log has next behind that position; nothing at its end."""

    @abstractmethod
    def _next_commit(self) -> Reply[bool]:
        """Says True when something became durable, False when the engine ends."""

    @abstractmethod
    def _wait_for(self, bell: Reply[bool]) -> bool:
        """Waits for what ``_next_commit`` gave."""

    @abstractmethod
    def schedule_names(self) -> list[str]:
        """Names of all schedules."""

    @abstractmethod
    def get_schedule(self, name: str) -> ScheduleRow:
        """A schedule, as last committed.

        Raises:
            ScheduleNotFound: there is none.
        """

    @abstractmethod
    def schedule_history(self, name: str) -> list[Event]:
        """What happened to a schedule.

        Raises:
            ScheduleNotFound: there is none.
        """

    @abstractmethod
    def _schedule_request(
        self, name: str, timing: Timing, fn: Any, args: tuple[Any, ...], policies: tuple[Overlap, Catchup]
    ) -> SetSchedule:
        """The wish for a schedule, checked and encoded."""

    # ── speaking to runs ────────────────────────────────────────────────────────────────────────────────

    def ask_run(self, workflow: str, message: Any, timeout: float | None = None) -> Any:
        """Sends a message to a run and waits for its answer.

        Queries and updates wait for the run's first turn, however long it stands in line; the rest is
        answered by a commit.
        """
        if timeout is None and not isinstance(message, (Query, Update)):
            timeout = COMMIT_S
        return self.decode_answer(self._ask(self._to_run(workflow, message), timeout))

    def ask_run_nowait(self, workflow: str, message: Any) -> Reply[Any]:
        """Sends a message to a run; the answer can be awaited."""
        return decoded(self, self._ask_nowait(self._to_run(workflow, message)))

    def tell_run(self, workflow: str, message: Any) -> None:
        """Sends a message to a run; nobody waits for what becomes of it."""
        self._tell(self._to_run(workflow, message))

    def is_unfinished(self, workflow: str) -> bool:
        """Whether a workflow has no outcome yet."""
        return not self.get_row(workflow).is_finished

    def decode_answer(self, answer: Any) -> Any:
        """Results of queries and updates come as payloads."""
        return self.codec.decode(answer) if isinstance(answer, bytes) else answer

    def _to_run(self, workflow: str, message: Any) -> ToRun:
        self._check_started()
        return to_run(self, workflow, message)

    def _ask_for_commit(self, message: Any) -> Any:
        try:
            return self._ask(message, COMMIT_S)
        except TimeoutError:
            raise StorageFailed(
                f"no commit within {COMMIT_S:g} s; the call may or may not take effect"
            ) from None
