"""An agent: a model chooses tools, tools are activities, a human approves what costs money.

The model is an activity as well; a script stands in for it here. Shows an async workflow with
asyncio.gather for tools that run in parallel, an update with a validator for the approval, a budget, and
continue-as-new, which hands the transcript to a run with a fresh history after every few turns.

    python agent_loop.py [FOLDER]    # what was ordered is in FOLDER/orders.txt; else in a temporary folder
"""

import asyncio
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tempolite import (
    ActivityContext,
    AsyncWorkflowContext,
    Queue,
    RetryPolicy,
    Tempolite,
    WorkflowInfo,
    activity,
)

TURNS_A_RUN = 2
APPROVERS = ("Mary", "Paul")


@dataclass(frozen=True)
class Call:
    id: str
    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Reply:
    text: str
    tokens: int
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Task:
    goal: str
    orders: str
    tokens_left: int
    transcript: tuple[str, ...] = ()
    turns: int = 0


# ── the model, and the tools: activities ────────────────────────────────────────────────────────────────────

SCRIPT = [
    Reply(
        "I look at what there is.",
        120,
        tuple(Call(f"s{n}", "stock", {"item": item}) for n, item in enumerate(["coffee", "paper", "tea"])),
    ),
    Reply(
        "I ask for prices of what is short.",
        150,
        (Call("p1", "price", {"item": "coffee"}), Call("p2", "price", {"item": "gold"})),
    ),
    Reply("Coffee is short, and affordable.", 180, (Call("o1", "order", {"item": "coffee", "count": 12}),)),
    Reply("I ordered 12 coffee; paper and tea will do.", 90),
]
STOCK = {"coffee": 1, "paper": 40, "tea": 25}


async def think(goal: str, transcript: tuple[str, ...], turn: int) -> Reply:
    """Where a program that means it would call its model."""
    await asyncio.sleep(0.01)
    return SCRIPT[turn]


async def stock(item: str) -> str:
    return f"{STOCK[item]} left"


async def price(ctx: ActivityContext, item: str) -> str:
    if ctx.attempt == 1:
        raise ConnectionError("the shop does not answer")
    if item not in STOCK:
        raise LookupError(f"the shop has no {item}")
    return "8.50 €"


def order(ctx: ActivityContext, orders: str, item: str, count: int) -> str:
    with open(orders, "a", encoding="utf-8") as file:
        file.write(f"{count} {item}\n")
    return f"ordered, number {ctx.idempotency_key[-4:]}"


patiently = RetryPolicy(max_attempts=3, initial_interval=0.02, retry_on=(ConnectionError,))
TOOLS: dict[str, Any] = {"stock": stock, "price": activity(price, retry=patiently), "order": order}
COST_MONEY = ("order",)


# ── the workflow ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Approvals:
    """What waits for a human, and what was decided."""

    waiting: dict[str, Call] = field(default_factory=dict)
    decided: dict[str, tuple[str, bool]] = field(default_factory=dict)

    def check(self, id: str, by: str, approved: bool) -> None:
        if id not in self.waiting:
            raise LookupError(f"nothing waits under {id!r}")
        if by not in APPROVERS:
            raise PermissionError(f"{by} may not approve, ask {' or '.join(APPROVERS)}")

    def decide(self, id: str, by: str, approved: bool) -> str:
        call = self.waiting.pop(id)
        self.decided[id] = by, approved
        return f"{call.tool} {'approved' if approved else 'refused'}"


async def agent(ctx: AsyncWorkflowContext, task: Task) -> str:
    approvals = Approvals()
    ctx.on_query("waiting", lambda: list(approvals.waiting.values()))
    ctx.on_query("transcript", lambda: task.transcript)
    ctx.on_update("decide", approvals.decide, validator=approvals.check)

    for _ in range(TURNS_A_RUN):
        reply = await ctx.activity("think", think, task.goal, task.transcript, task.turns)
        said = (*task.transcript, f"model: {reply.text}")
        tokens_left = task.tokens_left - reply.tokens
        if not reply.calls:
            return f"{reply.text} ({task.turns + 1} turns, {ctx.run} runs, {tokens_left} tokens left)"
        if tokens_left <= 0:
            return f"out of budget after {task.turns + 1} turns"
        results = await asyncio.gather(*(use(ctx, approvals, task, call) for call in reply.calls))
        task = replace(task, transcript=said + tuple(results), tokens_left=tokens_left, turns=task.turns + 1)
    return ctx.continue_as_new(task)


async def use(ctx: AsyncWorkflowContext, approvals: Approvals, task: Task, call: Call) -> str:
    """The line that the transcript gets; an error of a tool is something for the model to read."""
    arguments = call.arguments if call.tool not in COST_MONEY else {"orders": task.orders, **call.arguments}
    if call.tool in COST_MONEY:
        approvals.waiting[call.id] = call
        await ctx.wait_until(f"approval {call.id}", lambda: call.id in approvals.decided)
        by, is_approved = approvals.decided[call.id]
        if not is_approved:
            return f"{call.tool} {call.arguments}: refused by {by}"
    try:
        result = await ctx.activity(f"{call.tool} {call.id}", TOOLS[call.tool], **arguments)
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
    return f"{call.tool} {call.arguments}: {result}"


# ── the program ─────────────────────────────────────────────────────────────────────────────────────────────


async def wait_for_question(info: WorkflowInfo[str]) -> Call:
    while not (waiting := await info.aquery("waiting")):
        await asyncio.sleep(0.01)
    call: Call = waiting[0]
    return call


async def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    orders = str(folder / "orders.txt")
    task = Task("See to it that the office has what it needs.", orders, tokens_left=1_000)
    async with Tempolite(folder / "agent.db", queues=[Queue("default", kind="thread")]) as tp:
        thrifty = await tp.aexecute(None, agent, replace(task, tokens_left=200))
        info = await tp.aexecute(None, agent, task)

        call = await wait_for_question(info)
        print(f"to be approved: {call.tool} {call.arguments}")
        try:
            await info.aupdate("decide", call.id, "Eve", True)
        except PermissionError as refusal:
            print("Eve:", refusal)
        print("Mary:", await info.aupdate("decide", call.id, "Mary", True))

        print("agent:", await info)
        print("thrifty agent:", await thrifty)
        print(*await info.aquery("transcript"), sep="\n")
    print("ordered:", Path(orders).read_text("utf-8").strip())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else temporary)))
