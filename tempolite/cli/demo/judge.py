"""Holds the effect log against the batch: did every order end as it must, and did anything run twice?

The judge knows the effect log and the input file, and asks nothing of the engine. Its rules:

1. Every unit of an order's plan happened, and nothing else did.
2. A stage began only after the one before was complete.
3. Nothing of a stage happened again after a later stage had begun: that one's effects prove that its
   outcome was recorded, and what is recorded never runs again.
4. Within a stage something may have happened twice only if the process that did it first was killed. That is
   the "at least once" of activities: work in flight at a kill is done again. Such repeats are counted.
5. All attempts of a step carry the same idempotency key, no two steps of an order share one, and an order
   keeps its tracking number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tempolite.cli.demo.effects import Effect, Kill
from tempolite.cli.demo.plan import Plan, Unit


@dataclass(frozen=True, slots=True)
class Repeat:
    """Work in flight at a kill that was done again, as it may be."""

    order: str
    unit: Unit


@dataclass(slots=True)
class Verdict:
    """What the judge found.

    Attributes:
        problems: what must not be, as sentences that begin with the order's id; empty if all is well.
        repeats: what was rightly done again.
        ended: orders that came to the end that their plans ask for.
    """

    problems: list[str] = field(default_factory=list)
    repeats: list[Repeat] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)


def judge(plans: Mapping[str, Plan], entries: Iterable[Effect | Kill]) -> Verdict:
    """Says what is wrong in an effect log, given what must happen to each order."""
    verdict = Verdict()
    effects: defaultdict[str, list[Effect]] = defaultdict(list)
    kills = []
    for entry in entries:
        if isinstance(entry, Kill):
            kills.append(entry)
        else:
            effects[entry.order].append(entry)
    for order, plan in plans.items():
        _Trial(order, plan, kills, verdict).hear(effects.pop(order, []))
    verdict.problems += [f"{order}: no such order in the batch" for order in effects]
    return verdict


class _Trial:
    """The case of one order."""

    def __init__(self, order: str, plan: Plan, kills: Iterable[Kill], verdict: Verdict) -> None:
        self._order, self._plan, self._verdict = order, plan, verdict
        self._stage_of = {unit: number for number, stage in enumerate(plan.stages) for unit in stage}
        self._dead_workers = {kill.pid for kill in kills if kill.process == "worker"}
        self._dead_engines = {kill.engine for kill in kills if kill.process == "engine"}
        self._stage = 0
        self._witness = Unit("")
        """What began the stage, and so proves the records of those before."""
        self._last: dict[Unit, Effect] = {}

    def hear(self, effects: list[Effect]) -> None:
        """Takes an order's effects, oldest first."""
        problems_before = len(self._verdict.problems)
        for effect in effects:
            self._weigh(Unit(effect.step, effect.attempt), effect)
        self._check_completeness()
        self._check_names(effects)
        if len(self._verdict.problems) == problems_before:
            self._verdict.ended.append(self._order)

    def _weigh(self, unit: Unit, effect: Effect) -> None:
        stage = self._stage_of.get(unit)
        if stage is None:
            self._object(f"{unit} ran, which an order that must end as {self._plan.ending} has no use for")
            return
        if stage > self._stage:
            self._begin(stage, unit)
        elif unit in self._last:
            self._weigh_repeat(unit, stage, effect)
        self._last[unit] = effect

    def _begin(self, stage: int, unit: Unit) -> None:
        lacking = frozenset().union(*self._plan.stages[:stage]) - self._last.keys()
        for earlier in sorted(lacking):
            self._object(f"{unit} ran before {earlier}, which it builds upon")
        self._stage, self._witness = stage, unit

    def _weigh_repeat(self, unit: Unit, stage: int, effect: Effect) -> None:
        first = self._last[unit]
        was_killed = (first.pid in self._dead_workers and effect.pid != first.pid) or (
            first.engine in self._dead_engines and effect.engine > first.engine
        )
        if stage < self._stage:
            self._object(f"{unit} ran again after {self._witness}, which proves that it was recorded")
        elif not was_killed:
            self._object(f"{unit} ran twice, though process {first.pid}, which ran it first, was not killed")
        else:
            self._verdict.repeats.append(Repeat(self._order, unit))

    def _check_completeness(self) -> None:
        for unit in sorted(self._plan.units - self._last.keys()):
            self._object(f"{unit} never ran; the order must end as {self._plan.ending}")

    def _check_names(self, effects: list[Effect]) -> None:
        keys = {(effect.step, effect.key) for effect in effects}
        if len({step for step, _ in keys}) < len(keys):
            self._object("the attempts of a step carry different idempotency keys")
        if len({key for _, key in keys}) < len(keys):
            self._object("two steps share an idempotency key")
        trackings = sorted({effect.tracking for effect in effects if effect.tracking})
        if len(trackings) > 1:
            self._object(f"the tracking number changed: {', '.join(trackings)}")

    def _object(self, problem: str) -> None:
        self._verdict.problems.append(f"{self._order}: {problem}")
