"""What the service does: an order waits for its approval, then a saga reserves, charges and ships.

The warehouse, the bank and the carrier are a folder: each booking is a file, written once for its
idempotency key, so that whoever counts the files sees what really happened, and how often.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from tempolite import Saga, SagaCompensated, TransactionContext, WorkflowContext, workflow
from tempolite.saga_context import SagaContext

FOLDER = Path(os.environ.get("ORDERS_FOLDER", "."))
PACE_S = float(os.environ.get("ORDERS_PACE", "0"))
"""How long each booking takes."""

APPROVAL_S = 7 * 24 * 3600
SIGNAL = "approval"


class Order(Struct, frozen=True, forbid_unknown_fields=True):
    """What a customer sends."""

    id: Annotated[str, Meta(pattern="^[a-z0-9-]{1,40}$")]
    item: Annotated[str, Meta(min_length=1, max_length=80)]
    quantity: Annotated[int, Meta(ge=1, le=100)]
    cents: Annotated[int, Meta(ge=1)]


class Approval(Struct, frozen=True, forbid_unknown_fields=True):
    """What a person says to it."""

    approved: bool
    by: Annotated[str, Meta(min_length=1, max_length=40)]


def book(tx: SagaContext, order: Order, what: str) -> str:
    """Books it once, however often it is tried."""
    threading.Event().wait(PACE_S)
    booking = FOLDER / "bookings" / f"{order.id}.{what}"
    booking.parent.mkdir(exist_ok=True)
    try:
        with booking.open("x") as file:
            file.write(tx.idempotency_key)
    except FileExistsError:
        if booking.read_text() not in ("", tx.idempotency_key):
            raise RuntimeError(f"{what} of {order.id} was booked by somebody else") from None
        booking.write_text(tx.idempotency_key)
    tx.logger.info("%s %s", what, order.id)
    return booking.name


def reserve(tx: TransactionContext, order: Order) -> str:
    return book(tx, order, "reserved")


def release(tx: SagaContext, order: Order) -> str:
    return book(tx, order, "released")


def charge(tx: TransactionContext, order: Order) -> str:
    return book(tx, order, "charged")


def refund(tx: SagaContext, order: Order) -> str:
    return book(tx, order, "refunded")


def ship(tx: TransactionContext, order: Order) -> str:
    if order.item == "unicorn":
        raise LookupError("no carrier takes a unicorn")
    return book(tx, order, "shipped")


@workflow(name="process_order")
def process_order(ctx: WorkflowContext, order: Order) -> str:
    """An order's whole life; gives how it ended."""
    ctx.set_status("waiting for approval", progress=0.0)
    try:
        approval = ctx.signal(SIGNAL, Approval).get(timeout=APPROVAL_S)
    except TimeoutError:
        return "expired"
    if not approval.approved:
        return f"rejected by {approval.by}"
    ctx.set_status("on its way", progress=0.3)
    saga = Saga()
    saga.add(reserve, release, args=(order,))
    saga.add(charge, refund, args=(order,))
    saga.add(ship, args=(order,))
    try:
        ctx.saga("delivery", saga).get()
    except SagaCompensated as undone:
        return f"undone: {undone.__cause__}"
    ctx.set_status("shipped", progress=1.0)
    return "shipped"
