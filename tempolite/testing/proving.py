"""Recorded runs through today's code: what would not go as recorded is found before it is deployed."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from tempolite.actors.messages import Begin
from tempolite.calls import WorkflowCall
from tempolite.codec import JsonCodec
from tempolite.core.events import AnyBody, Entry, RunResumed, RunUnstuck
from tempolite.core.history import RunState
from tempolite.core.identifiers import StreamId, WorkflowId
from tempolite.core.retry import RetryPolicy
from tempolite.core.status import Status
from tempolite.errors import NonDeterminismError
from tempolite.execution.execution import Execution
from tempolite.execution.replay import replayed
from tempolite.execution.services import Limits, Services
from tempolite.registry import Registry
from tempolite.testing.history_file import RecordedRun, read_histories

SHOWN_MAX = 50
"""So many runs are named in an error; the report has all of them."""

PAYLOAD_MAX = 2**40


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A run that doesn't go as recorded.

    Attributes:
        workflow, run: which.
        function: its recorded name.
        status: what it was when it was recorded.
        problem: what disagrees, both sides shown.
    """

    workflow: str
    run: int
    function: str
    status: str
    problem: str

    def __str__(self) -> str:
        return f"{self.workflow!r}, run {self.run} of {self.function} ({self.status}): {self.problem}"


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What came of replaying recorded runs.

    Attributes:
        runs: how many were replayed.
        in_flight: how many of them were not finished.
        mismatches: those that don't go as recorded.
    """

    runs: int
    in_flight: int
    mismatches: tuple[Mismatch, ...]

    @property
    def ok(self) -> bool:
        """Whether all go as recorded."""
        return not self.mismatches

    def __str__(self) -> str:
        bad = len(self.mismatches)
        how_many = (
            f"{bad} of {self.runs} recorded runs don't go" if bad else f"all {self.runs} recorded runs go"
        )
        lines = [f"{how_many} as recorded ({self.in_flight} were in flight)"]
        lines += [f"  {mismatch}" for mismatch in self.mismatches[:SHOWN_MAX]]
        if bad > SHOWN_MAX:
            lines.append(f"  and {bad - SHOWN_MAX} more")
        return "\n".join(lines)


def replay_histories(
    file: str | os.PathLike[str],
    workflows: Iterable[Callable[..., Any]],
    *,
    codec: JsonCodec | None = None,
    check: bool = True,
) -> ReplayReport:
    """Runs today's workflow code against recorded histories; executes and records nothing.

    A finished run has to come to its recorded end, by the same steps. One that was in flight has to come as
    far as it was, and be able to go on: it must be neither stuck nor stranded there, and must not fail.

    Args:
        file: written by ``export_histories``.
        workflows: today's functions; those that imported modules declare with ``@workflow`` are known too.
        codec: as of the engine that recorded them.
        check: raise where a run doesn't go as recorded; else it is only in the report.

    Raises:
        NonDeterminismError: the code disagrees with a history; every one of them is named, with both sides.
        InvalidArguments: the file is no export, or damaged; the line is named.
    """
    codec = codec or JsonCodec()
    registry = Registry(codec)
    for function in workflows:
        registry.add(function)
    services = _services(codec)
    mismatches: list[Mismatch] = []
    runs = in_flight = 0
    for recorded in read_histories(os.fspath(file)):
        state = recorded.state()
        runs, in_flight = runs + 1, in_flight + (not state.is_finished)
        if problem := _problem(recorded, state, registry.find(recorded.function), services):
            mismatches.append(
                Mismatch(recorded.workflow, recorded.run, recorded.function, recorded.status, problem)
            )
    report = ReplayReport(runs, in_flight, tuple(mismatches))
    if check and not report.ok:
        raise NonDeterminismError(str(report))
    return report


def _problem(recorded: RecordedRun, state: RunState, call: WorkflowCall | None, services: Services) -> str:
    """What disagrees; nothing where all is well."""
    if call is None:
        return (
            f"function {recorded.function!r} is not among the workflows, and no imported module declares it"
        )
    execution = Execution(WorkflowId(recorded.workflow), StreamId(0), call, services, state)
    try:
        if state.is_finished:
            replayed(execution)
            return ""
        return _problem_in_flight(execution)
    except Exception as error:
        return str(error) if isinstance(error, NonDeterminismError) else f"{type(error).__name__}: {error}"
    finally:
        execution.discard()


def _problem_in_flight(execution: Execution) -> str:
    """Runs it as far as its history goes, and as a person would want it to go on from there."""
    state = execution.log.state
    if state.problem:
        _take(state, RunUnstuck())
    if state.paused_seq is not None:
        _take(state, RunResumed())
    is_waiting_to_retry = state.retry_at is not None
    # Nobody gets what it sends.
    execution.attach(cast("Any", None))
    turn = execution.advance([Begin()], state.last_at)
    if turn.ended is not None and turn.ended.status in (Status.STUCK, Status.STRANDED):
        return turn.ended.problem
    if turn.ended is not None and turn.ended.failure is not None:
        failure = turn.ended.failure
        return f"the run was in flight, the code fails there with {failure.type_name}: {failure.message}"
    if state.retry_at is not None and not is_waiting_to_retry:
        return "the run was in flight, the code fails there, and would be tried again"
    return ""


def _take(state: RunState, body: AnyBody) -> None:
    state.apply(Entry(state.seq + 1, state.last_at, body))


def _services(codec: JsonCodec) -> Services:
    services = Services(
        codec, RetryPolicy(max_attempts=1), Limits(PAYLOAD_MAX), lambda _queue: None, random.Random(0)
    )
    services.new_stream = lambda: StreamId(0)
    services.is_known_signal = lambda *_: False
    return services
