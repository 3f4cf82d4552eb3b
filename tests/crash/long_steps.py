"""A program whose activities are under way for long when it is killed; started again they end at once.

Each activity leaves a line every millisecond.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

from tempolite import ActivityContext, WorkflowContext
from tests.crash.logs import Effect, append_acknowledged, append_effect
from tests.crash.orders import FOLDER_VARIABLE, LIFE_VARIABLE, folder, life

BEAT_US = 1_000
PATIENCE_S = 60
_C = ctypes.CDLL(None)
_C_WITH_GIL = ctypes.PyDLL(None)


def in_python(ctx: ActivityContext) -> None:
    """A loop in Python, in between blocked in C."""
    for _ in beats(ctx):
        _C.usleep(BEAT_US)


def in_c_with_gil(ctx: ActivityContext) -> None:
    """C code that lets no other thread of the worker run."""
    for _ in beats(ctx):
        _C_WITH_GIL.usleep(BEAT_US)


def deaf(ctx: ActivityContext) -> None:
    """Every signal that can be blocked is."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    in_python(ctx)


def in_a_grandchild(ctx: ActivityContext) -> None:
    """A process that the activity started does the work."""
    if life() > 1:
        leave(ctx)
        return
    program = "import sys; from tests.crash.long_steps import beat_elsewhere; beat_elsewhere(*sys.argv[1:])"
    subprocess.run(
        [sys.executable, "-c", program, ctx.workflow_id, ctx.step, ctx.idempotency_key], check=True
    )


KINDS: dict[str, Callable[[ActivityContext], None]] = {
    call.__name__: call for call in (in_python, in_c_with_gil, deaf, in_a_grandchild)
}


def beats(ctx: ActivityContext) -> Iterator[None]:
    """In the first life without end, later one only; a line before each."""
    leave(ctx)
    while life() == 1:
        yield
        leave(ctx)


def beat_elsewhere(workflow: str, step: str, key: str) -> None:
    """What the grandchild does."""
    in_python(ActivityContext(workflow, step, 1, key))


def leave(ctx: ActivityContext) -> None:
    """A line in the effect log."""
    effect = Effect(
        "begin",
        ctx.workflow_id,
        ctx.step,
        attempt=ctx.attempt,
        key=ctx.idempotency_key,
        pid=os.getpid(),
        life=life(),
    )
    append_effect(folder() / "effects", effect)


def one_step(ctx: WorkflowContext, kind: str) -> str:
    """One activity."""
    ctx.activity("step", KINDS[kind]).get()
    return kind


def main(where: str, number: str) -> None:
    """One run of each kind, all at the same time."""
    from tempolite import Queue, Tempolite  # here, so that workers start without the engine

    os.environ[FOLDER_VARIABLE], os.environ[LIFE_VARIABLE] = where, number
    queue = Queue("default", workers=len(KINDS))
    with Tempolite(folder() / "runs.db", queues=[queue], workflows=[one_step]) as engine:
        if life() == 1:
            for kind in KINDS:
                engine.execute(kind, one_step, kind)
                append_acknowledged(folder() / "acknowledged", kind)
        assert [engine.get(kind).get(timeout=PATIENCE_S) for kind in KINDS] == list(KINDS)
