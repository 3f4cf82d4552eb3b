"""P1: steps are matched by name, so code may change under runs; what can't be right makes a run stuck."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tempolite import Queue, Tempolite, WorkflowContext, WorkflowStuck, activity, workflow
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate

THREADS = [Queue("default", kind="thread", workers=2)]
Change = Callable[[Any, Any], Tempolite]


def charge(effects: str, line: str) -> str:
    return note(effects, line)


def refund(effects: str, line: str) -> str:
    return note(effects, line)


def child(ctx: WorkflowContext, effects: str, line: str) -> str:
    return ctx.activity("note", note, effects, line).get()


def double(ctx: WorkflowContext, number: int) -> int:
    return number * 2


@pytest.fixture
def change(make_engine: EngineMaker, path: Path, gate: Gate) -> Change:
    """Runs the old code as ``a`` until it stands at the gate, crashes, and goes on with the new."""

    def go_on(old: Any, new: Any) -> Tempolite:
        engine = make_engine(path, queues=THREADS)
        engine.execute("a", workflow(old, name="flow"))
        gate.wait_until_reached()
        engine._crash()
        gate.release(10)
        return make_engine(path, queues=THREADS, workflows=[workflow(new, name="flow")])

    return go_on


def test_steps_may_be_added_removed_and_reordered(change: Change, gate: Gate, effects: Effects) -> None:
    """Recorded outcomes stand where their names are; only what is new is run."""

    def old(ctx: WorkflowContext) -> list[str]:
        done = [ctx.activity(name, charge, effects.path, name).get() for name in ("a", "b", "c")]
        return [*done, ctx.activity("hold", pass_gate, gate.path).get()]

    def new(ctx: WorkflowContext) -> list[str]:
        done = [ctx.activity(name, charge, effects.path, f"{name}!").get() for name in ("x", "c", "a", "y")]
        return [*done, ctx.activity("hold", pass_gate, gate.path).get()]

    engine = change(old, new)

    assert engine.get("a").get(timeout=10) == ["x!", "c", "a", "y!", "passed"]
    assert effects.lines() == ["a", "b", "c", "x!", "y!"]


def test_a_step_under_way_may_be_removed(change: Change, gate: Gate, effects: Effects) -> None:
    """Nobody waits for it any more; the run ends all the same."""

    def old(ctx: WorkflowContext) -> str:
        return ctx.activity("hold", pass_gate, gate.path).get()

    def new(ctx: WorkflowContext) -> str:
        return ctx.activity("other", note, effects.path, "other").get()

    engine = change(old, new)

    assert engine.get("a").get(timeout=10) == "other"


def test_occurrences_are_counted_by_name(change: Change, gate: Gate, effects: Effects) -> None:
    """A step of another name in between shifts nothing."""

    def old(ctx: WorkflowContext) -> list[str]:
        done = [ctx.activity("s", charge, effects.path, f"{n}").get() for n in range(2)]
        ctx.activity("hold", pass_gate, gate.path).get()
        return done

    def new(ctx: WorkflowContext) -> list[str]:
        first = ctx.activity("s", charge, effects.path, "x").get()
        ctx.activity("new", charge, effects.path, "new").get()
        return [first, *(ctx.activity("s", charge, effects.path, f"{n}").get() for n in (8, 9))]

    engine = change(old, new)

    assert engine.get("a").get(timeout=10) == ["0", "1", "9"]
    assert effects.lines() == ["0", "1", "new", "9"]


CHANGES: dict[str, tuple[Callable[[Any, str], Any], Callable[[Any, str], Any]]] = {
    "activity to side effect": (
        lambda ctx, path: ctx.activity("pay", charge, path, "old"),
        lambda ctx, path: ctx.side_effect("pay", lambda: note(path, "new")),
    ),
    "activity to child": (
        lambda ctx, path: ctx.activity("pay", charge, path, "old"),
        lambda ctx, path: ctx.workflow("pay", child, path, "new"),
    ),
    "child to activity": (
        lambda ctx, path: ctx.workflow("pay", child, path, "old"),
        lambda ctx, path: ctx.activity("pay", charge, path, "new"),
    ),
    "side effect to activity": (
        lambda ctx, path: ctx.side_effect("pay", lambda: note(path, "old")),
        lambda ctx, path: ctx.activity("pay", charge, path, "new"),
    ),
    "another function": (
        lambda ctx, path: ctx.activity("pay", charge, path, "old"),
        lambda ctx, path: ctx.activity("pay", refund, path, "new"),
    ),
    "another child": (
        lambda ctx, path: ctx.workflow("pay", child, path, "old"),
        lambda ctx, path: ctx.workflow("pay", double, 2),
    ),
}


@pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("is_done", [True, False])
def test_another_kind_or_function_under_a_name_makes_the_run_stuck(
    change: Change, gate: Gate, effects: Effects, before: Any, after: Any, is_done: bool
) -> None:
    """``WorkflowStuck`` from ``get``; nothing is executed; the problem names the step."""

    def old(ctx: WorkflowContext) -> None:
        before(ctx, effects.path).get()
        ctx.activity("hold", pass_gate, gate.path).get()

    def new(ctx: WorkflowContext) -> None:
        ctx.activity("fine", len, "abc")
        step = after(ctx, effects.path)
        if is_done:
            step.get()
        ctx.activity("later", note, effects.path, "later").get()

    engine = change(old, new)

    with pytest.raises(WorkflowStuck, match="pay"):
        engine.get("a").get(timeout=10)
    info = engine.get("a")
    assert (info.status, info.finished_at) == ("STUCK", None)
    assert effects.lines() == ["old"]


def test_a_stuck_run_tells_both_sides(change: Change, gate: Gate, effects: Effects) -> None:
    """What the record has and what the code asks for, in ``problem``."""

    def old(ctx: WorkflowContext) -> None:
        ctx.activity("pay", charge, effects.path, "old").get()
        ctx.activity("hold", pass_gate, gate.path).get()

    def new(ctx: WorkflowContext) -> None:
        ctx.activity("pay", refund, effects.path, "new").get()

    engine = change(old, new)
    engine.wait(timeout=10)

    problem = engine.get("a").problem
    assert "NonDeterminismError" in problem
    assert "charge" in problem
    assert "refund" in problem


def test_a_stuck_run_stops_nobody_else(change: Change, gate: Gate, effects: Effects) -> None:
    """Others run, ``wait`` returns, lists have it."""

    def old(ctx: WorkflowContext) -> None:
        ctx.activity("pay", charge, effects.path, "old").get()
        ctx.activity("hold", pass_gate, gate.path).get()

    def new(ctx: WorkflowContext) -> None:
        ctx.side_effect("pay", lambda: None).get()

    engine = change(old, new)
    engine.wait(timeout=10)

    assert engine.execute("b", double, 2).get(timeout=10) == 4
    assert [info.id for info in engine.workflows(status="STUCK")] == ["a"]


def test_a_stuck_run_stays_so_until_somebody_acts(
    change: Change, make_engine: EngineMaker, path: Path, gate: Gate, effects: Effects
) -> None:
    """Not even a start with the right code lets it go on by itself."""

    def old(ctx: WorkflowContext) -> None:
        ctx.activity("pay", charge, effects.path, "old").get()
        ctx.activity("hold", pass_gate, gate.path).get()

    def new(ctx: WorkflowContext) -> None:
        ctx.side_effect("pay", lambda: None).get()

    engine = change(old, new)
    engine.wait(timeout=10)
    problem = engine.get("a").problem
    engine.close()

    fixed = make_engine(path, queues=THREADS, workflows=[workflow(old, name="flow")])
    fixed.wait(timeout=10)

    assert (fixed.get("a").status, fixed.get("a").problem) == ("STUCK", problem)
    with pytest.raises(WorkflowStuck):
        fixed.get("a").get(timeout=10)


def test_code_cannot_catch_its_own_non_determinism(change: Change, gate: Gate, effects: Effects) -> None:
    """``except Exception`` around the step does not make it go on."""

    def old(ctx: WorkflowContext) -> None:
        ctx.activity("pay", charge, effects.path, "old").get()
        ctx.activity("hold", pass_gate, gate.path).get()

    def new(ctx: WorkflowContext) -> str:
        try:
            ctx.activity("pay", refund, effects.path, "new").get()
        except Exception:
            ctx.activity("other", note, effects.path, "other").get()
        return "went on"

    engine = change(old, new)

    with pytest.raises(WorkflowStuck):
        engine.get("a").get(timeout=10)
    assert effects.lines() == ["old"]


@pytest.mark.parametrize(
    "renamed",
    [
        lambda: activity(refund, name=f"{__name__}:charge"),
        lambda: activity(refund, aliases=(f"{__name__}:charge",)),
    ],
    ids=["name", "alias"],
)
def test_a_function_may_move_when_it_keeps_its_name(
    change: Change, gate: Gate, effects: Effects, renamed: Callable[[], Any]
) -> None:
    """By ``name=``, or by an alias that says what it was called."""

    def old(ctx: WorkflowContext) -> list[str]:
        first = ctx.activity("pay", charge, effects.path, "old").get()
        return [first, ctx.activity("hold", pass_gate, gate.path).get()]

    def new(ctx: WorkflowContext) -> list[str]:
        first = ctx.activity("pay", renamed(), effects.path, "new").get()
        return [first, ctx.activity("hold", pass_gate, gate.path).get()]

    engine = change(old, new)

    assert engine.get("a").get(timeout=10) == ["old", "passed"]
    assert effects.lines() == ["old"]


def test_a_child_function_may_move_when_it_has_an_alias(change: Change, gate: Gate, effects: Effects) -> None:
    """The same for children."""

    def moved(ctx: WorkflowContext, effects: str, line: str) -> str:
        return note(effects, line)

    def old(ctx: WorkflowContext) -> str:
        first = ctx.workflow("pay", child, effects.path, "old").get()
        ctx.activity("hold", pass_gate, gate.path).get()
        return first

    def new(ctx: WorkflowContext) -> str:
        return ctx.workflow("pay", workflow(moved, aliases=(f"{__name__}:child",)), effects.path, "new").get()

    engine = change(old, new)

    assert engine.get("a").get(timeout=10) == "old"


def test_code_that_fails_where_it_did_not_fails_the_run(change: Change, gate: Gate) -> None:
    """A bug in new code is an error of the workflow, not a stuck run."""

    def old(ctx: WorkflowContext) -> None:
        ctx.activity("hold", pass_gate, gate.path).get()

    def new(ctx: WorkflowContext) -> None:
        raise ZeroDivisionError("new bug")

    engine = change(old, new)

    with pytest.raises(ZeroDivisionError, match="new bug"):
        engine.get("a").get(timeout=10)
