"""Schedules: one run for each due time, whatever happens in between."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tempolite import (
    InvalidArguments,
    NotStorable,
    QueueNotFound,
    ScheduleNotFound,
    Tempolite,
    WorkflowContext,
    workflow,
)
from tempolite.core.schedule import apply
from tempolite.core.schedule_events import decode_schedule_body
from tempolite.store.statements import put_schedule
from tests.engine.conftest import EngineMaker
from tests.engine.timelines import DAY, HOUR, START, Timeline, double, waiting


def daily(ctx: WorkflowContext) -> None:
    """Known to the engine that is told of it, and to no other."""


def test_a_due_time_starts_a_run_that_is_named_after_it(line: Timeline) -> None:
    """``name/due-time``, with the arguments given; before it nothing is started."""
    nightly = line.tp.schedule("nightly", "0 3 * * *", double, 21)
    line.pass_time(3 * HOUR - 1)
    before = line.ids()

    line.pass_time(1)

    assert before == []
    assert line.ids() == ["nightly/2026-11-21T03:00:00+00:00"]
    assert line.tp.get("nightly/2026-11-21T03:00:00+00:00").get(timeout=5) == 42
    assert nightly.last_run == line.tp.get("nightly/2026-11-21T03:00:00+00:00")


def test_each_due_time_has_its_run(line: Timeline) -> None:
    """Day after day."""
    line.tp.schedule("nightly", "0 3 * * *", double)

    for _ in range(5):
        line.pass_time(DAY)

    assert line.ids() == [f"nightly/2026-11-2{day}T03:00:00+00:00" for day in range(1, 6)]


def test_a_schedule_says_what_it_is(line: Timeline) -> None:
    """Everything that was given, and what follows."""
    nightly = line.tp.schedule(
        "nightly", "30 3 * * *", double, timezone="Europe/Paris", overlap="queue", catchup="one"
    )

    assert (nightly.name, nightly.spec, nightly.timezone) == ("nightly", "30 3 * * *", "Europe/Paris")
    assert (nightly.overlap, nightly.catchup, nightly.function) == (
        "queue",
        "one",
        f"{double.__module__}:double",
    )
    assert nightly.next_at == datetime(2026, 11, 21, 2, 30, tzinfo=UTC)
    assert (nightly.last_at, nightly.last_run, nightly.is_paused, nightly.problem) == (None, None, False, "")
    assert line.tp.schedules() == [nightly]


def test_an_interval_counts_from_its_creation(line: Timeline) -> None:
    """Not from the end of the run before, nor from the start of the engine."""
    line.clock.advance(0.25)
    line.tp.schedule("often", timedelta(hours=8), double)
    for _ in range(3):
        line.pass_time(8 * HOUR)
    line.crash(HOUR)
    line.open(double)
    often = line.tp.schedule("often", timedelta(hours=8), double)
    line.pass_time(7 * HOUR)

    hours = [(21, "08"), (21, "16"), (22, "00"), (22, "08")]
    assert line.ids() == [f"often/2026-11-{day}T{hour}:00:00.250000+00:00" for day, hour in hours]
    assert often.spec == timedelta(hours=8)


def test_a_schedule_is_no_reason_to_wait(line: Timeline) -> None:
    """``wait`` returns though something is due tomorrow."""
    line.tp.schedule("nightly", "0 3 * * *", double)

    line.tp.wait(timeout=5)

    assert line.ids() == []


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ("61 * * * *", {}),
        ("every day", {}),
        ("", {}),
        (5, {}),
        (None, {}),
        (timedelta(0), {}),
        (timedelta(seconds=-1), {}),
        ("0 3 * * *", {"timezone": "Mars/Olympus"}),
        ("0 3 * * *", {"timezone": None}),
        ("0 3 * * *", {"overlap": "drop"}),
        ("0 3 * * *", {"catchup": "some"}),
    ],
)
def test_what_can_never_be_due_is_refused(line: Timeline, spec: Any, options: dict[str, Any]) -> None:
    """At the call, and nothing is recorded."""
    with pytest.raises(InvalidArguments):
        line.tp.schedule("bad", spec, double, **options)

    assert line.tp.schedules() == []


def test_a_call_that_can_never_run_is_refused(line: Timeline) -> None:
    """Names, arguments, values, functions and queues are looked at when the schedule is set (P4)."""
    with pytest.raises(InvalidArguments):
        line.tp.schedule("", "0 3 * * *", double)
    with pytest.raises(InvalidArguments):
        line.tp.schedule("bad", "0 3 * * *", double, 1, 2, 3)
    with pytest.raises(InvalidArguments):
        line.tp.schedule("bad", "0 3 * * *", len)
    with pytest.raises(NotStorable):
        line.tp.schedule("bad", "0 3 * * *", double, object())
    with pytest.raises(QueueNotFound):
        line.tp.schedule("bad", "0 3 * * *", workflow(double, queue="nowhere"))

    assert line.tp.schedules() == []


def test_a_zone_can_be_given_as_an_object(line: Timeline) -> None:
    """As the standard library has them."""
    tokyo = line.tp.schedule("tokyo", "0 9 * * *", double, timezone=ZoneInfo("Asia/Tokyo"))
    plain = line.tp.schedule("utc", "0 9 * * *", double, timezone=UTC)

    assert (tokyo.timezone, plain.timezone) == ("Asia/Tokyo", "UTC")
    assert tokyo.next_at == datetime(2026, 11, 22, tzinfo=UTC)


def test_the_same_name_again_replaces_the_schedule(line: Timeline) -> None:
    """Its times, its arguments and its options."""
    line.tp.schedule("job", "0 3 * * *", double, 1)

    job = line.tp.schedule("job", "0 4 * * *", double, 2)
    line.pass_time(5 * HOUR)

    assert len(line.tp.schedules()) == 1
    assert job.spec == "0 4 * * *"
    assert line.ids() == ["job/2026-11-21T04:00:00+00:00"]
    assert job.last_run is not None
    assert job.last_run.get(timeout=5) == 4


def test_the_same_schedule_again_leaves_it_as_it_is(line: Timeline) -> None:
    """Programs set their schedules at each start: a pause stays a pause."""
    line.tp.schedule("job", "0 3 * * *", double).pause()

    job = line.tp.schedule("job", "0 3 * * *", double)

    assert job.is_paused


# ── handles ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_paused_schedule_is_not_due(line: Timeline) -> None:
    """Pausing twice is no error; what passed meanwhile is left out, and it goes on with the next."""
    nightly = line.tp.schedule("nightly", "0 3 * * *", double, catchup="all")
    nightly.pause()
    nightly.pause()
    line.pass_time(2 * DAY)
    paused_at = nightly.next_at

    nightly.resume()
    nightly.resume()
    line.pass_time(DAY)

    assert paused_at is None
    assert line.ids() == ["nightly/2026-11-23T03:00:00+00:00"]


def test_a_pause_outlives_a_crash(line: Timeline) -> None:
    """It was acknowledged."""
    line.tp.schedule("nightly", "0 3 * * *", double, catchup="all").pause()
    line.crash(2 * DAY)

    line.open(double)
    line.settle()

    assert line.tp.schedules()[0].is_paused
    assert line.ids() == []


def test_a_trigger_starts_a_run_now(line: Timeline) -> None:
    """Named after the moment, durable when the call returns, and nothing else moves."""
    nightly = line.tp.schedule("nightly", "0 3 * * *", double, 4)
    line.clock.advance(HOUR + 0.5)

    info = nightly.trigger()

    assert info.id == "nightly/2026-11-21T01:00:00.500000+00:00"
    assert line.tp.get(info.id).get(timeout=5) == 8
    assert nightly.next_at == START + timedelta(hours=3)
    assert nightly.last_at == START + timedelta(hours=1, seconds=0.5)


def test_two_triggers_of_one_moment_are_one_run(line: Timeline) -> None:
    """One run for each due time; a moment later it is another one."""
    nightly = line.tp.schedule("nightly", "0 3 * * *", double)

    first, second = nightly.trigger(), nightly.trigger()
    first.get(timeout=5)
    line.clock.advance(1)
    third = nightly.trigger()

    assert first == second != third
    assert line.ids() == [first.id, third.id]


def test_a_trigger_while_a_run_is_unfinished_gives_that_run(line: Timeline) -> None:
    """With ``skip``; with ``queue`` one that begins later."""
    skipping = line.tp.schedule("skipping", "0 3 * * *", waiting)
    queueing = line.tp.schedule("queueing", "0 3 * * *", waiting, overlap="queue")
    runs = [skipping.trigger(), queueing.trigger()]
    line.clock.advance(1)

    again = [skipping.trigger(), queueing.trigger()]

    assert again[0] == runs[0]
    assert again[1] != runs[1]
    assert line.ids() == [info.id for info in runs]


def test_a_deleted_schedule_is_gone_and_its_runs_are_not(line: Timeline) -> None:
    """Its handle says so, whatever it is asked; the name is free."""
    nightly = line.tp.schedule("nightly", "0 3 * * *", double)
    info = nightly.trigger()

    nightly.delete()
    line.pass_time(2 * DAY)

    for ask in (nightly.delete, nightly.pause, nightly.trigger, nightly.history, lambda: nightly.next_at):
        with pytest.raises(ScheduleNotFound, match="nightly"):
            ask()
    assert line.ids() == [info.id]
    assert line.tp.schedules() == []
    assert line.tp.schedule("nightly", "0 3 * * *", double).last_at is None


def test_a_deletion_outlives_a_crash(line: Timeline) -> None:
    """It was acknowledged."""
    line.tp.schedule("nightly", "0 3 * * *", double, catchup="all").delete()
    line.crash(2 * DAY)

    line.open(double)
    line.settle()

    assert (line.tp.schedules(), line.ids()) == ([], [])


def test_a_paused_schedule_of_an_unknown_function_is_no_reason_to_warn(
    line: Timeline, caplog: pytest.LogCaptureFixture
) -> None:
    """It starts nothing; one that would is reported."""
    line.tp.schedule("due", "0 3 * * *", daily)
    line.tp.schedule("paused", "0 3 * * *", daily).pause()
    line.crash()

    line.open()
    line.settle()

    warned = [each.getMessage() for each in caplog.records if "can't go on" in each.getMessage()]
    assert len(warned) == 1
    assert "'due'" in warned[0]


def test_the_table_of_schedules_follows_from_the_log(line: Timeline) -> None:
    """Whatever happened to them: each row can be made again from its events."""
    names = ["plain", "paused", "busy", "gone", "again"]
    for name in names:
        function = waiting if name == "busy" else double
        arguments = () if name == "busy" else (21,)
        line.tp.schedule(name, timedelta(hours=3), function, *arguments, overlap="queue", catchup="all")
    line.pass_time(7 * HOUR)
    schedules = {each.name: each for each in line.tp.schedules()}
    schedules["paused"].pause()
    schedules["plain"].trigger()
    schedules["gone"].delete()
    line.tp.schedule("again", timedelta(hours=5), double)
    line.pass_time(DAY)

    columns = "name, stream, seq, function, next_due, is_paused, state"
    rows = line.tp._rows(f"SELECT {columns} FROM schedules ORDER BY name")
    made = []
    for (stream,) in line.tp._rows("SELECT DISTINCT stream FROM events WHERE type LIKE 'Schedule%'"):
        state = None
        events = line.tp._rows("SELECT type, payload FROM events WHERE stream = ?1 ORDER BY seq", (stream,))
        for type_name, payload in events:
            state = apply(state, decode_schedule_body(type_name, payload))
        if state is not None:
            made.append(put_schedule(stream, len(events), state)[1])

    assert rows == sorted(made)
    assert [row[0] for row in rows] == sorted(set(names) - {"gone"})


def test_awaitable_twins_do_the_same(make_engine: EngineMaker, database: str) -> None:
    """On a real engine, from an event loop."""
    tp = make_engine(database)

    async def use() -> Any:
        nightly = await tp.aschedule("nightly", "0 3 * * *", double, 4, overlap="queue")
        info = await nightly.atrigger()
        outcome = await info
        await nightly.apause()
        paused = nightly.is_paused
        await nightly.aresume()
        listed = await tp.aschedules()
        await nightly.adelete()
        return outcome, paused, listed == [nightly]

    assert asyncio.run(use()) == (8, True, True)
    assert tp.schedules() == []


def test_a_schedule_runs_in_real_time(make_engine: EngineMaker, path: Path) -> None:
    """On threads, with the system's clock: the next due time has its run."""
    tp = make_engine(path)
    often = tp.schedule("often", timedelta(milliseconds=50), double, 4)
    due = often.next_at
    assert due is not None

    run = next(event.workflow for event in tp.events(follow=True) if event.workflow.startswith("often/"))

    assert run == f"often/{due.isoformat()}"
    assert tp.get(run).get(timeout=10) == 8


def test_schedules_need_a_started_engine(path: Path) -> None:
    """Before start and after close there is nobody to keep them."""
    with pytest.raises(Exception, match="not started"):
        Tempolite(path).schedule("nightly", "0 3 * * *", double)
