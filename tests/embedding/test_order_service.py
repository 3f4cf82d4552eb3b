"""``examples/order_service``, served by uvicorn: ended and killed in the middle, it loses no order."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedding.order_client import OrderService
from tests.engine.waiting import wait_until

PACE_S = 1.0
"""Of a booking in the life that is cut short: so long that four of them are surely not over by then."""
DELIVERED = ("charged", "reserved", "shipped")
UNDONE = ("charged", "refunded", "released", "reserved")
ORDERS = [f"order-{number}" for number in range(6)]


@pytest.fixture
def service(nothing_left: None, tmp_path: Path) -> Iterator[OrderService]:
    service = OrderService(tmp_path)
    yield service
    service.close()


def booked(delivered: list[str], undone: list[str]) -> list[str]:
    """What must have happened, each of it once."""
    names = [f"{id}.{what}" for id in delivered for what in DELIVERED]
    return sorted([*names, *(f"{id}.{what}" for id in undone for what in UNDONE)])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_every_order_ends_though_the_service_is_ended_in_the_middle(
    service: OrderService, number: signal.Signals
) -> None:
    """Drained or killed, started again: each order ends, and each booking was made once."""
    service.start(pace_s=PACE_S)
    assert [service.order(id) for id in ORDERS] == [202] * 6
    assert service.order("rare", item="unicorn") == 202
    assert [service.approve(id) for id in (*ORDERS[:3], "rare")] == [202] * 4
    service.wait_for_booking(f"{ORDERS[0]}.reserved")

    begun = service.bookings()
    ended = service.end(number)
    service.start()

    assert ended in ((0, -signal.SIGTERM) if number == signal.SIGTERM else (-signal.SIGKILL,))
    assert begun != booked(ORDERS[:3], ["rare"])
    assert service.approve(ORDERS[5], approved=False) == 202
    assert [service.approve(id) for id in ORDERS[3:5]] == [202] * 2
    assert [service.ended(id) for id in ORDERS] == ["shipped"] * 5 + ["rejected by ann"]
    assert service.ended("rare") == "undone: no carrier takes a unicorn"
    assert service.bookings() == booked(ORDERS[:5], ["rare"])
    refused_and_unknown_requests(service)


def refused_and_unknown_requests(service: OrderService) -> None:
    """What a client can do wrong, asked of a service that has ended orders."""
    good = {"id": "a-1", "item": "cup", "quantity": 1, "cents": 300}

    wrong = [{**good, "quantity": 0}, {**good, "id": "../x"}, {"id": "a-1"}, {**good, "more": 1}, [good]]
    assert [service.ask("POST", "/orders", body)[0] for body in wrong] == [422] * 5
    assert service.ask("POST", "/orders", b"no json")[0] == 400
    assert service.ask("GET", "/orders/a-1")[0] == 404
    assert service.approve("a-1") == 404
    assert service.ask("POST", f"/orders/{ORDERS[0]}/approval", {"approved": "yes"})[0] == 422
    assert service.approve(ORDERS[0]) == 409
    # Posted again: the order that there is, and nothing is booked anew.
    assert service.order(ORDERS[0]) == 202
    assert service.show(ORDERS[0])["result"] == "shipped"


def test_when_the_owner_of_several_workers_is_killed_another_takes_over(service: OrderService) -> None:
    """Nothing that was answered is lost, and requests are served as soon as there is another owner."""
    service.start(workers=4, pace_s=0.05)
    assert [service.order(id) for id in ORDERS] == [202] * 6
    assert [service.approve(id) for id in ORDERS[:3]] == [202] * 3
    service.wait_for_booking(f"{ORDERS[0]}.reserved")

    killed = service.kill_owner()
    wait_until(lambda: service.owner() not in (0, killed))

    assert [service.approve(id) for id in ORDERS[3:]] == [202] * 3
    assert [service.ended(id) for id in ORDERS] == ["shipped"] * 6
    assert service.bookings() == booked(ORDERS, [])
    assert service.end(signal.SIGTERM) in (0, -signal.SIGTERM)
    assert "Traceback" not in service.log(), service.log()
