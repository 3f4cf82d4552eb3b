"""What happens in the world: each of these runs in a worker process and leaves one line in the effect log.

They are plain functions. ``ctx`` is optional; they take it because the effect log wants to know who wrote.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal

from tempolite.activity_context import ActivityContext
from tempolite.cli.demo.effects import leave_effect
from tempolite.cli.demo.orders import CATALOGUE, Order, does_carrier_answer, read_order

INVOICE_ROUNDS = 8_000
"""A few milliseconds of work for a processor."""


class CarrierUnavailable(Exception):
    """The carrier can't be reached; it may be later."""


def validate(ctx: ActivityContext, line: str) -> Order:
    """Reads a line of the batch.

    Raises:
        InvalidOrder: it is no order.
    """
    leave_effect(ctx)
    return read_order(line)


def look_up_price(ctx: ActivityContext, sku: str) -> Decimal:
    """What one piece costs."""
    leave_effect(ctx)
    return CATALOGUE[sku].price


def look_up_stock(ctx: ActivityContext, sku: str) -> int:
    """How many pieces are on the shelf."""
    leave_effect(ctx)
    return CATALOGUE[sku].stock


def print_invoice(ctx: ActivityContext, order: Order, amounts: list[Decimal]) -> str:
    """Draws up the invoice and seals it, which keeps a processor busy; gives its number."""
    text = f"{order.number} {order.customer} {sum(amounts)}"
    seal = hashlib.pbkdf2_hmac("sha256", text.encode(), b"invoice", INVOICE_ROUNDS)
    leave_effect(ctx)
    return f"INV-{seal.hex()[:8]}"


def book_carrier(ctx: ActivityContext, order: Order, tracking: str) -> str:
    """Books a place in a van; now and then nobody answers.

    Raises:
        CarrierUnavailable: not this time.
    """
    leave_effect(ctx, tracking=tracking)
    if not does_carrier_answer(order, ctx.attempt):
        raise CarrierUnavailable(f"no carrier answers for {order.country}")
    return f"{order.country} Parcel"


def hand_over(ctx: ActivityContext, carrier: str, tracking: str) -> None:
    """Gives the parcel to the carrier."""
    leave_effect(ctx, tracking=tracking)


def notify(ctx: ActivityContext, order: Order, carrier: str, tracking: str, invoice: str) -> str:
    """Tells the customer that the parcel is on its way."""
    leave_effect(ctx, tracking=tracking)
    return f"{order.number} delivered to {carrier} as {tracking}, {invoice}"


def reject(ctx: ActivityContext, reason: str) -> str:
    """Tells the shop that there will be no parcel, and why."""
    leave_effect(ctx)
    return f"rejected: {reason}"
