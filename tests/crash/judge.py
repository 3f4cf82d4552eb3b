"""Holds the logs against the plan: did every acknowledged run finish, and did anything recorded run again?

The rules, for each run:

1. Everything of the plan happened, and nothing else did.
2. A stage began only after the one before had ended.
3. Nothing of a stage began again after a later stage had begun: that one's effects prove that the outcome
   was recorded, and what is recorded never runs again.
4. Within a stage something may have happened twice only if the program was killed in between: that is the
   "at least once" of activities. Such repeats are counted.
5. No step was under way in two processes at the same time.
6. All attempts of a step carry one idempotency key, and no two steps share one.
7. What a side effect drew is what every later step works on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.crash.logs import Effect

Plan = Sequence[frozenset[str]]
"""Stages in their order; each is a set of units, ``step attempt``."""


@dataclass
class Verdict:
    """What the judge found.

    Attributes:
        problems: what must not be, as sentences; empty if all is well.
        repeats: units that were rightly done again.
        finished: runs that came to their end.
    """

    problems: list[str] = field(default_factory=list)
    repeats: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)


def judge(plan: Plan, acknowledged: Iterable[str], effects: Iterable[Effect]) -> Verdict:
    """Says what is wrong in the logs, given what must happen to each run."""
    verdict = Verdict()
    of_run: defaultdict[str, list[Effect]] = defaultdict(list)
    for effect in effects:
        of_run[effect.run].append(effect)
    for run in acknowledged:
        _Trial(run, plan, verdict).hear(of_run.pop(run, []))
    verdict.problems += [f"{run}: it has effects, and was never executed" for run in of_run]
    return verdict


class _Trial:
    """The case of one run."""

    def __init__(self, run: str, plan: Plan, verdict: Verdict) -> None:
        self._run, self._plan, self._verdict = run, plan, verdict
        self._stage_of = {unit: number for number, units in enumerate(plan) for unit in units}
        self._stage = 0
        self._witness = ""
        self._begun: dict[str, Effect] = {}
        self._ended: set[str] = set()
        self._drawn = ""
        self._keys: defaultdict[str, set[str]] = defaultdict(set)

    def hear(self, effects: list[Effect]) -> None:
        """Takes the run's effects, oldest first."""
        before = len(self._verdict.problems)
        for effect in effects:
            self._weigh(effect)
        self._check_end()
        self._check_keys()
        if len(self._verdict.problems) == before:
            self._verdict.finished.append(self._run)

    def _weigh(self, effect: Effect) -> None:
        unit = effect.unit
        stage = self._stage_of.get(unit)
        if stage is None:
            self._object(f"{unit!r} is not in the plan")
        elif effect.kind == "overlap":
            self._object(f"{unit!r} was still under way in another process when {effect.pid} began it")
        elif effect.kind == "begin":
            self._weigh_begin(effect, stage)
        else:
            if effect.is_side_effect:
                self._weigh_begin(effect, stage)
            self._ended.add(unit)

    def _weigh_begin(self, effect: Effect, stage: int) -> None:
        unit, first = effect.unit, self._begun.get(effect.unit)
        self._keys[effect.step].add(effect.key)
        if stage > self._stage:
            self._begin_stage(stage, unit)
        elif stage < self._stage:
            self._object(f"{unit!r} ran again after {self._witness!r}, which proves that it was recorded")
        elif first is not None and first.life == effect.life:
            self._object(f"{unit!r} ran twice in life {effect.life}, in which nothing died")
        elif first is not None:
            self._verdict.repeats.append(f"{self._run} {unit}")
        self._check_drawn(effect)
        self._begun[unit] = effect

    def _begin_stage(self, stage: int, unit: str) -> None:
        earlier: frozenset[str] = frozenset().union(*self._plan[:stage])
        for lacking in sorted(earlier - self._ended):
            self._object(f"{unit!r} began before {lacking!r} had ended")
        self._stage, self._witness = stage, unit

    def _check_drawn(self, effect: Effect) -> None:
        if effect.is_side_effect:
            self._drawn = effect.value
        elif effect.value and self._drawn not in effect.value:
            self._object(f"{effect.unit!r} worked on {effect.value!r}, but {self._drawn!r} was drawn")

    def _check_end(self) -> None:
        for unit in sorted(self._stage_of.keys() - self._ended):
            self._object(f"{unit!r} never happened")

    def _check_keys(self) -> None:
        for step, keys in self._keys.items():
            if len(keys) > 1:
                self._object(f"attempts of {step!r} carry different keys: {sorted(keys)}")
        shared = [key for keys in self._keys.values() for key in keys if key]
        if len(set(shared)) < len(shared):
            self._object("two steps share an idempotency key")

    def _object(self, problem: str) -> None:
        self._verdict.problems.append(f"{self._run}: {problem}")


def stages(*units: Iterable[str]) -> Plan:
    """A plan from texts."""
    return [frozenset(stage) for stage in units]
