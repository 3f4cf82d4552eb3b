"""What a schedule is, and what it does next: values in, facts out; no clock.

    ScheduleState ── what_is_due(state, now) ──▶ facts ── apply ──▶ ScheduleState
                     (or what was asked of it)

The facts are recorded before anything is started for them. A due time that can't have its run at once waits
in ``queued``; one that has fired stays in ``unstarted`` until its run is known to be durable.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from tempolite.core.due_times import iso_of
from tempolite.core.identifiers import WorkflowId
from tempolite.core.schedule_events import (
    ScheduleBody,
    ScheduleDeleted,
    ScheduleFired,
    ScheduleMissed,
    SchedulePaused,
    ScheduleQueued,
    ScheduleResumed,
    ScheduleRunStarted,
    ScheduleSet,
    ScheduleSkipped,
    ScheduleSpec,
)

QUEUED_MAX = 1_000
"""Due times that wait for the run before them; what comes when so many wait is skipped."""

CAUGHT_UP_PER_ROUND = 100
"""Missed due times that are queued at once; the next ones come when these have run."""


class ScheduleState(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as its events say.

    Attributes:
        name, spec: as set.
        next_due: when it is due next; in the past while there is something to make up for.
        is_paused: nothing is due.
        last_due, last_workflow: of the run that it started last.
        queued: due times that wait for the end of the run before them, in their order.
        is_cancelling: that run is being cancelled for their sake.
        unstarted: due times that have fired, and whose runs are not known to be durable.
        behind_until: due times up to then were missed, and are being made up for.
    """

    name: str
    spec: ScheduleSpec
    next_due: int | None
    is_paused: bool = False
    last_due: int | None = None
    last_workflow: str | None = None
    queued: tuple[int, ...] = ()
    is_cancelling: bool = False
    unstarted: tuple[int, ...] = ()
    behind_until: int = 0

    def has_run_of(self, due_us: int) -> bool:
        """Whether this is the due time that fired last, or one that is waiting for its turn."""
        return due_us in (self.last_due, *self.queued, *self.unstarted)

    def run_id(self, due_us: int) -> WorkflowId:
        """The id of the run of a due time."""
        return WorkflowId(f"{self.name}/{iso_of(due_us)}")


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What a schedule has to know of the world.

    Attributes:
        now: µs since the epoch.
        is_running: the run that it started last is unfinished.
        away_until: nobody was there before: what was due until then was missed.
    """

    now: int
    is_running: bool = False
    away_until: int = 0


def apply(state: ScheduleState | None, body: ScheduleBody) -> ScheduleState | None:
    """The state after a fact; None after the deletion."""
    if isinstance(body, ScheduleSet):
        return _set(state, body)
    assert state is not None, "a schedule's stream begins with ScheduleSet"
    change = msgspec.structs.replace
    match body:
        case ScheduleFired(due_at=due, workflow=workflow, next_due=following):
            return change(
                state,
                next_due=following,
                last_due=due,
                last_workflow=workflow,
                queued=_without(state.queued, due),
                is_cancelling=False,
                unstarted=(*state.unstarted, due),
            )
        case ScheduleRunStarted(due_at=due):
            return change(state, unstarted=_without(state.unstarted, due))
        case ScheduleQueued(due_at=dues, next_due=following):
            return change(
                state,
                next_due=following,
                queued=state.queued + dues,
                is_cancelling=body.cancels,
                behind_until=max(state.behind_until, body.behind_until),
            )
        case ScheduleSkipped(due_at=due, next_due=following):
            waiting, unstarted = _without(state.queued, due), _without(state.unstarted, due)
            return change(state, next_due=following, queued=waiting, unstarted=unstarted)
        case ScheduleMissed(until=until):
            return change(state, next_due=until)
        case SchedulePaused():
            return change(state, is_paused=True)
        case ScheduleResumed(next_due=following):
            return change(state, is_paused=False, next_due=following)
        case ScheduleDeleted():
            return None
        case _:
            assert_never(body)


def what_is_due(state: ScheduleState, at: Situation) -> list[ScheduleBody]:
    """The facts that follow from the time, the next ones only: empty when there is nothing to do now.

    While somebody is there, the latest due time that has come is due, however late it is noticed; those
    before it, and after an absence all, were missed. Missed ones that are made up for run one after the
    other, whatever ``overlap`` says; only with ``cancel`` a single one takes the place of what runs.
    """
    if state.is_paused:
        return []
    is_busy = at.is_running or bool(state.unstarted)
    if state.next_due is not None and state.next_due <= at.now:
        facts = _passed(state, at, is_busy=is_busy)
        if facts:
            return facts
    if state.queued and not is_busy:
        due = state.queued[0]
        return [ScheduleFired(due, state.run_id(due), state.next_due)]
    return []


def what_a_trigger_does(state: ScheduleState, at: Situation) -> list[ScheduleBody]:
    """The facts that follow when somebody asks for a run now; empty when this moment has its run already.

    The same rules about an unfinished run as for any due time; a paused schedule can be triggered too.
    """
    if state.has_run_of(at.now):
        return []
    following = state.next_due if state.next_due != at.now else state.spec.timing.next_after(at.now)
    return _due(state, at.now, following, is_busy=at.is_running or bool(state.unstarted))


def what_a_resume_does(state: ScheduleState, at: Situation) -> list[ScheduleBody]:
    """It goes on with the first due time from now on."""
    return [ScheduleResumed(state.spec.timing.next_after(at.now))] if state.is_paused else []


def what_a_setting_does(
    state: ScheduleState | None, name: str, spec: ScheduleSpec, at: Situation
) -> list[ScheduleBody]:
    """The facts that follow when it is set; none where it is set as it is, as programs do at each start.

    One that keeps its times keeps its count of them too: an interval goes on from where it was.
    """
    if state is not None and state.spec.timing.means_the_same(spec.timing):
        spec = msgspec.structs.replace(spec, timing=state.spec.timing)
        if _same(spec, state.spec):
            return []
        if not state.is_paused and state.next_due is not None:
            return [ScheduleSet(name, spec, state.next_due)]
    due = spec.timing.next_after(at.now)
    assert due is not None, "a timing that is never due is refused before"
    return [ScheduleSet(name, spec, due)]


def _set(state: ScheduleState | None, body: ScheduleSet) -> ScheduleState:
    fresh = ScheduleState(name=body.name, spec=body.spec, next_due=body.next_due)
    if state is None:
        return fresh
    keeps_times = state.spec.timing.means_the_same(body.spec.timing)
    return msgspec.structs.replace(
        fresh,
        last_due=state.last_due,
        last_workflow=state.last_workflow,
        unstarted=state.unstarted,
        queued=state.queued if keeps_times else (),
    )


def _passed(state: ScheduleState, at: Situation, *, is_busy: bool) -> list[ScheduleBody]:
    timing, first = state.spec.timing, state.next_due
    assert first is not None, "called when something is due"
    if state.spec.catchup == "all":
        return _passed_in_order(state, at, is_busy=is_busy)
    latest = timing.latest_until(at.now)
    assert latest is not None, "the first that is due is not later than now"
    following = timing.next_after(at.now)
    was_missed = latest <= at.away_until
    if was_missed and state.spec.catchup == "none":
        return [ScheduleMissed(first, following)]
    missed: list[ScheduleBody] = [ScheduleMissed(first, latest)] if latest > first else []
    if was_missed and state.spec.overlap != "cancel":
        return [*missed, ScheduleQueued((latest,), following)]
    return [*missed, *_due(state, latest, following, is_busy=is_busy)]


def _passed_in_order(state: ScheduleState, at: Situation, *, is_busy: bool) -> list[ScheduleBody]:
    """Nothing is left out; as many at once as a round takes."""
    following, dues = state.next_due, list[int]()
    while following is not None and following <= at.now and len(dues) < CAUGHT_UP_PER_ROUND:
        dues.append(following)
        following = state.spec.timing.next_after(following)
    if len(dues) == 1 and dues[0] > max(at.away_until, state.behind_until):
        return _due(state, dues[0], following, is_busy=is_busy)
    if len(state.queued) >= CAUGHT_UP_PER_ROUND:
        return []
    fresh = tuple(due for due in dues if not state.has_run_of(due))
    return [ScheduleQueued(fresh, following, behind_until=at.now)]


def _due(state: ScheduleState, due: int, following: int | None, *, is_busy: bool) -> list[ScheduleBody]:
    """One due time has come: what its run is to do about the one before it."""
    if state.has_run_of(due):
        # It was triggered at this very moment, before this was noticed.
        return [ScheduleMissed(due, following)]
    if not is_busy and not state.queued:
        return [ScheduleFired(due, state.run_id(due), following)]
    match state.spec.overlap:
        case "skip":
            return [ScheduleSkipped(due, "overlap", following)]
        case "queue":
            if len(state.queued) >= QUEUED_MAX:
                return [ScheduleSkipped(due, "full", following)]
            return [ScheduleQueued((due,), following)]
        case "cancel":
            given_up = [ScheduleSkipped(each, "replaced", state.next_due) for each in state.queued]
            return [*given_up, ScheduleQueued((due,), following, cancels=True)]
        case _:
            assert_never(state.spec.overlap)


def _without(dues: tuple[int, ...], due: int) -> tuple[int, ...]:
    return tuple(each for each in dues if each != due)


def _same(one: ScheduleSpec, other: ScheduleSpec) -> bool:
    return msgspec.json.encode(one) == msgspec.json.encode(other)
