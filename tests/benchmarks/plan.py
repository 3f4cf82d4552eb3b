"""What is measured: the sides, their workloads, the ways to call them, the sizes and the targets.

DBOS is called in several ways; a trial before the rounds finds its fastest, and the rounds measure that one.
The same goes for Tempolite. Besides the load of the comparison (200 runs in flight) DBOS is measured with
few callers, because SQLite's lock makes it faster there than at 200: a ratio that hid this would flatter us.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.benchmarks.figures import Job, SideResult

TEMPOLITE = "tempolite"
DBOS = "dbos"
DBOS_WAL = "dbos-wal"
FLOOR = "floor"
SIDES = (TEMPOLITE, DBOS, DBOS_WAL, FLOOR)

TEN_STEPS = "ten_steps"
ONE_STEP = "one_step"
IDLE = "idle"
TEN_STEPS_FEW_CALLERS = "ten_steps_few_callers"
ONE_STEP_FEW_CALLERS = "one_step_few_callers"

IN_FLIGHT = 200
IDLE_PAUSE_S = 0.005
DBOS_VERSION = "3.4.0"
FLOOR_BATCH_ROWS = 100
FLOOR_PAYLOAD_BYTES = 200

TRIAL_SHARE = 0.4
QUICK_SHARE = 0.25

Way = tuple[str, int]

STEPS = {TEN_STEPS: 10, ONE_STEP: 1, IDLE: 1, TEN_STEPS_FEW_CALLERS: 10, ONE_STEP_FEW_CALLERS: 1}

_TEMPOLITE_LOADS: tuple[Way, ...] = (("tasks", IN_FLIGHT), ("tasks_plain", IN_FLIGHT), ("threads", IN_FLIGHT))
_DBOS_LOADS: tuple[Way, ...] = (("calls", IN_FLIGHT), ("handles", IN_FLIGHT), ("tasks", IN_FLIGHT))
_DBOS_FEW: tuple[Way, ...] = (("calls", 1), ("calls", 8), ("handles", 8))
_DBOS_WAYS: dict[str, tuple[Way, ...]] = {
    TEN_STEPS: _DBOS_LOADS,
    ONE_STEP: _DBOS_LOADS,
    TEN_STEPS_FEW_CALLERS: _DBOS_FEW,
    ONE_STEP_FEW_CALLERS: _DBOS_FEW,
    IDLE: (("calls", 1), ("handles", 1)),
}
WAYS: dict[str, dict[str, tuple[Way, ...]]] = {
    TEMPOLITE: {
        TEN_STEPS: _TEMPOLITE_LOADS,
        ONE_STEP: _TEMPOLITE_LOADS,
        IDLE: (("tasks", 1), ("threads", 1)),
    },
    DBOS: _DBOS_WAYS,
    DBOS_WAL: _DBOS_WAYS,
    FLOOR: {TEN_STEPS: (("insert", 1),), ONE_STEP: (("insert", 1),)},
}

_FAST_RUNS = {TEN_STEPS: 3_000, ONE_STEP: 8_000, IDLE: 300}
_DBOS_RUNS = {TEN_STEPS: 200, ONE_STEP: 300, TEN_STEPS_FEW_CALLERS: 40, ONE_STEP_FEW_CALLERS: 100, IDLE: 100}
RUNS = {TEMPOLITE: _FAST_RUNS, DBOS: _DBOS_RUNS, DBOS_WAL: _DBOS_RUNS, FLOOR: _FAST_RUNS}

WAY_TEXT = {
    "tasks": "asyncio tasks, `async def` workflow",
    "tasks_plain": "asyncio tasks, plain `def` workflow",
    "threads": "caller threads, plain `def` workflow",
    "calls": "caller threads that call the workflow",
    "handles": "caller threads with `start_workflow(...).get_result()`",
    "insert": "one connection",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One promise about speed: a ratio to reach, or a latency not to exceed."""

    text: str
    workload: str
    figure: str
    below: tuple[str, str] | None
    limit: float


TARGETS = (
    Target(
        text="10-step runs, steps/s, times DBOS default",
        workload=TEN_STEPS,
        figure="steps_per_s",
        below=(DBOS, TEN_STEPS),
        limit=60,
    ),
    Target(
        text="1-step runs, runs/s, times DBOS default",
        workload=ONE_STEP,
        figure="runs_per_s",
        below=(DBOS, ONE_STEP),
        limit=60,
    ),
    Target(text="idle start-to-result p50, ms", workload=IDLE, figure="p50_ms", below=None, limit=3),
)


def rows_assumed(steps: int) -> int:
    """Event rows of one run where nobody counted them: two a step (scheduled, completed) and three a run."""
    return 2 * steps + 3


def trial_jobs(side: str, share: float = TRIAL_SHARE) -> list[Job]:
    """Every workload of a side in every way that it can be called."""
    return [_job(side, workload, way, share) for workload, ways in WAYS[side].items() for way in ways]


def round_jobs(side: str, trial: SideResult | None, share: float = 1.0) -> list[Job]:
    """Every workload of a side in the way that the trial found fastest; without a trial, in the first."""
    chosen = {workload: _chosen_way(trial, workload, ways) for workload, ways in WAYS[side].items()}

    return [_job(side, workload, way, share) for workload, way in chosen.items()]


def floor_jobs(tempolite: SideResult | None, share: float = 1.0) -> list[Job]:
    """As many rows as Tempolite wrote in the same round."""
    jobs = round_jobs(FLOOR, None, share)

    return [replace(job, rows_per_run=_rows_written(tempolite, job)) for job in jobs]


def needs_trial(side: str) -> bool:
    """Is there a choice between ways to call this side?"""
    return any(len(ways) > 1 for ways in WAYS[side].values())


def way_text(job: Job) -> str:
    """How a job is called, for the report."""
    return f"{min(job.in_flight, job.runs)} at once, {WAY_TEXT[job.mode]}"


def _job(side: str, workload: str, way: Way, share: float) -> Job:
    mode, in_flight = way

    return Job(
        workload=workload,
        mode=mode,
        in_flight=in_flight,
        steps=STEPS[workload],
        runs=max(10, round(RUNS[side][workload] * share)),
        pause_s=IDLE_PAUSE_S if workload == IDLE else 0.0,
    )


def _chosen_way(trial: SideResult | None, workload: str, ways: Sequence[Way]) -> Way:
    best = trial.of(workload) if trial else None

    return (best.job.mode, best.job.in_flight) if best else ways[0]


def _rows_written(tempolite: SideResult | None, job: Job) -> int:
    measured = tempolite.of(job.workload) if tempolite else None
    counted = measured.rows_per_run if measured else 0

    return counted or rows_assumed(job.steps)
