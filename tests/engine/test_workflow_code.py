"""Workflow functions, plain and async: steps that wait without a thread, values that replay alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tempolite import (
    AsyncWorkflowContext,
    InvalidArguments,
    NotStorable,
    Queue,
    Tempolite,
    WorkflowContext,
    WorkflowFailed,
    activity,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Gate, pass_gate


def add(first: int, second: int = 1) -> int:
    return first + second


def amount_and_status(order: str) -> tuple[int, str]:
    return len(order), "ok"


def plain(ctx: WorkflowContext, number: int) -> int:
    return ctx.activity("add", add, number, second=10).get()


async def awaiting(ctx: AsyncWorkflowContext, number: int) -> int:
    return await ctx.activity("add", add, number, second=10)


def unannotated(ctx, number):  # type: ignore[no-untyped-def]
    return ctx.activity("add", add, number, second=10).get()


async def unannotated_async(ctx, number):  # type: ignore[no-untyped-def]
    return await ctx.activity("add", add, number, second=10)


def called_otherwise(wf: WorkflowContext, number: int) -> int:
    return wf.activity("add", add, number, second=10).get()


def held(ctx: WorkflowContext, gate: str) -> str:
    return ctx.activity("hold", pass_gate, gate).get()


@pytest.mark.parametrize(
    "fn", [plain, awaiting, unannotated, unannotated_async, called_otherwise], ids=lambda fn: fn.__name__
)
def test_a_workflow_is_a_function_of_a_context(engine: Tempolite, fn: Callable[..., Any]) -> None:
    """``def`` and ``async def``; the context is known by annotation, or by the name ``ctx``."""
    assert engine.execute("a", fn, 1).get(timeout=10) == 11


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_activities_run_in_parallel(make_engine: EngineMaker, database: str, gate: Gate, kind: Any) -> None:
    """All are under way before the first is waited for."""
    engine = make_engine(database, queues=[Queue("default", kind=kind, workers=3)])

    def fan_out(ctx: WorkflowContext) -> list[str]:
        infos = [ctx.activity("hold", pass_gate, gate.path, f"{n}") for n in range(3)]
        return [info.get() for info in infos]

    info = engine.execute("a", fan_out)
    gate.wait_until_reached(3)
    gate.release(3)

    assert info.get(timeout=10) == ["0", "1", "2"]


def test_async_workflows_gather_their_steps(make_engine: EngineMaker, database: str, gate: Gate) -> None:
    """``asyncio.gather`` and ``TaskGroup`` work on activities."""
    engine = make_engine(database, queues=[Queue("default", kind="thread", workers=4)])

    async def fan_out(ctx: AsyncWorkflowContext) -> list[str]:
        first = await asyncio.gather(*(ctx.activity("h", pass_gate, gate.path, f"{n}") for n in range(2)))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(ctx, n)) for n in range(2)]
        return [*first, *(task.result() for task in tasks)]

    async def one(ctx: AsyncWorkflowContext, number: int) -> str:
        return await ctx.activity("task", pass_gate, gate.path, f"t{number}")

    info = engine.execute("a", fan_out)
    gate.wait_until_reached(2)
    gate.release(2)
    gate.wait_until_reached(2)
    gate.release(2)

    assert info.get(timeout=10) == ["0", "1", "t0", "t1"]


def test_a_waiting_workflow_holds_no_thread(make_engine: EngineMaker, database: str) -> None:
    """Three hundred wait for activities that nobody runs; no thread is added for them."""
    engine = make_engine(database, queues=[Queue("default", kind="thread", workers=0)])
    before = threading.active_count()

    for number in range(150):
        engine.execute(f"def-{number}", plain, number)
        engine.execute(f"async-{number}", awaiting, number)

    assert engine.count(status="RUNNING") == 300
    assert threading.active_count() <= before + 1


def test_a_tuple_is_several_values(engine: Tempolite) -> None:
    """From activities, side effects, children and the run itself, as in any Python function."""

    def child(ctx: WorkflowContext) -> tuple[str, int]:
        return "child", 3

    def several(ctx: WorkflowContext) -> tuple[int, str, str, int]:
        amount, status = ctx.activity("a", amount_and_status, "xyz").get()
        word, _number = ctx.workflow("c", child).get()
        _left, right = ctx.side_effect("s", lambda: ("left", 7)).get()
        return amount, status, word, right

    assert engine.execute("a", several).get(timeout=10) == (3, "ok", "child", 7)


def test_asking_twice_gives_the_same(engine: Tempolite) -> None:
    """``get`` of an info can be called again, and is done by then."""

    def twice(ctx: WorkflowContext) -> list[Any]:
        info = ctx.activity("add", add, 1)
        before = info.done
        return [before, info.get(), info.get(), info.done]

    async def twice_async(ctx: AsyncWorkflowContext) -> list[Any]:
        info = ctx.activity("add", add, 1)
        before = info.done
        return [before, await info, await info, info.done]

    assert engine.execute("a", twice).get(timeout=10) == [False, 2, 2, True]
    assert engine.execute("b", twice_async).get(timeout=10) == [False, 2, 2, True]


def test_a_value_handed_out_twice_is_not_shared_with_the_record(engine: Tempolite) -> None:
    """Changing what an activity gave changes no history."""

    def make() -> list[int]:
        return [1]

    def changing(ctx: WorkflowContext) -> list[int]:
        value = ctx.activity("make", make).get()
        value.append(2)
        return value

    engine.execute("a", changing).get(timeout=10)

    completed = [event for event in engine.history("a") if event.step == "make"][-1]
    assert completed.payload["result"] == [1]


def test_steps_can_be_called_from_any_depth(engine: Tempolite) -> None:
    """Helpers, generators, comprehensions, recursion: a greenlet waits where it stands."""

    def total(ctx: WorkflowContext, left: int) -> int:
        return 0 if left == 0 else ctx.activity("add", add, left, 0).get() + total(ctx, left - 1)

    def deep(ctx: WorkflowContext) -> list[int]:
        generated = (ctx.activity("gen", add, n, 0).get() for n in range(3))
        return [*generated, total(ctx, 50), sorted([2, 1], key=lambda n: ctx.activity("k", add, n).get())[0]]

    assert engine.execute("a", deep).get(timeout=10) == [0, 1, 2, 1275, 1]


def test_a_long_workflow_has_many_steps(engine: Tempolite) -> None:
    """A hundred one after the other, then a hundred at once."""

    def long(ctx: WorkflowContext) -> int:
        number = 0
        for _ in range(100):
            number = ctx.activity("next", add, number).get()
        infos = [ctx.activity("wide", add, n) for n in range(100)]
        return number + sum(info.get() for info in infos)

    assert engine.execute("a", long).get(timeout=30) == 100 + 5_050


def test_a_name_used_again_is_the_next_occurrence(engine: Tempolite) -> None:
    """P1: ``name``, ``name#2``, ``name#3``, each with its own outcome."""

    def thrice(ctx: WorkflowContext) -> list[int]:
        return [ctx.activity("add", add, n).get() for n in range(3)]

    assert engine.execute("a", thrice).get(timeout=10) == [1, 2, 3]
    assert {event.step for event in engine.history("a") if event.step} == {"add", "add#2", "add#3"}


def test_a_side_effect_runs_once_in_the_engines_process(engine: Tempolite) -> None:
    """On a thread of its own kind: it may block, and other runs go on."""
    seen: list[str] = []
    hold = threading.Event()

    def blocking() -> str:
        seen.append(threading.current_thread().name)
        assert hold.wait(10)
        return "done"

    def flow(ctx: WorkflowContext) -> str:
        return ctx.side_effect("block", blocking).get()

    info = engine.execute("a", flow)
    assert engine.execute("b", plain, 1).get(timeout=10) == 11
    hold.set()

    assert info.get(timeout=10) == "done"
    assert len(seen) == 1
    assert "actors" not in seen[0]


def test_a_failing_side_effect_raises_in_the_workflow(engine: Tempolite) -> None:
    """The same type; it is not tried again."""
    tries: list[int] = []

    def failing() -> None:
        tries.append(1)
        raise LookupError("nothing there")

    def flow(ctx: WorkflowContext) -> str:
        try:
            ctx.side_effect("fail", failing).get()
        except LookupError as error:
            return str(error)
        return "no error"

    assert engine.execute("a", flow).get(timeout=10) == "nothing there"
    assert tries == [1]


def test_the_context_tells_which_run_this_is(engine: Tempolite) -> None:
    """Id, run and attempt, the latter two from 1, and that this is no replay."""

    def who(ctx: WorkflowContext) -> list[Any]:
        return [ctx.workflow_id, ctx.run, ctx.attempt, ctx.is_replaying]

    assert engine.execute("order-7", who).get(timeout=10) == ["order-7", 1, 1, False]


def test_now_is_the_time_in_utc_and_never_goes_back(engine: Tempolite) -> None:
    """Aware, and close to what a clock says."""

    def times(ctx: WorkflowContext) -> list[datetime]:
        first = ctx.now()
        ctx.activity("add", add, 1).get()
        return [first, ctx.now()]

    before = datetime.now(UTC)
    first, second = engine.execute("a", times).get(timeout=10)

    assert before - timedelta(seconds=1) <= first <= second <= datetime.now(UTC)
    assert first.utcoffset() == timedelta(0)


def test_random_and_uuid4_differ_between_runs_and_draws(engine: Tempolite) -> None:
    """What is drawn is random all the same."""

    def draw(ctx: WorkflowContext) -> list[Any]:
        ids = [ctx.uuid4() for _ in range(3)]
        return [ids, ctx.random.random(), ctx.random.random()]

    ids, one, two = engine.execute("a", draw).get(timeout=10)
    others, three, _ = engine.execute("b", draw).get(timeout=10)

    assert len({*ids, *others}) == 6
    assert {each.version for each in ids} == {4}
    assert len({one, two, three}) == 3


@pytest.mark.parametrize(
    "kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, BaseException]
)
@pytest.mark.parametrize("is_async", [False, True])
def test_nothing_that_a_workflow_raises_harms_the_engine(
    engine: Tempolite, kind: type[BaseException], is_async: bool
) -> None:
    """P5: what is no ``Exception`` fails the run with ``WorkflowFailed``; others go on."""

    def raising(ctx: WorkflowContext) -> None:
        raise kind("out")

    async def raising_async(ctx: AsyncWorkflowContext) -> None:
        raise kind("out")

    error = None
    try:
        engine.execute("a", raising_async if is_async else raising).get(timeout=10)
    except BaseException as raised:  # pytest.raises would let a KeyboardInterrupt end pytest
        error = raised

    assert isinstance(error, WorkflowFailed)
    assert kind.__name__ in error.type_name
    assert engine.execute("b", plain, 1).get(timeout=10) == 11


def test_a_result_that_cannot_be_stored_fails_the_run(engine: Tempolite) -> None:
    """With ``NotStorable`` and the path ``result``."""

    def locked(ctx: WorkflowContext) -> Any:
        return {"lock": threading.Lock()}

    with pytest.raises(NotStorable, match="result"):
        engine.execute("a", locked).get(timeout=10)

    assert engine.get("a").status == "FAILED"


@pytest.mark.parametrize(
    "call",
    [
        lambda ctx: ctx.activity("add", add),
        lambda ctx: ctx.activity("add", add, 1, 2, 3),
        lambda ctx: ctx.activity("add", add, 1, wrong=2),
        lambda ctx: ctx.activity("add", "add", 1),
        lambda ctx: ctx.activity("add", 5),
        lambda ctx: ctx.activity(5, add, 1),
        lambda ctx: ctx.activity("", add, 1),
        lambda ctx: ctx.workflow("child", plain),
        lambda ctx: ctx.workflow("child", add, 1),
        lambda ctx: ctx.workflow("child", None),
        lambda ctx: ctx.side_effect("s", 5),
        lambda ctx: ctx.side_effect("s", lambda value: value),
        lambda ctx: ctx.activity("add", add, threading.Lock()),
        lambda ctx: ctx.activity("add", activity(add, timeout=-1), 1),
    ],
)
def test_a_wrong_call_in_a_workflow_is_refused_there(engine: Tempolite, call: Callable[..., Any]) -> None:
    """P4: ``InvalidArguments`` at that line, before anything is recorded; the code may go on."""

    def flow(ctx: WorkflowContext) -> bool:
        with pytest.raises(InvalidArguments) as caught:
            call(ctx)
        return isinstance(caught.value, TypeError)

    assert engine.execute("a", flow).get(timeout=10)
    assert not [event for event in engine.history("a") if event.step]


def test_a_refused_call_uses_up_no_name(engine: Tempolite) -> None:
    """After it, the same name is still the first occurrence."""

    def flow(ctx: WorkflowContext) -> int:
        with pytest.raises(InvalidArguments):
            ctx.activity("add", add)
        return ctx.activity("add", add, 1).get()

    assert engine.execute("a", flow).get(timeout=10) == 2
    assert {event.step for event in engine.history("a") if event.step} == {"add"}


def test_a_class_can_carry_a_workflow(engine: Tempolite) -> None:
    """A static method is a function like others."""
    assert engine.execute("a", Carrier.flow, 1).get(timeout=10) == 2
    assert engine.get("a").function == f"{__name__}:Carrier.flow"


class Carrier:
    @staticmethod
    def flow(ctx: WorkflowContext, number: int) -> int:
        return ctx.activity("add", add, number).get()
