"""A schedule in memory: what can be asked of it, its state, and what is under way for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, assert_never

import msgspec

from tempolite.actors.dispatcher import TimerHandle
from tempolite.actors.futures import Reply
from tempolite.actors.messages import Message
from tempolite.core.identifiers import StreamId
from tempolite.core.schedule import (
    ScheduleState,
    Situation,
    what_a_resume_does,
    what_a_setting_does,
    what_a_trigger_does,
)
from tempolite.core.schedule_events import (
    ScheduleBody,
    ScheduleDeleted,
    ScheduleEntry,
    SchedulePaused,
    ScheduleRunStarted,
    ScheduleSkipped,
    ScheduleSpec,
)
from tempolite.errors import NotRegistered, ScheduleNotFound


class SetSchedule(Message, frozen=True):
    """Make this schedule, or put it in the place of the one of that name; answered when durable.

    Attributes:
        name: its name.
        spec: what it does.
    """

    name: str
    spec: ScheduleSpec


class PauseSchedule(Message, frozen=True):
    """Nothing of it is due until it is resumed; answered when durable."""

    name: str


class ResumeSchedule(Message, frozen=True):
    """Let it go on with its next due time; answered when durable."""

    name: str


class TriggerSchedule(Message, frozen=True):
    """Start a run of it now; answered with the id of the run that stands for this moment."""

    name: str


class DeleteSchedule(Message, frozen=True):
    """Forget it, and leave its runs alone; answered when durable."""

    name: str


Command = SetSchedule | PauseSchedule | ResumeSchedule | TriggerSchedule | DeleteSchedule

COMMANDS: tuple[type[Command], ...] = Command.__args__


class Wish(msgspec.Struct):
    """A command, who waits for its answer, and the moment at which it was obeyed."""

    command: Command
    reply: Reply[Any] | None
    now: int = 0


class Change(msgspec.Struct):
    """Facts on their way to the file, and the state that they come to."""

    entries: list[ScheduleEntry]
    after: ScheduleState | None
    wish: Wish | None = None


class LiveSchedule:
    """A schedule in memory: its committed state, and what is under way."""

    def __init__(self, name: str, stream: StreamId, seq: int, state: ScheduleState | None) -> None:
        self.name, self.stream, self.seq, self.state = name, stream, seq, state
        self.change: Change | None = None
        self.mail: deque[Wish] = deque()
        self.starting: set[int] = set()
        self.answered: dict[int, Any] = {}
        self.waiting: dict[int, list[Reply[Any]]] = {}
        self.away_until = 0
        self.problem = ""
        self.watched: str | None = None
        self.is_stalled = False
        self.cancelled: str | None = None
        self.wake_up: TimerHandle | None = None

    @property
    def is_moving(self) -> bool:
        """Whether something is under way that starts runs or answers callers."""
        return self.change is not None or bool(self.starting or self.answered or self.mail)

    def acknowledgements(self) -> list[ScheduleBody]:
        """What became of runs that were asked for; once recorded, they are never asked for again."""
        state, facts = self.state, list[ScheduleBody]()
        if state is None:
            self.answered.clear()
            return facts
        self.answered = {due: self.answered[due] for due in self.answered if due in state.unstarted}
        for due, outcome in self.answered.items():
            if isinstance(outcome, Exception):
                facts.append(ScheduleSkipped(due, "taken", state.next_due))
            else:
                facts.append(ScheduleRunStarted(due))
        return facts

    def facts_of(
        self, command: Command, at: Situation, problem_of: Callable[[ScheduleState], str]
    ) -> Sequence[ScheduleBody]:
        """What follows from a command; nothing where it changes nothing.

        Raises:
            ScheduleNotFound: it is not there, or not any more.
            NotRegistered: it can't start a run now.
        """
        state = self.state
        if isinstance(command, SetSchedule):
            return what_a_setting_does(state, command.name, command.spec, at)
        if state is None:
            raise unknown_schedule(command.name)
        match command:
            case PauseSchedule():
                return [] if state.is_paused else [SchedulePaused()]
            case ResumeSchedule():
                return what_a_resume_does(state, at)
            case DeleteSchedule():
                return [ScheduleDeleted()]
            case TriggerSchedule():
                if problem := problem_of(state):
                    raise NotRegistered(f"schedule {state.name!r}: {problem}")
                return what_a_trigger_does(state, at)
            case _:
                assert_never(command)


class Look(Message, frozen=True):
    """Time has passed."""

    live: LiveSchedule


class StartAnswered(Message, frozen=True):
    """The directory said what became of a start."""

    live: LiveSchedule
    due: int
    reply: Reply[Any]


class RunBeforeEnded(Message, frozen=True):
    """The run before is finished, or can't go on by itself."""

    live: LiveSchedule
    reply: Reply[Any]


class DirectoryIdle(Message, frozen=True):
    """No run goes on by itself, or did not when the directory said so.

    Attributes:
        waiter: who wants to know.
        changes: how many changes of schedules there had been when the directory was asked.
        reply: its answer.
    """

    waiter: Reply[Any]
    changes: int
    reply: Reply[Any]


def due_of_trigger(state: ScheduleState, now: int) -> int:
    """The due time whose run stands for a trigger at that moment."""
    if now in (state.last_due, *state.queued):
        return now
    # It was skipped: the run that is unfinished stands for it.
    return state.queued[0] if state.last_due is None else state.last_due


def unknown_schedule(name: str) -> ScheduleNotFound:
    """The error for a name that no schedule has."""
    return ScheduleNotFound(f"no schedule named {name!r}")


def outcome_of(reply: Reply[Any]) -> Any:
    """The value of a reply that is there, or its error as a value."""
    try:
        return reply.get(timeout=0)
    except Exception as error:
        return error


def settle(reply: Reply[Any] | None, outcome: Any) -> None:
    """Answers whoever still waits, with a value or an error."""
    if reply is None or reply.is_set:
        return
    if isinstance(outcome, Exception):
        reply.fail(outcome)
    else:
        reply.set(outcome)
