"""Virtual time of a test's engines: when it moves, when it does not, and what happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    AsyncWorkflowContext,
    InvalidArguments,
    InvalidState,
    Queue,
    RetryPolicy,
    Tempolite,
    WorkflowContext,
    activity,
    workflow,
)
from tempolite.testing.clock import TestClock
from tempolite.testing.engines import TestedEngine
from tests.engine.gates import Effects, note

DAY = timedelta(days=1)
MONTH = 30 * DAY

Factory = Callable[..., TestedEngine]


@pytest.fixture
def tempolite_settings() -> dict[str, Any]:
    """Activities run in the engine's own thread, in threads of theirs, or in processes."""
    queues = [Queue("default", kind="inline"), Queue("threads", kind="thread", workers=2)]
    return {"queues": [*queues, Queue("processes", workers=1)]}


def nap(ctx: WorkflowContext, days: float = 30) -> datetime:
    """Sleeps; says when it woke up."""
    ctx.sleep("nap", timedelta(days=days))
    return ctx.now()


async def napping(ctx: AsyncWorkflowContext) -> datetime:
    """Sleeps as asyncio does."""
    await asyncio.sleep(MONTH.total_seconds())
    return ctx.now()


def listen(ctx: WorkflowContext) -> Any:
    """Waits a day for a signal."""
    try:
        return ctx.signal("go").get(timeout=DAY)
    except TimeoutError:
        return "too late"


def wait_for_ever(ctx: WorkflowContext) -> Any:
    """Waits for a signal that never comes."""
    return ctx.signal("go").get()


def fail(path: str) -> None:
    """An activity that never succeeds."""
    note(path, "tried")
    raise ConnectionError("nobody is there")


def stubborn(ctx: WorkflowContext, path: str) -> None:
    """Tries once an hour, for a week."""
    policy = RetryPolicy(
        max_attempts=None, initial_interval=3_600, backoff=1, max_interval=3_600, jitter=False
    )
    ctx.activity("fail", activity(fail, retry=policy, deadline=7 * 86_400), path).get()


def remind(ctx: WorkflowContext, path: str, queue: str = "default") -> datetime:
    """A mail a day, ten times."""
    for day in range(10):
        ctx.sleep("until tomorrow", DAY)
        ctx.activity("mail", activity(note, queue=queue), path, f"day {day}").get()
    return ctx.now()


@pytest.mark.parametrize("fn", [nap, napping])
def test_who_waits_for_a_sleeping_run_has_its_outcome_at_once(
    tempolite_clock: TestClock, tempolite_engine: Tempolite, fn: Any
) -> None:
    """A month goes by, to the microsecond."""
    before = tempolite_clock.now()

    woke = tempolite_engine.execute("a", fn).get(timeout=10)

    assert woke == before + MONTH == tempolite_clock.now()
    assert tempolite_engine.get("a").finished_at == woke


def test_spans_that_are_no_round_numbers_end_too(
    tempolite_clock: TestClock, tempolite_engine: Tempolite
) -> None:
    """Seconds as floats are off by a bit now and then; nobody is left sleeping for that."""

    def flow(ctx: WorkflowContext) -> datetime:
        for _ in range(200):
            ctx.sleep("nap", 0.374107)
        return ctx.now()

    passed = tempolite_engine.execute("a", flow).get(timeout=20) - datetime(2026, 1, 1, tzinfo=UTC)

    assert (
        passed
        == 200 * timedelta(seconds=0.374107)
        == tempolite_clock.now() - datetime(2026, 1, 1, tzinfo=UTC)
    )


def test_time_begins_at_the_same_moment_in_every_test(tempolite_clock: TestClock) -> None:
    """So that what depends on it is the same each time."""
    assert tempolite_clock.now() == datetime(2026, 1, 1, tzinfo=UTC)


def test_the_order_of_the_fixtures_does_not_matter(
    tempolite_engine: Tempolite, tempolite_clock: TestClock
) -> None:
    """An engine that is asked for first lives in virtual time too."""
    tempolite_engine.execute("a", nap)

    tempolite_engine.wait(timeout=10)

    assert tempolite_clock.now() == datetime(2026, 1, 31, tzinfo=UTC)


def test_time_stands_while_the_test_does_something_else(
    tempolite_clock: TestClock, tempolite_engine: Tempolite, actor_system: Any
) -> None:
    """What it sends before it waits never comes too late, however often it is tried."""
    for number in range(50):
        info = tempolite_engine.execute(f"a{number}", listen)
        actor_system.wait_idle()
        info.signal("go", number)
        assert info.get(timeout=10) == number

    assert tempolite_clock.now() == datetime(2026, 1, 1, tzinfo=UTC)
    assert tempolite_engine.execute("b", listen).get(timeout=10) == "too late"


def test_a_week_of_retries_takes_no_time(
    tempolite_clock: TestClock, tempolite_engine: Tempolite, tmp_path: Path
) -> None:
    """One attempt an hour, until the deadline."""
    effects = Effects(tmp_path / "effects")

    with pytest.raises(TimeoutError, match="after the deadline"):
        tempolite_engine.execute("a", stubborn, effects.path).get(timeout=20)

    assert len(effects.lines()) == 7 * 24


def test_a_month_of_a_daily_schedule_takes_no_time(
    tempolite_clock: TestClock, tempolite_engine: Tempolite, actor_system: Any
) -> None:
    """Thirty runs, each at its time; nobody looks at a clock that no one can set."""
    tempolite_engine.schedule("daily", "0 3 * * *", nap, 0.5)

    tempolite_clock.advance(MONTH)

    ended = [info.finished_at for info in tempolite_engine.workflows(limit=100)]
    assert ended == [datetime(2026, 1, day, 15, tzinfo=UTC) for day in range(30, 0, -1)]
    assert len(actor_system.messages.of("Look")) < 100


def test_advance_returns_when_all_that_fell_due_is_done(
    tempolite_clock: TestClock, tempolite_engine: Tempolite, tmp_path: Path
) -> None:
    """In processes too, one after the other; what is not due has not happened."""
    effects = Effects(tmp_path / "effects")
    info = tempolite_engine.execute("a", remind, effects.path, "processes")

    tempolite_clock.advance(4 * DAY)

    assert effects.lines() == [f"day {day}" for day in range(4)]
    tempolite_clock.advance(6 * 86_400)
    assert info.status == "COMPLETED"
    assert info.get(timeout=10) == datetime(2026, 1, 11, tzinfo=UTC)


def test_all_engines_of_a_test_have_one_time(tempolite_clock: TestClock, tempolite_factory: Factory) -> None:
    """It stands while one of them works, and each is woken when something is due."""
    first, second = tempolite_factory(":memory:"), tempolite_factory(":memory:")
    infos = [first.execute("a", nap, 2), second.execute("b", nap, 1), second.execute("c", nap, 3)]

    assert infos[0].get(timeout=10) == datetime(2026, 1, 3, tzinfo=UTC)
    assert [info.status for info in infos] == ["COMPLETED", "COMPLETED", "WAITING"]
    second.close()
    assert first.execute("d", nap, 5).get(timeout=10) == datetime(2026, 1, 8, tzinfo=UTC)


def test_time_goes_by_while_no_engine_is_there(
    tempolite_clock: TestClock, tempolite_factory: Factory
) -> None:
    """The next one finds what fell due in between."""
    first = tempolite_factory(workflows=[nap])
    first.execute("a", nap, 2)
    first.crash()

    tempolite_clock.advance(5 * DAY)

    assert tempolite_factory(workflows=[nap]).get("a").get(timeout=10) == datetime(2026, 1, 6, tzinfo=UTC)


def test_a_run_of_a_limited_queue_waits_its_turn(
    tempolite_clock: TestClock, tempolite_factory: Factory
) -> None:
    """One after the other: three naps take three times as long."""
    engine = tempolite_factory(queues=[Queue("one", kind="inline", max_runs=1)])

    infos = [engine.execute(f"a{number}", workflow(nap, queue="one"), 1) for number in range(3)]

    assert infos[2].get(timeout=10) == datetime(2026, 1, 4, tzinfo=UTC)


def test_who_follows_the_log_waits_as_well(tempolite_clock: TestClock, tempolite_engine: Tempolite) -> None:
    """The next event comes, although it is a month away."""
    tempolite_engine.execute("a", nap)

    events = list(islice(tempolite_engine.events(follow=True), 4))

    assert events[-1].at == tempolite_clock.now() == datetime(2026, 1, 31, tzinfo=UTC)


def test_a_coroutine_that_follows_the_log_waits_as_well(
    tempolite_clock: TestClock, tempolite_engine: Tempolite
) -> None:
    """In its event loop."""

    async def follow() -> list[datetime]:
        moments = []
        async for event in tempolite_engine.aevents(follow=True):
            moments.append(event.at)
            if len(moments) == 4:
                return moments
        raise AssertionError("the log has ended")

    tempolite_engine.execute("a", nap)

    assert asyncio.run(asyncio.wait_for(follow(), 10))[-1] == datetime(2026, 1, 31, tzinfo=UTC)


def test_a_wait_that_was_given_up_moves_nothing(
    tempolite_clock: TestClock, tempolite_factory: Factory, actor_system: Any
) -> None:
    """Time stands again when nobody waits any more."""
    engine = tempolite_factory()
    engine.execute("a", wait_for_ever)
    with pytest.raises(TimeoutError):
        engine.get("a").get(timeout=0.01)

    engine.execute("b", nap)
    actor_system.wait_idle()

    assert tempolite_clock.now() == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("span", [-1, float("inf"), float("nan"), "a day", True])
def test_time_goes_forward_only(tempolite_clock: TestClock, span: Any) -> None:
    """By seconds or a timedelta."""
    with pytest.raises(InvalidArguments, match="advance"):
        tempolite_clock.advance(span)


def test_a_clock_that_comes_too_late_is_refused(
    request: pytest.FixtureRequest, tempolite_engine: Tempolite
) -> None:
    """The engine that is there lives in the machine's time."""
    with pytest.raises(InvalidState, match="in the test's signature"):
        request.getfixturevalue("tempolite_clock")


def test_the_seconds_may_be_named(tempolite_clock: TestClock) -> None:
    """As they are in the contract."""
    tempolite_clock.advance(seconds=90)

    assert tempolite_clock.now() == datetime(2026, 1, 1, 0, 1, 30, tzinfo=UTC)


def test_an_engine_may_have_a_clock_of_its_own(
    tempolite_clock: TestClock, tempolite_factory: Factory
) -> None:
    """One that is given to it goes before the test's."""
    from tempolite.actors.clock import SystemClock

    engine = tempolite_factory(clock=SystemClock())

    assert engine.execute("a", nap, 0).get(timeout=10) > tempolite_clock.now() + timedelta(hours=1)
