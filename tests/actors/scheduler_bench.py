"""A scheduler with its surroundings: a book of schedules, a ledger, and a front in place of the directory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tempolite.actors.actor import LATER, Actor, receives
from tempolite.actors.clock import MICROS_PER_S
from tempolite.actors.controls import GiveUp, ToRun
from tempolite.actors.futures import Reply
from tempolite.actors.live_schedule import SetSchedule
from tempolite.actors.messages import AwaitIdle, AwaitOutcome, RunEnded, StartRun, Statement, Write
from tempolite.actors.schedule_store import StoredSchedule
from tempolite.actors.scheduler import SchedulerActor
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tempolite.core.due_times import Timing
from tempolite.core.identifiers import StreamId, WorkflowId
from tempolite.core.schedule import ScheduleState
from tempolite.core.schedule_events import ScheduleEntry, ScheduleSpec
from tempolite.errors import WorkflowFinished
from tests.actors.directory_bench import Ledger, start_of
from tests.actors.scripted_run import Store
from tests.actors.test_timers import START_US, ShiftedClock

RECORD = Statement("record", "", columns=3, rank=0)
FIRST = "s/1970-01-01T00:17:40+00:00"
"""The run of the first due time: 60 s after the start."""


class Book:
    """Schedules as last committed, and all that happened to them."""

    def __init__(self) -> None:
        self.kept: dict[str, StoredSchedule] = {}
        self.facts: list[str] = []
        self.runs = Store()

    def schedules(self) -> Iterable[StoredSchedule]:
        """All that there are."""
        return list(self.kept.values())

    def writes(
        self, stream: StreamId, name: str, entries: Sequence[ScheduleEntry], after: ScheduleState | None
    ) -> list[Write]:
        """One write for all."""
        return [(RECORD, (stream, name, (entries, after)))]

    def apply(self, writes: list[Write]) -> None:
        """The writes are durable."""
        for _, (stream, name, (entries, after)) in writes:
            self.facts += [type(entry.body).__name__ for entry in entries]
            self.kept.pop(name, None)
            if after is not None:
                self.kept[name] = StoredSchedule(stream, entries[-1].seq, after)

    def problem_of(self, state: ScheduleState) -> str:
        """Nothing is unknown here."""
        return ""

    def request(self, state: ScheduleState, due_us: int) -> StartRun:
        """The wish for a run."""
        return start_of(state.run_id(due_us))


class Front(Actor):
    """In place of the directory: notes what is started, and answers as it is told to."""

    def __init__(self, book: Book, log: list[Any]) -> None:
        super().__init__()
        self.book, self.log = book, log
        self.answers: list[Exception] = []
        self.ends: dict[str, Reply[Any]] = {}
        self.is_busy = False

    @receives(StartRun)
    def on_start_run(self, message: StartRun) -> Any:
        """Starts a run, or fails as told."""
        self.log.append(f"start {message.workflow}")
        if self.answers:
            raise self.answers.pop(0)
        if message.workflow not in self.book.runs.runs:
            self.book.runs.put(message.workflow)
        return message.workflow

    @receives(AwaitOutcome)
    def on_await_outcome(self, message: AwaitOutcome) -> Any:
        """Answers when the test ends the run."""
        assert self.reply_to is not None
        self.ends[message.workflow] = self.reply_to
        return LATER

    @receives(AwaitIdle)
    def on_await_idle(self, _message: AwaitIdle) -> Any:
        """Idle, unless told otherwise."""
        self.log.append("idle")
        return LATER if self.is_busy else None

    @receives(ToRun, GiveUp)
    def on_note(self, message: Any) -> None:
        """Notes it; what is finished refuses."""
        self.log.append(message)
        if isinstance(message, ToRun) and message.workflow not in self.ends:
            raise WorkflowFinished(message.workflow)


class Bench:
    """A scheduler with a ledger and a front, on a clock that can be set."""

    def __init__(self, seed: int = 1, book: Book | None = None) -> None:
        self.clock = ShiftedClock(START_US)
        self.dispatcher = SeededDispatcher(seed, self.clock)
        self.book = book or Book()
        self.log: list[Any] = []
        self.ledger = Ledger(self.book, self.log)  # type: ignore[arg-type]
        self.front = Front(self.book, self.log)
        self.failures: list[BaseException] = []
        self.scheduler = SchedulerActor(
            self.book.runs,
            self.book,
            self.ledger.actor_ref,
            self.front.actor_ref,
            on_actor_failure=lambda _actor, error: self.failures.append(error),
        )
        for actor in (self.ledger, self.front, self.scheduler):
            actor.launch(self.dispatcher)

    def ask(self, message: Any) -> Reply[Any]:
        """Asks the scheduler; nothing happens before ``settle``."""
        reply: Any = self.scheduler.actor_ref.ask(message, block=False)
        assert isinstance(reply, Reply)
        return reply

    def set(self, **fields: Any) -> Reply[Any]:
        """Sets a schedule of every minute."""
        timing = Timing(every_us=60 * MICROS_PER_S, anchor_us=self.clock.now_us())
        spec = ScheduleSpec(timing=timing, function="f", args=msgspec.Raw(b"[]"), **fields)
        reply = self.ask(SetSchedule("s", spec))
        self.settle()
        return reply

    def settle(self, after_s: float = 0.0) -> None:
        """Time passes, and everything is done that is to do by then; nobody may have failed."""
        until_s = self.clock.monotonic_s() + after_s
        self.dispatcher.run_until_idle(advance_time=False)
        while (due := self.dispatcher._timers.next_due_s()) is not None and due <= until_s:
            self.dispatcher.run_until_idle(advance_time=False)
            self.clock.advance(max(0.0, due - self.clock.monotonic_s()))
            self.dispatcher.run_until_idle(advance_time=False)
        self.clock.advance(max(0.0, until_s - self.clock.monotonic_s()))
        self.dispatcher.run_until_idle(advance_time=False)
        assert self.failures == [], "the scheduler failed"

    def started(self) -> list[str]:
        """Runs that were asked for, in order."""
        lines = [line for line in self.log if isinstance(line, str)]
        return [line.removeprefix("start ") for line in lines if line.startswith("start ")]

    def finish(self, workflow: str) -> None:
        """A run reaches its outcome."""
        name = WorkflowId(workflow)
        run = self.book.runs.runs[name]
        self.book.runs.runs[name] = msgspec.structs.replace(run, status="COMPLETED")
        if workflow in self.front.ends:
            self.front.ends.pop(workflow).set(RunEnded(name, "COMPLETED", b"1"))
