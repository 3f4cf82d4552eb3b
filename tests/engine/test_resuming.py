"""Resume of what was finished: the same runs, in a new attempt; what had succeeded is not done again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tempolite import Queue, RetryPolicy, WorkflowCancelled, WorkflowContext, activity, workflow
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, note

Home = dict[str, Any]


def worker(ctx: WorkflowContext, name: str, effects: str) -> str:
    """A step, a wait, a step."""
    ctx.activity("before", note, effects, f"{name} before").get()
    value = ctx.signal("go").get()
    return ctx.activity("after", note, effects, f"{name} {value}").get()


def family(ctx: WorkflowContext, effects: str) -> list[str]:
    first = ctx.activity("own", note, effects, "own").get()
    done = ctx.workflow("done", noting, effects).get()
    children = [ctx.workflow("c", worker, str(number), effects) for number in range(2)]
    return [first, done, *(child.get() for child in children)]


def noting(ctx: WorkflowContext, effects: str) -> str:
    return ctx.activity("note", note, effects, "child done").get()


def test_a_resumed_cancelled_run_goes_on_with_the_same_children(
    make_engine: EngineMaker, home: Home, effects: Effects
) -> None:
    """New attempts of the same runs; what had succeeded is not done again."""
    engine = make_engine(**home)
    info = engine.execute("p", family, effects.path)
    engine.wait(timeout=10)
    engine.cancel("p")
    engine.wait(timeout=10)
    groups = {each.id: each.run_group for each in engine.workflows()}

    engine.resume("p")
    engine.wait(timeout=10)
    assert engine.count(status="WAITING") == 3
    engine.signal("p/c", "go", "x"), engine.signal("p/c#2", "go", "y")

    assert info.get(timeout=10) == ["own", "child done", "0 x", "1 y"]
    assert sorted(effects.lines()) == sorted(["own", "child done", "0 before", "1 before", "0 x", "1 y"])
    assert {each.id: each.run_group for each in engine.workflows()} == groups


def test_a_resumed_failed_run_goes_on_with_the_same_children(
    make_engine: EngineMaker, on_file: Home, effects: Effects, tmp_path: Path
) -> None:
    """What failed runs again, with a fresh budget, in another engine; successes stand."""
    broken = tmp_path / "broken"
    broken.touch()

    def may_fail(effects: str, broken: str) -> str:
        note(effects, "tried")
        if Path(broken).exists():
            raise ValueError("broken")
        return "mended"

    def child(ctx: WorkflowContext, effects: str, broken: str) -> str:
        ctx.activity("before", note, effects, "child before").get()
        retry = RetryPolicy(max_attempts=2, initial_interval=0.01)
        return ctx.activity("fragile", activity(may_fail, retry=retry), effects, broken).get()

    def parent(ctx: WorkflowContext, effects: str, broken: str) -> list[Any]:
        ctx.activity("own", note, effects, "own").get()
        return [ctx.workflow("c", child, effects, broken).get(), ctx.attempt]

    engine = make_engine(**on_file)
    with pytest.raises(ValueError, match="broken"):
        engine.execute("p", parent, effects.path, str(broken)).get(timeout=10)
    engine._crash()
    reopened = make_engine(**on_file, workflows=[parent, child])
    reopened.resume("p")
    with pytest.raises(ValueError, match="broken"):
        reopened.get("p").get(timeout=10)
    broken.unlink()
    reopened.resume("p")

    assert reopened.get("p").get(timeout=10) == ["mended", 3]
    lines = effects.lines()
    assert (lines.count("own"), lines.count("child before"), lines.count("tried")) == (1, 1, 5)
    assert reopened.count() == 2


def test_a_signal_after_a_resume_of_a_cancelled_run_is_read(make_engine: EngineMaker, home: Home) -> None:
    """Also one that had come before the cancellation and was not read."""
    engine = make_engine(**home)

    def two(ctx: WorkflowContext) -> list[Any]:
        return [ctx.signal("a").get(), ctx.signal("b").get()]

    info = engine.execute("x", two)
    engine.signal("x", "b", 2)
    engine.cancel("x")
    with pytest.raises(WorkflowCancelled):
        info.get(timeout=10)
    engine.resume("x")
    engine.signal("x", "a", 1)

    assert info.get(timeout=10) == [1, 2]


def test_a_failed_run_that_is_resumed_waits_for_its_turn(make_engine: EngineMaker, home: Home) -> None:
    """``max_runs`` counts resumed runs, too; who fails gives the place away."""
    engine = make_engine(**home, queues=[Queue("default", kind="inline", max_runs=1)])

    def picky(ctx: WorkflowContext) -> Any:
        value = ctx.signal("go").get()
        if ctx.attempt == 1 and value == "fail":
            raise ValueError(value)
        return value

    first, second = engine.execute("first", picky), engine.execute("second", picky)
    engine.signal("first", "go", "fail")
    with pytest.raises(ValueError, match="fail"):
        first.get(timeout=10)
    engine.resume("first")
    engine.wait(timeout=10)
    assert (first.status, second.status) == ("PENDING", "WAITING")
    engine.signal("second", "go", 2)

    assert (second.get(timeout=10), first.get(timeout=10)) == (2, "fail")


def test_a_deferred_run_that_is_resumed_does_not_begin_by_itself(
    make_engine: EngineMaker, home: Home
) -> None:
    """Paused and resumed on a queue with a line: it waits for ``enqueue`` all the same, out of the line."""
    engine = make_engine(**home, queues=[Queue("default", kind="inline", max_runs=1)])

    def listening(ctx: WorkflowContext) -> Any:
        return ctx.signal("go").get()

    first = engine.execute("first", listening)
    deferred = engine.execute("deferred", workflow(listening, defer=True))
    engine.pause("deferred"), engine.resume("deferred")
    engine.signal("first", "go", 1)
    assert first.get(timeout=10) == 1
    last = engine.execute("last", listening)
    engine.wait(timeout=10)

    assert (deferred.status, last.status) == ("PENDING", "WAITING")
    engine.enqueue("deferred")
    engine.signal("last", "go", 2), engine.signal("deferred", "go", 3)
    assert (last.get(timeout=10), deferred.get(timeout=10)) == (2, 3)
