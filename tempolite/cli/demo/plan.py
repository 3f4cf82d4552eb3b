"""What must happen to an order, derived from its line alone: the measure that the judge applies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tempolite.cli.demo.orders import (
    CALLS_MAX,
    InvalidOrder,
    Order,
    does_carrier_answer,
    missing_items,
    read_order,
)

DELIVERED = "delivered"
REJECTED = "rejected"
FAILED = "failed"


class Unit(NamedTuple):
    """The smallest thing whose outcome the engine records: one attempt of a step."""

    step: str
    attempt: int = 1

    def __str__(self) -> str:
        return f"{self.step!r}" if self.attempt == 1 else f"{self.step!r} (attempt {self.attempt})"


Stage = frozenset[Unit]


@dataclass(frozen=True, slots=True)
class Plan:
    """What must happen to an order.

    Attributes:
        ending: ``delivered``, ``rejected`` or ``failed``.
        reason: why it was not delivered.
        stages: units of one stage may come in any order. A stage begins when all outcomes of the one
            before are recorded, so its first effect proves these records.
    """

    ending: str
    reason: str
    stages: tuple[Stage, ...]

    @property
    def units(self) -> frozenset[Unit]:
        """Everything that has to happen."""
        return frozenset().union(*self.stages)


def plan_for(line: str) -> Plan:
    """What must happen to the order that stands, or ought to stand, in this line."""
    begin = _stage("validate")
    try:
        order = read_order(line)
    except InvalidOrder as problem:
        return Plan(REJECTED, str(problem), (begin, _stage("reject")))
    look_up = _stage(*(f"{what} {item.sku}" for item in order.items for what in ("price", "stock")))
    if missing_items(order):
        return Plan(REJECTED, "out of stock", (begin, look_up, _stage("reject")))
    bookings, is_booked = _bookings(order)
    stages = (begin, look_up, _stage("invoice"), *bookings)
    if not is_booked:
        return Plan(FAILED, f"no carrier goes to {order.country}", stages)
    return Plan(DELIVERED, "", (*stages, _stage("hand over"), _stage("notify")))


def _stage(*steps: str) -> Stage:
    return frozenset(Unit(step) for step in steps)


def _bookings(order: Order) -> tuple[list[Stage], bool]:
    """A stage for each call to the carrier: the next is made only when the one before is on record."""
    stages = []
    for attempt in range(1, CALLS_MAX + 1):
        stages.append(frozenset({Unit("book carrier", attempt)}))
        if does_carrier_answer(order, attempt):
            return stages, True
    return stages, False
