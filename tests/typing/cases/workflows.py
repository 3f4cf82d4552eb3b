"""Starting workflows: roots by ``execute``, children by ``ctx.workflow``."""

from typing import Any, assert_type

from tempolite import (
    AsyncWorkflowContext,
    ChildWorkflowInfo,
    StepInfo,
    Tempolite,
    WorkflowContext,
    WorkflowInfo,
    workflow,
)


def order(ctx: WorkflowContext, number: int, *, express: bool = False) -> str:
    return f"{ctx.workflow_id} {number} {express}"


async def invoice(ctx: AsyncWorkflowContext, number: int) -> float:
    await ctx.sleep("a while", 1)
    return float(number)


@workflow(queue="slow")
def nightly(ctx: WorkflowContext) -> list[int]:
    return [ctx.attempt]


def several(ctx: WorkflowContext) -> None:
    text, number = ctx.workflow("text", order, 1), ctx.workflow("number", invoice, 1)
    assert_type(ctx.wait_all(text), tuple[str])
    assert_type(ctx.wait_all(text, number), tuple[str, float])
    assert_type(ctx.wait_all(text, number, ctx.timer("late", 1)), tuple[str, float, None])
    assert_type(ctx.wait_all(*[text, text]), tuple[str, ...])
    assert_type(ctx.wait_all(text, text, text, text), tuple[str, ...])
    infos: list[StepInfo[object]] = []
    assert_type(ctx.wait_all(*infos), tuple[object, ...])
    ctx.wait_all(text, 1)  # error


async def several_awaited(ctx: AsyncWorkflowContext) -> None:
    text, number = ctx.workflow("text", order, 1), ctx.workflow("number", invoice, 1)
    assert_type(await ctx.wait_all(text, number), tuple[str, float])
    assert_type(await ctx.wait_all(*[number, number]), tuple[float, ...])


def right(tp: Tempolite, ctx: WorkflowContext) -> None:
    assert_type(tp.execute("o-1", order, 1), WorkflowInfo[str])
    assert_type(tp.execute(None, order, 1, express=True).get(timeout=5), str)
    assert_type(tp.execute("i-1", invoice, 1).get(), float)
    assert_type(tp.execute("n-1", nightly).get(), list[int])
    assert_type(tp.execute("o-1", workflow(order, timeout=60), 1).get(), str)
    assert_type(tp.execute_default("o-1", order, 1).get(), str)
    assert_type(tp.execute("o-1", "shop.orders:order", 1), WorkflowInfo[Any])
    assert_type(ctx.workflow("child", order, 1), ChildWorkflowInfo[str])
    assert_type(ctx.workflow("child", invoice, 1).get(), float)
    assert_type(ctx.workflow("child", nightly).get(), list[int])
    assert_type(ctx.workflow("child", workflow(order, detach=True), 1).get(), str)


async def right_async(tp: Tempolite, ctx: AsyncWorkflowContext) -> None:
    assert_type(await tp.aexecute("o-1", order, 1), WorkflowInfo[str])
    assert_type(await (await tp.aexecute("i-1", invoice, 1)), float)
    assert_type(await tp.aexecute("i-1", "shop.orders:invoice", 1), WorkflowInfo[Any])
    assert_type(await tp.execute("o-1", order, 1), str)
    assert_type(await ctx.workflow("child", order, 1), str)
    assert_type(await ctx.workflow("child", invoice, 1), float)


def wrong(tp: Tempolite, ctx: WorkflowContext) -> None:
    tp.execute("o-1", order)  # error
    tp.execute("o-1", order, "one")  # error
    tp.execute("o-1", order, 1, 2)  # error
    tp.execute("o-1", order, 1, express="yes")  # error
    tp.execute(order, 1)  # error
    tp.execute("i-1", invoice, "one")  # error
    tp.execute("n-1", nightly, 1)  # error
    tp.execute("l-1", len, "abc")  # error
    ctx.workflow("child", order)  # error
    ctx.workflow("child", order, "one")  # error
    ctx.workflow("child", invoice, "one")  # error
    ctx.workflow("child", workflow(order, defer=True), "one")  # error
    ctx.workflow("child", len, "abc")  # error


async def wrong_async(tp: Tempolite, ctx: AsyncWorkflowContext) -> None:
    await tp.aexecute("o-1", order, "one")  # error
    await ctx.workflow("child", invoice, "one")  # error
