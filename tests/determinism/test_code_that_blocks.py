"""Workflow code that blocks where nothing can interrupt it costs a thread, and holds up only its own run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tempolite import AsyncWorkflowContext, Cancelled, NotAllowedInWorkflow, Queue, WorkflowContext
from tempolite.actors.lost_threads import NAME
from tests.actors.waiting import wait_until
from tests.determinism.blocking import (
    Block,
    Make,
    adding,
    adding_async,
    get_stuck,
    lost_threads,
    make_remembering,
    plain,
    quick,
)
from tests.engine.gates import Gate, pass_gate

# ── the others ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", ["event", "lock", "pipe"])
def test_others_go_on_beside_code_that_blocks(make_limited: Make, block: Block, way: str) -> None:
    """Its run is stuck at that line, before the call has returned."""

    def blocking(ctx: WorkflowContext) -> None:
        block.ways[way]()

    engine = make_limited()
    info = engine.execute("a", blocking)

    assert engine.execute("b", quick).get(timeout=20) == 7
    get_stuck(engine, "a")
    line = blocking.__code__.co_firstlineno + 1
    assert f"at {__file__}:{line}; " in info.problem
    assert lost_threads() == [f"{NAME} a"]


def test_others_go_on_beside_code_that_runs_in_circles(make_limited: Make, block: Block) -> None:
    """Also where it catches whatever is to end it."""

    def stubborn(ctx: WorkflowContext) -> None:
        while not block.is_open:
            try:
                while not block.is_open:
                    pass
            except BaseException:
                continue

    engine = make_limited()
    engine.execute("a", stubborn)

    assert engine.execute("b", quick).get(timeout=20) == 7
    get_stuck(engine, "a")


def test_code_that_blocks_within_what_is_not_cut_off_is_found_too(make_limited: Make, block: Block) -> None:
    """A log record, an import: that is never shot at."""

    class Blocking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            block.wait()

    mine = logging.getLogger("tests.blocking")
    handler = Blocking()
    mine.addHandler(handler)

    def logs(ctx: WorkflowContext) -> None:
        mine.warning("here")

    engine = make_limited()
    info = engine.execute("a", logs)

    get_stuck(engine, "a")
    mine.removeHandler(handler)
    assert "blocking.py:" in info.problem


def test_live_code_of_others_goes_on_in_another_thread(make_limited: Make, block: Block) -> None:
    """By replay where it can't follow; with the same outcomes, and a fence around what stays behind."""
    ends: list[str] = []
    engine = make_remembering(make_limited)

    def ending(ctx: WorkflowContext) -> int:
        try:
            return adding(ctx)
        finally:
            try:
                ctx.activity("at the end", plain, 0)
                ends.append(f"recorded in {threading.current_thread().name}")
            except BaseException as refusal:
                ends.append(f"{type(refusal).__name__} in {threading.current_thread().name}")
                raise

    names = {f"{fn.__name__} {n}": fn for fn in (adding, adding_async, ending) for n in range(3)}
    infos = [engine.execute(name, fn) for name, fn in names.items()]
    for info in infos:
        info.signal("number", 10)
    engine.wait(timeout=20)
    engine.execute("a", lambda ctx: block.wait())
    get_stuck(engine, "a")

    for info in infos:
        info.signal("number", 100)
        info.signal("number", None)
    assert [info.get(timeout=20) for info in infos] == [111] * 9
    assert ends == ["recorded in tempolite-actors"] * 3
    block.release()
    assert ends[3:] == [f"Fenced in {NAME} a"] * 3


def test_work_under_way_of_others_is_not_done_twice(make_limited: Make, block: Block, gate: Gate) -> None:
    """Neither an activity nor a side effect; not even one that must run at most once."""
    taken: list[int] = []

    def effect() -> int:
        taken.append(1)
        pass_gate(gate.path)
        return 1

    def flow(ctx: WorkflowContext) -> int:
        held = ctx.activity("held", pass_gate, gate.path)
        number = ctx.side_effect("effect", effect).get()
        held.get()
        return number

    engine = make_limited(queues=[Queue("default", kind="thread", workers=2)])
    info = engine.execute("b", flow)
    wait_until(lambda: bool(taken), "the side effect runs")
    engine.execute("a", lambda ctx: block.wait())
    get_stuck(engine, "a")

    gate.release(2)
    assert info.get(timeout=20) == 1
    types = [event.type for event in info.history()]
    assert types.count("ActivityScheduled") == types.count("ActivityCompleted") == len(taken) == 1


def test_several_may_block_at_once(make_limited: Make, block: Block) -> None:
    """Each costs a thread until it comes back."""
    engine = make_limited()
    waiting = engine.execute("w", adding)
    for name in "abc":
        engine.execute(name, lambda ctx: block.wait())
        get_stuck(engine, name)

    waiting.signal("number", 5)
    waiting.signal("number", None)

    assert waiting.get(timeout=20) == 6
    assert sorted(lost_threads()) == [f"{NAME} {name}" for name in "abc"]


def test_those_that_come_to_life_after_it_are_not_forgotten(
    make_limited: Make, block: Block, gate: Gate, path: Path
) -> None:
    """A start brings many to life at once, and the first of them blocks."""
    must_block: list[int] = []

    def flow(ctx: WorkflowContext, is_first: bool) -> str:
        held = ctx.activity("held", pass_gate, gate.path)
        if is_first and must_block:
            block.wait()
        return held.get()

    queues = [Queue("default", kind="thread", workers=4)]
    engine = make_limited(path, queues=queues)
    for name in "abcd":
        engine.execute(name, flow, name == "a")
    gate.wait_until_reached(4)
    engine._crash()
    must_block.append(1)
    gate.release(8)

    engine = make_limited(path, queues=queues, workflows=[flow])

    assert [engine.get(name).get(timeout=20) for name in "bcd"] == ["passed"] * 3
    get_stuck(engine, "a")


# ── the run itself ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_async", [False, True])
def test_code_that_comes_back_is_fenced(make_limited: Make, block: Block, is_async: bool) -> None:
    """Whatever it asks of the context is refused and recorded nowhere; so is the engine's own door."""
    caught: list[str] = []
    engine = make_limited()

    def use(ctx: Any) -> None:
        calls: list[Callable[[], Any]] = [
            block.wait,
            lambda: ctx.activity("late", plain, 1),
            lambda: ctx.side_effect("late effect", lambda: caught.append("effect")),
            lambda: ctx.timer("late timer", 1),
            lambda: ctx.signal("late"),
            lambda: ctx.set_status("late"),
            lambda: ctx.continue_as_new(),
            ctx.now,
            ctx.uuid4,
            lambda: engine.execute("late", quick),
        ]
        for call in calls:
            try:
                call()
            except BaseException as error:
                caught.append(type(error).__name__)

    def blocking(ctx: WorkflowContext) -> str:
        ctx.activity("plain", plain, 1).get()
        use(ctx)
        return "done"

    async def blocking_async(ctx: AsyncWorkflowContext) -> str:
        await ctx.activity("plain", plain, 1)
        use(ctx)
        return "done"

    info = engine.execute("a", blocking_async if is_async else blocking)
    get_stuck(engine, "a")
    before = info.history()
    block.release()

    assert caught == ["StretchTooLong"] + ["Fenced"] * 8 + [NotAllowedInWorkflow.__name__]
    assert [event.type for event in before][-2:] == ["ActivityCompleted", "RunStuck"]
    assert info.history() == before
    assert engine.count() == 1


def test_a_run_that_blocks_at_its_beginning_exists(make_limited: Make, block: Block, path: Path) -> None:
    """It is created, and stuck: also for the next engine."""
    engine = make_limited(path)

    assert engine.execute("a", lambda ctx: block.wait()).id == "a"
    get_stuck(engine, "a")
    assert [event.type for event in engine.history("a")] == ["RunCreated", "RunStuck"]
    engine.close()

    get_stuck(make_limited(path), "a")


def test_a_resumed_run_goes_on_where_it_was(make_limited: Make, block: Block) -> None:
    """In the same attempt; what was recorded stands, what came meanwhile is there, and nothing runs again."""
    ran: list[int] = []

    def note(number: int) -> int:
        ran.append(number)
        return number

    def flow(ctx: WorkflowContext) -> tuple[int, str, int]:
        first = ctx.activity("first", note, 1).get()
        if not block.is_open:
            block.wait()
        return first, ctx.signal("word").get(), ctx.attempt

    engine = make_limited()
    info = engine.execute("a", flow)
    info.signal("word", "sent while it blocks")
    get_stuck(engine, "a")
    info.signal("word", "sent while it is stuck")
    info.resume()
    get_stuck(engine, "a")
    block.release()
    info.resume()

    assert info.get(timeout=20) == (1, "sent while it blocks", 1)
    assert ran == [1]


def test_a_cancelled_run_whose_end_blocks_is_stuck(make_limited: Make, block: Block) -> None:
    """Its ``finally`` block is code like the rest; resumed after the fix it ends as it was to."""

    def flow(ctx: WorkflowContext) -> None:
        try:
            ctx.signal("never").get()
        except Cancelled:
            if not block.is_open:
                block.wait()
            raise

    engine = make_limited()
    info = engine.execute("a", flow)
    engine.wait(timeout=20)
    info.cancel()
    get_stuck(engine, "a")
    block.release()
    info.resume()

    wait_until(lambda: info.status == "CANCELLED", "it ends")
