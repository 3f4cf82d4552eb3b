"""How a run ends: with a value, an error, cancelled, too late, or by beginning the next run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from tempolite.actors.attempts import failure_of
from tempolite.actors.messages import CONTINUED, ChildEnded, Deliver, RunEnded, SetTimer, TimerDue
from tempolite.core import events
from tempolite.core.events import AnyBody, Entry
from tempolite.core.failure import Failure
from tempolite.core.identifiers import StepKey, WorkflowId
from tempolite.core.status import Status
from tempolite.errors import Cancelled, InvalidState, WorkflowTimeout
from tempolite.execution.run_log import RUN_STEP
from tempolite.store import statements
from tempolite.store.statements import Latest

if TYPE_CHECKING:
    from tempolite.execution.execution import Execution


class NextRun(BaseException):
    """Ends the code where it asked to continue as new."""


class Ending:
    """Records how a run ends, and tells who has to know.

    Attributes:
        is_postponed: the code of a cancelled run is at its end, and its sagas are being compensated.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._log, self._services = execution.log, execution.services
        self._next_args: bytes | None = None
        self.begin()

    def begin(self) -> None:
        """The code begins anew, and comes to its end once more."""
        self.is_postponed = False
        self._postponed: Failure | None = None

    def conclude(self, result: Any, error: BaseException | None) -> None:
        """The code returned or raised."""
        if self._log.state.is_cancelling:
            is_clean = error is None or isinstance(error, (Cancelled, NextRun))
            self._cancel_after_sagas(None if is_clean or error is None else self._services.capture(error))
        elif self._next_args is not None:
            self._continue(self._next_args)
        elif error is not None:
            self.failed(self._services.capture(error))
        else:
            self._complete(result)

    def _cancel_after_sagas(self, failure: Failure | None) -> None:
        """What the sagas did is undone first; a crash meanwhile brings the code here again."""
        self._execution.sagas.cancel()
        if self._execution.sagas.are_under_way:
            self.is_postponed, self._postponed = True, failure
        else:
            self.cancelled(failure)

    def take_postponed(self) -> None:
        """Ends a cancelled run whose sagas were waited for, once they are through."""
        if not self.is_postponed:
            return
        is_over = self._log.state.is_finished or self._log.ended is not None
        if not is_over and not self._execution.sagas.are_under_way:
            self.is_postponed = False
            self.cancelled(self._postponed)

    def failed(self, failure: Failure) -> None:
        """The code raised: another attempt, if the policy has one left."""
        execution, log = self._execution, self._log
        policy, attempt = execution.created.retry, execution.attempt
        used = attempt - log.state.budget_from
        if policy.allows(failure, used):
            retry_at = log.now_us + round(policy.delay_s(used, self._services.draw()) * 1e6)
            log.record(events.RunAttemptFailed(failure, retry_at), attempt=attempt)
            log.drop_timeouts()
            execution.wait_for_retry()
        else:
            log.record(events.RunFailed(failure), attempt=attempt)
            self._end(Status.FAILED)

    def cancelled(self, failure: Failure | None) -> None:
        """The code has had its say, or there was none to have one."""
        self._log.record(events.RunCancelled(failure), attempt=self._execution.attempt)
        self._execution.code.stop()
        self._end(Status.CANCELLED)

    def time_out(self) -> None:
        """The run has had its time."""
        state, timeout_s = self._log.state, self._execution.created.timeout_s
        if state.is_finished or timeout_s is None:
            return
        text = f"workflow {self._log.workflow!r} took longer than {timeout_s:g} s"
        self._log.record(events.RunFailed(failure_of(WorkflowTimeout, text)), attempt=self._execution.attempt)
        self._execution.code.stop()
        self._end(Status.FAILED)

    # ── continue-as-new ─────────────────────────────────────────────────────────────────────────────────

    def continue_from_code(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
        """The code asks for its next run.

        Raises:
            InvalidArguments, NotStorable: the arguments are wrong; nothing has happened.
        """
        self._execution.check_is_live()
        self._next_args = self._execution.encode_own_call(args, kwargs)
        raise NextRun

    def continue_from_outside(self, args: bytes) -> None:
        """Somebody else asks for it: the code ends where it waits, fenced.

        Raises:
            InvalidState: the run is being cancelled.
        """
        if self._log.state.is_cancelling:
            raise InvalidState(f"workflow {self._log.workflow!r} is being cancelled")
        self._execution.code.stop()
        self._continue(args)

    def _continue(self, args: bytes) -> None:
        """Ends this run and begins the next, in one commit: no moment has both, or neither."""
        log, state, created = self._log, self._log.state, self._execution.created
        log.record(events.RunContinued(msgspec.Raw(args)))
        following = msgspec.structs.replace(
            created,
            args=msgspec.Raw(args),
            run=created.run + 1,
            seed=self._services.new_seed(),
            versions=state.versions,
            deferred=state.is_deferred,
            held=state.is_held,
            paused=state.paused_seq is not None,
        )
        # What nobody read is for the next run.
        unread = [
            events.SignalReceived(signal.name, msgspec.Raw(signal.value), signal.dedup)
            for _, signal in sorted(state.signals.items())
        ]
        stream = self._services.new_stream()
        self._services.continued.add(stream)
        first: list[AnyBody] = [following, *unread]
        for seq, body in enumerate(first, start=1):
            log.write(statements.insert_event(stream, Entry(seq, log.now_us, body)))
        log.write((statements.CONTINUE_RUN, (log.stream,)))
        must_wait = following.deferred or following.held
        status = Status.PENDING if must_wait else Status.RUNNING
        latest = Latest(Status.PAUSED if following.paused else status, is_held=following.held)
        log.write(statements.insert_run(stream, log.workflow, following, log.now_us, latest))
        log.write((statements.KEEP_PLACE, (stream, log.stream)))
        if self._log.state.has_children:
            self._execution.children.cancel()
        log.drop_work()
        if created.timeout_s is not None and not must_wait:
            due_us = log.now_us + round(created.timeout_s * 1e6)
            log.write((statements.SET_TIMER, (stream, RUN_STEP, due_us)))
            log.send(SetTimer(log.workflow, RUN_STEP, due_us, TimerDue(RUN_STEP), is_durable=True))
        log.ended = RunEnded(log.workflow, CONTINUED)

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────

    def _complete(self, result: Any) -> None:
        try:
            payload = self._services.encode(result, "result")
        except Exception as refusal:
            self.failed(self._services.capture(refusal))
        else:
            self._log.record(events.RunCompleted(msgspec.Raw(payload)))
            self._end(Status.COMPLETED)

    def _end(self, status: Status) -> None:
        """The outcome is recorded: what still runs is of no use, and the parent is told."""
        if self._log.state.has_children:
            self._execution.children.cancel()
        self._log.drop_work()
        self.tell(status)

    def tell(self, status: Status) -> None:
        """Who waits is told, and so is the parent."""
        log, state, created = self._log, self._log.state, self._execution.created
        log.ended = RunEnded(log.workflow, status, state.result, state.failure)
        if created.parent is not None and created.parent_step is not None:
            log.owes_parent = True
            step = StepKey(created.parent_step)
            is_cancelled = status is Status.CANCELLED
            outcome = ChildEnded(
                step, log.workflow, state.result, state.failure, is_cancelled, created.parent_stream
            )
            log.send(Deliver(WorkflowId(created.parent), outcome))
