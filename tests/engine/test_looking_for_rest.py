"""Who has no time to wait still learns whether all runs rest."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tempolite import Queue, Tempolite, WorkflowContext
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Gate, pass_gate


def waits(ctx: WorkflowContext) -> str:
    return ctx.signal("go").get()


def held(ctx: WorkflowContext, gate: str) -> str:
    return ctx.activity("hold", pass_gate, gate).get()


def test_an_idle_engine_is_found_idle_at_once(engine: Tempolite) -> None:
    """A wait of no length returns, however often; a schedule is nothing to wait for."""
    engine.execute("a", waits)
    engine.schedule("nightly", timedelta(hours=1), waits)
    engine.wait(timeout=10)

    async def look() -> None:
        for _ in range(20):
            await engine.await_idle(0)

    for _ in range(20):
        engine.wait(timeout=0)
        engine.wait(timeout=-1)
    asyncio.run(look())


def test_an_engine_that_works_is_not(make_engine: EngineMaker, gate: Gate) -> None:
    """``TimeoutError``, and idle as soon as the work is done."""
    engine = make_engine(queues=[Queue("default", kind="thread", workers=1)])
    info = engine.execute("a", held, gate.path)
    gate.wait_until_reached()

    with pytest.raises(TimeoutError, match="runs still go on"):
        engine.wait(timeout=0)
    with pytest.raises(TimeoutError, match="runs still go on"):
        asyncio.run(engine.await_idle(0))
    gate.release()
    info.get(timeout=10)

    engine.wait(timeout=0)
