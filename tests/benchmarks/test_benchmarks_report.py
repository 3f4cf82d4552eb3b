"""The page is only as honest as its medians and ratios: those are specified here, no time is measured."""

import pytest

from tests.benchmarks.__main__ import main
from tests.benchmarks.figures import (
    Job,
    Measurement,
    Record,
    SideResult,
    fastest,
    figures_of,
    from_json,
    jobs_from_json,
    jobs_to_json,
    percentile,
    ratios,
    spread,
    to_json,
)
from tests.benchmarks.machine import Machine
from tests.benchmarks.plan import (
    DBOS,
    DBOS_WAL,
    FLOOR,
    IDLE,
    IN_FLIGHT,
    ONE_STEP,
    SIDES,
    TARGETS,
    TEMPOLITE,
    TEN_STEPS,
    floor_jobs,
    round_jobs,
    trial_jobs,
)
from tests.benchmarks.report import reached, report
from tests.benchmarks.runner import SideFailed, result_in

MACHINE = Machine(
    cores=4,
    processor="a processor",
    kernel="Linux 6.1",
    python="CPython 3.11.0",
    file_system="ext4",
    fsync_ms=0.5,
    load_before=0.1,
)


def measured(
    workload: str, *, rate: float = 100.0, p50_ms: float = 1.0, mode: str = "calls", rows: int = 0
) -> Measurement:
    """A measurement of 100 runs that took as long as `rate` (runs a second) says."""
    steps = 10 if workload == TEN_STEPS else 1
    pause_s = 0.005 if workload == IDLE else 0.0
    job = Job(workload=workload, mode=mode, in_flight=IN_FLIGHT, steps=steps, runs=100, pause_s=pause_s)

    return Measurement(job=job, seconds=100 / rate, p50_ms=p50_ms, p99_ms=2 * p50_ms, rows_per_run=rows)


def side(*measurements: Measurement) -> SideResult:
    """What a side reports, with a configuration that is always the same."""
    configuration = {
        "version": "1.0",
        "sqlite": "3.50",
        "journal_mode": "wal",
        "synchronous": "FULL",
        "steps run in": "nowhere",
    }

    return SideResult(configuration=configuration, measurements=measurements)


def one_round(*, ours: float, theirs: float, idle_ms: float = 1.0) -> dict[str, SideResult]:
    """A round in which both loads ran at these rates (runs a second)."""
    mine = [
        measured(TEN_STEPS, rate=ours, mode="tasks", rows=23),
        measured(ONE_STEP, rate=ours, mode="tasks"),
    ]

    return {
        TEMPOLITE: side(*mine, measured(IDLE, p50_ms=idle_ms, mode="tasks")),
        DBOS: side(
            measured(TEN_STEPS, rate=theirs), measured(ONE_STEP, rate=theirs), measured(IDLE, p50_ms=12)
        ),
        FLOOR: side(measured(TEN_STEPS, rate=10 * ours, mode="insert", rows=23)),
    }


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.0, 1.0)])
def test_a_percentile_is_a_sample_that_was_measured(share: float, expected: float) -> None:
    """Nearest rank, nothing interpolated, whatever the order of the samples."""
    samples = [float(number) for number in range(100, 0, -1)]

    assert percentile(samples, share) == expected


def test_a_percentile_of_nothing_is_refused() -> None:
    """No samples is a mistake of the caller, not a latency of zero."""
    with pytest.raises(ValueError, match="at least one sample"):
        percentile([], 0.5)


def test_a_spread_shows_the_lowest_the_median_and_the_highest_round() -> None:
    """One slow round moves the low end, not the median."""
    found = spread([900.0, 100.0, 1000.0])

    assert found is not None
    assert (found.low, found.median, found.high) == (100.0, 900.0, 1000.0)


def test_a_spread_of_no_rounds_is_none() -> None:
    """What was not measured is not zero."""
    assert spread([]) is None


def test_rates_count_runs_steps_and_rows() -> None:
    """Steps and rows a second follow from runs a second."""
    measurement = measured(TEN_STEPS, rate=50.0, rows=23)

    assert measurement.runs_per_s == pytest.approx(50)
    assert measurement.steps_per_s == pytest.approx(500)
    assert measurement.rows_per_s == pytest.approx(1150)


def test_the_fastest_way_under_load_has_the_highest_rate() -> None:
    """Every side is quoted at its best."""
    slow, fast = measured(ONE_STEP, rate=50, mode="tasks"), measured(ONE_STEP, rate=70, mode="calls")

    assert fastest([slow, fast], ONE_STEP) is fast


def test_the_fastest_way_when_idle_has_the_shortest_latency() -> None:
    """The rate says nothing there, because runs are pauses apart."""
    slow, fast = measured(IDLE, rate=100, p50_ms=9), measured(IDLE, rate=50, p50_ms=8)

    assert fastest([slow, fast], IDLE) is fast


def test_ratios_are_taken_within_a_round() -> None:
    """A machine that is slow for one round is slow for both sides of that ratio."""
    rounds = [one_round(ours=6000, theirs=60), one_round(ours=3000, theirs=30)]

    found = ratios(rounds, (TEMPOLITE, ONE_STEP), (DBOS, ONE_STEP), "runs_per_s")

    assert found == pytest.approx([100, 100])


def test_a_round_without_one_of_the_sides_gives_no_ratio() -> None:
    """Nothing is compared across rounds, and nothing is divided by what is missing."""
    whole = one_round(ours=6000, theirs=60)
    lacking = {TEMPOLITE: whole[TEMPOLITE]}

    found = ratios([lacking, whole], (TEMPOLITE, ONE_STEP), (DBOS, ONE_STEP), "runs_per_s")

    assert found == pytest.approx([100])


def test_figures_of_a_side_come_round_by_round() -> None:
    """In the order of the rounds, without those in which the side is missing."""
    rounds = [one_round(ours=10, theirs=1), {}, one_round(ours=20, theirs=1)]

    assert figures_of(rounds, TEMPOLITE, ONE_STEP, "runs_per_s") == pytest.approx([10, 20])


def test_what_a_side_writes_is_read_back_equal() -> None:
    """The line of JSON between the processes loses nothing."""
    result = side(measured(TEN_STEPS, rate=50.0, rows=23), measured(IDLE, p50_ms=1.5))

    assert from_json(to_json(result)) == result


def test_jobs_pass_unchanged_to_a_side() -> None:
    """The argument of a side loses nothing either."""
    jobs = trial_jobs(DBOS)

    assert jobs_from_json(jobs_to_json(jobs)) == jobs


def test_figures_are_found_below_other_output() -> None:
    """A library that writes to stdout doesn't spoil the figures."""
    result = side(measured(ONE_STEP))

    assert result_in(f"hello\n{to_json(result)}\nbye\n", DBOS) == result


def test_a_side_without_figures_has_failed() -> None:
    """Silence is an error that shows what came instead."""
    with pytest.raises(SideFailed, match="expected a line of JSON, got 'hello'"):
        result_in("hello\n", DBOS)


def test_rounds_measure_the_way_that_the_trial_found_fastest() -> None:
    """For each workload by itself; one that the trial lacks keeps the first way."""
    trial = side(measured(ONE_STEP, rate=50, mode="calls"), measured(ONE_STEP, rate=60, mode="handles"))

    modes = {job.workload: job.mode for job in round_jobs(DBOS, trial)}

    assert modes[ONE_STEP] == "handles"
    assert modes[TEN_STEPS] == "calls"


def test_both_sides_of_the_targets_have_the_same_runs_in_flight() -> None:
    """The main comparison is like with like: 200 in flight on either side."""
    jobs = [job for name in (TEMPOLITE, DBOS, DBOS_WAL) for job in trial_jobs(name)]

    assert {job.in_flight for job in jobs if job.workload in (TEN_STEPS, ONE_STEP)} == {IN_FLIGHT}


def test_the_floor_inserts_the_rows_that_tempolite_wrote() -> None:
    """The count is Tempolite's own; where it is not known, two rows a step and three a run."""
    counted = floor_jobs(side(measured(TEN_STEPS, rows=21)))
    assumed = floor_jobs(None)

    assert [job.rows_per_run for job in counted] == [21, 5]
    assert [job.rows_per_run for job in assumed] == [23, 5]


def test_targets_are_reached_by_the_median_of_the_rounds() -> None:
    """One bad round is not a miss, two of three are."""
    good, bad = one_round(ours=6000, theirs=60), one_round(ours=600, theirs=60, idle_ms=5)

    assert [reached(Record(rounds=[good, bad, good]), target) for target in TARGETS] == [True] * 3
    assert [reached(Record(rounds=[bad, good, bad]), target) for target in TARGETS] == [False] * 3


def test_a_target_that_was_not_measured_is_neither_reached_nor_missed() -> None:
    """It is said to be unknown."""
    record = Record(rounds=[{FLOOR: side()}])

    assert [reached(record, target) for target in TARGETS] == [None] * 3


def test_the_page_shows_ratios_targets_rates_and_the_command() -> None:
    """Ratio to DBOS, share of the floor, the answer to each target, the machine, and how to do it again."""
    page = report(Record(rounds=[one_round(ours=6000, theirs=60)]), MACHINE, command="python -m the.command")

    assert "**100 x**" in page
    assert "| 10% |" in page
    assert "| 10-step runs, steps/s, times DBOS default | at least 60 | 100 (100 to 100) | yes |" in page
    assert "60,000" in page
    assert "CPython 3.11.0" in page
    assert "python -m the.command" in page


def test_the_page_says_so_when_a_target_is_missed() -> None:
    """A miss stands out."""
    page = report(Record(rounds=[one_round(ours=60, theirs=60, idle_ms=5)]), MACHINE, command="")

    assert page.count("**no**") == len(TARGETS)


def test_the_page_can_be_written_without_any_figures() -> None:
    """A side that was left out leaves gaps, no zeros."""
    page = report(Record(rounds=[{}]), MACHINE, command="")

    assert page.count("not measured |") == len(TARGETS)


def test_every_table_of_the_page_is_rectangular() -> None:
    """Each row has as many cells as the header above it."""
    trial = {name: side(measured(TEN_STEPS), measured(IDLE)) for name in SIDES}
    record = Record(rounds=[one_round(ours=6000, theirs=60)], trial=trial)

    blocks = report(record, MACHINE, command="").split("\n\n")
    tables = [block.splitlines() for block in blocks if block.startswith("|")]

    assert len(tables) == 6
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)


def test_a_round_count_below_one_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is started, exit code 2."""
    with pytest.raises(SystemExit) as ended:
        main(["--rounds", "0"])

    assert ended.value.code == 2
    assert "at least 1 round" in capsys.readouterr().err
