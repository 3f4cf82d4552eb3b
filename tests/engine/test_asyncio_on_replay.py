"""asyncio in workflows: whatever a program does with it happens in the same order on every replay."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tempolite import AsyncWorkflowContext
from tests.engine.timelines import HOUR, Timeline

Log = list[str]
REPLAYS = 5
STEP_S = 0.25


def word(text: str) -> str:
    """An activity."""
    return text


async def bounded(ctx: AsyncWorkflowContext, draw: random.Random, log: Log, me: str) -> None:
    try:
        async with asyncio.timeout(draw.choice([0.5, 1, 2])):
            await asyncio.sleep(draw.choice([0.25, 0.5, 1, 3]))
        log.append(f"{me} in time")
    except TimeoutError:
        log.append(f"{me} late")


async def waiting_for(ctx: AsyncWorkflowContext, draw: random.Random, log: Log, me: str) -> None:
    try:
        await asyncio.wait_for(asyncio.sleep(draw.choice([0.5, 1])), draw.choice([0.25, 0.75, 1]))
        log.append(f"{me} came")
    except TimeoutError:
        log.append(f"{me} did not come")


async def group(ctx: AsyncWorkflowContext, draw: random.Random, log: Log, me: str) -> None:
    """One of it fails, the others are cancelled, and say so."""

    async def member(number: int, delay: float) -> None:
        try:
            await asyncio.sleep(delay)
            if number == 2:
                raise ValueError(number)
            log.append(f"{me}.{number} done")
        except asyncio.CancelledError:
            log.append(f"{me}.{number} cancelled")
            raise

    try:
        async with asyncio.TaskGroup() as tasks:
            for number in range(12):
                tasks.create_task(member(number, draw.choice([0.25, 0.5, 1, 2])))
    except* ValueError:
        log.append(f"{me} failed")


async def pipe(ctx: AsyncWorkflowContext, draw: random.Random, log: Log, me: str) -> None:
    """A queue between two tasks, an event between them and this one."""
    queue: asyncio.Queue[int] = asyncio.Queue(maxsize=1)
    ended = asyncio.Event()

    async def give() -> None:
        for number in range(3):
            await queue.put(number)
            await asyncio.sleep(draw.choice([0, 0.25, 0.5]))

    async def take() -> None:
        for _ in range(3):
            log.append(f"{me} took {await queue.get()}")
        ended.set()

    tasks = [asyncio.create_task(give()), asyncio.create_task(take())]
    await ended.wait()
    await asyncio.gather(*tasks)
    log.append(f"{me} ended")


async def racing(ctx: AsyncWorkflowContext, draw: random.Random, log: Log, me: str) -> None:
    """What is done first, and in which order what is done is handed out."""
    tasks = [asyncio.create_task(asyncio.sleep(draw.choice([0.5, 1]), number)) for number in range(12)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    log.append(f"{me} first {[task.result() for task in done]} left {len(pending)}")
    for task in pending:
        log.append(f"{me} then {await task}")


async def stepping(ctx: AsyncWorkflowContext, draw: random.Random, log: Log, me: str) -> None:
    both = await asyncio.gather(ctx.activity(me, word, me), asyncio.sleep(0.25, "slept"))
    log.append(f"{me} {both}")


PARTS: list[Callable[..., Coroutine[Any, Any, None]]] = [bounded, waiting_for, group, pipe, racing, stepping]


async def program(ctx: AsyncWorkflowContext, seed: int) -> Log:
    """Some parts at once, in an order drawn from the seed; the log tells what happened when."""
    draw, log = random.Random(seed), Log()
    ctx.on_query("log", lambda: list(log))
    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            part = draw.choice(PARTS)
            tasks.create_task(part(ctx, draw, log, f"{part.__name__}{number}"))
    return log


@pytest.mark.parametrize("seed", range(12))
def test_a_program_of_asyncio_does_the_same_on_every_replay(line: Timeline, seed: int) -> None:
    """Killed every now and then: what it had done stays done, in the same order, and ``replay`` agrees."""
    crashes = random.Random(seed)
    line.tp.register(program)
    line.tp.execute("a", program, seed)
    line.settle()
    for _ in range(30):
        if crashes.random() < 0.3 and line.tp.get("a").status != "COMPLETED":
            before = line.tp.query("a", "log")
            line.crash()
            line.open(program)
            assert line.tp.query("a", "log")[: len(before)] == before
        line.pass_time(STEP_S)

    log = line.tp.get("a").get(timeout=0)

    assert log
    assert [line.tp.replay("a") for _ in range(REPLAYS)] == [log] * REPLAYS


def test_asyncios_time_is_durable(line: Timeline) -> None:
    """An hour's sleep goes on after a crash, and is over when the hour is."""

    async def sleeping(ctx: AsyncWorkflowContext) -> float:
        before = ctx.now()
        await asyncio.sleep(HOUR)
        return (ctx.now() - before).total_seconds()

    line.tp.execute("a", sleeping)
    line.settle()
    line.crash(away_s=HOUR / 2)
    line.open(sleeping)
    line.pass_time(HOUR / 2 - 1)
    assert line.tp.get("a").status == "WAITING"
    line.pass_time(1)

    assert line.tp.get("a").get(timeout=0) == HOUR
