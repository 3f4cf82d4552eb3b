"""Children and queues together: whose queue, whose place in line, whose end ends whom."""

from __future__ import annotations

from typing import Any

import pytest

from tempolite import (
    Queue,
    Tempolite,
    WorkflowContext,
    WorkflowInfo,
    WorkflowTimeout,
    activity,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate
from tests.engine.waiting import wait_for_status

Home = dict[str, Any]
WAIT_S = 20
ONE = [Queue("default", kind="inline", max_runs=1), Queue("other", kind="inline", max_runs=1)]


def listening(ctx: WorkflowContext) -> Any:
    return ctx.signal("go").get()


def factorial(ctx: WorkflowContext, number: int) -> int:
    """Calls itself, each time on the other queue."""
    if number < 2:
        return ctx.activity("one", abs, -1).get()
    other = "default" if ctx.workflow_id.count("/") % 2 else "other"
    return number * ctx.workflow("less", workflow(factorial, queue=other), number - 1).get()


def continued(ctx: WorkflowContext, left: int) -> list[int]:
    """Children in each of its runs."""
    children = [ctx.workflow(f"c{number}", factorial, 3) for number in range(2)]
    results = list(ctx.wait_all(*children))
    if left:
        ctx.continue_as_new(left - 1)
    return [ctx.run, *results]


@pytest.mark.parametrize("queues", [ONE, [Queue("default", kind="inline"), Queue("other", kind="inline")]])
def test_children_call_themselves_across_queues(
    make_engine: EngineMaker, home: Home, queues: list[Queue]
) -> None:
    """Any depth; each on the queue that it was given, ``max_runs`` or not."""
    engine = make_engine(**home, queues=queues)

    assert engine.execute("f", factorial, 6).get(timeout=WAIT_S) == 720

    node, seen = engine.tree("f"), []
    while node.children:
        (node,) = node.children
        seen.append(node.info.queue)
    assert seen == ["other", "default", "other", "default", "other"]


def test_one_place_is_enough_for_families_that_continue(make_engine: EngineMaker, home: Home) -> None:
    """``max_runs=1`` with children and continuations: all come to their end, one root after the other."""
    engine = make_engine(**home, queues=ONE)

    roots = [engine.execute(f"r{number}", continued, 2) for number in range(4)]

    assert [root.get(timeout=WAIT_S) for root in roots] == [[3, 6, 6]] * 4
    ends = [root.finished_at for root in roots]
    assert ends == sorted(ends, key=str)


def test_roots_begin_in_order_and_higher_priority_first(
    make_engine: EngineMaker, home: Home, effects: Effects, gate: Gate
) -> None:
    """In line for ``max_runs``: priority, then who came first."""
    queues = [Queue("default", kind="thread", workers=1, max_runs=1), Queue("held", kind="thread", workers=1)]
    engine = make_engine(**home, queues=queues)

    def noting(ctx: WorkflowContext, me: str) -> None:
        ctx.activity("note", note, effects.path, me).get()

    def first(ctx: WorkflowContext) -> None:
        ctx.activity("held", activity(pass_gate, queue="held"), gate.path).get()

    engine.execute("first", first)
    gate.wait_until_reached()
    for number, priority in enumerate([0, 5, 0, 9, 5]):
        engine.execute(f"r{number}", workflow(noting, priority=priority), f"{priority}.{number}")
    assert engine.count(status="PENDING") == 5
    gate.release()
    engine.wait(timeout=WAIT_S)

    assert effects.lines() == ["9.3", "5.1", "5.4", "0.0", "0.2"]


def test_a_run_that_ended_in_line_takes_nobodys_place(make_engine: EngineMaker, on_file: Home) -> None:
    """Cancelled before it began; the next engine gives its place to those that are there."""
    engine = make_engine(**on_file, queues=ONE, workflows=[listening, factorial])
    engine.execute("first", listening)
    engine.execute("second", listening)
    engine.cancel("second")
    engine.signal("first", "go")
    engine.get("first").get(timeout=WAIT_S)
    engine.close()

    again = make_engine(**on_file, queues=ONE, workflows=[listening, factorial])

    assert again.execute("third", factorial, 1).get(timeout=WAIT_S) == 1


def test_a_deferred_child_begins_when_somebody_says_so(make_engine: EngineMaker, home: Home) -> None:
    """The parent goes on without it, and gets its result if it asks."""
    engine = make_engine(**home)

    def parent(ctx: WorkflowContext) -> Any:
        child = ctx.workflow("late", workflow(listening, defer=True))
        ctx.set_status("going on")
        return child.get()

    info = engine.execute("p", parent)
    engine.wait(timeout=WAIT_S)
    assert (info.status_text, engine.get("p/late").status) == ("going on", "PENDING")
    engine.signal("p/late", "go", 7)
    assert engine.get("p/late").status == "PENDING"

    engine.enqueue("p/late")

    assert info.get(timeout=WAIT_S) == 7


@pytest.mark.parametrize("end", ["completed", "failed"])
@pytest.mark.parametrize("policy", ["cancel", "abandon"])
def test_children_of_a_parent_that_ended_are_cancelled_or_left(
    make_engine: EngineMaker, home: Home, end: str, policy: Any
) -> None:
    """``on_parent_close``, for those that run, wait on another queue, or are deferred."""
    engine = make_engine(**home, queues=[Queue("default", kind="inline"), Queue("other", kind="inline")])

    def parent(ctx: WorkflowContext) -> str:
        ctx.workflow("here", workflow(listening, on_parent_close=policy))
        ctx.workflow("there", workflow(listening, on_parent_close=policy, queue="other"))
        ctx.workflow("later", workflow(listening, on_parent_close=policy, defer=True))
        ctx.workflow("apart", workflow(listening, detach=True))
        ctx.activity("step", len, "abc").get()
        if end == "failed":
            raise ValueError(end)
        return end

    engine.execute("p", parent)
    engine.wait(timeout=WAIT_S)

    statuses = [str(engine.get(f"p/{name}").status) for name in ("here", "there", "later", "apart")]
    left = ["CANCELLED"] * 3 if policy == "cancel" else ["WAITING", "WAITING", "PENDING"]
    assert statuses == [*left, "WAITING"]
    assert (engine.get("p/apart").run_group, engine.get("p/here").run_group) == ("p/apart", "p")


def test_a_run_past_its_time_fails_and_takes_what_it_began_along(
    make_engine: EngineMaker, home: Home, gate: Gate
) -> None:
    """``FAILED`` with ``WorkflowTimeout``; its children are cancelled, its activities stopped."""
    engine = make_engine(**home, queues=[Queue("default", workers=1)])

    def slow(ctx: WorkflowContext) -> None:
        ctx.workflow("child", listening)
        ctx.activity("held", pass_gate, gate.path).get()

    info = engine.execute("a", workflow(slow, timeout=0.8))
    with pytest.raises(WorkflowTimeout, match="'a'") as caught:
        info.get(timeout=WAIT_S)

    assert isinstance(caught.value, TimeoutError)
    assert info.status == "FAILED"
    wait_for_status(engine, "a/child", "CANCELLED")
    assert engine.execute("b", one_step).get(timeout=WAIT_S) == 3, "its worker is free again"


def one_step(ctx: WorkflowContext) -> int:
    return ctx.activity("len", len, "abc").get()


def test_a_child_past_its_time_is_an_error_for_its_parent(make_engine: EngineMaker, home: Home) -> None:
    """Which the parent may catch; its own time is another one."""
    engine = make_engine(**home)

    def parent(ctx: WorkflowContext) -> str:
        try:
            ctx.workflow("slow", workflow(listening, timeout=0.05)).get()
        except WorkflowTimeout as error:
            return type(error).__name__
        return "in time"

    assert engine.execute("p", workflow(parent, timeout=60)).get(timeout=WAIT_S) == "WorkflowTimeout"
    assert engine.get("p/slow").status == "FAILED"


def test_a_runs_time_goes_on_while_the_engine_is_down(make_engine: EngineMaker, on_file: Home) -> None:
    """It fails at the next start, and not twice."""
    engine = make_engine(**on_file)
    engine.execute("a", workflow(listening, timeout=0.2))
    engine._crash()

    reopened = make_engine(**on_file, workflows=[listening])

    with pytest.raises(WorkflowTimeout):
        reopened.get("a").get(timeout=WAIT_S)
    assert [event.type for event in reopened.history("a")].count("RunFailed") == 1


def test_metrics_can_be_read_while_queues_come(engine: Tempolite) -> None:
    """A queue that is created in the middle of it does no harm."""
    look = engine.queue

    def look_and_create(name: str) -> Any:
        if name == "default":
            engine.create_queue(Queue("new", kind="inline"))
        return look(name)

    engine.queue = look_and_create  # type: ignore[method-assign]

    assert "default" in engine.metrics().queues
    del engine.queue
    assert "new" in engine.metrics().queues


def test_a_handle_of_a_child_is_one_like_any_other(make_engine: EngineMaker, home: Home) -> None:
    """From outside a child is signalled, paused, asked for and waited for as a root is."""
    engine = make_engine(**home)

    def parent(ctx: WorkflowContext) -> Any:
        return ctx.workflow("c", listening).get()

    engine.execute("p", parent)
    engine.wait(timeout=WAIT_S)
    child: WorkflowInfo[Any] = engine.get("p/c")
    child.pause()
    child.signal("go", 5)
    child.resume()

    assert (child.get(timeout=WAIT_S), child.parent) == (5, "p")
    assert engine.get("p").get(timeout=WAIT_S) == 5
