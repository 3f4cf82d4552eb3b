"""Virtual time and what is real: activities, side effects, and their limits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tempolite import ActivityTimeout, Queue, Tempolite, WorkflowContext, activity
from tempolite.actors import stillness
from tempolite.actors.side_effects import SideEffectActor
from tempolite.testing.clock import TestClock
from tempolite.testing.engines import TestedEngine
from tests.engine.gates import Effects, Gate, note, pass_gate
from tests.engine.waiting import wait_until
from tests.plugin.test_clock import DAY, nap, remind, tempolite_settings  # noqa: F401 - a fixture

PASSES_S = 0.05
"""In place of the second that an activity gets before time goes over it."""

Factory = Callable[..., TestedEngine]


def hung(ctx: WorkflowContext, gate: str, queue: str, timeout: float) -> str:
    """An activity that is held, and has limited time."""
    return ctx.activity("hang", activity(pass_gate, queue=queue, timeout=timeout, grace=0.1), gate).get()


def late_answer(ctx: WorkflowContext, gate: str) -> str:
    """An activity without a limit, for which the workflow waits an hour at most."""
    answer = ctx.activity("hang", activity(pass_gate, queue="threads"), gate)
    try:
        return answer.get(timeout=3_600)
    except TimeoutError:
        return f"given up, then {answer.get()}"


@pytest.mark.parametrize("queue", ["default", "threads", "processes"])
def test_no_time_goes_by_while_an_activity_runs(
    tempolite_clock: TestClock, tempolite_engine: Tempolite, tmp_path: Path, queue: str
) -> None:
    """Wherever it runs: each mail is sent a day after the one before, and not a moment later."""
    path = str(tmp_path / "effects")

    assert tempolite_engine.execute("a", remind, path, queue).get(timeout=20) == tempolite_clock.now()

    mails = [event for event in tempolite_engine.history("a") if event.type == "ActivityCompleted"]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert [event.at for event in mails] == [start + day * DAY for day in range(1, 11)]


def test_no_time_goes_by_while_a_side_effect_runs(
    tempolite_clock: TestClock, tempolite_engine: Tempolite
) -> None:
    """It may take as long as it likes."""
    gate = threading.Event()

    def flow(ctx: WorkflowContext) -> str:
        effect = ctx.side_effect("wait", lambda: gate.wait(20))
        return "effect" if ctx.wait_any(effect, ctx.timer("hour", 3_600)) is effect else "timer"

    info = tempolite_engine.execute("a", flow)
    opener = threading.Timer(0.05, gate.set)
    opener.start()

    assert info.get(timeout=10) == "effect"
    opener.join()


def test_time_goes_on_after_a_side_effect_whose_thread_is_slow_to_end(
    tempolite_clock: TestClock, tempolite_engine: Tempolite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it led to was done long before."""
    run = SideEffectActor._run

    def slow_to_end(actor: Any, message: Any) -> None:
        run(actor, message)
        wait_until(lambda: actor.dispatcher.is_asleep)

    monkeypatch.setattr(SideEffectActor, "_run", slow_to_end)

    def flow(ctx: WorkflowContext) -> datetime:
        ctx.side_effect("effect", lambda: 1).get()
        return nap(ctx)

    assert tempolite_engine.execute("a", flow).get(timeout=5) == datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize("queue", ["threads", "processes"])
def test_advance_goes_over_an_activity_that_hangs(
    tempolite_clock: TestClock,
    tempolite_engine: Tempolite,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    queue: str,
) -> None:
    """It runs into its time-out, and not before that."""
    monkeypatch.setattr(stillness, "PATIENCE_S", PASSES_S)
    gate = Gate(tmp_path / "gate")
    info = tempolite_engine.execute("a", hung, gate.path, queue, 60)
    gate.wait_until_reached()

    tempolite_clock.advance(59)
    assert info.status == "RUNNING"
    tempolite_clock.advance(1)

    with pytest.raises(ActivityTimeout):
        info.get(timeout=10)
    gate.release()
    gate.close()


def test_advance_goes_over_an_activity_without_limits(
    tempolite_clock: TestClock, tempolite_engine: Tempolite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timers of its workflow fall due."""
    monkeypatch.setattr(stillness, "PATIENCE_S", PASSES_S)
    gate = Gate(tmp_path / "gate")
    info = tempolite_engine.execute("a", late_answer, gate.path)
    gate.wait_until_reached()

    tempolite_clock.advance(timedelta(hours=1))
    gate.release()

    assert info.get(timeout=10) == "given up, then passed"
    gate.close()


def test_a_short_activity_is_not_timed_out_by_advance(
    tempolite_clock: TestClock, tempolite_engine: Tempolite, tmp_path: Path
) -> None:
    """Its process has yet to start, and a second is all that it has."""
    effects = Effects(tmp_path / "effects")

    def flow(ctx: WorkflowContext) -> datetime:
        quick = activity(note, queue="processes", timeout=1)
        ctx.activity("note", quick, effects.path, "noted").get()
        ctx.sleep("hour", 3_600)
        return ctx.now()

    info = tempolite_engine.execute("a", flow)
    tempolite_clock.advance(3_600)

    assert info.status == "COMPLETED"
    assert info.get(timeout=10) == tempolite_clock.now()


def test_a_hanging_process_runs_into_its_time_out_by_itself(
    tempolite_clock: TestClock, tempolite_engine: Tempolite, tmp_path: Path
) -> None:
    """Limits of activities count the machine's time too: a test that only waits does not hang."""
    gate = Gate(tmp_path / "gate")

    with pytest.raises(ActivityTimeout):
        tempolite_engine.execute("a", hung, gate.path, "processes", 0.2).get(timeout=10)

    assert tempolite_clock.now() == datetime(2026, 1, 1, tzinfo=UTC)
    gate.close()


def test_a_queue_with_a_rate_starts_activities_in_virtual_time(
    tempolite_clock: TestClock, tempolite_factory: Factory, tmp_path: Path
) -> None:
    """One is started at once, and one a minute afterwards."""
    engine = tempolite_factory(queues=[Queue("slow", kind="inline", rate="1/m")])

    def flow(ctx: WorkflowContext) -> None:
        path, slow = str(tmp_path / "effects"), activity(note, queue="slow")
        ctx.wait_all(*(ctx.activity(f"note {number}", slow, path, "x") for number in range(4)))

    engine.execute("a", flow).get(timeout=10)

    passed = tempolite_clock.now() - datetime(2026, 1, 1, tzinfo=UTC)
    assert timedelta(minutes=2, seconds=58) < passed < timedelta(minutes=3, seconds=2)
