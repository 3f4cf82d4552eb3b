"""Workflows that owners and clients know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tempolite import WorkflowContext, workflow


@dataclass(frozen=True)
class Order:
    """A value of the user's."""

    number: int
    lines: tuple[str, ...]


class Declined(Exception):
    """An error of the user's, with more than a text."""

    def __init__(self, order: Order, reason: str) -> None:
        super().__init__(order, reason)
        self.order = order


def double(ctx: WorkflowContext, number: int) -> int:
    return number * 2


def echo(ctx: WorkflowContext, value: Any, *, again: Any = None) -> Any:
    return value, again


def failing(ctx: WorkflowContext, order: Order) -> None:
    raise Declined(order, "no money")


def listening(ctx: WorkflowContext) -> list[Any]:
    got: list[Any] = []
    ctx.on_query("got", lambda: list(got))
    ctx.on_update("add", lambda value: got.append(value) or len(got), validator=refuse_none)
    got.append(ctx.signal("go").get())
    return got


def refuse_none(value: Any) -> None:
    if value is None:
        raise Declined(Order(0, ()), "nothing")


def parent(ctx: WorkflowContext) -> int:
    return ctx.workflow("child", double, 4).get() + ctx.workflow("other", double, 5).get()


def stepping(ctx: WorkflowContext) -> list[int]:
    return [ctx.activity("one", one).get(), ctx.activity("two", one).get()]


def sleeping(ctx: WorkflowContext) -> None:
    ctx.sleep("long", 3_600)


def one() -> int:
    return 1


@workflow(name="orders.double", queue="held", priority=7)
def declared(ctx: WorkflowContext, number: int) -> int:
    return number * 2


def unknown(ctx: WorkflowContext) -> None:
    """No owner knows it."""


KNOWN = [double, echo, failing, listening, parent, sleeping, stepping, declared]
