"""The scheduler: facts first, then starts; each start once, until it is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest

from tempolite.actors.actor import LATER, Actor, receives
from tempolite.actors.clock import MICROS_PER_S
from tempolite.actors.dispatcher import SeededDispatcher
from tempolite.actors.futures import Reply
from tempolite.actors.live_schedule import DeleteSchedule, SetSchedule, TriggerSchedule
from tempolite.actors.messages import AwaitIdle, AwaitOutcome, RunEnded, StartRun, Statement, Write
from tempolite.actors.schedule_store import StoredSchedule
from tempolite.actors.scheduler import SchedulerActor
from tempolite.core.due_times import Timing
from tempolite.core.identifiers import StreamId, WorkflowId
from tempolite.core.schedule import ScheduleState
from tempolite.core.schedule_events import ScheduleEntry, ScheduleSpec
from tempolite.errors import EngineClosed, StorageFailed
from tests.actors.scripted_run import Ledger, Store, start_of
from tests.actors.test_timers import START_US, ShiftedClock

RECORD = Statement("record", "", columns=3, rank=0)
FIRST = "s/1970-01-01T00:17:40+00:00"
"""The run of the first due time: 60 s after the start."""
SEEDS = pytest.mark.parametrize("seed", range(6))


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
    def on_await_idle(self, _message: AwaitIdle) -> None:
        """Always idle."""
        self.log.append("idle")


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
        return [line.removeprefix("start ") for line in self.log if line.startswith("start ")]

    def finish(self, workflow: str) -> None:
        """A run reaches its outcome."""
        name = WorkflowId(workflow)
        run = self.book.runs.runs[name]
        self.book.runs.runs[name] = msgspec.structs.replace(run, status="COMPLETED")
        if workflow in self.front.ends:
            self.front.ends.pop(workflow).set(RunEnded(name, "COMPLETED", b"1"))


@SEEDS
def test_a_run_is_asked_for_only_when_its_due_time_is_durable(seed: int) -> None:
    """The commit comes first (P2)."""
    bench = Bench(seed)
    bench.set()
    bench.ledger.is_holding = True
    bench.settle(60)
    early = bench.started()

    bench.ledger.is_holding = False
    bench.ledger.settle(bench.ledger.held.pop())
    bench.settle()

    assert early == []
    assert bench.started() == [FIRST]
    assert bench.book.facts == ["ScheduleSet", "ScheduleFired", "ScheduleRunStarted"]


def test_a_setting_is_answered_when_it_is_durable() -> None:
    """Before that there is neither answer nor schedule."""
    bench = Bench()
    bench.ledger.is_holding = True
    reply = bench.set()
    early = reply.is_set

    bench.ledger.settle(bench.ledger.held.pop())
    bench.settle()

    assert early is False
    assert reply.get(timeout=0) == "s"


def test_a_setting_that_is_not_durable_is_refused_and_can_be_tried_again() -> None:
    """Who asked has the error."""
    bench = Bench()
    bench.ledger.failures = 1

    failed, again = bench.set(), bench.set()

    with pytest.raises(StorageFailed):
        failed.get(timeout=0)
    assert again.get(timeout=0) == "s"


def test_a_due_time_that_could_not_be_committed_is_tried_again() -> None:
    """It has fired once in the end."""
    bench = Bench()
    bench.set()
    bench.ledger.failures = 2

    bench.settle(65)

    assert bench.started() == [FIRST]
    assert bench.book.facts == ["ScheduleSet", "ScheduleFired", "ScheduleRunStarted"]


def test_a_start_that_failed_is_asked_for_again() -> None:
    """Until the run is known to exist."""
    bench = Bench()
    bench.set()
    bench.front.answers = [StorageFailed("no space"), StorageFailed("no space")]

    bench.settle(65)

    assert bench.started() == [FIRST] * 3
    assert bench.book.kept["s"].state.unstarted == ()


@SEEDS
def test_what_has_fired_and_is_not_known_to_be_started_is_asked_for_at_the_next_start(seed: int) -> None:
    """A crash came between the commit and the start."""
    before = Bench(seed)
    before.set()
    before.front.answers = [StorageFailed("never")] * 100
    before.settle(60)

    bench = Bench(seed, before.book)
    bench.settle()

    assert bench.started() == [FIRST]


def test_what_is_known_to_be_started_is_never_asked_for_again() -> None:
    """Its run may have been deleted meanwhile."""
    before = Bench()
    before.set()
    before.settle(60)
    before.book.runs.runs.clear()

    bench = Bench(book=before.book)
    bench.settle(30)

    assert bench.started() == []


def test_an_acknowledgement_that_could_not_be_committed_is_tried_again() -> None:
    """The run is not asked for again meanwhile."""
    bench = Bench()
    bench.set()
    bench.ledger.is_holding = True
    bench.settle(60)
    bench.ledger.is_holding = False
    bench.ledger.settle(bench.ledger.held.pop())
    bench.ledger.failures = 1

    bench.settle(5)

    assert bench.started() == [FIRST]
    assert bench.book.kept["s"].state.unstarted == ()


@SEEDS
def test_what_waits_starts_when_the_run_before_has_ended(seed: int) -> None:
    """Not before, and in order."""
    bench = Bench(seed)
    bench.set(overlap="queue")
    bench.settle(180)
    early = bench.started()

    bench.finish(FIRST)
    bench.settle(1)

    assert early == [FIRST]
    assert bench.started() == [FIRST, "s/1970-01-01T00:18:40+00:00"]


def test_a_run_that_is_stuck_is_looked_at_again() -> None:
    """It is unfinished; when a person has helped it to its end, what waits goes on."""
    bench = Bench()
    bench.set(overlap="queue")
    bench.settle(120)
    bench.front.ends.pop(FIRST).set(RunEnded(WorkflowId(FIRST), "STUCK", problem="a person is needed"))
    bench.settle(1)
    early = bench.started()

    bench.finish(FIRST)
    bench.settle(70)

    assert early == [FIRST]
    assert bench.started()[1] == "s/1970-01-01T00:18:40+00:00"


def test_a_wall_clock_that_is_set_back_makes_nothing_early() -> None:
    """What is due at a time is due when that time comes."""
    bench = Bench()
    bench.set()
    bench.clock.shift_us = -600 * MICROS_PER_S
    bench.settle(650)
    early = bench.started()

    bench.settle(10)

    assert early == []
    assert bench.started() == [FIRST]


def test_a_wall_clock_that_is_set_back_fires_nothing_twice() -> None:
    """An hour that comes again has had its runs."""
    bench = Bench()
    bench.set()
    bench.settle(60)
    bench.clock.shift_us = -30 * MICROS_PER_S

    bench.settle(60)

    assert bench.started() == [FIRST]


def test_a_wall_clock_that_is_set_forward_is_noticed_within_a_minute() -> None:
    """However far away the due time was before."""
    bench = Bench()
    bench.set()
    bench.ask(SetSchedule("far", _hourly(bench.clock.now_us())))
    bench.settle()
    bench.clock.shift_us = 3_600 * MICROS_PER_S

    bench.settle(60.1)

    assert "far/1970-01-01T01:16:40+00:00" in bench.started()


def _hourly(anchor_us: int) -> ScheduleSpec:
    timing = Timing(every_us=3_600 * MICROS_PER_S, anchor_us=anchor_us)
    return ScheduleSpec(timing=timing, function="f", args=msgspec.Raw(b"[]"))


@SEEDS
def test_who_waits_for_quiet_waits_for_what_is_being_started(seed: int) -> None:
    """Between a due time and its run nothing is quiet; before and after it is."""
    bench = Bench(seed)
    bench.set()
    before = bench.ask(AwaitIdle())
    bench.settle()
    bench.ledger.is_holding = True
    bench.settle(60)
    during = bench.ask(AwaitIdle())
    bench.settle()
    early = (before.is_set, during.is_set)

    bench.ledger.is_holding = False
    bench.ledger.settle(bench.ledger.held.pop())
    bench.settle()

    assert early == (True, False)
    assert during.is_set
    assert bench.log.index(f"start {FIRST}") < len(bench.log) - 1 - bench.log[::-1].index("idle")


def test_a_close_answers_whoever_waits_and_starts_nothing_more() -> None:
    """With why it was closed."""
    bench = Bench()
    bench.set()
    bench.ledger.is_holding = True
    waiting = [bench.ask(message) for message in (DeleteSchedule("s"), TriggerSchedule("s"), AwaitIdle())]
    bench.settle()

    bench.scheduler.close()
    bench.settle(600)

    for reply in waiting:
        with pytest.raises(EngineClosed):
            reply.get(timeout=0)
    late = bench.ask(TriggerSchedule("s"))
    bench.settle()
    with pytest.raises(EngineClosed):
        late.get(timeout=0)
    assert bench.started() == []
