"""How an order is fulfilled. It reads as if nothing could ever go wrong; that is what durable means.

Kill the process at any line, start it again: the code goes on from there, and no recorded step runs twice.
"""

from __future__ import annotations

import secrets

from tempolite import RetryPolicy, WorkflowContext, activity
from tempolite.cli.demo.activities import (
    book_carrier,
    hand_over,
    look_up_price,
    look_up_stock,
    notify,
    print_invoice,
    reject,
    validate,
)
from tempolite.cli.demo.orders import CALLS_MAX, InvalidOrder, Order

PATIENCE = RetryPolicy(max_attempts=CALLS_MAX, initial_interval=0.05)


def fulfil(ctx: WorkflowContext, line: str) -> str:
    """One order, from a line of the batch to a parcel on its way."""
    try:
        order = ctx.activity("validate", validate, line).get()
    except InvalidOrder as problem:
        return ctx.activity("reject", reject, str(problem)).get()

    # All look-ups are under way at once; each get() waits for its own.
    prices = [ctx.activity(f"price {item.sku}", look_up_price, item.sku) for item in order.items]
    stocks = [ctx.activity(f"stock {item.sku}", look_up_stock, item.sku) for item in order.items]
    amounts = [item.quantity * price.get() for item, price in zip(order.items, prices, strict=True)]
    is_missing = [item.quantity > stock.get() for item, stock in zip(order.items, stocks, strict=True)]
    if any(is_missing):
        return ctx.activity("reject", reject, "out of stock").get()

    invoice = ctx.activity("invoice", print_invoice, order, amounts).get()
    tracking = ctx.side_effect("tracking number", new_tracking_number).get()
    carrier = ctx.workflow("shipping", ship, order, tracking).get()
    return ctx.activity("notify", notify, order, carrier, tracking, invoice).get()


def ship(ctx: WorkflowContext, order: Order, tracking: str) -> str:
    """The child workflow of an order; it ends with the parcel in the carrier's hands."""
    carrier = ctx.activity("book carrier", activity(book_carrier, retry=PATIENCE), order, tracking).get()
    ctx.activity("hand over", hand_over, carrier, tracking).get()
    return carrier


def new_tracking_number() -> str:
    """Another one at each call: only its record keeps it the same after a crash."""
    return f"TP-{secrets.token_hex(5).upper()}"
