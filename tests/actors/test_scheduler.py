"""The scheduler: facts first, then starts; each start once, until it is known."""

from __future__ import annotations

import msgspec
import pytest

from tempolite.actors.clock import MICROS_PER_S
from tempolite.actors.controls import Cancel, GiveUp, ToRun
from tempolite.actors.live_schedule import DeleteSchedule, SetSchedule, TriggerSchedule
from tempolite.actors.messages import AwaitIdle, RunEnded
from tempolite.core.due_times import Timing
from tempolite.core.identifiers import WorkflowId
from tempolite.core.schedule_events import ScheduleSpec
from tempolite.errors import EngineClosed, StorageFailed
from tests.actors.scheduler_bench import FIRST, Bench

SEEDS = pytest.mark.parametrize("seed", range(6))


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
    bench.settle(61)
    early = bench.started()

    bench.finish(FIRST)
    bench.settle(1)

    assert early == [FIRST]
    assert bench.started()[1] == "s/1970-01-01T00:18:40+00:00"


@SEEDS
def test_cancel_ends_the_run_before_and_starts_when_it_has_ended(seed: int) -> None:
    """Asked once for each run, and again after a crash: the first may have been lost."""
    bench = Bench(seed)
    bench.set(overlap="cancel")
    bench.settle(180)
    again = Bench(seed, bench.book)
    again.settle()
    early = [*bench.started(), *again.started()]

    again.finish(FIRST)
    again.settle(1)

    cancel = ToRun(WorkflowId(FIRST), Cancel())
    assert [bench.log.count(cancel), again.log.count(cancel)] == [1, 1]
    assert early == [FIRST]
    assert again.started() == ["s/1970-01-01T00:19:40+00:00"]


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


def test_who_gives_up_waiting_for_quiet_is_forgotten() -> None:
    """Here, and where it was asked on."""
    bench = Bench()
    bench.front.is_busy = True
    asked = bench.ask(AwaitIdle())
    bench.settle()

    bench.scheduler.actor_ref.tell(GiveUp(asked))
    bench.settle()

    assert [type(message) for message in bench.log] == [str, GiveUp]
    bench.scheduler.close()
    assert not asked.is_set
