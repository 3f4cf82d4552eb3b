"""A program whose activity ends the engine that runs it: it asks for the kill, and never returns."""

from __future__ import annotations

import os
from pathlib import Path

from tempolite import WorkerLost, WorkflowContext

FILE = "killer.db"
EFFECTS = "killer effects"


def innocent(number: int) -> int:
    """Ends well."""
    return number


def kill_the_engine(effects: str) -> None:
    """SIGKILL to the process that started this one, as its first deed."""
    file = os.open(effects, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(file, b"killed it\n")
    os.kill(os.getppid(), 9)
    while True:
        pass


def flow(ctx: WorkflowContext, effects: str) -> str:
    """Survives what its activity does."""
    before = ctx.activity("innocent", innocent, 1).get()
    try:
        ctx.activity("killer", kill_the_engine, effects).get()
    except WorkerLost as error:
        return f"{before}, {type(error).__name__}: {error.cause}"
    return "never"


def main(folder: str, number: str) -> None:
    """One life: the first starts the run, the others find it."""
    from tempolite import Queue, Tempolite  # here, so that workers start without the engine

    with Tempolite(f"{folder}/{FILE}", workflows=[flow], queues=[Queue("default", workers=1)]) as engine:
        info = engine.execute("run", flow, f"{folder}/{EFFECTS}")
        Path(folder, "result").write_text(info.get(timeout=30))
