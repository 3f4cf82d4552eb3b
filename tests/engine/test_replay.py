"""P2, P3, P6: what was recorded stands after a crash, and is not run again."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tempolite import AsyncWorkflowContext, EngineCrashed, Queue, Tempolite, WorkflowContext
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate

THREADS = [Queue("default", kind="thread", workers=4)]
Make = Callable[[str], Gate]


def before_and_after(ctx: WorkflowContext, gate: str, effects: str) -> list[str]:
    before = ctx.activity("before", note, effects, "before").get()
    held = ctx.activity("hold", pass_gate, gate).get()
    return [before, held, ctx.activity("after", note, effects, "after").get()]


async def before_and_after_async(ctx: AsyncWorkflowContext, gate: str, effects: str) -> list[str]:
    before = await ctx.activity("before", note, effects, "before")
    held = await ctx.activity("hold", pass_gate, gate)
    return [before, held, await ctx.activity("after", note, effects, "after")]


def hold(ctx: WorkflowContext, gate: str) -> str:
    return ctx.activity("hold", pass_gate, gate).get()


def crash_at(gate: Gate, engine: Tempolite, fn: Any, *args: Any) -> None:
    """Runs ``fn`` as ``a`` until somebody stands at the gate, and drops the engine."""
    engine.execute("a", fn, *args)
    gate.wait_until_reached()
    engine._crash()


@pytest.mark.parametrize("kind", ["thread", "process"])
@pytest.mark.parametrize("fn", [before_and_after, before_and_after_async], ids=["def", "async"])
def test_a_step_recorded_before_a_crash_is_not_run_again(
    make_engine: EngineMaker, path: Path, gate: Gate, effects: Effects, fn: Any, kind: Any
) -> None:
    """What was under way is; the run ends as if nothing had happened."""
    queues = [Queue("default", kind=kind, workers=1)]
    crash_at(gate, make_engine(path, queues=queues), fn, gate.path, effects.path)

    reopened = make_engine(path, queues=queues, workflows=[fn])
    gate.wait_until_reached()
    gate.release(2)

    assert reopened.get("a").get(timeout=10) == ["before", "passed", "after"]
    assert effects.lines() == ["before", "after"]


def test_many_crashes_change_nothing(
    make_engine: EngineMaker, path: Path, gate: Gate, effects: Effects
) -> None:
    """One crash at each of five places."""

    def staged(ctx: WorkflowContext) -> list[str]:
        done = []
        for number in range(5):
            done.append(ctx.activity("note", note, effects.path, f"{number}").get())
            ctx.activity("hold", pass_gate, gate.path).get()
        return done

    engine = make_engine(path, queues=THREADS)
    engine.execute("a", staged)
    for _ in range(5):
        gate.wait_until_reached()
        engine._crash()
        engine = make_engine(path, queues=THREADS, workflows=[staged])
        gate.wait_until_reached()
        gate.release(2)

    assert engine.get("a").get(timeout=10) == ["0", "1", "2", "3", "4"]
    assert effects.lines() == ["0", "1", "2", "3", "4"]


def test_failures_are_the_same_on_replay(make_engine: EngineMaker, path: Path, gate: Gate) -> None:
    """The same type, arguments, attributes and notes; the step is not run again."""
    ran: list[int] = []
    seen: list[Exception] = []

    def failing() -> None:
        ran.append(1)
        raise FileNotFoundError(2, "no such order", "order-7")

    def flow(ctx: WorkflowContext) -> str:
        try:
            ctx.activity("fail", failing).get()
        except FileNotFoundError as error:
            seen.append(error)
        return ctx.activity("hold", pass_gate, gate.path).get()

    crash_at(gate, make_engine(path, queues=THREADS), flow)
    reopened = make_engine(path, queues=THREADS, workflows=[flow])
    gate.wait_until_reached()
    gate.release(2)
    reopened.get("a").get(timeout=10)

    live, replayed = seen[0], seen[-1]
    assert live is not replayed
    assert (live.args, vars(live), live.filename) == (replayed.args, vars(replayed), replayed.filename)  # type: ignore[attr-defined]
    assert str(live.__cause__) == str(replayed.__cause__)
    assert ran == [1]


def test_time_and_randomness_are_the_same_on_replay(make_engine: EngineMaker, path: Path, gate: Gate) -> None:
    """``now``, ``random``, ``uuid4`` and side effects, in the first turn and in later ones."""
    seen: list[list[Any]] = []

    def flow(ctx: WorkflowContext) -> None:
        values: list[Any] = [ctx.now(), ctx.random.random(), ctx.uuid4()]
        values.append(ctx.activity("len", len, "abc").get())
        values += [ctx.now(), ctx.random.randrange(10**9), ctx.uuid4()]
        values.append(ctx.side_effect("se", threading.get_ident).get())
        values += [ctx.now(), ctx.random.random(), ctx.uuid4()]
        seen.append(values)
        ctx.activity("hold", pass_gate, gate.path).get()

    crash_at(gate, make_engine(path, queues=THREADS), flow)
    reopened = make_engine(path, queues=THREADS, workflows=[flow])
    gate.release(2)
    reopened.get("a").get(timeout=10)

    assert len(seen) >= 2
    assert seen == [seen[0]] * len(seen)


def test_a_new_draw_shifts_nothing_beyond_the_next_step(
    make_engine: EngineMaker, path: Path, gate: Gate
) -> None:
    """``random`` begins anew after each step, so changed code keeps most of its values."""
    seen: list[float] = []

    def flow_with(draws: int) -> Any:
        def flow(ctx: WorkflowContext) -> None:
            for _ in range(draws):
                ctx.random.random()
            ctx.activity("len", len, "abc").get()
            seen.append(ctx.random.random())
            ctx.activity("hold", pass_gate, gate.path).get()

        return flow

    old, new = flow_with(1), flow_with(5)
    crash_at(gate, make_engine(path, queues=THREADS), old)
    reopened = make_engine(path, queues=THREADS, workflows=[new])
    gate.release(2)
    reopened.get("a").get(timeout=10)

    assert seen[0] == seen[1]


def test_the_logger_is_silent_on_replay(
    make_engine: EngineMaker, path: Path, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    """Each line once, however often the code has run; ``is_replaying`` tells the same."""
    replaying: list[bool] = []

    def flow(ctx: WorkflowContext) -> None:
        ctx.logger.warning("before %s", "step")
        ctx.activity("len", len, "abc").get()
        ctx.logger.warning("between")
        replaying.append(ctx.is_replaying)
        ctx.activity("hold", pass_gate, gate.path).get()
        replaying.append(ctx.is_replaying)
        ctx.logger.warning("after")

    caplog.set_level(logging.INFO)
    crash_at(gate, make_engine(path, queues=THREADS), flow)
    reopened = make_engine(path, queues=THREADS, workflows=[flow])
    gate.release(2)
    reopened.get("a").get(timeout=10)

    lines = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert [line for line in lines if line in ("before step", "between", "after")] == [
        "before step",
        "between",
        "after",
    ]
    # Once live, again on each replay, and live where it goes on.
    assert (replaying[0], replaying[-1], set(replaying[1:-1])) == (False, False, {True})


def test_outcomes_come_in_the_recorded_order(make_engine: EngineMaker, path: Path, make_gate: Make) -> None:
    """What was not done at a place is not done there on replay, though it is recorded by then."""
    late, early, last = make_gate("late"), make_gate("early"), make_gate("last")
    seen: list[list[bool]] = []

    def flow(ctx: WorkflowContext) -> None:
        slow, quick = ctx.activity("slow", pass_gate, late.path), ctx.activity("quick", pass_gate, early.path)
        quick.get()
        done = [slow.done, quick.done]
        slow.get()
        seen.append([*done, slow.done])
        ctx.activity("last", pass_gate, last.path).get()

    engine = make_engine(path, queues=THREADS)
    engine.execute("a", flow)
    early.release()
    engine.execute("b", hold, early.path)
    early.wait_until_reached(2)
    early.release()
    engine.get("b").get(timeout=10)
    late.release()
    last.wait_until_reached()
    engine._crash()
    reopened = make_engine(path, queues=THREADS, workflows=[flow])
    last.release(2)
    reopened.get("a").get(timeout=10)

    assert len(seen) >= 2
    assert seen == [[False, True, True]] * len(seen)


def test_the_first_to_end_is_the_first_again_on_replay(
    make_engine: EngineMaker, path: Path, make_gate: Make
) -> None:
    """``except`` branches, loops and races see the same order in an async workflow."""
    gates = [make_gate(f"gate-{number}") for number in range(3)]
    last, probes = make_gate("last"), make_gate("probes")
    seen: list[list[str]] = []

    async def flow(ctx: AsyncWorkflowContext) -> None:
        order: list[str] = []

        async def one(number: int) -> None:
            order.append(await ctx.activity(f"g{number}", pass_gate, gates[number].path, f"{number}"))

        await asyncio.gather(*(one(number) for number in range(3)))
        seen.append(order)
        await ctx.activity("last", pass_gate, last.path)

    engine = make_engine(path, queues=THREADS)
    engine.execute("a", flow)
    for number in (2, 0, 1):
        gates[number].wait_until_reached()
    for number in (2, 0, 1):
        gates[number].release()
        probe = engine.execute(f"probe-{number}", hold, probes.path)
        probes.wait_until_reached()
        probes.release()
        probe.get(timeout=10)
    last.wait_until_reached()
    engine._crash()
    reopened = make_engine(path, queues=THREADS, workflows=[flow])
    last.release(2)
    reopened.get("a").get(timeout=10)

    assert len(seen) >= 2
    assert seen == [["2", "0", "1"]] * len(seen)


def test_a_recorded_activity_keeps_its_recorded_arguments(
    make_engine: EngineMaker, path: Path, gate: Gate, effects: Effects
) -> None:
    """Started again after a crash, with what was recorded and not what the code passes today."""

    def old(ctx: WorkflowContext) -> str:
        return ctx.activity("step", held_note, gate.path, effects.path, "old").get()

    def new(ctx: WorkflowContext) -> str:
        return ctx.activity("step", held_note, gate.path, effects.path, "new").get()

    new.__qualname__ = old.__qualname__
    crash_at(gate, make_engine(path, queues=THREADS), old)
    reopened = make_engine(path, queues=THREADS, workflows=[new])
    gate.release(2)

    assert reopened.get("a").get(timeout=10) == "old"


def held_note(gate: str, effects: str, line: str) -> str:
    pass_gate(gate)
    return note(effects, line)


def test_every_acknowledged_run_is_there_after_a_crash(make_engine: EngineMaker, path: Path) -> None:
    """``execute`` returned, so it is durable; all of them finish."""

    def flow(ctx: WorkflowContext, number: int) -> int:
        return ctx.activity("double", lambda n: n * 2, number).get()

    engine = make_engine(path)
    for number in range(100):
        engine.execute(f"run-{number}", flow, number)
    engine._crash()

    reopened = make_engine(path, workflows=[flow])
    reopened.wait(timeout=20)

    assert [reopened.get(f"run-{n}").get(timeout=1) for n in range(100)] == [n * 2 for n in range(100)]


def test_an_outcome_that_was_told_is_there_after_a_crash(make_engine: EngineMaker, path: Path) -> None:
    """What ``get`` gave is never undone, values and errors."""

    def good(ctx: WorkflowContext) -> list[int]:
        return [1, 2]

    def bad(ctx: WorkflowContext) -> None:
        raise LookupError("nothing")

    engine = make_engine(path)
    assert engine.execute("good", good).get(timeout=10) == [1, 2]
    with pytest.raises(LookupError):
        engine.execute("bad", bad).get(timeout=10)
    engine._crash()

    reopened = make_engine(path)

    assert reopened.get("good").get(timeout=1) == [1, 2]
    with pytest.raises(LookupError, match="nothing"):
        reopened.get("bad").get(timeout=1)


def test_waits_end_when_the_engine_crashes(make_engine: EngineMaker, gate: Gate) -> None:
    """``EngineCrashed`` for whoever waits, and for calls after it."""
    engine = make_engine(queues=THREADS)
    info = engine.execute("a", hold, gate.path)
    gate.wait_until_reached()
    outcome: list[BaseException] = []

    def wait() -> None:
        try:
            info.get(timeout=20)
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    engine._crash()
    thread.join(10)

    assert isinstance(outcome[0], EngineCrashed)
    with pytest.raises(EngineCrashed):
        engine.count()


def test_finally_blocks_of_a_dropped_run_record_nothing(
    make_engine: EngineMaker, path: Path, gate: Gate, effects: Effects
) -> None:
    """Workflow code that a close cuts short is no end of the run: its clean-up is not carried out."""

    def flow(ctx: WorkflowContext) -> str:
        try:
            return ctx.activity("hold", pass_gate, gate.path).get()
        finally:
            ctx.activity("clean", note, effects.path, "clean").get()

    engine = make_engine(path, queues=[Queue("default", kind="process", workers=1)])
    engine.execute("a", flow)
    gate.wait_until_reached()
    engine.close(timeout=0)
    assert effects.lines() == []

    reopened = make_engine(path, queues=THREADS, workflows=[flow])
    gate.release()

    assert reopened.get("a").get(timeout=10) == "passed"
    assert effects.lines() == ["clean"]
