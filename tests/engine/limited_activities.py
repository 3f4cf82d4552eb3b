"""Activities that need memory, and activities that must not run twice.

In a module of their own, so that workers that run them import neither pytest nor the engine.
"""

from __future__ import annotations

import os
import signal

from tempolite import ActivityContext
from tests.engine.gates import note, pass_gate

MIB = 2**20


def fail(effects: str) -> None:
    note(effects, "tried")
    raise ValueError("not yet")


def allocate(mebibytes: int, effects: str = "") -> int:
    if effects:
        note(effects, f"{os.getpid()}")
    return len(bytearray(mebibytes * MIB))


def cope(mebibytes: int) -> str:
    try:
        bytearray(mebibytes * MIB)
    except MemoryError:
        return "coped"
    return "had it"


def die_once(effects: str) -> None:
    note(effects, "ran")
    os.kill(os.getpid(), signal.SIGKILL)


def raise_once(ctx: ActivityContext, effects: str) -> int:
    note(effects, "ran")
    if ctx.attempt == 1:
        raise ValueError("declined")
    return ctx.attempt


def note_and_hold(effects: str, gate: str) -> str:
    note(effects, "ran")
    return pass_gate(gate)
