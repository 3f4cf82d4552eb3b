"""What a shop sells, and what a line of its batch must say to be an order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zlib import crc32

UNSERVED_COUNTRY = "AQ"
"""No carrier goes to Antarctica, however often one calls."""

CALLS_MAX = 3
"""How often a carrier is called before an order is given up."""


class InvalidOrder(Exception):
    """The order can't be fulfilled; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Product:
    """Something on the shelf."""

    price: Decimal
    stock: int


@dataclass(frozen=True, slots=True)
class Item:
    """One line of an order."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Order:
    """What a customer wants to have, and where."""

    number: str
    customer: str
    country: str
    items: tuple[Item, ...]


CATALOGUE = {
    "TEA-ASSAM-250": Product(Decimal("8.90"), 900),
    "TEA-EARLGREY-100": Product(Decimal("5.40"), 1200),
    "TEA-GENMAICHA-100": Product(Decimal("7.20"), 340),
    "TEA-SENCHA-500": Product(Decimal("19.80"), 260),
    "COFFEE-HARRAR-250": Product(Decimal("11.50"), 410),
    "COFFEE-HUILA-1000": Product(Decimal("27.00"), 180),
    "CUP-PORCELAIN-2": Product(Decimal("14.00"), 75),
    "KETTLE-GOOSENECK": Product(Decimal("64.90"), 22),
    "POT-IRON-1200": Product(Decimal("89.00"), 1),
    "SCALE-POCKET": Product(Decimal("23.50"), 60),
    "STRAINER-FINE": Product(Decimal("6.75"), 310),
    "TIN-CEDAR": Product(Decimal("17.30"), 95),
}


def read_order(line: str) -> Order:
    """The order that a line of the batch holds.

    Raises:
        InvalidOrder: there is none in it.
    """
    try:
        fields = json.loads(line)
    except ValueError:
        raise InvalidOrder("not JSON") from None
    number, customer = _field(fields, "number"), _field(fields, "customer")
    country, items = _field(fields, "country"), _field(fields, "items")
    if "@" not in str(customer):
        raise InvalidOrder("customer is no e-mail address")
    if not isinstance(items, list) or not items:
        raise InvalidOrder("no items")
    return Order(number, customer, country, tuple(_item(each) for each in items))


def missing_items(order: Order) -> list[str]:
    """Which of its products are not on the shelf in that number."""
    return [item.sku for item in order.items if CATALOGUE[item.sku].stock < item.quantity]


def does_carrier_answer(order: Order, attempt: int) -> bool:
    """The carrier's moods: every sixth order takes a second call, some of these one more.

    They depend on nothing but the order and the attempt, so that whoever judges can foresee them.
    """
    if order.country == UNSERVED_COUNTRY:
        return False
    mood = crc32(order.number.encode())
    calls_needed = CALLS_MAX if mood % 30 == 0 else 2 if mood % 6 == 0 else 1
    return attempt >= calls_needed


def _item(fields: Any) -> Item:
    sku, quantity = _field(fields, "sku"), _field(fields, "quantity")
    if str(sku) not in CATALOGUE:
        raise InvalidOrder("unknown SKU")
    if type(quantity) is not int or quantity < 1:
        raise InvalidOrder("quantity is not a whole number from 1")
    return Item(sku, quantity)


def _field(fields: Any, name: str) -> Any:
    if not isinstance(fields, dict) or name not in fields:
        raise InvalidOrder(f"no field {name!r}")
    return fields[name]
