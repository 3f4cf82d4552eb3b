"""Schedules, when runs take long, when nobody is there, and when functions are not known."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tempolite import NotRegistered, Queue, WorkflowAlreadyExists
from tests.engine.timelines import DAY, HELD, HOUR, START, Timeline, double, waiting

# ── overlap ─────────────────────────────────────────────────────────────────────────────────────────────


def test_skip_leaves_out_due_times_while_a_run_is_unfinished(line: Timeline) -> None:
    """And says so in the schedule's history."""
    slow = line.tp.schedule("slow", timedelta(hours=1), waiting)

    for _ in range(3):
        line.pass_time(HOUR)

    assert line.ids() == ["slow/2026-11-21T01:00:00+00:00"]
    assert [event.type for event in slow.history()] == [
        "ScheduleSet",
        "ScheduleFired",
        "ScheduleRunStarted",
        "ScheduleSkipped",
        "ScheduleSkipped",
    ]


def test_queue_starts_what_waits_when_the_run_before_has_ended(path: Path, nothing_left: None) -> None:
    """In order, one after the other, also after a crash."""
    line = Timeline(path, START)
    line.open(double, queues=[HELD])
    line.tp.schedule("slow", timedelta(hours=1), waiting, overlap="queue")
    for _ in range(3):
        line.pass_time(HOUR)
    held, waiting_then = line.ids(), line.tp.schedules()[0].queued
    line.crash()

    line.open(double, queues=[Queue("held", kind="inline")])
    line.tp.wait(timeout=5)

    assert held == ["slow/2026-11-21T01:00:00+00:00"]
    assert [each.hour for each in waiting_then] == [2, 3]
    assert line.ids() == [f"slow/2026-11-21T0{hour}:00:00+00:00" for hour in (1, 2, 3)]
    line.tp.close()


def test_cancel_ends_the_run_before(line: Timeline) -> None:
    """It is cancelled, and the due time has its run when it has ended."""
    line.tp.schedule("slow", timedelta(hours=1), waiting, overlap="cancel")

    for _ in range(3):
        line.pass_time(HOUR)

    assert line.ids() == [f"slow/2026-11-21T0{hour}:00:00+00:00" for hour in (1, 2, 3)]
    assert [line.tp.get(id).status for id in line.ids()] == ["CANCELLED", "CANCELLED", "RUNNING"]


# ── absences ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("catchup", "days"), [("none", []), ("one", [25]), ("all", [22, 23, 24, 25])])
@pytest.mark.parametrize("seed", range(3))
def test_catchup_says_what_is_made_up_for_after_an_absence(
    path: Path, nothing_left: None, catchup: Any, days: list[int], seed: int
) -> None:
    """``wait`` waits for all of it; then the next due time comes as ever."""
    line = Timeline(path, START, seed)
    line.open(double)
    line.tp.schedule("nightly", "0 3 * * *", double, catchup=catchup)
    line.pass_time(4 * HOUR)
    line.crash(4 * DAY)

    line.open(double)
    line.tp.wait(timeout=5)
    made_up = line.ids()
    line.pass_time(DAY)

    assert made_up == [f"nightly/2026-11-{day}T03:00:00+00:00" for day in [21, *days]]
    assert line.ids() == [*made_up, "nightly/2026-11-26T03:00:00+00:00"]
    line.tp.close()


@pytest.mark.parametrize("seed", range(30))
def test_a_crash_between_any_two_messages_neither_loses_nor_doubles_a_run(
    path: Path, nothing_left: None, seed: int
) -> None:
    """What has fired is started, and known to be; a deleted run is not."""
    line = Timeline(path, START, seed)
    line.open(double)
    line.tp.schedule("often", timedelta(hours=1), double, catchup="all")
    line.clock.advance(HOUR)
    for _ in range(seed):
        line.tp._system._dispatcher.step(advance_time=False)
    line.crash()

    line.open(double)
    line.settle()
    line.tp.wait(timeout=5)
    line.pass_time(HOUR)

    assert line.ids() == [f"often/2026-11-21T0{hour}:00:00+00:00" for hour in (1, 2)]
    assert [e.type for e in line.tp.schedules()[0].history()].count("ScheduleRunStarted") == 2
    line.tp.close()


def test_streams_of_runs_and_schedules_are_never_mixed_up(line: Timeline) -> None:
    """Both are counted together, also after a restart."""
    line.tp.schedule("often", timedelta(hours=1), double)
    line.crash()
    line.open(double)

    info = line.tp.execute("run", double, 4)

    assert info.get(timeout=5) == 8
    assert [event.type for event in info.history()] == ["RunCreated", "RunCompleted"]
    assert [event.type for event in line.tp.schedules()[0].history()] == ["ScheduleSet"]


# ── functions that are not known ────────────────────────────────────────────────────────────────────────


def test_a_schedule_of_an_unknown_function_waits_for_it(
    line: Timeline, caplog: pytest.LogCaptureFixture
) -> None:
    """It keeps its state, says why, warns once with the remedy, and goes on when it is known."""
    line.tp.schedule("nightly", "0 3 * * *", double, catchup="one")
    line.crash(2 * DAY)
    line.open()
    for _ in range(3):
        line.pass_time(DAY)
    (nightly,) = line.tp.schedules()
    problem, before = nightly.problem, line.ids()
    with pytest.raises(NotRegistered, match="nightly"):
        nightly.trigger()

    line.tp.register(double)
    line.settle()

    assert "register" in problem
    assert before == []
    assert line.ids() == ["nightly/2026-11-25T03:00:00+00:00"]
    assert nightly.problem == ""
    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len([each for each in warnings if "nightly" in each.getMessage()]) == 1


def test_setting_it_again_at_the_next_start_makes_up_for_what_was_missed(line: Timeline) -> None:
    """The function comes with it; nothing else need be registered."""
    line.tp.schedule("nightly", "0 3 * * *", double, catchup="all")
    line.crash(2 * DAY)
    line.open()

    line.tp.schedule("nightly", "0 3 * * *", double, catchup="all")
    line.tp.wait(timeout=5)

    assert line.ids() == [f"nightly/2026-11-2{day}T03:00:00+00:00" for day in (1, 2)]


def test_a_due_time_whose_id_is_somebody_elses_is_skipped(
    line: Timeline, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told in the log, and the next due time comes."""
    nightly = line.tp.schedule("nightly", "0 3 * * *", double)
    line.tp.execute("nightly/2026-11-21T03:00:00+00:00", waiting)
    line.pass_time(DAY)

    line.tp._system._dispatcher.run_until_idle(advance_time=False)

    assert "ScheduleSkipped" in [event.type for event in nightly.history()]
    assert any("nightly" in each.getMessage() for each in caplog.records)
    with pytest.raises(WorkflowAlreadyExists):
        line.tp.execute("nightly/2026-11-21T03:00:00+00:00", double)
