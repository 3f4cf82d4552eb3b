"""Pause and resume: what is under way finishes and is recorded, nothing is delivered until it goes on."""

from __future__ import annotations

from typing import Any

import pytest

from tempolite import (
    AsyncWorkflowContext,
    InvalidState,
    Queue,
    RetryPolicy,
    WorkflowContext,
    WorkflowFinished,
    WorkflowNotFound,
    activity,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate
from tests.engine.waiting import wait_for_status, wait_for_text, wait_until

Home = dict[str, Any]
THREADS = [Queue("default", kind="thread", workers=2), Queue("other", kind="thread", workers=2)]


def two_steps(ctx: WorkflowContext, gate: str, effects: str) -> str:
    first = ctx.activity("first", pass_gate, gate).get()
    return ctx.activity("second", note, effects, f"{first} on").get()


async def two_steps_async(ctx: AsyncWorkflowContext, gate: str, effects: str) -> str:
    first = await ctx.activity("first", pass_gate, gate)
    return await ctx.activity("second", note, effects, f"{first} on")


def listening(ctx: WorkflowContext) -> Any:
    return ctx.signal("go").get()


both = pytest.mark.parametrize("fn", [two_steps, two_steps_async], ids=["def", "async"])


@both
def test_activities_under_way_finish_and_nothing_follows(
    make_engine: EngineMaker, home: Home, gate: Gate, effects: Effects, fn: Any
) -> None:
    """The outcome is recorded while the run is paused; the next step waits for the resume."""
    engine = make_engine(**home, queues=THREADS)
    info = engine.execute("a", fn, gate.path, effects.path)
    gate.wait_until_reached()
    engine.pause("a")
    assert info.status == "PAUSED"

    gate.release()
    wait_until(lambda: any(event.type == "ActivityCompleted" for event in info.history()))
    engine.wait(timeout=10)
    assert (info.status, effects.lines()) == ("PAUSED", [])
    engine.resume("a")

    assert info.get(timeout=10) == "passed on"
    assert engine.replay("a") == "passed on"


@both
def test_a_paused_run_is_paused_after_a_crash(
    make_engine: EngineMaker, on_file: Home, gate: Gate, effects: Effects, fn: Any
) -> None:
    """Its activity runs again, its outcome is recorded, and nothing follows until the resume."""
    engine = make_engine(**on_file, queues=THREADS)
    engine.execute("a", fn, gate.path, effects.path)
    gate.wait_until_reached()
    engine.pause("a")
    engine._crash()
    gate.release(2)

    reopened = make_engine(**on_file, queues=THREADS, workflows=[fn])
    reopened.wait(timeout=10)
    assert (reopened.get("a").status, effects.lines()) == ("PAUSED", [])
    reopened.resume("a")

    assert reopened.get("a").get(timeout=10) == "passed on"


def test_pausing_twice_is_no_error(make_engine: EngineMaker, home: Home) -> None:
    """One resume is enough, a second one is refused."""
    engine = make_engine(**home)
    info = engine.execute("a", listening)
    engine.pause("a")
    engine.pause("a")
    engine.resume("a")

    with pytest.raises(InvalidState, match="WAITING"):
        engine.resume("a")
    engine.signal("a", "go", 1)

    assert info.get(timeout=10) == 1


def test_pausing_ends_no_get(make_engine: EngineMaker, home: Home) -> None:
    """``get`` goes on waiting for a paused run."""
    engine = make_engine(**home)
    info = engine.execute("a", listening)
    engine.pause("a")
    engine.signal("a", "go", 1)

    with pytest.raises(TimeoutError):
        info.get(timeout=0.05)
    engine.resume("a")

    assert info.get(timeout=10) == 1


def test_a_deferred_run_is_pending_again_after_pause_and_resume(make_engine: EngineMaker, home: Home) -> None:
    """Paused before it was started; it still waits for ``enqueue``, which is refused meanwhile."""
    engine = make_engine(**home)
    info = engine.execute("a", workflow(listening, defer=True))
    engine.pause("a")
    assert info.status == "PAUSED"

    with pytest.raises(InvalidState, match="is PAUSED, only a deferred run that is PENDING can be enqueued"):
        engine.enqueue("a")
    engine.resume("a")
    assert info.status == "PENDING"
    engine.enqueue("a")
    engine.signal("a", "go", 1)

    assert info.get(timeout=10) == 1


def test_a_queued_run_is_paused_before_its_first_step(
    make_engine: EngineMaker, home: Home, gate: Gate, effects: Effects
) -> None:
    """It waits behind another for the queue's ``max_runs``; once there is room it still rests."""
    engine = make_engine(**home, queues=[Queue("default", kind="thread", workers=2, max_runs=1)])
    first = engine.execute("first", two_steps, gate.path, effects.path)
    gate.wait_until_reached()
    second = engine.execute("second", two_steps, gate.path, effects.path)
    third = engine.execute("third", two_steps, gate.path, effects.path)
    engine.pause("second")
    gate.release(3)

    assert first.get(timeout=10) == third.get(timeout=10) == "passed on"
    assert second.status == "PAUSED"
    engine.resume("second")

    assert second.get(timeout=10) == "passed on"


def test_a_paused_run_gives_its_place_to_the_next(make_engine: EngineMaker, home: Home) -> None:
    """``max_runs`` counts active runs; a resumed one waits for its turn."""
    engine = make_engine(**home, queues=[Queue("default", kind="inline", max_runs=1)])
    first, second = engine.execute("first", listening), engine.execute("second", listening)
    engine.wait(timeout=10)
    assert (first.status, second.status) == ("WAITING", "PENDING")
    engine.pause("first")
    wait_for_status(engine, "second", "WAITING")

    engine.resume("first")
    engine.wait(timeout=10)
    assert first.status == "PENDING"
    engine.signal("first", "go", 1)
    engine.signal("second", "go", 2)

    assert (first.get(timeout=10), second.get(timeout=10)) == (1, 2)


def test_a_timer_that_falls_due_while_paused_is_delivered_after(
    make_engine: EngineMaker, home: Home, effects: Effects
) -> None:
    """Its time goes on; what it leads to waits for the resume."""
    engine = make_engine(**home)

    def sleeping(ctx: WorkflowContext) -> str:
        ctx.sleep("nap", 0.05)
        return ctx.activity("note", note, effects.path, "awake").get()

    info = engine.execute("a", sleeping)
    engine.pause("a")
    wait_until(lambda: any(event.type == "TimerFired" for event in info.history()))
    assert (info.status, effects.lines()) == ("PAUSED", [])
    engine.resume("a")

    assert info.get(timeout=10) == "awake"


def test_pausing_renews_no_retry_budget(make_engine: EngineMaker, home: Home, gate: Gate) -> None:
    """Three attempts are three, however often the run is paused, resumed and reopened between them."""
    attempts: list[int] = []

    def failing(gate: str) -> None:
        attempts.append(1)
        pass_gate(gate)
        raise ValueError("again")

    def stubborn(ctx: WorkflowContext) -> None:
        retry = RetryPolicy(max_attempts=3, initial_interval=0.01, jitter=False)
        ctx.activity("failing", activity(failing, retry=retry), gate.path).get()

    engine = make_engine(**home, queues=THREADS)
    info = engine.execute("a", stubborn)
    for _ in range(3):
        gate.wait_until_reached()
        engine.pause("a")
        engine.resume("a")
        gate.release()

    with pytest.raises(ValueError, match="again"):
        info.get(timeout=10)
    assert len(attempts) == 3


def test_pausing_is_no_new_attempt(make_engine: EngineMaker, home: Home) -> None:
    """``ctx.attempt`` stays, and so does what the code has done."""
    engine = make_engine(**home)

    def counting(ctx: WorkflowContext) -> list[Any]:
        return [ctx.attempt, ctx.signal("go").get(), ctx.attempt, ctx.run]

    info = engine.execute("a", counting)
    engine.pause("a"), engine.resume("a")
    engine.pause("a"), engine.resume("a")
    engine.signal("a", "go", "x")

    assert info.get(timeout=10) == [1, "x", 1, 1]


@pytest.mark.parametrize("call", ["pause", "resume", "cancel"])
def test_control_of_nobody_is_refused(make_engine: EngineMaker, home: Home, call: str) -> None:
    """No such workflow."""
    engine = make_engine(**home)

    with pytest.raises(WorkflowNotFound, match="nobody"):
        getattr(engine, call)("nobody")


def test_a_finished_run_is_not_paused(make_engine: EngineMaker, home: Home) -> None:
    """``WorkflowFinished`` for it."""
    engine = make_engine(**home)
    info = engine.execute("a", listening)
    engine.signal("a", "go", 1)
    info.get(timeout=10)

    with pytest.raises(WorkflowFinished, match="a"):
        info.pause()
    assert info.status == "COMPLETED"


def test_pause_during_a_wait_with_a_limit_keeps_the_outcome(make_engine: EngineMaker, home: Home) -> None:
    """The signal came first, the time-out later, both while paused: the signal counts."""
    engine = make_engine(**home)

    def patient(ctx: WorkflowContext) -> Any:
        signal = ctx.signal("go")
        ctx.set_status("waiting")
        return [ctx.wait_any(signal, timeout=0.2) is signal, signal.done]

    info = engine.execute("a", patient)
    wait_for_text(engine, "a", "waiting")
    engine.pause("a")
    engine.signal("a", "go", 1)
    wait_until(lambda: any(event.type == "TimerFired" for event in info.history()))
    engine.resume("a")

    assert info.get(timeout=10) == [True, True]
    assert engine.replay("a") == [True, True]


def test_many_runs_are_paused_and_resumed_again_and_again(
    make_engine: EngineMaker, home: Home, effects: Effects
) -> None:
    """Nothing is lost or done twice."""
    engine = make_engine(**home, queues=THREADS)

    def steps(ctx: WorkflowContext, number: int) -> int:
        for step in range(5):
            ctx.activity("note", note, effects.path, f"{number}.{step}").get()
        return number

    infos = [engine.execute(f"r{number}", steps, number) for number in range(8)]
    for _ in range(3):
        for info in infos:
            try:
                info.pause()
                info.resume()
            except WorkflowFinished:
                continue

    assert [info.get(timeout=15) for info in infos] == list(range(8))
    assert sorted(effects.lines()) == [f"{number}.{step}" for number in range(8) for step in range(5)]
