"""What an activity may be, and where it may run: process, thread, inline."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    ActivityContext,
    Queue,
    QueueNotFound,
    Tempolite,
    WorkflowContext,
    activity,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate

FACTOR = 10


def scaled(number: int) -> int:
    return number * FACTOR


async def scaled_later(number: int) -> int:
    await asyncio.sleep(0)
    return number * FACTOR


async def scaled_with_context(ctx: ActivityContext, number: int) -> str:
    await asyncio.sleep(0)
    return f"{ctx.workflow_id} {ctx.step} {ctx.attempt} {number * FACTOR}"


@dataclass
class Multiply:
    """Configured by its instance."""

    by: int = FACTOR

    def run(self, number: int) -> int:
        return number * self.by

    async def run_later(self, number: int) -> int:
        return number * self.by

    def with_context(self, ctx: ActivityContext, number: int) -> str:
        return f"{ctx.step} {number * self.by}"

    @staticmethod
    def static(number: int) -> int:
        return number * FACTOR

    @classmethod
    def of_class(cls, number: int) -> int:
        return cls().run(number)


class Callable10:
    """An object that is called."""

    def __call__(self, number: int) -> int:
        return number * FACTOR


def closure_over(factor: int) -> Callable[[int], int]:
    def scale(number: int) -> int:
        return number * factor

    return scale


@activity(timeout=30)
def decorated(number: int) -> int:
    return number * FACTOR


ACTIVITIES: dict[str, Any] = {
    "function": scaled,
    "async function": scaled_later,
    "bound method": Multiply(by=10).run,
    "async method": Multiply(by=10).run_later,
    "object with run": Multiply(by=10),
    "static method": Multiply.static,
    "class method": Multiply.of_class,
    "callable object": Callable10(),
    "lambda": lambda number: number * 10,
    "closure": closure_over(10),
    "partial": functools.partial(closure_over(5), number=20),
    "decorated": decorated,
    "options": activity(scaled, timeout=20),
    "options of a method": activity(Multiply(by=10).run, timeout=20),
    "method of a number": (10).__mul__,
    "method of a list": [10, 100].__getitem__,
}
every_activity = pytest.mark.parametrize("fn", ACTIVITIES.values(), ids=ACTIVITIES.keys())


def step_of(fn: Any, *args: Any, **kwargs: Any) -> Callable[[WorkflowContext], Any]:
    def flow(ctx: WorkflowContext) -> Any:
        return ctx.activity("step", fn, *args, **kwargs).get()

    return flow


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, Tempolite]]:
    """One engine for each kind of queue, kept for the whole module."""
    started = {
        kind: Tempolite(queues=[Queue("default", kind=kind, workers=1)]).start()  # type: ignore[arg-type]
        for kind in ("inline", "thread", "process")
    }
    for engine in started.values():
        engine.execute(None, step_of(len, "")).get(timeout=20)
    yield started
    for engine in started.values():
        engine.close()


@pytest.fixture(params=["inline", "thread", "process"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of queue."""
    return str(request.param)


@pytest.fixture
def run(engines: dict[str, Tempolite], kind: str) -> Callable[..., Any]:
    """Runs one activity on that kind of queue."""

    def go(fn: Any, *args: Any, **kwargs: Any) -> Any:
        return engines[kind].execute(None, step_of(fn, *args, **kwargs)).get(timeout=20)

    return go


@every_activity
def test_anything_that_can_be_called_is_an_activity(run: Callable[..., Any], fn: Any) -> None:
    """P9: on every kind of queue."""
    is_of_list = getattr(fn, "__self__", None) == [10, 100]
    args = () if isinstance(fn, functools.partial) else (1,) if is_of_list else (10,)

    assert run(fn, *args) == 100


def test_an_activity_may_ask_for_a_context(run: Callable[..., Any]) -> None:
    """By annotation, by name, in methods and coroutines; the caller does not pass it."""

    def named(ctx, number):  # type: ignore[no-untyped-def]
        return f"{ctx.step} {number}"

    def otherwise(mine: ActivityContext, number: int) -> str:
        return f"{mine.step} {number}"

    assert run(named, 1) == run(otherwise, number=1) == "step 1"
    assert run(Multiply(by=3).with_context, 2) == "step 6"
    assert run(scaled_with_context, 2).endswith(" step 1 20")


def test_an_activity_works_on_copies(run: Callable[..., Any]) -> None:
    """Also where it runs in the same process."""
    mine = [1]

    def change(numbers: list[int]) -> list[int]:
        numbers.append(2)
        return numbers

    assert run(change, mine) == [1, 2]
    assert mine == [1]


def test_the_kind_says_where_an_activity_runs(engines: dict[str, Tempolite]) -> None:
    """Another process, another thread, or neither's own."""

    def where() -> tuple[int, str]:
        return os.getpid(), threading.current_thread().name

    found = {kind: engines[kind].execute(None, step_of(where)).get(timeout=20) for kind in engines}

    assert found["process"][0] != os.getpid()
    assert found["thread"][0] == found["inline"][0] == os.getpid()
    assert found["thread"][1] != found["inline"][1]


def test_a_worker_sees_the_parents_path_and_folder(
    make_engine: EngineMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module beside the script is found, relative names mean the same."""
    (tmp_path / "price_list.py").write_text("def price(item):\n    return len(item)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    import price_list  # type: ignore[import-not-found]

    engine = make_engine(queues=[Queue("default", workers=1)])

    assert engine.execute("a", step_of(price_list.price, "lamp")).get(timeout=20) == 4
    assert engine.execute("b", step_of(os.getcwd)).get(timeout=20) == os.getcwd()
    monkeypatch.delitem(sys.modules, "price_list")


def test_a_worker_has_the_parents_command_line(
    make_engine: EngineMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Functions of a script read ``sys.argv``; the worker's own words are nobody's."""
    monkeypatch.setattr(sys, "argv", ["shop.py", "--tax", os.fsdecode(b"\xff")])
    engine = make_engine(queues=[Queue("default", workers=1)])

    def command_line() -> list[bytes]:
        return [os.fsencode(word) for word in sys.argv]

    assert engine.execute("a", step_of(command_line)).get(timeout=20) == [b"shop.py", b"--tax", b"\xff"]


def test_workers_start_in_a_folder_whose_name_is_no_text(
    make_engine: EngineMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Linux names are bytes; an entry of ``sys.path`` may be one too, or what Python passes over."""
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), None, *sys.path])
    monkeypatch.chdir(folder)
    engine = make_engine(queues=[Queue("default", workers=1)])

    assert engine.execute("a", step_of(os.getcwdb)).get(timeout=20) == os.fsencode(folder)


def test_a_worker_of_plain_functions_does_not_load_asyncio(make_engine: EngineMaker) -> None:
    """It takes as long to load as the rest of the worker."""
    engine = make_engine(queues=[Queue("default", workers=1)])

    def flow(ctx: WorkflowContext) -> bool:
        ctx.activity("count", len, "abc").get()
        # By its name: whatever module the function were in would have to be loaded.
        return ctx.activity("look", eval, "'asyncio' in __import__('sys').modules").get()

    assert engine.execute("a", flow).get(timeout=20) is False


def test_output_of_an_activity_is_no_message(run: Callable[..., Any]) -> None:
    """Printing, and reading an input that nobody gives, harm nothing."""

    def chatty() -> int:
        sys.stdout.write("hello\n")
        sys.stdout.flush()
        sys.stderr.write("hello\n")
        return 1

    assert run(chatty) == 1
    assert run(scaled, 1) == 10


def test_a_large_payload_goes_both_ways(run: Callable[..., Any]) -> None:
    """Eight megabytes; pipes are smaller."""
    big = "x" * (8 * 2**20)

    assert run(str.upper, big) == big.upper()


def test_each_closure_is_its_own(run: Callable[..., Any]) -> None:
    """The same code with other values is another callable, though its name is the same."""
    assert [run(closure_over(factor), 2) for factor in (3, 4, 3)] == [6, 8, 6]


def test_an_instance_is_sent_as_it_is_at_the_call(run: Callable[..., Any]) -> None:
    """Changing it later changes later calls only."""
    multiply = Multiply(by=2)
    first = run(multiply.run, 10)
    multiply.by = 3

    assert (first, run(multiply.run, 10)) == (20, 30)


@pytest.mark.parametrize("is_async", [False, True])
def test_slots_are_activities_at_once_in_one_worker(
    make_engine: EngineMaker, gate: Gate, is_async: bool
) -> None:
    """Plain functions in threads, coroutines on the worker's loop; all in one process."""
    engine = make_engine(queues=[Queue("default", workers=1, slots=3)])

    async def hold_async(path: str) -> int:
        await asyncio.to_thread(pass_gate, path)
        return os.getpid()

    def hold(path: str) -> int:
        pass_gate(path)
        return os.getpid()

    def three(ctx: WorkflowContext) -> list[int]:
        fn = hold_async if is_async else hold
        infos = [ctx.activity("hold", fn, gate.path) for _ in range(3)]
        return [info.get() for info in infos]

    info = engine.execute("a", three)
    gate.wait_until_reached(3)
    gate.release(3)

    assert len(set(info.get(timeout=20))) == 1


def test_one_slot_runs_one_at_a_time(make_engine: EngineMaker, gate: Gate) -> None:
    """Two activities on one worker come one after the other."""
    engine = make_engine(queues=[Queue("default", kind="thread", workers=1)])

    def two(ctx: WorkflowContext) -> list[str]:
        infos = [ctx.activity("hold", pass_gate, gate.path) for _ in range(2)]
        return [info.get() for info in infos]

    info = engine.execute("a", two)
    gate.wait_until_reached()
    assert not gate.is_reached_within(0.1)
    gate.release(2)

    assert info.get(timeout=10) == ["passed", "passed"]


def test_an_activity_goes_to_the_queue_of_its_options(make_engine: EngineMaker) -> None:
    """Else to its run's; an unknown one is refused at the call."""
    queues = [Queue("default", kind="inline"), Queue("apart", kind="thread", workers=1)]
    engine = make_engine(queues=queues)

    def thread_name() -> str:
        return threading.current_thread().name

    def both(ctx: WorkflowContext) -> list[str]:
        with pytest.raises(QueueNotFound, match="nowhere"):
            ctx.activity("x", activity(thread_name, queue="nowhere"))
        infos = [ctx.activity("own", thread_name), ctx.activity("b", activity(thread_name, queue="apart"))]
        return [info.get() for info in infos]

    own, apart = engine.execute("a", both).get(timeout=10)
    inherited, _ = engine.execute("b", workflow(both, queue="apart")).get(timeout=10)

    assert "apart" not in own
    assert "apart" in apart
    assert "apart" in inherited


def test_higher_priority_goes_first(make_engine: EngineMaker, gate: Gate, effects: Effects) -> None:
    """Among those that wait; equals in order."""
    engine = make_engine(queues=[Queue("default", kind="thread", workers=1)])

    def ordered(ctx: WorkflowContext) -> None:
        first = ctx.activity("hold", pass_gate, gate.path)
        infos = [
            ctx.activity("n", activity(note, priority=priority), effects.path, f"{priority}{letter}")
            for priority, letter in ((0, "a"), (5, "a"), (-1, "a"), (5, "b"), (0, "b"))
        ]
        for info in [first, *infos]:
            info.get()

    info = engine.execute("a", ordered)
    gate.wait_until_reached()
    gate.release()
    info.get(timeout=10)

    assert effects.lines() == ["5a", "5b", "0a", "0b", "-1a"]


def test_a_rate_limits_starts(make_engine: EngineMaker) -> None:
    """A burst of one second, then one at a time."""
    engine = make_engine(queues=[Queue("default", kind="inline", rate="20/s")])

    def times(ctx: WorkflowContext) -> float:
        begin = ctx.now()
        infos = [ctx.activity("len", len, "abc") for _ in range(26)]
        for info in infos:
            info.get()
        return (ctx.now() - begin).total_seconds()

    assert 0.2 <= engine.execute("a", times).get(timeout=10) <= 3


def test_two_engines_share_no_workers(make_engine: EngineMaker) -> None:
    """Each has its own, and each ends its own."""
    engines = [make_engine(queues=[Queue("default", workers=1)]) for _ in range(2)]

    pids = {engine.execute("a", step_of(os.getpid)).get(timeout=20) for engine in engines}
    engines[0].close()

    assert len(pids) == 2
    assert engines[1].execute("b", step_of(scaled, 1)).get(timeout=20) == 10
