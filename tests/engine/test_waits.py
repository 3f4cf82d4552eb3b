"""Waits: in a workflow the same on every replay, outside never over too early."""

from __future__ import annotations

from typing import Any

import pytest

from tempolite import (
    AsyncWorkflowContext,
    Queue,
    RetryPolicy,
    Tempolite,
    WorkflowContext,
    activity,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate
from tests.engine.waiting import wait_until

Home = dict[str, Any]
THREADS = [Queue("default", kind="thread", workers=3), Queue("other", kind="thread", workers=1)]


def racing(ctx: WorkflowContext, gate: str) -> list[Any]:
    held = ctx.activity("held", pass_gate, gate)
    quick, timer = ctx.activity("quick", len, "abc"), ctx.timer("late", 3600)
    first = ctx.wait_any(held, quick, timer)
    ctx.signal("go").get()
    second = ctx.wait_any(held, timer, timeout=3600)
    return [first is quick, second is held, ctx.wait_any(timer, timeout=0.01), ctx.wait_all(held, quick)]


async def racing_async(ctx: AsyncWorkflowContext, gate: str) -> list[Any]:
    held = ctx.activity("held", pass_gate, gate)
    quick, timer = ctx.activity("quick", len, "abc"), ctx.timer("late", 3600)
    first = await ctx.wait_any(held, quick, timer)
    await ctx.signal("go")
    second = await ctx.wait_any(held, timer, timeout=3600)
    none, both = await ctx.wait_any(timer, timeout=0.01), await ctx.wait_all(held, quick)
    return [first is quick, second is held, none, both]


@pytest.mark.parametrize("fn", [racing, racing_async], ids=["def", "async"])
def test_the_first_of_several_is_the_same_on_every_replay(
    make_engine: EngineMaker, on_file: Home, gate: Gate, fn: Any
) -> None:
    """The quick one won before the crash; after it the other is there first, and it is the same."""
    engine = make_engine(**on_file, queues=THREADS)
    engine.execute("a", fn, gate.path)
    gate.wait_until_reached()
    wait_until(lambda: any(event.type == "ActivityCompleted" for event in engine.history("a")))
    engine._crash()
    gate.release(2)
    reopened = make_engine(**on_file, queues=THREADS, workflows=[fn])
    reopened.signal("a", "go")

    assert reopened.get("a").get(timeout=10) == [True, True, None, ("passed", 3)]
    assert reopened.replay("a") == [True, True, None, ("passed", 3)]


def test_all_fail_as_soon_as_one_does(make_engine: EngineMaker, home: Home) -> None:
    """``wait_all`` raises the failure, others may go on."""
    engine = make_engine(**home)

    def failing(ctx: WorkflowContext) -> Any:
        return ctx.wait_all(ctx.timer("late", 3600), ctx.activity("bad", int, "no number"))

    with pytest.raises(ValueError, match="no number"):
        engine.execute("a", failing).get(timeout=10)


def test_a_condition_is_false_when_its_time_is_over(make_engine: EngineMaker, home: Home) -> None:
    """And true when it was met before; the same on a replay."""
    engine = make_engine(**home)

    def conditional(ctx: WorkflowContext) -> list[bool]:
        done = ctx.activity("len", len, "abc")
        met = ctx.wait_until("met", lambda: done.done, timeout=3600)
        return [met, ctx.wait_until("never", lambda: False, timeout=0.02)]

    assert engine.execute("a", conditional).get(timeout=10) == [True, False]
    assert engine.replay("a") == [True, False]


def test_timers_are_never_early_and_fire_after_a_crash(make_engine: EngineMaker, on_file: Home) -> None:
    """One falls due while no engine runs."""
    engine = make_engine(**on_file)

    def sleeping(ctx: WorkflowContext) -> float:
        before = ctx.now()
        ctx.sleep("nap", 0.1)
        return (ctx.now() - before).total_seconds()

    engine.execute("a", sleeping), engine.execute("b", sleeping)
    engine._crash()
    reopened = make_engine(**on_file, workflows=[sleeping])

    assert [reopened.get(id).get(timeout=10) >= 0.1 for id in "ab"] == [True, True]


def nested(ctx: WorkflowContext, depth: int, effects: str) -> int:
    ctx.sleep("nap", 0.01)
    if depth:
        queue = "other" if depth % 2 else "default"
        ctx.workflow("c", workflow(nested, queue=queue, detach=depth == 2), depth - 1, effects)
    ctx.activity("note", note, effects, str(depth)).get()
    return depth


def test_wait_returns_when_all_is_done_and_not_before(
    make_engine: EngineMaker, home: Home, effects: Effects
) -> None:
    """Sleeping runs, children on other queues, detached and retried ones, all have ended by then."""
    engine = make_engine(**home, queues=THREADS)
    tries: list[int] = []

    def fragile() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("again")
        return len(tries)

    def retried(ctx: WorkflowContext) -> int:
        retry = RetryPolicy(max_attempts=3, initial_interval=0.02)
        return ctx.activity("fragile", activity(fragile, retry=retry)).get()

    def parent(ctx: WorkflowContext, depth: int, effects: str) -> Any:
        return ctx.workflow("c", nested, depth, effects).get()

    for number in range(5):
        engine.execute(f"d{number}", workflow(nested, detach=True), 0, effects.path)
    engine.execute("p", parent, 1, effects.path)
    engine.execute("r", retried)
    engine.wait(timeout=15)

    unfinished = [info.id for info in engine.workflows() if info.status not in ("COMPLETED", "CANCELLED")]
    assert (unfinished, len(tries)) == ([], 3)


def test_wait_does_not_wait_for_what_needs_somebody(make_engine: EngineMaker, home: Home) -> None:
    """Deferred, paused, waiting for a signal, and in line behind one of these."""
    engine = make_engine(**home, queues=[Queue("default", kind="inline"), Queue("one", max_runs=1)])

    def listening(ctx: WorkflowContext) -> Any:
        return ctx.signal("go").get()

    engine.execute("deferred", workflow(listening, defer=True))
    engine.execute("paused", listening).pause()
    engine.execute("waiting", workflow(listening, queue="one"))
    engine.execute("held", workflow(listening, queue="one"))

    engine.wait(timeout=10)

    statuses = {info.id: str(info.status) for info in engine.workflows()}
    assert statuses == {
        "deferred": "PENDING",
        "paused": "PAUSED",
        "waiting": "WAITING",
        "held": "PENDING",
    }


def test_a_sleeping_run_counts_as_going_on(engine: Tempolite) -> None:
    """``TimeoutError`` while it sleeps."""

    def sleeping(ctx: WorkflowContext) -> None:
        ctx.sleep("nap", 3600)

    engine.execute("a", sleeping)

    with pytest.raises(TimeoutError):
        engine.wait(timeout=0.05)
