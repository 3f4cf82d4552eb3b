"""What the outside asks of a run, and what it is answered once that is durable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tempolite.actors.controls import (
    Admit,
    Answer,
    Asked,
    Cancel,
    ContinueArrived,
    Enqueue,
    Hold,
    Pause,
    QueryArrived,
    Resume,
    SignalArrived,
    UpdateArrived,
)
from tempolite.core import events
from tempolite.core.status import Status
from tempolite.errors import InvalidState, WorkflowFinished, WorkflowStranded, WorkflowStuck

if TYPE_CHECKING:
    from tempolite.execution.execution import Execution


class Requests:
    """Handles what is asked of a run; each request is answered, with a value or an error, once durable."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._log = execution.log
        self._unanswered: list[Asked] = []
        self._under_way: Asked | None = None

    def take(self, letter: Asked) -> None:
        """Does what is asked, or says why not."""
        if isinstance(letter.message, (Pause, UpdateArrived, ContinueArrived)):
            # Everything that came before is seen before, and may end the run, or begin its next one.
            self._execution.code.run()
        if self._must_wait(letter.message):
            self._unanswered.append(letter)
            return
        value, error = None, None
        self._under_way = letter
        try:
            value = self._do(letter.message)
        except Exception as refusal:
            error = refusal
        self._under_way = None
        if letter.reply is not None:
            self._log.send(Answer(letter.reply, value, error))

    def take_waiting(self) -> None:
        """The first turn of the code is over: queries and updates that came before it are answered."""
        while self._unanswered and not self._must_wait(self._unanswered[0].message):
            self.take(self._unanswered.pop(0))

    def unanswered(self) -> list[Any]:
        """Those that still wait for the code's first turn."""
        return list(self._unanswered)

    @property
    def asked(self) -> Asked | None:
        """What the code is being asked just now."""
        letter = self._under_way
        is_for_code = letter is not None and isinstance(letter.message, (QueryArrived, UpdateArrived))
        return letter if is_for_code else None

    @property
    def are_waiting(self) -> bool:
        """Whether some wait for the code's first turn."""
        return bool(self._unanswered)

    def _must_wait(self, message: Any) -> bool:
        """Whether it is for code that has not begun, or is between two attempts; or for the next run."""
        if self._log.state.is_continued:
            return True
        is_for_code = isinstance(message, (QueryArrived, UpdateArrived))
        has_ended = self._log.state.is_finished or self._log.ended is not None
        return is_for_code and not has_ended and not self._execution.code.may_run()

    def _do(self, message: Any) -> Any:
        match message:
            case SignalArrived():
                self._check_is_unfinished()
                return self._execution.signals.receive(message)
            case QueryArrived():
                self._check_has_code()
                return self._execution.handlers.query(message)
            case UpdateArrived():
                self._check_is_unfinished()
                self._check_has_code()
                return self._execution.handlers.update(message)
            case ContinueArrived():
                self._check_is_unfinished()
                return self._execution.ending.continue_from_outside(message.args)
            case _:
                return self._change_course(message)

    def _change_course(self, message: Any) -> None:
        match message:
            case Pause():
                self._pause(message)
            case Resume():
                self._resume(message)
            case Cancel():
                self._cancel(message)
            case Enqueue():
                self._enqueue(message)
            case Admit():
                if self._log.state.is_held:
                    self._begin()
            case Hold():
                self._hold()
            case _:
                raise InvalidState(f"{type(message).__name__} is no message to a run")

    # ── pause and resume ────────────────────────────────────────────────────────────────────────────────

    def _pause(self, message: Pause) -> None:
        state = self._log.state
        if message.by_parent and state.is_finished:
            return
        self._check_is_unfinished()
        if state.paused_seq is None:
            self._log.record(events.RunPaused())
            self._execution.children.tell(Pause(by_parent=True))

    def _resume(self, message: Resume) -> None:
        state, log = self._log.state, self._log
        if message.by_parent and state.paused_seq is None:
            return
        if state.finished in (Status.FAILED, Status.CANCELLED):
            log.ended = None
            self._execution.begin_attempt("resume")
        elif state.paused_seq is None and not state.problem:
            raise InvalidState(f"workflow {log.workflow!r} is {self._status()}, there is nothing to resume")
        if state.problem:
            log.record(events.RunUnstuck())
            log.ended = None
            self._execution.code.restart()
        if state.paused_seq is not None:
            # A deferred run stands in no line before somebody enqueues it.
            log.record(events.RunResumed(held=message.held and not state.is_deferred))
            self._execution.children.tell(Resume(by_parent=True))
        elif message.held:
            log.record(events.RunResumed(held=True))
        if state.began_at is None and not state.is_deferred and not state.is_held:
            # It was paused in line, and has a place now.
            self._begin()

    def _status(self) -> str:
        ended = self._log.ended
        return ended.status if ended is not None else self._log.status().value

    # ── cancel ──────────────────────────────────────────────────────────────────────────────────────────

    def _cancel(self, message: Cancel) -> None:
        state = self._log.state
        if message.by_parent and state.is_finished:
            return
        self._check_is_unfinished()
        if state.is_cancelling:
            return
        self._log.record(events.CancelRequested())
        self._execution.children.cancel()
        if self._execution.code.may_run() and not state.problem:
            self._execution.steps.insert(self._log.state.seq)
            self._execution.activities.cancel()
            self._execution.sagas.cancel()
        else:
            # Its code has not begun, waits for its next attempt, or can't go on: there is nobody to tell.
            self._execution.ending.cancelled(None)

    # ── beginning ───────────────────────────────────────────────────────────────────────────────────────

    def _enqueue(self, message: Enqueue) -> None:
        state = self._log.state
        if not state.is_deferred or state.is_finished or state.paused_seq is not None:
            raise InvalidState(
                f"workflow {self._log.workflow!r} is {self._status()}, only a deferred run that is "
                "PENDING can be enqueued"
            )
        if message.held:
            self._log.record(events.RunEnqueued())
        else:
            self._begin()

    def _hold(self) -> None:
        """One that is paused, stuck or cancelled doesn't go on by itself, or has to end."""
        state = self._log.state
        must_rest = state.paused_seq is not None or state.is_held or state.is_deferred or state.problem
        if not must_rest and not state.is_finished and not state.is_cancelling:
            self._log.record(events.RunResumed(held=True))

    def _begin(self) -> None:
        is_first = self._log.state.began_at is None
        self._log.record(events.RunStarted())
        if is_first:
            self._execution.set_run_timeout()

    def _check_is_unfinished(self) -> None:
        state = self._log.state
        if state.is_finished:
            raise WorkflowFinished(f"workflow {self._log.workflow!r} is {state.finished}")

    def _check_has_code(self) -> None:
        ended = self._log.ended
        if ended is not None and not self._log.state.is_finished:
            kind = WorkflowStuck if ended.status == Status.STUCK else WorkflowStranded
            raise kind(f"workflow {self._log.workflow!r}: {ended.problem}")
