"""A file with runs in nearly every state that there is, and what the tables of a file say."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from tempolite import (
    AsyncWorkflowContext,
    CompensationContext,
    Queue,
    RetryPolicy,
    Saga,
    Tempolite,
    TransactionContext,
    WorkflowContext,
    workflow,
)
from tempolite.core.events import Entry, decode_body
from tempolite.core.identifiers import StepKey
from tempolite.core.schedule_events import SCHEDULE_BODIES, ScheduleEntry, decode_schedule_body
from tempolite.store.rebuilding import Rebuilding, RebuiltRun, Row, RunFold, rebuilt_schedule
from tests.engine.timelines import HELD, HOUR, Timeline, double, waiting

ONE = Queue("one", kind="inline", max_runs=1)
QUEUES = [HELD, ONE]
LATER = RetryPolicy(max_attempts=2, initial_interval=40 * HOUR, max_interval=40 * HOUR, jitter=False)
TABLES = {
    "runs": "workflow = 'family/done'",
    "timers": "due_at = (SELECT max(due_at) FROM timers)",
    "spawns": "1",
    "signal_ids": "dedup = 'x'",
    "schedules": "name = 'daily'",
}
"""What is made from the events, and some of its rows."""


def listening(ctx: WorkflowContext, patience_s: float | None = None) -> Any:
    """Waits for a signal, and says so."""
    ctx.set_status("listening", 0.5)
    return ctx.signal("go").get(timeout=patience_s)


def failing(ctx: WorkflowContext) -> None:
    """Always."""
    ctx.activity("first", abs, -1).get()
    raise ValueError("broken")


def napping(ctx: WorkflowContext) -> None:
    """One timer that fires, one that is given up, one that stays."""
    ctx.timer("never", 90 * HOUR)
    ctx.sleep("nap", 60)
    listening(ctx, 60 * HOUR)
    ctx.sleep("rest", 48 * HOUR)


async def impatient(ctx: AsyncWorkflowContext) -> None:
    """Fails while another task waits for something, but no longer than that."""
    task = asyncio.create_task(patient(ctx))
    await ctx.sleep("soon", 60)
    assert not task.done()
    raise ValueError("broken")


async def patient(ctx: AsyncWorkflowContext) -> None:
    """The other task."""
    await ctx.signal("go").get(timeout=70 * HOUR)


def answering(ctx: WorkflowContext) -> int:
    """Ends at once, and can be asked after that."""
    ctx.on_query("look", lambda: 1)
    return 1


def parent(ctx: WorkflowContext, prefix: str) -> None:
    """Children of all kinds."""
    ctx.workflow("done", answering).get()
    broken = ctx.workflow("broken", failing)
    taken = ctx.workflow("taken", workflow(double, id="root"), 1)
    for child in (broken, taken):
        try:
            child.get()
        except Exception as error:
            ctx.set_status(type(error).__name__)
    ctx.workflow("deferred", workflow(listening, defer=True))
    ctx.workflow("loose", workflow(listening, detach=True, id=f"{prefix}-loose"))
    ctx.workflow("left", workflow(listening, on_parent_close="abandon"))
    ctx.workflow("under", listening).get()


def renewing(ctx: WorkflowContext, left: int) -> int:
    """Goes on in other runs, the last of which waits."""
    ctx.signal("next").get()
    if left:
        ctx.continue_as_new(left - 1)
    return int(ctx.signal("go").get())


def doing(tx: TransactionContext, name: str) -> str:
    if name == "bad":
        raise ValueError(name)
    return name


def undoing(tx: CompensationContext, name: str) -> None:
    """Leaves nothing."""


def buying(ctx: WorkflowContext, *names: str) -> Any:
    """A saga, and what it led to."""
    saga = Saga()
    for name in names:
        saga.add(doing, undoing, args=(name,))
    return ctx.saga("buy", saga).get()


def changing(ctx: WorkflowContext) -> None:
    """Another code the second time, which does not fit its history."""
    CHANGES.append("it ran")
    if len(CHANGES) == 1:
        ctx.activity("step", abs, -1).get()
    else:
        ctx.sleep("step", 1)
    ctx.signal("go").get()


CHANGES: list[str] = []
KNOWN = [
    double,
    waiting,
    listening,
    failing,
    napping,
    impatient,
    parent,
    renewing,
    buying,
    changing,
    answering,
]


def fill(line: Timeline) -> None:
    """Runs and schedules of all kinds, as an engine leaves them."""
    CHANGES.clear()
    tp = line.open(*KNOWN, queues=QUEUES)
    for id in ("root", "gone", "origin"):
        tp.execute(id, double, 1)
    tp.execute("held", waiting)
    tp.execute("broken", failing)
    tp.execute("again", workflow(failing, retry=LATER))
    tp.execute("impatient", workflow(impatient, retry=LATER))
    tp.execute("resumed", failing)
    tp.execute("late", workflow(listening, timeout=30.0))
    tp.execute("timed", workflow(listening, timeout=100 * HOUR))
    tp.execute("deferred", workflow(listening, defer=True, timeout=100 * HOUR, priority=3))
    for id in ("active", "in line", "ended in line"):
        tp.execute(id, workflow(listening, queue="one"))
    for id in ("napping", "paused nap"):
        tp.execute(id, napping)
    for id in ("family", "ended family"):
        tp.execute(id, parent, id)
    tp.execute("renewing", renewing, 2)
    tp.execute("stuck", changing)
    tp.execute("bought", buying, "a", "b")
    tp.execute("sold out", buying, "a", "bad")
    for id in ("paused", "cancelled"):
        tp.execute(id, listening)
    line.pass_time(120)
    change_courses(tp)
    set_schedules(tp)
    line.pass_time(26 * HOUR)
    tp.schedule("late", "0 5 * * *", double, 5)
    line.settle()


def change_courses(tp: Tempolite) -> None:
    """What people do to runs."""
    for id in ("paused", "paused nap"):
        tp.pause(id)
    for id in ("cancelled", "ended in line", "ended family", "ended family/left"):
        tp.cancel(id)
    tp.resume("resumed")
    tp.query("family/done", "look")
    tp.retry("origin", "clone")
    tp.fork("broken", "fork", before="first")
    tp.signal("paused", "go", 1, dedup="x")
    tp.signal("napping", "go", 1, dedup="y")
    for number in range(2):
        tp.signal("renewing", "next", dedup=f"n{number}")
    tp.signal("renewing", "other", 3, dedup="z")
    tp.delete(["gone"])


def set_schedules(tp: Tempolite) -> None:
    """One that goes on, one that rests, one that is no more."""
    _, resting, gone = [tp.schedule(name, "0 3 * * *", double, 5) for name in ("daily", "resting", "gone")]
    resting.pause()
    gone.delete()


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────


def table(tp: Tempolite, name: str) -> list[Row]:
    """All rows of a table, each by its columns."""
    columns = [row[1] for row in tp._rows(f"PRAGMA table_info({name})")]
    rows = tp._rows(f"SELECT {', '.join(columns)} FROM {name}")
    return [dict(zip(columns, row, strict=True)) for row in rows]


class Rebuilt:
    """The tables that follow from the events of a file, and nothing else of it."""

    def __init__(self, tp: Tempolite) -> None:
        self.runs: dict[int, RebuiltRun] = {}
        self.schedules: list[Row] = []
        self.signal_ids: set[tuple[str, str, str]] = set()
        rebuilding = Rebuilding()
        events = tp._rows(
            "SELECT stream, position, seq, type, step, attempt, payload, at FROM events"
            " WHERE stream > 0 ORDER BY stream, seq"
        )
        for stream, rows in itertools.groupby(events, key=lambda row: row[0]):
            found = list(rows)
            if found[0][3] in SCHEDULE_BODIES:
                self._add_schedule(stream, found)
                continue
            fold = RunFold(stream)
            for _, position, seq, kind, step, attempt, payload, at in found:
                fold.take(position, Entry(seq, at, decode_body(kind, payload), StepKey(step), attempt))
            run = self.runs[stream] = rebuilding.add(fold)
            self.signal_ids |= {(run.row["workflow"], *pair) for pair in run.signal_ids}
        assert not list(rebuilding.unfollowed())
        self.spawns = rebuilding.spawns()

    def _add_schedule(self, stream: int, rows: list[tuple[Any, ...]]) -> None:
        entries = [
            ScheduleEntry(seq, at, decode_schedule_body(kind, payload))
            for _, _, seq, kind, _, _, payload, at in rows
        ]
        if (row := rebuilt_schedule(stream, entries)) is not None:
            self.schedules.append(row)
