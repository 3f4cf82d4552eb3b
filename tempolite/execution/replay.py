"""A finished run's code against its history: the same outcome, or a diff."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tempolite.actors.messages import CONTINUED, RunEnded
from tempolite.core.failure import Failure
from tempolite.core.status import Status
from tempolite.errors import Cancelled, NonDeterminismError
from tempolite.execution.ending import NextRun

if TYPE_CHECKING:
    from tempolite.execution.execution import Execution


def replayed(execution: Execution) -> RunEnded:
    """The recorded outcome, once the code has come to the same.

    Raises:
        NonDeterminismError: it has not; both sides are shown.
    """
    state = execution.log.state
    runner = execution.code.replay()
    problem = execution.log.state.problem
    if runner is None or (not runner.is_done and state.finished is Status.COMPLETED):
        waiting = ", ".join(execution.steps.unsettled()) or "nothing that it asked for"
        raise NonDeterminismError(
            f"the history of workflow {execution.workflow!r} ends {_recorded(execution)}, the code still "
            f"waits for {waiting}{problem}"
        )
    if runner.is_done:
        _check_same_end(execution, runner.result, runner.error)
        if left := execution.steps.not_asked_for():
            raise NonDeterminismError(
                f"the history of workflow {execution.workflow!r} has steps that the code does not ask for: "
                + ", ".join(left)
            )
    status = CONTINUED if state.is_continued else str(state.finished)
    return RunEnded(execution.workflow, status, state.result, state.failure)


def _check_same_end(execution: Execution, result: object, error: BaseException | None) -> None:
    state = execution.log.state
    if state.finished is Status.CANCELLED:
        return
    if isinstance(error, NonDeterminismError):
        if left := execution.steps.not_asked_for():
            # What a step was called before its name was changed stands on the other side.
            raise NonDeterminismError(
                f"{error}; it has steps that the code has not asked for: {', '.join(left)}"
            ) from error
        raise error
    if isinstance(error, NextRun):
        ended = "by continuing as new"
    elif error is not None and not isinstance(error, Cancelled):
        ended = f"with {_named(execution.services.capture(error))}"
    else:
        ended = f"with result {execution.services.encode(result, 'result').decode()}"
    if ended != _recorded(execution):
        raise NonDeterminismError(
            f"the history of workflow {execution.workflow!r} ends {_recorded(execution)}, "
            f"the code ends {ended}"
        )


def _recorded(execution: Execution) -> str:
    state = execution.log.state
    if state.is_continued:
        return "by continuing as new"
    if state.failure is not None:
        return f"with {_named(state.failure)}"
    return f"with result {(state.result or b'').decode()}"


def _named(failure: Failure) -> str:
    return f"{failure.type_name}: {failure.message}"
