"""Figures that sides measured, and the medians, choices and ratios drawn from them.

Pure: no clock, no file, no process. Ratios are taken within a round and the median is taken over the rounds,
so that a machine that is slow for a minute is slow for both sides of a ratio.
"""

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One load for one side: `runs` runs of `steps` steps, `in_flight` at once, called as `mode` says."""

    workload: str
    mode: str
    in_flight: int
    steps: int
    runs: int
    pause_s: float = 0.0
    rows_per_run: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What a side measured for a job; the latencies are those from start to result of single runs."""

    job: Job
    seconds: float
    p50_ms: float
    p99_ms: float
    rows_per_run: int = 0

    @property
    def runs_per_s(self) -> float:
        """Finished runs a second."""
        return self.job.runs / self.seconds

    @property
    def steps_per_s(self) -> float:
        """Finished steps a second."""
        return self.runs_per_s * self.job.steps

    @property
    def rows_per_s(self) -> float:
        """Event rows a second; 0 where the side does not know how many it wrote."""
        return self.runs_per_s * self.rows_per_run


@dataclass(frozen=True, slots=True, kw_only=True)
class SideResult:
    """All that one process of a side reported."""

    configuration: Mapping[str, str]
    measurements: Sequence[Measurement] = field(default=())

    def of(self, workload: str) -> Measurement | None:
        """The fastest measurement of that workload, None where the side has none."""
        return fastest(self.measurements, workload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median of several rounds, with the lowest and the highest."""

    low: float
    median: float
    high: float


Round = Mapping[str, SideResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything that one call of the benchmarks measured."""

    rounds: Sequence[Round]
    trial: Round = field(default_factory=dict)
    seconds: float = 0.0


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least `share` of all samples do not exceed (nearest rank)."""
    if not samples:
        raise ValueError("a percentile needs at least one sample, got none")
    rank = math.ceil(share * len(samples))

    return sorted(samples)[max(rank, 1) - 1]


def fastest(measurements: Iterable[Measurement], workload: str) -> Measurement | None:
    """The best way to run a workload: by latency when runs come one at a time with pauses, else by rate."""
    matching = [found for found in measurements if found.job.workload == workload]

    return min(matching, key=_slowness, default=None)


def spread(values: Sequence[float]) -> Spread | None:
    """Lowest, median and highest; None when nothing was measured."""
    if not values:
        return None

    return Spread(low=min(values), median=statistics.median(values), high=max(values))


def figures_of(rounds: Sequence[Round], side: str, workload: str, figure: str) -> list[float]:
    """One figure (the name of a `Measurement` attribute) of a side, round by round."""
    measured = [found.of(workload) for each in rounds if (found := each.get(side))]

    return [float(getattr(one, figure)) for one in measured if one is not None]


def ratios(
    rounds: Sequence[Round], above: tuple[str, str], below: tuple[str, str], figure: str
) -> list[float]:
    """`above` / `below`, each a side and its workload, taken within every round that has both."""
    found: list[float] = []
    for each in rounds:
        over = figures_of([each], *above, figure)
        under = figures_of([each], *below, figure)
        if over and under and under[0] > 0:
            found.append(over[0] / under[0])

    return found


def to_json(result: SideResult) -> str:
    """One line, the last that a side writes."""
    return json.dumps(
        {
            "configuration": dict(result.configuration),
            "measurements": [asdict(one) for one in result.measurements],
        }
    )


def from_json(line: str) -> SideResult:
    """The other end of `to_json`."""
    document: dict[str, Any] = json.loads(line)

    return SideResult(
        configuration=document["configuration"],
        measurements=tuple(
            Measurement(**{**one, "job": Job(**one["job"])}) for one in document["measurements"]
        ),
    )


def jobs_to_json(jobs: Sequence[Job]) -> str:
    """Jobs as the argument that a side takes."""
    return json.dumps([asdict(job) for job in jobs])


def jobs_from_json(text: str) -> list[Job]:
    """The other end of `jobs_to_json`."""
    return [Job(**one) for one in json.loads(text)]


def _slowness(measurement: Measurement) -> float:
    return measurement.p50_ms if measurement.job.pause_s else -measurement.runs_per_s
