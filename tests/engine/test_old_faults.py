"""Faults that engines of this kind are known for: each has a test that fails when it comes back.

Most of these tests stand where their subject is treated; the others are here.
"""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tempolite import Queue, RetryPolicy, Tempolite, WorkflowContext, workflow
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate
from tests.engine.waiting import wait_until

Home = dict[str, Any]
WAIT_S = 15

FAULTS = {
    "signals crossing between runs that wait for the same name": (
        "test_signals",
        "test_signals_of_one_name_never_cross_between_runs",
    ),
    "a signal before the wait dropped": ("test_signals", "test_signals_before_the_wait_are_kept"),
    "a completed saga running again after resume": (
        "test_saga_ends",
        "test_a_completed_saga_never_runs_again_and_a_failed_one_does_so_whole",
    ),
    "a child on another queue created again on retry": (
        "test_old_faults",
        "test_a_child_on_another_queue_is_the_same_in_the_next_attempt",
    ),
    "a child on another queue created again after a crash": (
        "test_crashed_scenarios",
        "test_a_child_on_another_queue_is_created_once",
    ),
    "versions lost in continue-as-new": ("test_continue_as_new", "test_options_hold_for_the_next_runs"),
    "pausing renewing the retry budget": ("test_pausing", "test_pausing_renews_no_retry_budget"),
    "a failing compensation reported as success": (
        "test_sagas",
        "test_a_failed_saga_leaves_the_workflow_with_its_cause_and_errors",
    ),
    "wait returning early": ("test_waits", "test_wait_returns_when_all_is_done_and_not_before"),
    "close cancelling instead of keeping": ("test_old_faults", "test_close_keeps_what_is_unfinished"),
    "a run listed complete while its continuation runs": (
        "test_continue_as_new",
        "test_a_run_is_not_listed_complete_while_its_continuation_runs",
    ),
    "deleting by status touching others' data": (
        "test_old_faults",
        "test_deleting_by_status_leaves_everything_of_the_others",
    ),
    "the wrong queue stored": ("test_old_faults", "test_the_queue_that_is_stored_is_the_one_that_was_meant"),
    "a caller blocked until a worker is free": (
        "test_executing_runs",
        "test_execute_never_waits_for_a_free_worker",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_test(fault: str) -> None:
    """The test that is named is there."""
    module, name = FAULTS[fault]

    assert callable(getattr(importlib.import_module(f"tests.engine.{module}"), name))


def listening(ctx: WorkflowContext) -> Any:
    return ctx.signal("go").get()


def test_a_child_on_another_queue_is_the_same_in_the_next_attempt(
    make_engine: EngineMaker, home: Home, effects: Effects
) -> None:
    """One that worked and one that is under way are not made anew when their parent is tried again."""
    engine = make_engine(**home, queues=[Queue("default", kind="inline"), Queue("far", kind="inline")])
    attempts: list[int] = []

    def child(ctx: WorkflowContext, me: str, waits: bool) -> str:
        ctx.activity("note", note, effects.path, me).get()
        return str(ctx.signal("go").get()) if waits else me

    def parent(ctx: WorkflowContext) -> list[str]:
        far = workflow(child, queue="far")
        done, under_way = ctx.workflow("done", far, "done", False), ctx.workflow("late", far, "late", True)
        done.get()
        attempts.append(ctx.attempt)
        if ctx.attempt < 3:
            raise ValueError("again")
        return [done.get(), under_way.get()]

    retry = RetryPolicy(max_attempts=3, initial_interval=0.01)
    engine.execute("p", workflow(parent, retry=retry))
    engine.wait(timeout=WAIT_S)
    engine.signal("p/late", "go", "came")

    assert engine.get("p").get(timeout=WAIT_S) == ["done", "came"]
    assert sorted(effects.lines()) == ["done", "late"]
    assert [info.id for info in engine.workflows(parent="p")] == ["p/late", "p/done"]
    assert max(attempts) == 3


def test_close_keeps_what_is_unfinished(make_engine: EngineMaker, on_file: Home, gate: Gate) -> None:
    """Nothing is cancelled, in no history; the next engine goes on where this one stopped."""
    queues = [Queue("default", kind="thread", workers=1), Queue("none", workers=0)]
    engine = make_engine(**on_file, queues=queues)

    def parent(ctx: WorkflowContext) -> Any:
        return ctx.workflow("c", listening).get()

    def sleeping(ctx: WorkflowContext) -> str:
        ctx.sleep("nap", 0.3)
        return "slept"

    def held(ctx: WorkflowContext) -> str:
        return ctx.activity("held", pass_gate, gate.path).get()

    functions = [parent, listening, sleeping, held]
    engine.execute("p", parent), engine.execute("s", sleeping)
    engine.execute("d", workflow(listening, defer=True)), engine.execute("x", listening).pause()
    engine.execute("q", workflow(held, queue="none"))
    wait_until(lambda: engine.count(parent="p") == 1)
    engine.close(timeout=1)

    reopened = make_engine(**on_file, queues=[queues[0], Queue("none", kind="thread")], workflows=functions)
    gate.release()
    reopened.signal("p/c", "go", 1), reopened.signal("x", "go", 2), reopened.signal("d", "go", 3)
    assert (reopened.get("d").status, reopened.get("x").status) == ("PENDING", "PAUSED")
    reopened.resume("x"), reopened.enqueue("d")

    outcomes = [reopened.get(id).get(timeout=WAIT_S) for id in ("p", "s", "x", "d", "q")]
    assert outcomes == [1, "slept", 2, 3, "passed"]
    assert [event for event in reopened.events() if "Cancel" in event.type] == []


def test_deleting_by_status_leaves_everything_of_the_others(make_engine: EngineMaker, on_file: Home) -> None:
    """Histories, unread signals, timers and children of runs that are not deleted are as they were."""
    engine = make_engine(**on_file)

    def quick(ctx: WorkflowContext) -> int:
        return ctx.activity("len", len, "abc").get()

    def busy(ctx: WorkflowContext) -> list[Any]:
        child, timer = ctx.workflow("c", listening), ctx.timer("nap", 0.5)
        first = ctx.signal("go").get()
        timer.get()
        return [first, child.get(), ctx.signal("later").get()]

    for number in range(5):
        engine.execute(f"done{number}", quick)
        engine.execute(f"busy{number}", busy)
        engine.signal(f"busy{number}", "later", number)
    wait_until(lambda: engine.count(status="COMPLETED") == 5)
    wait_until(lambda: engine.count(status="WAITING") == 10)
    left = [f"busy{number}{child}" for number in range(5) for child in ("", "/c")]
    before = {id: engine.history(id) for id in left}

    assert engine.delete(status="COMPLETED") == 5
    assert {info.id: engine.history(info.id)[: len(before[info.id])] for info in engine.workflows()} == before
    engine._crash()
    reopened = make_engine(**on_file, workflows=[quick, busy, listening])
    for number in range(5):
        reopened.signal(f"busy{number}", "go", "go"), reopened.signal(f"busy{number}/c", "go", "child")
        assert reopened.get(f"busy{number}").get(timeout=WAIT_S) == ["go", "child", number]
    assert reopened.verify().problems == ()


def queues_of(engine: Tempolite) -> dict[str, str]:
    """Each run's queue, as it is listed."""
    return {info.id: info.queue for info in engine.workflows()}


def test_the_queue_that_is_stored_is_the_one_that_was_meant(make_engine: EngineMaker, on_file: Home) -> None:
    """Of roots, children, their clones and continuations, before and after a crash."""
    queues = [Queue(name, kind="inline") for name in ("default", "a", "b")]
    engine = make_engine(**on_file, queues=queues)

    def child(ctx: WorkflowContext) -> int:
        return ctx.activity("len", len, "abc").get()

    def parent(ctx: WorkflowContext, left: int) -> int:
        ctx.workflow("own", child).get()
        ctx.workflow("other", workflow(child, queue="b")).get()
        if left:
            ctx.continue_as_new(left - 1)
        return ctx.run

    engine.execute("root", child)
    engine.execute("p", workflow(parent, queue="a"), 0)
    engine.execute("q", workflow(parent, queue="a"), 1)
    engine.wait(timeout=WAIT_S)
    engine.retry("p", "clone"), engine.fork("p", "branch", before="other")
    engine.wait(timeout=WAIT_S)
    stored = queues_of(engine)
    engine._crash()

    assert queues_of(make_engine(**on_file, queues=queues, workflows=[child, parent])) == stored
    assert (stored.pop("root"), {stored[id] for id in ("p", "q", "clone", "branch")}) == ("default", {"a"})
    assert {queue for id, queue in stored.items() if "other" in id} == {"b"}
    assert {queue for id, queue in stored.items() if "own" in id} == {"a"}
