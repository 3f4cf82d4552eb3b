"""What ``execute`` and ``get`` promise: one run for an id, durable when they return, refused or started."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    InvalidArguments,
    PayloadTooLarge,
    Queue,
    QueueNotFound,
    Tempolite,
    WorkflowAlreadyExists,
    WorkflowContext,
    WorkflowNotFound,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate


def double(ctx: WorkflowContext, number: int) -> int:
    return number * 2


def triple(ctx: WorkflowContext, number: int) -> int:
    return number * 3


def joined(ctx: WorkflowContext, first: str, /, second: str = "2", *rest: str, last: str = "z") -> str:
    return "-".join([first, second, *rest, last])


def noted(ctx: WorkflowContext, effects: str, line: str) -> str:
    return ctx.activity("note", note, effects, line).get()


def held(ctx: WorkflowContext, gate: str) -> str:
    return ctx.activity("hold", pass_gate, gate).get()


def grown(ctx: WorkflowContext, numbers: list[int]) -> list[int]:
    numbers.append(99)
    return numbers


def without_context(number: int) -> int:
    return number


def test_a_run_gives_what_its_function_returns(engine: Tempolite) -> None:
    """The shortest way through the engine."""
    assert engine.execute("a", double, 21).get(timeout=10) == 42


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda e: e.execute("a", joined, "1"), "1-2-z"),
        (lambda e: e.execute("a", joined, "1", "b"), "1-b-z"),
        (lambda e: e.execute("a", joined, "1", second="b", last="y"), "1-b-y"),
        (lambda e: e.execute("a", joined, "1", "b", "c", "d", last="y"), "1-b-c-d-y"),
    ],
)
def test_arguments_are_passed_as_in_any_call(engine: Tempolite, call: Any, expected: str) -> None:
    """By position, by name, defaults, and as many as the function takes."""
    assert call(engine).get(timeout=10) == expected


def test_a_known_function_is_started_by_its_recorded_name(engine: Tempolite) -> None:
    """The same run as with the function itself; a name that nobody knows is refused, with the remedy."""
    name = f"{double.__module__}:double"
    with pytest.raises(InvalidArguments, match=r"double.*tp\.register"):
        engine.execute("a", name, 21)
    engine.register(double)

    assert engine.execute("a", name, 21).get(timeout=10) == 42
    assert engine.execute("a", double, 1).get(timeout=10) == 42
    with pytest.raises(InvalidArguments):
        engine.execute("b", name, 1, 2)
    assert engine.count() == 1


def test_a_schedule_takes_a_recorded_name(engine: Tempolite) -> None:
    """As ``execute`` does."""
    engine.register(double)

    engine.schedule("nightly", "0 3 * * *", f"{double.__module__}:double", 1)

    with pytest.raises(InvalidArguments):
        engine.schedule("hourly", "0 * * * *", "nobody:knows", 1)
    assert [schedule.name for schedule in engine.schedules()] == ["nightly"]


def test_an_id_is_made_where_none_is_given(engine: Tempolite) -> None:
    """Two such runs are two runs."""
    one, two = engine.execute(None, double, 1), engine.execute(None, double, 1)

    assert one.id
    assert one.id != two.id
    assert engine.get(one.id).get(timeout=10) == 2


def test_an_id_among_the_options_is_a_root_s_too(engine: Tempolite) -> None:
    """Where the call gives none; what it gives goes first. It is an id like any other: one run for it."""
    named = workflow(double, id="named")

    assert engine.execute(None, named, 21).id == engine.execute(None, named, 5).id == "named"

    assert engine.get("named").get(timeout=10) == 42
    assert engine.execute("a", named, 1).id == "a"


def test_the_same_id_and_function_is_the_same_run(engine: Tempolite, effects: Effects) -> None:
    """Nothing is started twice, while it runs or after; the first call's arguments stand."""
    first = engine.execute("a", noted, effects.path, "first")
    second = engine.execute("a", noted, effects.path, "second")

    assert first.get(timeout=10) == second.get(timeout=10) == "first"
    assert engine.execute("a", noted, effects.path, "third").get(timeout=10) == "first"
    assert effects.lines() == ["first"]
    assert engine.count() == 1


def test_the_same_id_is_the_same_run_after_reopening(make_engine: EngineMaker, path: Path) -> None:
    """Also for a finished run of an engine that is gone."""
    first = make_engine(path)
    first.execute("a", double, 1).get(timeout=10)
    first.close()

    second = make_engine(path)

    assert second.execute("a", double, 1000).get(timeout=10) == 2


def test_the_same_id_with_another_function_is_refused(engine: Tempolite) -> None:
    """The run that has it is untouched; the error names the id."""
    engine.execute("order-1", double, 2)

    with pytest.raises(WorkflowAlreadyExists, match="order-1"):
        engine.execute("order-1", triple, 2)

    assert engine.get("order-1").get(timeout=10) == 4


def test_many_threads_with_one_id_start_one_run(engine: Tempolite, effects: Effects) -> None:
    """Whoever comes first starts it; all see the same outcome."""
    barrier = threading.Barrier(12)

    def start(number: int) -> str:
        barrier.wait(10)
        return engine.execute("a", noted, effects.path, f"{number}").get(timeout=10)

    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(start, range(12)))

    assert len(set(results)) == 1
    assert effects.lines() == [results[0]]


def test_many_runs_go_on_beside_each_other(engine: Tempolite) -> None:
    """Two hundred, started without waiting for one."""
    runs = [engine.execute(f"run-{number}", double, number) for number in range(200)]

    assert [run.get(timeout=20) for run in runs] == [number * 2 for number in range(200)]


def test_an_unknown_queue_is_refused_before_anything_is_recorded(engine: Tempolite) -> None:
    """``QueueNotFound`` names it."""
    with pytest.raises(QueueNotFound, match="nowhere"):
        engine.execute("a", workflow(double, queue="nowhere"), 1)

    assert engine.count() == 0


def test_execute_never_waits_for_a_free_worker(make_engine: EngineMaker, database: str, gate: Gate) -> None:
    """A queue that holds everything takes work all the same."""
    engine = make_engine(database, queues=[Queue("default", kind="thread", workers=0)])

    run = engine.execute("a", held, gate.path)

    assert run.status == "RUNNING"
    with pytest.raises(TimeoutError):
        run.get(timeout=0.1)
    assert not gate.is_reached_within(0)


@pytest.mark.parametrize(
    "call",
    [
        lambda e: e.execute("a", double),
        lambda e: e.execute("a", double, 1, 2),
        lambda e: e.execute("a", double, 1, other=2),
        lambda e: e.execute("a", double, wrong=1),
        lambda e: e.execute("a", double, 1, number=2),
        lambda e: e.execute("a", "double", 1),
        lambda e: e.execute("a", None),
        lambda e: e.execute("a", without_context, 1),
        lambda e: e.execute(5, double, 1),
        lambda e: e.execute(b"a", double, 1),
    ],
    ids=["too few", "too many", "extra", "name", "twice", "text", "None", "no ctx", "number", "bytes"],
)
def test_a_wrong_call_is_refused_where_it_is_made(engine: Tempolite, call: Callable[[Any], Any]) -> None:
    """P4: ``InvalidArguments``, a ``TypeError`` too, and nothing is recorded."""
    with pytest.raises(InvalidArguments) as caught:
        call(engine)

    assert isinstance(caught.value, TypeError)
    assert engine.count() == 0


def test_an_unknown_id_is_a_lookup_error(engine: Tempolite) -> None:
    """``WorkflowNotFound`` names it."""
    with pytest.raises(WorkflowNotFound, match="order-9") as caught:
        engine.get("order-9")

    assert isinstance(caught.value, LookupError)


def test_a_run_that_is_not_there_yet_leaves_no_trace_when_asked_for(engine: Tempolite) -> None:
    """Looking for a run does not keep it from being started later."""
    with pytest.raises(WorkflowNotFound):
        engine.get("a")

    assert engine.execute("a", double, 1).get(timeout=10) == 2


@pytest.mark.parametrize("id", ["", "a/b", "order 1", "ä€😀", "'; DROP TABLE runs", "%", "x" * 500, "../up"])
def test_any_text_is_an_id_or_is_refused_at_once(engine: Tempolite, id: str) -> None:
    """Never something in between: a run that can't be found again."""
    try:
        run = engine.execute(id, double, 1)
    except InvalidArguments:
        assert engine.count() == 0
        return

    assert run.get(timeout=10) == 2
    assert engine.get(id).id == id
    assert [each.id for each in engine.workflows()] == [id]


def test_a_workflow_works_on_copies(engine: Tempolite) -> None:
    """What the caller passed in and what it gets out are its own."""
    numbers = [1]

    run = engine.execute("a", grown, numbers)
    first = run.get(timeout=10)
    first.append("mine")

    assert numbers == [1]
    assert run.get(timeout=10) == [1, 99]


def test_an_argument_over_the_limit_is_refused(make_engine: EngineMaker, database: str) -> None:
    """``payload_limit`` holds at the call, nothing is recorded."""
    engine = make_engine(database, payload_limit=1000)

    with pytest.raises(PayloadTooLarge):
        engine.execute("a", joined, "x" * 1001)

    assert engine.count() == 0
    assert engine.execute("a", joined, "x" * 500).get(timeout=10) == "x" * 500 + "-2-z"


def test_execute_default_is_another_name_of_execute(engine: Tempolite) -> None:
    """For those who come from the Go engine."""
    assert engine.execute_default("a", double, 2).get(timeout=10) == 4


def test_an_activity_may_start_runs(make_engine: EngineMaker, database: str) -> None:
    """Every method may be called from any thread, a worker's too."""
    engine = make_engine(database, queues=[Queue("default", kind="thread", workers=1)])

    def start() -> int:
        return engine.execute("inner", double, 5).get(timeout=10)

    def outer(ctx: WorkflowContext) -> int:
        return ctx.activity("start", start).get()

    assert engine.execute("outer", outer).get(timeout=10) == 10


def test_a_side_effect_may_start_runs(engine: Tempolite) -> None:
    """It runs off the actors' threads, so it may wait for them."""

    def outer(ctx: WorkflowContext) -> int:
        return ctx.side_effect("start", lambda: engine.execute("inner", double, 5).get(timeout=10)).get()

    assert engine.execute("outer", outer).get(timeout=10) == 10


def test_every_call_has_an_awaitable_twin(engine: Tempolite) -> None:
    """Same meaning, same results."""

    async def main() -> None:
        runs = await asyncio.gather(*(engine.aexecute(f"r{n}", double, n) for n in range(5)))
        assert [await run for run in runs] == [0, 2, 4, 6, 8]
        await engine.await_idle(timeout=10)
        assert (await engine.aget("r1")).id == "r1"
        assert await engine.acount() == len(await engine.aworkflows()) == 5
        assert await engine.ahistory("r1") == engine.history("r1")

    asyncio.run(main())


def test_awaiting_a_run_never_blocks_the_loop(make_engine: EngineMaker, gate: Gate) -> None:
    """Other tasks go on, and giving up on the wait leaves the run alone."""
    engine = make_engine(queues=[Queue("default", kind="thread", workers=1)])

    async def main() -> str:
        info = await engine.aexecute("a", held, gate.path)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(info, 0.05)
        task = asyncio.ensure_future(_value(info))
        await asyncio.sleep(0)
        gate.release()
        return await task

    assert asyncio.run(main()) == "passed"


def test_an_awaited_error_is_the_same_error(engine: Tempolite) -> None:
    """``await info`` raises what ``get`` raises; ``aexecute`` refuses what ``execute`` refuses."""

    def broken(ctx: WorkflowContext) -> None:
        raise ValueError("broken")

    async def main() -> None:
        with pytest.raises(InvalidArguments):
            await engine.aexecute("b", double)
        with pytest.raises(ValueError, match="broken"):
            await (await engine.aexecute("a", broken))
        with pytest.raises(WorkflowNotFound):
            await engine.aget("nobody")

    asyncio.run(main())


async def _value(info: Any) -> Any:
    return await info
