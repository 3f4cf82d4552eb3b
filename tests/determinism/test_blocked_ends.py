"""Handlers that block, and code that blocks when its run leaves memory or its engine ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tempolite import Queue, Tempolite, TurnTooLong, WorkflowContext
from tempolite.actors.lost_threads import NAME
from tests.actors.waiting import wait_until
from tests.determinism.blocking import (
    Block,
    Make,
    adding,
    adding_async,
    close_amid,
    get_stuck,
    lost_threads,
    make_remembering,
    quick,
)
from tests.engine.gates import Gate, pass_gate

# ── handlers ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_query_that_blocks_fails_alone(make_limited: Make, block: Block, gate: Gate) -> None:
    """It changed nothing: its run goes on, and what that had under way is not done again."""

    def flow(ctx: WorkflowContext) -> Any:
        ctx.on_query("ask", block.wait)
        ctx.on_query("quick", lambda: "quick")
        ctx.activity("held", pass_gate, gate.path).get()
        return ctx.signal("end").get()

    engine = make_limited(queues=[Queue("default", kind="thread", workers=2)])
    info = engine.execute("a", flow)
    gate.wait_until_reached()

    with pytest.raises(TurnTooLong):
        info.query("ask")

    assert info.query("quick") == "quick"
    gate.release(1)
    info.signal("end", "done")
    assert info.get(timeout=20) == "done"


def test_an_update_that_blocks_makes_the_run_stuck(make_limited: Make, block: Block) -> None:
    """How much of it took effect, nobody can say; it was not recorded."""

    def flow(ctx: WorkflowContext) -> Any:
        ctx.on_update("change", block.wait)
        return ctx.signal("end").get()

    engine = make_limited()
    info = engine.execute("a", flow)

    with pytest.raises(TurnTooLong):
        info.update("change")

    get_stuck(engine, "a")
    assert "UpdateAccepted" not in [event.type for event in info.history()]


def test_a_finished_run_stays_so_whatever_a_query_does(make_limited: Make, block: Block) -> None:
    """Only who asked is told."""

    def flow(ctx: WorkflowContext) -> int:
        ctx.on_query("ask", block.wait)
        return 5

    engine = make_limited()
    info = engine.execute("a", flow)
    assert info.get(timeout=20) == 5

    with pytest.raises(TurnTooLong):
        info.query("ask")

    assert (info.status, info.get(timeout=20)) == ("COMPLETED", 5)


# ── leaving and closing ─────────────────────────────────────────────────────────────────────────────────


def blocks_at_the_end(block: Block, *, once: list[int]) -> Callable[[WorkflowContext], Any]:
    """A workflow whose ``finally`` block blocks the first time."""

    def flow(ctx: WorkflowContext) -> Any:
        try:
            return ctx.signal("end").get()
        finally:
            if not once:
                once.append(1)
                block.wait()

    return flow


def test_code_that_blocks_when_it_is_put_away_costs_its_thread_only(make_limited: Make, block: Block) -> None:
    """The run itself has left already, and comes back with its next message."""
    once: list[int] = []
    engine = make_remembering(make_limited, resident_workflows=0)
    info = engine.execute("a", blocks_at_the_end(block, once=once))
    wait_until(lambda: bool(once), "it was put away")

    assert engine.execute("b", quick).get(timeout=20) == 7
    info.signal("end", "done")
    assert info.get(timeout=20) == "done"


def test_closing_does_not_wait_for_code_that_blocks(
    make_limited: Make, block: Block, caplog: pytest.LogCaptureFixture
) -> None:
    """Its thread is left, and reported; when it comes back it ends."""
    engine = make_limited()
    engine.execute("w", adding)
    engine.execute("a", lambda ctx: block.wait())
    get_stuck(engine, "a")

    engine.close(timeout=5)

    assert lost_threads() == [f"{NAME} a"]
    assert any("is closed" in text and "'a'" in text and "blocking.py:" in text for text in caplog.messages)


def test_an_engine_can_be_closed_at_the_moment_that_code_blocks(make_limited: Make, block: Block) -> None:
    """The thread is given up first."""
    close_amid(make_limited(), block.wait)


@pytest.mark.parametrize("end", [Tempolite.close, Tempolite._crash])
def test_code_that_blocks_when_the_engine_ends_is_left(
    make_limited: Make, block: Block, end: Callable[[Tempolite], None]
) -> None:
    """Those after it end all the same."""
    engine = make_remembering(make_limited)
    for name in "ab":
        engine.execute(name, blocks_at_the_end(block, once=[]))
    engine.execute("c", adding_async)
    engine.wait(timeout=20)

    end(engine)

    assert lost_threads() == [f"{NAME} a"]
