"""Activities that tell of themselves, and look whether they are to end.

In a module of their own, so that workers that run them import neither pytest nor the engine.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from tempolite import ActivityContext
from tests.engine.gates import note, pass_gate


def fail_after_heartbeats(ctx: ActivityContext) -> tuple[int, Any]:
    if ctx.attempt == 1:
        assert ctx.last_heartbeat is None
        for page in range(3):
            ctx.heartbeat({"page": page, "at": (page, b"x")})
        ctx.progress(3, 10)
        raise ValueError("torn page")
    return ctx.attempt, ctx.last_heartbeat


def die_after_heartbeat(ctx: ActivityContext) -> Any:
    if ctx.last_heartbeat is None:
        ctx.heartbeat("so far")
        os.kill(os.getpid(), signal.SIGKILL)
    return ctx.last_heartbeat


def many_heartbeats(ctx: ActivityContext) -> Any:
    if ctx.attempt == 2:
        return ctx.last_heartbeat
    for number in range(100_000):
        ctx.heartbeat(number)
    raise ValueError("enough")


def beat_with_a_lock(ctx: ActivityContext) -> None:
    ctx.heartbeat(threading.Lock())


def silent(ctx: ActivityContext, gate: str) -> Any:
    ctx.heartbeat(ctx.attempt)
    if ctx.attempt == 1:
        pass_gate(gate)
    return ctx.last_heartbeat


def until_cancelled(ctx: ActivityContext, gate: str, effects: str) -> str:
    reached = os.open(gate + "/reached", os.O_RDWR)
    os.write(reached, b"x")
    os.close(reached)
    while not ctx.cancelled:
        os.sched_yield()
    return note(effects, "cancelled")


async def until_cancelled_async(ctx: ActivityContext, gate: str, effects: str) -> str:
    return until_cancelled(ctx, gate, effects)


def asked_once(ctx: ActivityContext, effects: str) -> None:
    assert not ctx.cancelled
    try:
        while True:
            pass
    finally:
        note(effects, f"cleaned up, {ctx.cancelled}")


def never_looks(ctx: ActivityContext, effects: str) -> None:
    try:
        while True:
            pass
    finally:
        note(effects, "cleaned up")
