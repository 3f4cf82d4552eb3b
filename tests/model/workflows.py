"""Workflow functions whose behaviour the model knows: they follow a script that a test draws."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tempolite import (
    ActivityContext,
    AsyncWorkflowContext,
    RetryPolicy,
    WorkflowContext,
    activity,
    workflow,
)
from tests.model.model import ATTEMPTS_MAX, CLEANUP, RETRY_S, Op

RETRY = RetryPolicy(max_attempts=ATTEMPTS_MAX, initial_interval=RETRY_S, backoff=1.0, jitter=False)
"""Of every activity."""

CHILD_OPTIONS: dict[str, dict[str, Any]] = {
    "wait": {},
    "defer": {"defer": True},
    "drop": {"on_parent_close": "cancel"},
    "leave": {"on_parent_close": "abandon"},
    "detach": {"detach": True},
}


class Outside:
    """What lies beyond the engine and survives it.

    Attributes:
        effects: how often each activity had its effect, by run and step.
        newest: the latest version of the code.
    """

    def __init__(self) -> None:
        self.effects: Counter[tuple[str, int, str]] = Counter()
        self.newest = 1


OUTSIDE = Outside()


@activity(retry=RETRY)
def act(ctx: ActivityContext, run: int, fails: int) -> str:
    """Fails so many times, then has its effect."""
    if ctx.attempt <= fails:
        raise OSError("busy")
    OUTSIDE.effects[ctx.workflow_id, run, ctx.step] += 1
    return "did"


def other(ctx: WorkflowContext) -> None:
    """Another function than the one that a run was started with."""


def scripted(
    ctx: WorkflowContext, script: tuple[Op, ...], got: tuple[Any, ...] = (), added: int = 0
) -> tuple[Any, ...]:
    """Does what its script says, and gives what each step came to."""
    told, total = list(got), [added]
    ctx.on_query("look", lambda: (tuple(told), total[0]))
    ctx.on_update("add", lambda amount: _add(total, amount), validator=_check_amount)
    cleans = False
    try:
        for place, op in enumerate(script):
            cleans = cleans or op == CLEANUP
            if op[0] == "new":
                ctx.continue_as_new(script[place + 1 :], (*told, "new"), total[0])
            told.append(_do(ctx, op, f"{ctx.workflow_id}/{len(told)}", total))
    finally:
        if cleans:
            ctx.activity("cleanup", act, ctx.run, 0).get()
    return tuple(told)


def _do(ctx: WorkflowContext, op: Op, child: str, total: list[int]) -> Any:
    match op:
        case ("take", name):
            return ctx.signal(name).get()
        case ("any", name, seconds):
            info = ctx.signal(name)
            return None if ctx.wait_any(info, timeout=seconds) is None else info.get()
        case ("sleep", seconds):
            ctx.sleep("sleep", seconds)
            return "slept"
        case ("act", fails):
            return ctx.activity("act", act, ctx.run, fails).get()
        case ("until", amount, *limit):
            return ctx.wait_until("until", lambda: total[0] >= amount, timeout=limit[0] if limit else None)
        case ("version",):
            return ctx.get_version("change", 1, OUTSIDE.newest)
        case ("child", mode, script):
            info = ctx.workflow("child", workflow(scripted, id=child, **CHILD_OPTIONS[mode]), script)
            return info.get() if mode in ("wait", "defer") else child
        case _:
            return op[0]


async def scripted_async(
    ctx: AsyncWorkflowContext, script: tuple[Op, ...], got: tuple[Any, ...] = (), added: int = 0
) -> tuple[Any, ...]:
    """The same, awaited; its children are of the other kind."""
    told, total = list(got), [added]
    ctx.on_query("look", lambda: (tuple(told), total[0]))
    ctx.on_update("add", lambda amount: _add(total, amount), validator=_check_amount)
    cleans = False
    try:
        for place, op in enumerate(script):
            cleans = cleans or op == CLEANUP
            if op[0] == "new":
                ctx.continue_as_new(script[place + 1 :], (*told, "new"), total[0])
            told.append(await _do_async(ctx, op, f"{ctx.workflow_id}/{len(told)}", total))
    finally:
        if cleans:
            await ctx.activity("cleanup", act, ctx.run, 0)
    return tuple(told)


async def _do_async(ctx: AsyncWorkflowContext, op: Op, child: str, total: list[int]) -> Any:
    match op:
        case ("take", name):
            return await ctx.signal(name)
        case ("any", name, seconds):
            info = ctx.signal(name)
            return None if await ctx.wait_any(info, timeout=seconds) is None else await info
        case ("sleep", seconds):
            return "slept" if await ctx.sleep("sleep", seconds) is None else "woken"
        case ("act", fails):
            return await ctx.activity("act", act, ctx.run, fails)
        case ("until", amount, *limit):
            timeout = limit[0] if limit else None
            return await ctx.wait_until("until", lambda: total[0] >= amount, timeout=timeout)
        case ("version",):
            return ctx.get_version("change", 1, OUTSIDE.newest)
        case ("child", mode, script):
            info = ctx.workflow("child", workflow(scripted, id=child, **CHILD_OPTIONS[mode]), script)
            return await info if mode in ("wait", "defer") else child
        case _:
            return op[0]


def _add(total: list[int], amount: int) -> int:
    total[0] += amount
    return total[0]


def _check_amount(amount: int) -> None:
    if amount < 0:
        raise ValueError("less than nothing")
