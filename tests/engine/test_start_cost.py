"""What a start looks at: runs with work, whatever else is parked in the file, or was finished long ago."""

from __future__ import annotations

from pathlib import Path

import pytest

from tempolite import Queue, Tempolite, WorkflowContext, workflow
from tempolite.store import queries
from tests.engine.conftest import EngineMaker

AT_START = [
    "ACTIVE_ROOTS",
    "HELD",
    "LEFT_BEHIND",
    "UNSTARTED",
    "WITH_WORK",
    "UNFINISHED_FUNCTIONS",
    "UNFINISHED_OF",
    "STRANDED_ON",
    "STRANDED_OF",
    "TIMERS",
    "NEXT_TIMER",
    "LAST_STREAM",
]
QUEUES = [Queue(name, kind="inline") for name in ("default", "first", "last")]


def parked(ctx: WorkflowContext) -> str:
    return str(ctx.signal("go").get())


def unknown(ctx: WorkflowContext) -> str:
    return str(ctx.signal("go").get())


def unknown_too(ctx: WorkflowContext) -> str:
    return str(ctx.signal("go").get())


@pytest.mark.parametrize("name", AT_START)
def test_no_statement_of_a_start_reads_a_whole_table(engine: Tempolite, name: str) -> None:
    """Each finds its rows by an index that holds no others; a million parked runs make it no slower."""
    statement = getattr(queries, name)
    bound = [0] * len({f"?{number}" for number in range(1, 9) if f"?{number}" in statement})

    plan = [row[3] for row in engine._rows(f"EXPLAIN QUERY PLAN {statement}", bound)]

    partial = ("runs_held", "runs_owing")
    scans = [step for step in plan if step.startswith(("SCAN runs", "SCAN r", "SCAN c", "SCAN p", "SCAN e"))]
    assert [step for step in scans if not step.endswith(partial)] == []


def test_runs_that_wait_are_looked_at_by_their_functions(make_engine: EngineMaker, path: Path) -> None:
    """In whatever queue and state they are, those of unknown functions are stranded, and no others."""
    engine = make_engine(path, queues=QUEUES)
    for queue in ("default", "first", "last"):
        for fn in (parked, unknown, unknown_too):
            engine.execute(f"{queue}-{fn.__name__}", workflow(fn, queue=queue))
    engine.execute("deferred", workflow(unknown, queue="last", defer=True))
    engine.pause("first-unknown")
    engine.wait(timeout=10)
    engine.close()

    engine = make_engine(path, queues=QUEUES, workflows=[parked])
    engine.wait(timeout=10)

    stranded = {info.id for info in engine.workflows(status="STRANDED")}
    assert stranded == {info.id for info in engine.workflows() if not info.id.endswith("-parked")}
    assert engine.count(status="WAITING") == 3
    engine.register(unknown)
    engine.wait(timeout=10)
    assert engine.count(status="STRANDED") == 3
