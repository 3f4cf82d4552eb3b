"""Cancel: the code may clean up and no more, and what runs is really stopped, children included."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    AsyncWorkflowContext,
    Cancelled,
    Queue,
    RetryPolicy,
    WorkflowCancelled,
    WorkflowContext,
    WorkflowFinished,
    activity,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate
from tests.engine.waiting import wait_for_status, wait_until

Home = dict[str, Any]
THREADS = [Queue("default", kind="thread", workers=3), Queue("other", kind="thread", workers=2)]


def cleaning(ctx: WorkflowContext, effects: str) -> Any:
    try:
        return ctx.signal("go").get()
    finally:
        ctx.activity("clean", note, effects, "cleaned").get()
        ctx.sleep("rest", 0.01)


async def cleaning_async(ctx: AsyncWorkflowContext, effects: str) -> Any:
    try:
        return await ctx.signal("go")
    finally:
        await ctx.activity("clean", note, effects, "cleaned")
        await ctx.sleep("rest", 0.01)


def swallowing(ctx: WorkflowContext, effects: str) -> str:
    try:
        ctx.signal("go").get()
    except BaseException as error:
        ctx.activity("clean", note, effects, type(error).__name__).get()
    return "went on"


async def swallowing_async(ctx: AsyncWorkflowContext, effects: str) -> str:
    try:
        await ctx.signal("go")
    except BaseException as error:
        await ctx.activity("clean", note, effects, type(error).__name__)
    return "went on"


def stubborn(ctx: WorkflowContext) -> str:
    while True:
        try:
            ctx.signal("go").get()
            return "heard"
        except Exception:
            continue


async def gathering(ctx: AsyncWorkflowContext, effects: str) -> Any:
    async def one(name: str) -> Any:
        try:
            return await ctx.signal(name)
        finally:
            await ctx.activity("clean", note, effects, f"cleaned {name}")

    return await asyncio.gather(one("a"), one("b"))


async def grouping(ctx: AsyncWorkflowContext, effects: str) -> Any:
    async def one(name: str) -> Any:
        try:
            return await ctx.signal(name)
        finally:
            await ctx.activity("clean", note, effects, f"cleaned {name}")

    async with asyncio.TaskGroup() as group:
        group.create_task(one("a"))
        group.create_task(one("b"))


async def queueing(ctx: AsyncWorkflowContext, effects: str) -> Any:
    queue: asyncio.Queue[Any] = asyncio.Queue()
    event = asyncio.Event()

    async def feed() -> None:
        try:
            await queue.put(await ctx.signal("a"))
        finally:
            await ctx.activity("clean", note, effects, "cleaned a")

    feeder = asyncio.create_task(feed())
    try:
        await asyncio.wait([asyncio.ensure_future(queue.get()), asyncio.ensure_future(event.wait())])
    finally:
        feeder.cancel()
        await asyncio.wait([feeder])
        await ctx.activity("clean", note, effects, "cleaned b")


@pytest.mark.parametrize("fn", [cleaning, cleaning_async], ids=["def", "async"])
def test_finally_blocks_use_the_context(
    make_engine: EngineMaker, home: Home, effects: Effects, fn: Any
) -> None:
    """An activity and a timer in ``finally``; outside it is ``WorkflowCancelled``."""
    engine = make_engine(**home)
    info = engine.execute("a", fn, effects.path)

    engine.cancel("a")

    with pytest.raises(WorkflowCancelled, match="a"):
        info.get(timeout=10)
    assert (info.status, effects.lines()) == ("CANCELLED", ["cleaned"])
    with pytest.raises(WorkflowCancelled):
        engine.replay("a")


@pytest.mark.parametrize("fn", [cleaning, cleaning_async], ids=["def", "async"])
def test_a_cancellation_goes_on_after_a_crash(
    make_engine: EngineMaker, on_file: Home, gate: Gate, effects: Effects, fn: Any
) -> None:
    """Acknowledged is durable: the ``finally`` runs to its end in the next engine."""
    engine = make_engine(**on_file)
    engine.execute("a", fn, effects.path)
    engine.cancel("a")
    engine._crash()

    reopened = make_engine(**on_file, workflows=[fn])

    with pytest.raises(WorkflowCancelled):
        reopened.get("a").get(timeout=10)
    assert set(effects.lines()) == {"cleaned"}


@pytest.mark.parametrize("fn", [swallowing, swallowing_async], ids=["def", "async"])
def test_a_swallowed_cancellation_is_one_all_the_same(
    make_engine: EngineMaker, home: Home, effects: Effects, fn: Any
) -> None:
    """``except BaseException``, and a result that nobody gets."""
    engine = make_engine(**home)
    info = engine.execute("a", fn, effects.path)
    engine.cancel("a")

    with pytest.raises(WorkflowCancelled):
        info.get(timeout=10)
    assert info.status == "CANCELLED"
    assert len(effects.lines()) == 1


def test_except_exception_does_not_swallow_it(make_engine: EngineMaker, home: Home) -> None:
    """``Cancelled`` is a ``BaseException``."""
    engine = make_engine(**home)
    info = engine.execute("a", stubborn)

    engine.cancel("a")

    with pytest.raises(WorkflowCancelled):
        info.get(timeout=10)
    assert issubclass(Cancelled, BaseException)
    assert not issubclass(Cancelled, Exception)


@pytest.mark.parametrize("fn", [gathering, grouping, queueing], ids=lambda fn: fn.__name__)
def test_cancellation_reaches_asyncio_s_tasks(
    make_engine: EngineMaker, home: Home, effects: Effects, fn: Any
) -> None:
    """``gather``, ``TaskGroup``, ``Queue`` and ``Event``: every task's ``finally`` runs, once."""
    engine = make_engine(**home)
    info = engine.execute("a", fn, effects.path)

    engine.cancel("a")

    with pytest.raises(WorkflowCancelled):
        info.get(timeout=10)
    assert sorted(effects.lines()) == ["cleaned a", "cleaned b"]


def test_a_run_that_never_began_is_cancelled_without_its_code(
    make_engine: EngineMaker, home: Home, effects: Effects
) -> None:
    """Deferred, and deferred and paused."""
    engine = make_engine(**home)
    for id in ("a", "b"):
        engine.execute(id, workflow(cleaning, defer=True), effects.path)
    engine.pause("b")

    engine.cancel("a"), engine.cancel("b")

    assert [engine.get(id).status for id in ("a", "b")] == ["CANCELLED"] * 2
    assert effects.lines() == []


def test_a_paused_run_is_cancelled_at_once(make_engine: EngineMaker, home: Home, effects: Effects) -> None:
    """It needs no resume; its ``finally`` runs."""
    engine = make_engine(**home)
    info = engine.execute("a", cleaning, effects.path)
    engine.pause("a")

    engine.cancel("a")

    with pytest.raises(WorkflowCancelled):
        info.get(timeout=10)
    assert effects.lines() == ["cleaned"]


def handled(ctx: WorkflowContext, effects: str, gate: str) -> None:
    held, approval = ctx.activity("hold", pass_gate, gate), ctx.signal("approval")
    try:
        held.get()
        approval.get()
        ctx.side_effect("went on", note, effects, "went on").get()
    finally:
        found = [held.get(), approval.get()]
        ctx.activity("clean", note, effects, f"cleaned {found}").get()


async def handled_async(ctx: AsyncWorkflowContext, effects: str, gate: str) -> None:
    held, approval = ctx.activity("hold", pass_gate, gate), ctx.signal("approval")
    try:
        await held
        await approval
        await ctx.side_effect("went on", note, effects, "went on")
    finally:
        found = [await held, await approval]
        await ctx.activity("clean", note, effects, f"cleaned {found}")


@pytest.mark.parametrize("flow", [handled, handled_async])
def test_what_came_in_a_pause_does_not_carry_a_cancelled_run_on(
    make_engine: EngineMaker, home: Home, effects: Effects, gate: Gate, flow: Any
) -> None:
    """``Cancelled`` is raised where the run was paused; its ``finally`` finds what came since."""
    engine = make_engine(**home, queues=THREADS)
    info = engine.execute("a", flow, effects.path, gate.path)
    gate.wait_until_reached()
    engine.pause("a")
    engine.signal("a", "approval", "yes")
    gate.release()
    wait_until(lambda: any(event.type == "ActivityCompleted" for event in info.history()))

    engine.cancel("a")

    with pytest.raises(WorkflowCancelled):
        info.get(timeout=10)
    assert effects.lines() == ["cleaned ['passed', 'yes']"]


def test_a_run_that_waits_for_its_next_attempt_is_cancelled(make_engine: EngineMaker, home: Home) -> None:
    """No attempt follows."""
    engine = make_engine(**home)

    def failing(ctx: WorkflowContext) -> None:
        raise ValueError("no")

    retry = RetryPolicy(max_attempts=5, initial_interval=3600)
    info = engine.execute("a", workflow(failing, retry=retry))
    wait_until(lambda: any(event.type == "RunAttemptFailed" for event in info.history()))

    engine.cancel("a")

    with pytest.raises(WorkflowCancelled):
        info.get(timeout=10)


def test_cancelling_twice_raises_once(make_engine: EngineMaker, home: Home, gate: Gate) -> None:
    """While the clean-up runs, a second cancel changes nothing; after it, it is refused."""
    engine = make_engine(**home, queues=THREADS)

    def slow(ctx: WorkflowContext) -> None:
        try:
            ctx.signal("go").get()
        finally:
            ctx.set_status(str(ctx.activity("clean", pass_gate, gate.path).get()))

    info = engine.execute("a", slow)
    engine.cancel("a")
    gate.wait_until_reached()
    engine.cancel("a")
    gate.release()

    with pytest.raises(WorkflowCancelled):
        info.get(timeout=10)
    assert info.status_text == "passed"
    with pytest.raises(WorkflowFinished):
        engine.cancel("a")


def report_pid_and_hang(effects: str, gate: str) -> None:
    """An activity that never ends by itself."""
    note(effects, str(os.getpid()))
    pass_gate(gate)
    while True:
        pass


def test_a_process_activity_under_way_is_really_killed(
    make_engine: EngineMaker, home: Home, gate: Gate, effects: Effects
) -> None:
    """A busy loop in a worker process: the process is gone, the run is ``CANCELLED``."""
    engine = make_engine(**home, queues=[Queue("default", workers=1)])

    def hanging(ctx: WorkflowContext) -> None:
        ctx.activity("hang", activity(report_pid_and_hang, grace=0.1), effects.path, gate.path).get()

    info = engine.execute("a", hanging)
    gate.wait_until_reached()
    gate.release()

    engine.cancel("a")

    with pytest.raises(WorkflowCancelled):
        info.get(timeout=10)
    pid = effects.lines()[0]
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_an_error_in_the_clean_up_is_still_a_cancellation(make_engine: EngineMaker, home: Home) -> None:
    """Status ``CANCELLED``, outside ``WorkflowCancelled``."""
    engine = make_engine(**home)

    def clumsy(ctx: WorkflowContext) -> None:
        try:
            ctx.signal("go").get()
        finally:
            raise ValueError("in the clean-up")

    info = engine.execute("a", clumsy)
    engine.cancel("a")

    with pytest.raises(WorkflowCancelled):
        info.get(timeout=10)
    assert info.status == "CANCELLED"


def test_running_thread_activities_hold_up_no_cancellation(
    make_engine: EngineMaker, home: Home, gate: Gate
) -> None:
    """The thread can't be killed: the run ends without it, and its late outcome is dropped."""
    engine = make_engine(**home, queues=THREADS)

    def holding(ctx: WorkflowContext) -> str:
        return ctx.activity("hold", pass_gate, gate.path).get()

    info = engine.execute("a", holding)
    gate.wait_until_reached()
    engine.cancel("a")

    wait_for_status(engine, "a", "CANCELLED")
    gate.release()
    with pytest.raises(WorkflowCancelled):
        info.get(timeout=10)
