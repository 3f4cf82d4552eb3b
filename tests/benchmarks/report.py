"""The page that the benchmarks write, from what was measured: pure text out of figures."""

from collections.abc import Iterable, Sequence

from tests.benchmarks.figures import Job, Measurement, Record, Spread, figures_of, ratios, spread
from tests.benchmarks.machine import Machine
from tests.benchmarks.plan import (
    DBOS,
    DBOS_VERSION,
    DBOS_WAL,
    FLOOR,
    FLOOR_BATCH_ROWS,
    IDLE,
    IDLE_PAUSE_S,
    IN_FLIGHT,
    ONE_STEP,
    ONE_STEP_FEW_CALLERS,
    SIDES,
    TARGETS,
    TEMPOLITE,
    TEN_STEPS,
    TEN_STEPS_FEW_CALLERS,
    Target,
    way_text,
)

NOT_MEASURED = "-"
SIDE_TEXT = {
    TEMPOLITE: "Tempolite, default arguments",
    DBOS: f"DBOS {DBOS_VERSION}, its default SQLite",
    DBOS_WAL: f"DBOS {DBOS_VERSION}, file switched to WAL",
    FLOOR: "floor: APSW inserts of the same rows",
}
CONFIGURATION_SHOWN = ("version", "sqlite", "journal_mode", "synchronous", "steps run in")
# (title, our workload, figure, theirs at the same load, theirs at its best number of callers)
COMPARISONS = (
    ("10-step runs, steps/s", TEN_STEPS, "steps_per_s", TEN_STEPS_FEW_CALLERS),
    ("10-step runs, runs/s", TEN_STEPS, "runs_per_s", TEN_STEPS_FEW_CALLERS),
    ("1-step runs, runs/s", ONE_STEP, "runs_per_s", ONE_STEP_FEW_CALLERS),
)


def report(record: Record, machine: Machine, *, command: str) -> str:
    """The whole page, in Markdown."""
    sections = (
        _heading(record, command),
        _targets(record),
        _ratios(record),
        _rates(record),
        _machine(record, machine),
        _method(record),
        _caveats(machine),
    )

    return "\n\n".join(sections) + "\n"


def reached(record: Record, target: Target) -> bool | None:
    """Was the target reached, by the median over the rounds? None when it was not measured."""
    found = measured(record, target)
    if found is None:
        return None

    return found.median <= target.limit if target.below is None else found.median >= target.limit


def measured(record: Record, target: Target) -> Spread | None:
    """The figure that a target is about."""
    if target.below is None:
        return spread(figures_of(record.rounds, TEMPOLITE, target.workload, target.figure))

    return spread(ratios(record.rounds, (TEMPOLITE, target.workload), target.below, target.figure))


def _heading(record: Record, command: str) -> str:
    rounds = len(record.rounds)
    named = "one round" if rounds == 1 else f"medians of {rounds} rounds"

    return f"""# Benchmarks

Written by the benchmarks themselves: {named}, {record.seconds:.0f} s.
To measure again, from the project's root:

```
{command}
```"""


def _targets(record: Record) -> str:
    rows = []
    for target in TARGETS:
        met = reached(record, target)
        limit = f"{'at most' if target.below is None else 'at least'} {target.limit:g}"
        answer = "not measured" if met is None else "yes" if met else "**no**"
        rows.append((target.text, limit, _range(measured(record, target)), answer))

    return "## Targets\n\n" + _table(("What", "Target", "Measured (lowest to highest)", "Reached"), rows)


def _ratios(record: Record) -> str:
    rows = []
    for title, workload, figure, few_callers in COMPARISONS:
        below = ((DBOS, workload), (DBOS, few_callers), (DBOS_WAL, workload), (DBOS_WAL, few_callers))
        found = [spread(ratios(record.rounds, (TEMPOLITE, workload), side, figure)) for side in below]
        rows.append((title, *(_times(one) for one in found), _floor_share(record, workload)))
    faster = [
        spread(ratios(record.rounds, (side, IDLE), (TEMPOLITE, IDLE), "p50_ms")) for side in (DBOS, DBOS_WAL)
    ]
    rows.append(("idle start-to-result p50, times shorter", "", _times(faster[0]), "", _times(faster[1]), ""))
    header = (
        "Tempolite compared with",
        f"DBOS default, {IN_FLIGHT} in flight",
        "DBOS default, few callers",
        f"DBOS WAL, {IN_FLIGHT} in flight",
        "DBOS WAL, few callers",
        "share of the floor",
    )
    text = f"""## Ratios

The main figures. Under load, Tempolite always has {IN_FLIGHT} runs in flight; DBOS once the same, and once
the few callers with which its SQLite is fastest (1 or 8); idle, both run one at a time. Each ratio is taken
within a round, then the median over the rounds."""

    return f"{text}\n\n{_table(header, rows)}"


def _rates(record: Record) -> str:
    rows = [row for side in SIDES for row in _rate_rows(record, side)]
    header = ("Side", "Runs", "How", "runs/s", "steps/s", "rows/s", "p50 ms", "p99 ms")

    return f"## Rates\n\n{_table(header, rows)}"


def _rate_rows(record: Record, side: str) -> list[tuple[str, ...]]:
    rows = []
    for workload in (TEN_STEPS, TEN_STEPS_FEW_CALLERS, ONE_STEP, ONE_STEP_FEW_CALLERS, IDLE):
        example = _example(record, side, workload)
        if example is None:
            continue
        job = example.job
        title = f"{_steps_text(job)}, idle" if workload == IDLE else _steps_text(job)
        columns = [_median(record, side, workload, figure) for figure in _shown_figures(side, workload)]
        rows.append((SIDE_TEXT[side], f"{job.runs} of {title}", way_text(job), *columns))

    return rows


def _shown_figures(side: str, workload: str) -> tuple[str, ...]:
    """Which of the columns mean something: no rate with pauses between runs, no latency under full load."""
    if workload == IDLE:
        return ("", "", "", "p50_ms", "p99_ms")
    if side == FLOOR:
        return ("", "", "rows_per_s", "", "")

    return ("runs_per_s", "steps_per_s", "rows_per_s", "", "")


def _machine(record: Record, machine: Machine) -> str:
    rows = [
        ("cores", f"{machine.cores}"),
        ("processor", machine.processor),
        ("kernel", machine.kernel),
        ("Python", machine.python),
        ("file system", machine.file_system),
        ("4 KiB append with fdatasync, median", f"{machine.fsync_ms:.2f} ms"),
        ("load average before", f"{machine.load_before:.1f}"),
    ]
    text = f"## Machine\n\n{_table(('What', 'Value'), rows)}"
    sides = [
        (SIDE_TEXT[side], *(found[key] for key in CONFIGURATION_SHOWN))
        for side in SIDES
        if (found := _configuration(record, side))
    ]

    header = ("Side", "Version", "SQLite", "Journal", "Synchronous", "Steps run in")

    return f"{text}\n\n{_table(header, sides)}"


def _method(record: Record) -> str:
    text = f"""## Method

- 10-step and 1-step runs: every step does nothing and returns its argument; {IN_FLIGHT} runs are in flight
  until all are done (fewer where a side does fewer runs). The rate counts from the first call to the last
  result, after a warm-up.
- Idle: one run at a time, {IDLE_PAUSE_S * 1000:.0f} ms apart, from the call that starts it to its result in
  the caller's hands.
- The sides take turns (A B C D, A B C D), each in a process of its own on a new file on disk.
- Tempolite and DBOS can be called in several ways; a trial before the rounds finds the fastest way of each
  for each load, and the rounds measure that one.
- Floor: as many rows as Tempolite's event log got in that round ({_rows_text(record)}),
  {FLOOR_BATCH_ROWS} a transaction, each transaction durable before the next."""
    rows = [
        (SIDE_TEXT[side], _steps_text(one.job), way_text(one.job), _trial_figure(one))
        for side in SIDES
        if side in record.trial
        for one in record.trial[side].measurements
    ]
    if not rows:
        return f"{text}\n\nThis was a quick round: no trial, fewer runs; its figures are a smoke test."

    return f"{text}\n\nThe trial:\n\n{_table(('Side', 'Runs', 'How', 'Figure'), rows)}"


def _caveats(machine: Machine) -> str:
    return f"""## What these figures don't say

- The machine is noisy; absolute rates move by tens of per cent from one page to the next. Compare ratios,
  and only those within one page.
- An fsync took {machine.fsync_ms:.2f} ms on this disk. Both sides wait for it: DBOS at least once for every
  step of every run, Tempolite once for all runs that are ready to commit. Another disk gives other ratios.
- Many runs in flight are what shared commits need, so the ratios at {IN_FLIGHT} show Tempolite at its best.
  For a run that is alone, the idle latencies are the comparison.
- Targets compare with DBOS at the same load; the columns for few callers are the stricter reading.
- A step that does nothing measures the engine, not your work: with steps of a second each, both look alike.
- DBOS runs steps in the caller's process; Tempolite sends them to worker processes and back, and pays for it
  here.
- DBOS recommends PostgreSQL for production and calls SQLite a database for development and testing. This
  compares embedded use, nothing else.
- The floor commits every {FLOOR_BATCH_ROWS} rows; an engine that commits more at once may pass 100 %."""


def _rows_text(record: Record) -> str:
    counts = [
        f"{found.rows_per_run} for a run of {_steps_text(found.job)}"
        for workload in (TEN_STEPS, ONE_STEP)
        if (found := _example(record, FLOOR, workload))
    ]

    return ", ".join(counts) or "not measured"


def _steps_text(job: Job) -> str:
    return "1 step" if job.steps == 1 else f"{job.steps} steps"


def _trial_figure(one: Measurement) -> str:
    return f"p50 {one.p50_ms:.1f} ms" if one.job.pause_s else f"{one.runs_per_s:,.0f} runs/s"


def _floor_share(record: Record, workload: str) -> str:
    found = spread(ratios(record.rounds, (TEMPOLITE, workload), (FLOOR, workload), "rows_per_s"))

    return NOT_MEASURED if found is None else f"{found.median:.0%}"


def _example(record: Record, side: str, workload: str) -> Measurement | None:
    found = (each[side].of(workload) for each in record.rounds if side in each)

    return next((one for one in found if one is not None), None)


def _configuration(record: Record, side: str) -> dict[str, str] | None:
    return next((dict(each[side].configuration) for each in record.rounds if side in each), None)


def _median(record: Record, side: str, workload: str, figure: str) -> str:
    found = spread(figures_of(record.rounds, side, workload, figure)) if figure else None

    return _number(found.median) if found and found.median else NOT_MEASURED


def _times(found: Spread | None) -> str:
    return NOT_MEASURED if found is None else f"**{_number(found.median)} x**"


def _range(found: Spread | None) -> str:
    if found is None:
        return NOT_MEASURED

    return f"{_number(found.median)} ({_number(found.low)} to {_number(found.high)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]

    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
