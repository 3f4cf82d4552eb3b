"""Activities: functions, coroutines, methods and objects, with and without ``ActivityContext``."""

from asyncio import wait_for
from typing import assert_type

from tempolite import (
    ActivityContext,
    ActivityInfo,
    AsyncWorkflowContext,
    RetryPolicy,
    SideEffectInfo,
    WorkflowContext,
    activity,
)


def price(sku: str, count: int = 1) -> float:
    return 1.5 * count + len(sku)


async def fetch(url: str) -> bytes:
    return url.encode()


def charge(ctx: ActivityContext, amount: int, *, currency: str = "EUR") -> tuple[int, str]:
    ctx.heartbeat(amount)
    return amount, currency


async def upload(ctx: ActivityContext, data: bytes) -> int:
    ctx.progress(1, len(data))
    return len(data)


@activity(retry=RetryPolicy(max_attempts=3), timeout=30)
def ship(order: str) -> bool:
    return bool(order)


@activity
async def track(ctx: ActivityContext, parcel: str) -> str:
    return f"{ctx.step}: {parcel}"


class Multiply:
    def __init__(self, by: int) -> None:
        self.by = by

    def run(self, number: int) -> int:
        return number * self.by


def right(ctx: WorkflowContext) -> None:
    assert_type(ctx.activity("price", price, "a"), ActivityInfo[float])
    assert_type(ctx.activity("price", price, "a", count=2).get(), float)
    assert_type(ctx.activity("fetch", fetch, "http://…").get(), bytes)
    assert_type(ctx.activity("charge", charge, 5, currency="USD").get(timeout=5), tuple[int, str])
    assert_type(ctx.activity("upload", upload, b"").get(), int)
    assert_type(ctx.activity("ship", ship, "o-1").get(), bool)
    assert_type(ctx.activity("ship", ship.options(timeout=5), "o-1").get(), bool)
    assert_type(ctx.activity("ship", activity(price, queue="gpu"), "o-1").get(), float)
    assert_type(ctx.activity("track", track, "p-1").get(), str)
    assert_type(ctx.activity("object", Multiply(by=2), 21).get(), int)
    assert_type(ctx.activity("method", Multiply(by=2).run, 21).get(), int)
    assert_type(ctx.activity("builtin", len, "abc").get(), int)
    assert_type(ctx.side_effect("dice", lambda: 6), SideEffectInfo[int])
    amount, currency = ctx.activity("charge", charge, 5).get()
    assert_type(amount, int)
    assert_type(currency, str)


async def right_async(ctx: AsyncWorkflowContext) -> None:
    assert_type(await ctx.activity("price", price, "a"), float)
    assert_type(await wait_for(ctx.activity("fetch", fetch, "http://…"), 5), bytes)
    assert_type(await ctx.activity("charge", charge, 5), tuple[int, str])
    assert_type(await ctx.activity("track", track, "p-1"), str)
    assert_type(await ctx.activity("object", Multiply(by=2), 21), int)
    assert_type(await ctx.side_effect("dice", lambda: 6), int)


def wrong(ctx: WorkflowContext) -> None:
    ctx.activity("price", price)  # error
    ctx.activity("price", price, 5)  # error
    ctx.activity("price", price, "a", "b")  # error
    ctx.activity("price", price, "a", colour="red")  # error
    ctx.activity("fetch", fetch, 5)  # error
    ctx.activity("charge", charge)  # error
    ctx.activity("charge", charge, "much")  # error
    ctx.activity("charge", charge, 5, currency=7)  # error
    ctx.activity("upload", upload, "text")  # error
    ctx.activity("ship", ship, 5)  # error
    ctx.activity("ship", ship.options(timeout=5), 5)  # error
    ctx.activity("ship", activity(price, timeout=5), 5)  # error
    ctx.activity("track", track, 5)  # error
    ctx.activity("object", Multiply(by=2), "many")  # error
    ctx.activity("method", Multiply(by=2).run, "many")  # error
    ctx.activity(price, "a")  # error
    ctx.activity("called", price("a"))  # error
    ctx.side_effect("dice", price)  # error
    ctx.activity("price", price, "a").get(timeout="long")  # error


async def wrong_async(ctx: AsyncWorkflowContext) -> None:
    await ctx.activity("price", price, 5)  # error
    await ctx.activity("upload", upload, "text")  # error
    await ctx.activity("track", track)  # error
