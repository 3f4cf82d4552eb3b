"""Crash points: a scenario is killed after each of its commits, and its effects are looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tempolite import (
    ActivityContext,
    EngineCrashed,
    InvalidArguments,
    InvalidState,
    NonDeterminismError,
    Queue,
    RetryPolicy,
    Saga,
    SagaCompensated,
    Tempolite,
    UnknownOutcome,
    WorkflowContext,
    activity,
)
from tempolite.testing import crash_points
from tempolite.testing.clock import TestClock
from tempolite.testing.crash_points import CrashedRun

DAY_S = 86_400.0
CrashPoints = Callable[[Callable[[Any], Any]], Iterator[CrashedRun]]


class Bank:
    """What the world outside has seen; it survives the engine."""

    def __init__(self) -> None:
        self.payments: dict[str, int] = {}
        self.calls: list[str] = []

    def pay(self, ctx: ActivityContext, amount: int) -> int:
        """Safe to run twice: the key tells one payment from another."""
        self.calls.append(ctx.step)
        self.payments[ctx.idempotency_key] = amount
        return amount


def shopping(bank: Bank, steps: int = 2) -> Callable[[WorkflowContext], int]:
    """A workflow that pays several times."""

    def shop(ctx: WorkflowContext) -> int:
        return sum(ctx.activity(f"pay {number}", bank.pay, 10).get() for number in range(1, steps + 1))

    return shop


# ── one run for each commit ─────────────────────────────────────────────────────────────────────────────


def test_a_scenario_is_killed_after_each_of_its_commits(tempolite_crash_points: CrashPoints) -> None:
    """In their order, on a fresh file each; what waits ends with ``EngineCrashed``, and all is done after."""
    bank, ended = Bank(), list[str]()

    def scenario(engine: Tempolite) -> None:
        assert engine.count() == 0
        try:
            engine.execute("shop", shopping(bank)).get()
        except EngineCrashed as error:
            ended.append(str(error))
            raise
        ended.append("no crash")

    runs = []
    for run in tempolite_crash_points(scenario):
        runs.append(str(run))
        assert run.engine.get("shop").status == "COMPLETED"
        assert run.engine.get("shop").get() == 20

    assert runs == [
        "killed after commit 1: RunCreated, ActivityScheduled 'pay 1' of shop",
        "killed after commit 2: ActivityCompleted 'pay 1', ActivityScheduled 'pay 2' of shop",
        "killed after commit 3: ActivityCompleted 'pay 2', RunCompleted of shop",
    ]
    assert ended == [*runs, "no crash"]


def test_there_are_as_many_runs_as_an_engine_counts_commits(tempolite_crash_points: CrashPoints) -> None:
    """The same figure as in ``metrics()``; engines that were handed out stay open for the test."""
    commits = []

    def scenario(engine: Tempolite) -> None:
        engine.execute("shop", shopping(Bank(), steps=4)).get()
        commits.append(engine.metrics().commits)

    runs = list(tempolite_crash_points(scenario))

    assert [run.commit for run in runs] == list(range(1, commits[-1] + 1))
    assert [run.engine.get("shop").get() for run in runs] == [40] * len(runs)


def test_an_activity_has_run_and_its_outcome_is_lost(tempolite_crash_points: CrashPoints) -> None:
    """What a commit set free happens before the kill: that is where a second try does harm."""
    bank = Bank()

    def scenario(engine: Tempolite) -> None:
        bank.calls.clear()
        engine.execute("shop", shopping(bank)).get()

    calls = [[*bank.calls] for _ in tempolite_crash_points(scenario)]

    assert calls == [["pay 1", "pay 1", "pay 2"], ["pay 1", "pay 2", "pay 2"], ["pay 1", "pay 2"]]


def test_what_a_scenario_leaves_running_is_killed_as_well(tempolite_crash_points: CrashPoints) -> None:
    """It may start runs, send signals and return; all that follows counts, however long it sleeps."""

    def patient(ctx: WorkflowContext) -> str:
        ctx.sleep("rest", 30 * DAY_S)
        return str(ctx.signal("go").get())

    def scenario(engine: Tempolite) -> None:
        for number in range(2):
            engine.execute(f"run-{number}", patient).signal("go", number)

    recorded = []
    for run in tempolite_crash_points(scenario):
        recorded.append(run.recorded)
        # A client that was not answered asks again; what it had done already changes nothing.
        for number in range(2):
            info = run.engine.execute(f"run-{number}", patient)
            if info.status == "WAITING":
                info.signal("go", number)
        assert [run.engine.get(f"run-{number}").get() for number in range(2)] == ["0", "1"]

    assert len(recorded) == 6
    assert sum("TimerFired" in facts for facts in recorded) == 2


def test_children_and_side_effects_are_there_after_each_kill(tempolite_crash_points: CrashPoints) -> None:
    """Functions that only the killed engine was given are known to the next one."""

    def child(ctx: WorkflowContext, number: int) -> int:
        return ctx.side_effect("double", lambda: 2 * number).get()

    def parent(ctx: WorkflowContext) -> list[int]:
        return [info.get() for info in [ctx.workflow(f"child-{n}", child, n) for n in range(3)]]

    for run in tempolite_crash_points(lambda engine: engine.execute("parent", parent).get()):
        assert run.engine.get("parent").get() == [0, 2, 4]
        assert run.engine.count(status="COMPLETED") == 4


def test_a_scenario_may_await_in_a_loop_of_its_own(tempolite_crash_points: CrashPoints) -> None:
    """Who awaits is told of the kill as who waits is."""
    bank, ended = Bank(), list[str]()

    async def shop_twice(engine: Tempolite) -> None:
        infos = [await engine.aexecute(f"shop-{number}", shopping(bank)) for number in range(2)]
        try:
            await asyncio.gather(*(info.aget() for info in infos))
        except EngineCrashed:
            ended.append("crashed")
            raise

    runs = list(tempolite_crash_points(lambda engine: asyncio.run(shop_twice(engine))))

    assert [run.engine.count(status="COMPLETED") for run in runs] == [1, 2, 2, 2, 2, 2]
    assert ended == ["crashed"] * len(ended)
    assert len(ended) >= 4


def test_a_saga_is_compensated_wherever_it_is_killed(tempolite_crash_points: CrashPoints) -> None:
    """Every reservation that was made is taken back."""
    held = set[str]()

    def fail(_tx: Any) -> None:
        raise OSError("no card")

    def buy(ctx: WorkflowContext) -> None:
        saga = Saga().add(lambda tx: held.add("room"), lambda tx: held.discard("room"), name="room")
        ctx.saga("trip", saga.add(fail, lambda tx: None, name="card")).get()

    def scenario(engine: Tempolite) -> None:
        held.clear()
        with pytest.raises(SagaCompensated):
            engine.execute("trip", buy).get()

    runs = 0
    for run in tempolite_crash_points(scenario):
        runs += 1
        assert held == set(), run
        assert run.engine.get("trip").status == "FAILED"
    assert runs >= 3


def test_at_most_once_shows_as_an_unknown_outcome(tempolite_crash_points: CrashPoints) -> None:
    """At the one point at which it is: the start is recorded, the outcome is not."""
    calls = list[int]()

    def launch(ctx: WorkflowContext) -> str:
        try:
            ctx.activity("rocket", activity(lambda: calls.append(1), once=True)).get()
        except UnknownOutcome:
            return "nobody knows"
        return "in space"

    runs = tempolite_crash_points(lambda engine: engine.execute("launch", launch).get())
    outcomes = [run.engine.get("launch").get() for run in runs]

    assert outcomes == ["in space", "nobody knows", "in space"]
    assert len(calls) == 4


def test_retries_go_on_where_they_were(tempolite_crash_points: CrashPoints) -> None:
    """A week of them in virtual time, with the clock and the settings of the test."""
    tries = list[int]()

    def flaky(ctx: ActivityContext) -> int:
        tries.append(ctx.attempt)
        if ctx.attempt < 4:
            raise OSError("busy")
        return ctx.attempt

    def insisting(ctx: WorkflowContext) -> int:
        patient = RetryPolicy(max_attempts=5, initial_interval=DAY_S, max_interval=7 * DAY_S)
        return ctx.activity("flaky", activity(flaky, retry=patient)).get()

    for run in tempolite_crash_points(lambda engine: engine.execute("insisting", insisting).get()):
        assert run.engine.get("insisting").get() == 4
        retried = [event.attempt for event in run.engine.history("insisting") if "Failed" in event.type]
        assert retried == [1, 2, 3]


# ── with the other fixtures ─────────────────────────────────────────────────────────────────────────────


class TestSettings:
    """The test's own settings and clock count for these engines, too."""

    @pytest.fixture
    def tempolite_settings(self) -> dict[str, Any]:
        """A queue that isn't there otherwise."""
        return {"queues": [Queue("bank", kind="thread", workers=2)]}

    def test_settings_and_clock_of_the_test_count(
        self, tempolite_crash_points: CrashPoints, tempolite_clock: TestClock
    ) -> None:
        """Each run begins at the same moment."""
        bank, began = Bank(), set[Any]()

        def paying(ctx: WorkflowContext) -> Any:
            ctx.sleep("rest", DAY_S)
            return ctx.activity("pay", activity(bank.pay, queue="bank"), 5).get()

        def scenario(engine: Tempolite) -> None:
            began.add(tempolite_clock.now())
            engine.execute("paying", paying).get()

        for run in tempolite_crash_points(scenario):
            assert run.engine.get("paying").get() == 5
            assert run.engine.queue("bank").running == 0
        assert len(began) == 1


# ── what is wrong with a scenario ───────────────────────────────────────────────────────────────────────


def test_an_error_of_the_scenario_is_raised_with_the_commit(tempolite_crash_points: CrashPoints) -> None:
    """Not swallowed as a crash would be."""
    bank = Bank()

    def scenario(engine: Tempolite) -> None:
        engine.execute("shop", shopping(bank, steps=1)).get()
        raise KeyError("a slip")

    with pytest.raises(KeyError, match="a slip") as caught:
        list(tempolite_crash_points(scenario))

    assert caught.value.__notes__ == [
        "in a scenario of tempolite_crash_points, on its way to commit 3",
    ]


def test_a_scenario_that_changes_is_refused(tempolite_crash_points: CrashPoints) -> None:
    """Commit *n* must mean the same each time."""
    bank = Bank()

    def scenario(engine: Tempolite) -> None:
        engine.execute(f"shop-{len(bank.calls)}", shopping(bank)).get()

    with pytest.raises(NonDeterminismError, match=r"commit 1 recorded .* of shop-0.* of shop-3 in the next"):
        list(tempolite_crash_points(scenario))


def test_a_scenario_that_makes_fewer_commits_is_refused(tempolite_crash_points: CrashPoints) -> None:
    """One that finds its work done already, for instance."""
    bank = Bank()

    def scenario(engine: Tempolite) -> None:
        if len(bank.calls) < 3:
            engine.execute("shop", shopping(bank)).get()

    with pytest.raises(NonDeterminismError, match=r"one run made 1 commits .* the next one 0"):
        list(tempolite_crash_points(scenario))


def test_a_scenario_that_never_rests_is_refused(
    tempolite_crash_points: CrashPoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that sleeps again and again commits for ever."""
    monkeypatch.setattr(crash_points, "COMMITS_MAX", 20)

    def restless(ctx: WorkflowContext) -> None:
        ctx.sleep("rest", DAY_S)
        ctx.continue_as_new()

    with pytest.raises(InvalidState, match=r"more than 20 commits: .* never come to rest"):
        list(tempolite_crash_points(lambda engine: engine.execute("restless", restless)))


async def coroutine(engine: Tempolite) -> None:
    """No scenario."""


@pytest.mark.parametrize("scenario", ["scenario", None, coroutine])
def test_a_scenario_is_a_function(tempolite_crash_points: CrashPoints, scenario: Any) -> None:
    """Said at the call, not when it is iterated."""
    with pytest.raises(InvalidArguments, match="takes an engine"):
        tempolite_crash_points(scenario)
