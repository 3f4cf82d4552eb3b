"""A stretch of workflow code that takes too long is ended, and the other runs go on."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    AsyncWorkflowContext,
    Queue,
    Tempolite,
    WorkflowContext,
    WorkflowStuck,
)
from tests.determinism.blocking import plain, quick
from tests.determinism.conftest import LIMIT_S
from tests.engine.gates import Gate, pass_gate


def forever(ctx: WorkflowContext) -> None:
    while True:
        pass


async def forever_async(ctx: AsyncWorkflowContext) -> None:
    while True:
        pass


async def forever_in_turns(ctx: AsyncWorkflowContext) -> None:
    async def endless() -> None:
        while True:
            await asyncio.sleep(0)

    await asyncio.gather(endless(), endless())


def forever_after_a_wait(ctx: WorkflowContext) -> None:
    ctx.activity("plain", plain, 1).get()
    while True:
        pass


def forever_in_a_library(ctx: WorkflowContext) -> None:
    while True:
        re.sub("a", lambda found: found.group(), "a" * 100)


def forever_in_the_context(ctx: WorkflowContext) -> None:
    while True:
        ctx.uuid4()


def forever_in_spite_of_exceptions(ctx: WorkflowContext) -> None:
    while True:
        try:
            while True:
                pass
        except Exception:
            continue


def forever_at_the_end(ctx: WorkflowContext) -> None:
    try:
        ctx.activity("plain", plain, 1).get()
    finally:
        while True:
            pass


def forever_when_ended(ctx: WorkflowContext) -> None:
    try:
        while True:
            pass
    finally:
        while True:
            pass


ENDLESS = [
    forever,
    forever_async,
    forever_in_turns,
    forever_after_a_wait,
    forever_in_a_library,
    forever_in_the_context,
    forever_in_spite_of_exceptions,
    forever_at_the_end,
    forever_when_ended,
]


@pytest.fixture
def without_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in production: nothing looks at what the code calls."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")


@pytest.mark.parametrize("fn", ENDLESS, ids=lambda fn: fn.__name__)
def test_endless_code_makes_the_run_stuck(make_limited: Callable[..., Tempolite], fn: Any) -> None:
    """With ``TurnTooLong`` and the line where it was; other runs go on."""
    engine = make_limited()

    info = engine.execute("a", fn)
    assert engine.execute("b", quick).get(timeout=20) == 7
    with pytest.raises(WorkflowStuck, match="TurnTooLong"):
        info.get(timeout=20)

    assert info.status == "STUCK"
    file, line = re.search(r"at (.+):(\d+); ", info.problem).groups()  # type: ignore[union-attr]
    first = fn.__code__.co_firstlineno
    assert file == __file__
    assert first < int(line) <= first + 8


@pytest.mark.usefixtures("without_hook")
@pytest.mark.parametrize("fn", ENDLESS, ids=lambda fn: fn.__name__)
def test_endless_code_is_ended_without_the_hook_too(make_limited: Callable[..., Tempolite], fn: Any) -> None:
    """In production there is no profile hook around it."""
    engine = make_limited()

    with pytest.raises(WorkflowStuck, match="TurnTooLong"):
        engine.execute("a", fn).get(timeout=20)

    assert engine.execute("b", quick).get(timeout=20) == 7


def test_code_that_catches_everything_is_ended_again(make_limited: Callable[..., Tempolite]) -> None:
    """``except BaseException`` puts the end off, not away."""
    caught: list[str] = []

    def stubborn(ctx: WorkflowContext) -> None:
        for _ in range(3):
            try:
                while True:
                    pass
            except BaseException as error:
                caught.append(type(error).__name__)
        while True:
            pass

    engine = make_limited()

    with pytest.raises(WorkflowStuck, match="TurnTooLong"):
        engine.execute("a", stubborn).get(timeout=20)

    assert caught == ["StretchTooLong"] * 3


def test_code_that_catches_everything_and_returns_is_stuck_all_the_same(
    make_limited: Callable[..., Tempolite],
) -> None:
    """It was over its limit: its result is not recorded, nor does a wait save it."""

    def returning(ctx: WorkflowContext) -> str:
        try:
            while True:
                pass
        except BaseException:
            return "done"

    def waiting(ctx: WorkflowContext) -> int:
        try:
            while True:
                pass
        except BaseException:
            return ctx.activity("plain", plain, 1).get()

    engine = make_limited()

    for name, fn in (("a", returning), ("b", waiting)):
        with pytest.raises(WorkflowStuck, match="TurnTooLong"):
            engine.execute(name, fn).get(timeout=20)


@pytest.mark.usefixtures("without_hook")
def test_code_that_blocks_is_stuck_once_it_returns(make_limited: Callable[..., Tempolite]) -> None:
    """C code can't be cut off; the run does not go on after it."""
    reached: list[str] = []

    def blocked(ctx: WorkflowContext) -> None:
        threading.Event().wait(3 * LIMIT_S)
        reached.append("after it")

    engine = make_limited()

    with pytest.raises(WorkflowStuck, match="TurnTooLong"):
        engine.execute("a", blocked).get(timeout=20)

    assert reached == []


def test_ended_code_is_fenced(make_limited: Callable[..., Tempolite]) -> None:
    """Its ``finally`` blocks run, and record nothing any more."""
    done: list[str] = []

    def cleaning(ctx: WorkflowContext) -> None:
        try:
            while True:
                pass
        finally:
            done.append("cleaned")
            ctx.activity("late", plain, 1).get()
            done.append("recorded")

    engine = make_limited()
    with pytest.raises(WorkflowStuck):
        engine.execute("a", cleaning).get(timeout=20)

    assert done == ["cleaned"]
    assert engine.history("a")[-1].type == "RunStuck"


def test_many_short_stretches_may_take_long_together(make_limited: Callable[..., Tempolite]) -> None:
    """The limit is that of each stretch, from one wait to the next."""
    engine = make_limited(turn_limit=2.0)

    def in_parts(ctx: WorkflowContext) -> int:
        for _ in range(45):
            if not ctx.is_replaying:
                spin(0.05)
            ctx.activity("plain", plain, 1).get()
        return 45

    assert engine.execute("a", in_parts).get(timeout=30) == 45


@pytest.mark.usefixtures("without_hook")
def test_side_effects_and_activities_take_the_time_they_need(make_limited: Callable[..., Tempolite]) -> None:
    """What is waited for does not count."""
    engine = make_limited(queues=[Queue("default", kind="thread", workers=1)])

    def slow() -> str:
        threading.Event().wait(3 * LIMIT_S)
        return "slow"

    def flow(ctx: WorkflowContext) -> list[str]:
        return [ctx.side_effect("slow", slow).get(), ctx.activity("slow too", slow).get()]

    assert engine.execute("a", flow).get(timeout=20) == ["slow", "slow"]


@pytest.mark.parametrize("is_async", [False, True])
def test_replay_does_not_count(
    make_limited: Callable[..., Tempolite], path: Path, gate: Gate, is_async: bool
) -> None:
    """The way through what is recorded may take longer than the limit, one stretch of it as well."""
    slow: list[bool] = []
    queues = [Queue("default", kind="thread", workers=1)]

    def flow(ctx: WorkflowContext) -> bool:
        ctx.activity("before", plain, 1).get()
        if slow:
            spin(3 * LIMIT_S)
        ctx.activity("after", plain, 1).get()
        ctx.activity("hold", pass_gate, gate.path).get()
        return ctx.is_replaying

    async def flow_async(ctx: AsyncWorkflowContext) -> bool:
        await ctx.activity("before", plain, 1)
        if slow:
            spin(3 * LIMIT_S)
        await ctx.activity("after", plain, 1)
        await ctx.activity("hold", pass_gate, gate.path)
        return ctx.is_replaying

    fn: Any = flow_async if is_async else flow
    engine = make_limited(path, queues=queues)
    engine.execute("a", fn)
    gate.wait_until_reached()
    engine._crash()
    gate.release(2)
    slow.append(True)

    engine = make_limited(path, queues=queues, workflows=[fn])

    assert engine.get("a").get(timeout=20) is False


def test_a_stuck_run_is_stuck_after_a_restart(make_limited: Callable[..., Tempolite], path: Path) -> None:
    """It needs a person, not another try."""
    engine = make_limited(path)
    with pytest.raises(WorkflowStuck):
        engine.execute("a", forever).get(timeout=20)
    engine.close()

    again = make_limited(path, workflows=[forever])

    with pytest.raises(WorkflowStuck, match="TurnTooLong"):
        again.get("a").get(timeout=20)


def test_a_resumed_run_goes_on_in_the_same_attempt(make_limited: Callable[..., Tempolite]) -> None:
    """By replay, after a fix; without one it is stuck again."""
    is_fixed: list[bool] = []

    def flow(ctx: WorkflowContext) -> tuple[int, int]:
        both = [ctx.activity("one", plain, 1), ctx.activity("two", plain, 2)]
        first = both[0].get()
        while not is_fixed:
            pass
        return first + both[1].get(), ctx.attempt

    engine = make_limited()
    info = engine.execute("a", flow)
    with pytest.raises(WorkflowStuck, match="TurnTooLong"):
        info.get(timeout=20)

    info.resume()
    with pytest.raises(WorkflowStuck, match="TurnTooLong"):
        info.get(timeout=20)
    is_fixed.append(True)
    info.resume()

    assert info.get(timeout=20) == (3, 1)


def test_a_replay_to_look_at_takes_its_time(make_limited: Callable[..., Tempolite]) -> None:
    """``tp.replay`` runs in the caller's thread: no limit, and no look at what the code calls."""
    slow: list[bool] = []

    def flow(ctx: WorkflowContext) -> int:
        number = ctx.activity("plain", plain, 1).get()
        if slow:
            spin(3 * LIMIT_S)
            time.time()
        return number

    engine = make_limited()
    engine.execute("a", flow).get(timeout=20)
    slow.append(True)

    assert engine.replay("a") == 1


def spin(seconds: float) -> None:
    """Counts for about that long; no clock, which is not allowed in a workflow."""
    for _ in range(round(seconds * SPINS_PER_S)):
        pass


def spins_per_s() -> float:
    """How fast this machine counts, measured at a time that may be a busy one."""
    began = time.monotonic()
    for _ in range(2_000_000):
        pass
    return 2_000_000 / (time.monotonic() - began)


SPINS_PER_S = spins_per_s()
