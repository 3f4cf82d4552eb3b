"""Workflow functions that do what they must not, and some that only look so."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import random
import secrets
import socket
import subprocess
import threading
import time
import uuid
from datetime import datetime
from time import sleep as nap
from typing import Any

from tempolite import WorkflowContext, activity


def clock(ctx: WorkflowContext) -> float:
    return time.time()


def clock_by_alias(ctx: WorkflowContext) -> Any:
    return dt.datetime.now()  # noqa: DTZ005


def clock_of_imported_class(ctx: WorkflowContext) -> Any:
    return datetime.utcnow()  # noqa: DTZ003


def clock_by_local_name(ctx: WorkflowContext) -> float:
    now = time.monotonic
    return now()


def waiting(ctx: WorkflowContext) -> None:
    nap(0)


def randomness(ctx: WorkflowContext) -> int:
    return random.randint(1, 6)


def secret(ctx: WorkflowContext) -> str:
    return secrets.token_hex()


def noise(ctx: WorkflowContext) -> bytes:
    return os.urandom(4)


def unique_id(ctx: WorkflowContext) -> str:
    return str(uuid.uuid4())


def reading(ctx: WorkflowContext) -> str:
    with open(os.devnull) as file:
        return file.read()


def thread(ctx: WorkflowContext) -> None:
    threading.Thread(target=print).start()


def network(ctx: WorkflowContext) -> None:
    socket.create_connection(("localhost", 9), timeout=0.01)


def process(ctx: WorkflowContext) -> None:
    subprocess.run(["true"], check=True)


def imported_inside(ctx: WorkflowContext) -> str:
    from uuid import uuid1 as make

    return str(make())


def in_a_comprehension(ctx: WorkflowContext) -> list[float]:
    return [time.time() for _ in range(1)]


def in_a_lambda(ctx: WorkflowContext) -> list[int]:
    return sorted([1, 2], key=lambda _: random.random())


def in_an_inner_function(ctx: WorkflowContext) -> float:
    def measure() -> float:
        return time.perf_counter()

    return measure()


def handed_on_and_called(ctx: WorkflowContext) -> float:
    def measure() -> float:
        return time.perf_counter()

    ctx.side_effect("measure", measure)
    return measure()


def over_several_lines(ctx: WorkflowContext) -> float:
    return (
        time
        .time()
    )  # fmt: skip


def as_an_argument(ctx: WorkflowContext) -> float:
    return ctx.activity("clock", float, time.time()).get()


async def another_loop(ctx: WorkflowContext) -> None:
    asyncio.get_running_loop().run_in_executor(None, print)


def make_closure() -> Any:
    now = time.time

    def over_a_closure(ctx: WorkflowContext) -> float:
        return now()

    return over_a_closure


over_a_closure = make_closure()

BAD: list[tuple[Any, str, str, int]] = [
    (clock, "time.time", "ctx.now()", 1),
    (clock_by_alias, "datetime.datetime.now", "ctx.now()", 1),
    (clock_of_imported_class, "datetime.datetime.utcnow", "ctx.now()", 1),
    (clock_by_local_name, "time.monotonic", "ctx.now()", 2),
    (waiting, "time.sleep", "ctx.sleep(step, seconds)", 1),
    (randomness, "random.randint", "ctx.random", 1),
    (secret, "secrets.token_hex", "ctx.side_effect", 1),
    (noise, "os.urandom", "ctx.side_effect", 1),
    (unique_id, "uuid.uuid4", "ctx.uuid4()", 1),
    (reading, "open", "ctx.activity", 1),
    (thread, "threading.Thread", "ctx.activity", 1),
    (network, "socket.create_connection", "ctx.activity", 1),
    (process, "subprocess.run", "ctx.activity", 1),
    (imported_inside, "uuid.uuid1", "ctx.uuid4()", 3),
    (in_a_comprehension, "time.time", "ctx.now()", 1),
    (in_a_lambda, "random.random", "ctx.random", 1),
    (in_an_inner_function, "time.perf_counter", "ctx.now()", 2),
    (handed_on_and_called, "time.perf_counter", "ctx.now()", 2),
    (over_several_lines, "time.time", "ctx.now()", 2),
    (as_an_argument, "time.time", "ctx.now()", 1),
    (another_loop, "loop.run_in_executor", "ctx.activity", 1),
    (over_a_closure, "time.time", "ctx.now()", 1),
]
"""Function, what it calls, what the report must name instead, and on which line after its ``def``."""


def recommended(ctx: WorkflowContext) -> Any:
    drawn = [ctx.now(), ctx.random.random(), ctx.random.randint(1, 6), ctx.uuid4()]
    return drawn, ctx.side_effect("id", lambda: str(uuid.uuid4())).get()


def handed_on_as_names(ctx: WorkflowContext) -> Any:
    return ctx.side_effect("now", time.time).get(), ctx.activity("again", time.time).get()


def handed_on_inner_functions(ctx: WorkflowContext) -> Any:
    def measure() -> float:
        return time.time()

    @activity(timeout=5)
    def declared() -> float:
        return time.time()

    draw = lambda: random.random()  # noqa: E731 - a name for a lambda is what is tested
    return (
        ctx.activity("measure", measure).get(),
        ctx.activity("declared", declared).get(),
        ctx.activity("again", activity(measure, timeout=5)).get(),
        ctx.side_effect("draw", draw).get(),
        ctx.side_effect(
            "id",
            lambda: str(uuid.uuid4()),
        ).get(),
    )


def methods_of_a_class(ctx: WorkflowContext) -> Any:
    class Meter:
        def run(self) -> float:
            return time.time()

    return ctx.activity("meter", Meter().run).get()


def same_on_every_replay(ctx: WorkflowContext) -> Any:
    seeded = random.Random(7).random()
    made = datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=1)
    return seeded, made.isoformat(), str(uuid.UUID(int=5)), os.path.join("a", "b"), os.environ.get("HOME")


def own_names(ctx: WorkflowContext) -> Any:
    def getrandom(size: int) -> int:
        return size

    def uuid4(time: Any) -> Any:
        return time.time()

    return getrandom(1), uuid4(Teller())


class Teller:
    """Has a method that is called like a clock."""

    def time(self) -> int:
        return 7


GOOD: list[Any] = [
    recommended,
    handed_on_as_names,
    handed_on_inner_functions,
    methods_of_a_class,
    same_on_every_replay,
    own_names,
]
"""Nothing in these belongs elsewhere."""
