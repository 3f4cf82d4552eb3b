"""Pause and resume of parents and children: to any depth, across crashes, new ones too."""

from __future__ import annotations

from typing import Any

from tempolite import (
    Queue,
    WorkflowContext,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate

Home = dict[str, Any]
THREADS = [Queue("default", kind="thread", workers=2), Queue("other", kind="thread", workers=2)]


def two_steps(ctx: WorkflowContext, gate: str, effects: str) -> str:
    first = ctx.activity("first", pass_gate, gate).get()
    return ctx.activity("second", note, effects, f"{first} on").get()


def listening(ctx: WorkflowContext) -> Any:
    return ctx.signal("go").get()


def parent_of(ctx: WorkflowContext, depth: int) -> Any:
    """Nested; the innermost waits for a signal. Every other one is on another queue."""
    if depth == 0:
        return ctx.signal("go").get()
    queue = "other" if depth % 2 else "default"
    return ctx.workflow("c", workflow(parent_of, queue=queue), depth - 1).get()


def test_children_follow_their_parent_to_any_depth(make_engine: EngineMaker, home: Home) -> None:
    """Three deep, on two queues: paused together, resumed together."""
    engine = make_engine(**home, queues=THREADS)
    ids = ["p", "p/c", "p/c/c", "p/c/c/c"]
    info = engine.execute("p", parent_of, 3)
    engine.wait(timeout=10)

    engine.pause("p")
    engine.wait(timeout=10)
    assert [engine.get(id).status for id in ids] == ["PAUSED"] * 4
    engine.signal(ids[-1], "go", "deep")
    engine.wait(timeout=10)
    assert [engine.get(id).status for id in ids] == ["PAUSED"] * 4
    engine.resume("p")

    assert info.get(timeout=10) == "deep"


def test_children_are_paused_after_a_crash_too(make_engine: EngineMaker, on_file: Home) -> None:
    """The parent's pause was durable; what it means for the children is, too."""
    ids = ["p", "p/c", "p/c/c", "p/c/c/c"]
    engine = make_engine(**on_file, queues=THREADS)
    engine.execute("p", parent_of, 3)
    engine.wait(timeout=10)
    engine.pause("p")
    engine._crash()

    reopened = make_engine(**on_file, queues=THREADS, workflows=[parent_of])
    reopened.wait(timeout=10)
    assert [reopened.get(id).status for id in ids] == ["PAUSED"] * 4
    reopened.signal(ids[-1], "go", "deep")
    reopened.resume("p")

    assert reopened.get("p").get(timeout=10) == "deep"


def test_a_child_that_is_born_of_a_paused_parent_is_paused(make_engine: EngineMaker, home: Home) -> None:
    """The parent asks for it and is paused at once; both rest, both go on."""
    engine = make_engine(**home, queues=THREADS)
    for number in range(10):
        engine.execute(f"p{number}", parent_of, 2)
        engine.pause(f"p{number}")
    engine.wait(timeout=10)

    statuses = {info.status for info in engine.workflows(limit=100)}
    assert statuses == {"PAUSED"}
    for number in range(10):
        engine.resume(f"p{number}")
    engine.wait(timeout=10)
    for number in range(10):
        engine.signal(f"p{number}/c/c", "go", number)

    assert [engine.get(f"p{number}").get(timeout=10) for number in range(10)] == list(range(10))


def test_detached_children_don_t_follow(make_engine: EngineMaker, home: Home) -> None:
    """They are a group of their own."""
    engine = make_engine(**home)

    def letting_go(ctx: WorkflowContext) -> Any:
        ctx.workflow("child", workflow(listening, detach=True))
        return ctx.signal("go").get()

    engine.execute("p", letting_go)
    engine.wait(timeout=10)
    engine.pause("p")
    engine.signal("p/child", "go", "free")

    assert engine.get("p/child").get(timeout=10) == "free"
    assert engine.get("p").status == "PAUSED"


def test_a_child_alone_may_be_paused(make_engine: EngineMaker, home: Home) -> None:
    """Its parent only waits; it is resumed by itself."""
    engine = make_engine(**home)
    info = engine.execute("p", waiting_parent)
    engine.wait(timeout=10)
    engine.pause("p/c")
    engine.signal("p/c", "go", 1)
    engine.wait(timeout=10)
    assert (info.status, engine.get("p/c").status) == ("WAITING", "PAUSED")

    engine.resume("p/c")

    assert info.get(timeout=10) == 1


def waiting_parent(ctx: WorkflowContext) -> Any:
    return ctx.workflow("c", listening).get()


def test_a_childs_outcome_waits_for_the_paused_parent(
    make_engine: EngineMaker, home: Home, gate: Gate, effects: Effects
) -> None:
    """The child's activity was under way: it finishes; parent and child rest until the resume."""
    engine = make_engine(**home, queues=THREADS)

    def parent(ctx: WorkflowContext) -> str:
        done = ctx.workflow("c", two_steps, gate.path, effects.path).get()
        return ctx.activity("note", note, effects.path, f"parent {done}").get()

    info = engine.execute("p", parent)
    gate.wait_until_reached()
    engine.pause("p")
    gate.release()
    engine.wait(timeout=10)
    assert effects.lines() == []
    engine.resume("p")

    assert info.get(timeout=10) == "parent passed on"
    assert effects.lines() == ["passed on", "parent passed on"]
