"""Continue-as-new: the same workflow, a fresh history, and nothing lost on the way."""

from __future__ import annotations

from typing import Any

import pytest

from tempolite import (
    AsyncWorkflowContext,
    ContinueAsNew,
    InvalidArguments,
    Queue,
    WorkflowCancelled,
    WorkflowContext,
    WorkflowFinished,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate
from tests.engine.waiting import wait_until

Home = dict[str, Any]
THREADS = [Queue("default", kind="thread", workers=3)]


def counting(ctx: WorkflowContext, left: int, effects: str) -> list[Any]:
    ctx.activity("note", note, effects, f"run {ctx.run}").get()
    if left:
        ctx.continue_as_new(left - 1, effects)
    return [ctx.run, ctx.workflow_id]


async def counting_async(ctx: AsyncWorkflowContext, left: int, effects: str) -> list[Any]:
    await ctx.activity("note", note, effects, f"run {ctx.run}")
    if left:
        ctx.continue_as_new(left - 1, effects)
    return [ctx.run, ctx.workflow_id]


@pytest.mark.parametrize("fn", [counting, counting_async], ids=["def", "async"])
def test_each_run_is_new_and_the_handle_follows(
    make_engine: EngineMaker, home: Home, effects: Effects, fn: Any
) -> None:
    """Same id and group, ``run`` + 1, a history of its own; each can be replayed."""
    engine = make_engine(**home)
    info = engine.execute("a", fn, 3, effects.path)
    group = info.run_group

    assert info.get(timeout=10) == [4, "a"]
    assert effects.lines() == ["run 1", "run 2", "run 3", "run 4"]
    assert (info.run, info.run_group, info.status) == (4, group, "COMPLETED")
    assert engine.count() == 1
    assert [event.run for event in engine.history("a", run=2)][:1] == [2]
    assert engine.replay("a") == [4, "a"]


def reading(ctx: WorkflowContext, got: list[Any], wanted: int) -> list[Any]:
    got = [*got, ctx.signal("item").get()]
    if len(got) < wanted:
        ctx.continue_as_new(got, wanted)
    return got


def test_signals_are_read_once_across_continuations(make_engine: EngineMaker, home: Home) -> None:
    """One for each run; those that nobody has read are carried over."""
    engine = make_engine(**home)
    info = engine.execute("a", reading, [], 30)

    for number in range(30):
        engine.signal("a", "item", number, dedup=f"n{number}")
        if number < 29:
            engine.signal("a", "item", "again", dedup=f"n{number}")

    assert info.get(timeout=15) == list(range(30))


def test_signals_are_read_once_across_continuations_and_crashes(
    make_engine: EngineMaker, on_file: Home
) -> None:
    """The same with an engine that dies every few signals."""
    engine = make_engine(**on_file)
    engine.execute("a", reading, [], 12)
    for number in range(12):
        engine.signal("a", "item", number, dedup=f"n{number}")
        if number % 3 == 2:
            engine._crash()
            engine = make_engine(**on_file, workflows=[reading])
            if number < 11:
                engine.signal("a", "item", "again", dedup=f"n{number}")

    assert engine.get("a").get(timeout=10) == list(range(12))


def test_a_run_is_not_listed_complete_while_its_continuation_runs(
    make_engine: EngineMaker, home: Home, gate: Gate
) -> None:
    """One row, ``RUNNING``; no filter finds a completed one; ``wait`` waits for it."""
    engine = make_engine(**home, queues=THREADS)

    def twice(ctx: WorkflowContext) -> str:
        if ctx.run == 1:
            ctx.continue_as_new()
        return ctx.activity("hold", pass_gate, gate.path).get()

    info = engine.execute("a", twice)
    gate.wait_until_reached()

    assert [each.status for each in engine.workflows()] == ["RUNNING"]
    assert (engine.count(status="COMPLETED"), engine.count()) == (0, 1)
    with pytest.raises(TimeoutError):
        engine.wait(timeout=0.05)
    gate.release()
    assert info.get(timeout=10) == "passed"


def test_a_continued_child_is_one_child(make_engine: EngineMaker, home: Home, effects: Effects) -> None:
    """The parent gets the last run's result, once."""
    engine = make_engine(**home)

    def parent(ctx: WorkflowContext) -> Any:
        return ctx.workflow("c", counting, 2, effects.path).get()

    assert engine.execute("p", parent).get(timeout=10) == [3, "p/c"]
    assert engine.get("p/c").parent == "p"
    assert engine.count() == 2


def test_children_of_later_runs_are_runs_of_their_own(make_engine: EngineMaker, home: Home) -> None:
    """The same step in the next run is another child."""
    engine = make_engine(**home)

    def double(ctx: WorkflowContext, number: int) -> int:
        return number * 2

    def parent(ctx: WorkflowContext, got: list[int]) -> list[int]:
        got = [*got, ctx.workflow("c", double, ctx.run).get()]
        if ctx.run < 3:
            ctx.continue_as_new(got)
        return got

    assert engine.execute("p", parent, []).get(timeout=10) == [2, 4, 6]
    assert engine.count(parent="p") == 3


def test_wrong_arguments_are_refused_where_they_are_given(make_engine: EngineMaker, home: Home) -> None:
    """``InvalidArguments`` in the code, which can go on (P4)."""
    engine = make_engine(**home)

    def wrong(ctx: WorkflowContext, number: int) -> str:
        try:
            ctx.continue_as_new(1, 2, 3)
        except InvalidArguments:
            return f"refused in run {ctx.run}"

    assert engine.execute("a", wrong, 0).get(timeout=10) == "refused in run 1"


def test_except_exception_does_not_swallow_it(make_engine: EngineMaker, home: Home) -> None:
    """It never returns, and is no error."""
    engine = make_engine(**home)

    def careless(ctx: WorkflowContext, left: int) -> int:
        if left:
            try:
                ctx.continue_as_new(left - 1)
            except Exception:
                return -1
        return ctx.run

    assert engine.execute("a", careless, 2).get(timeout=10) == 3


def test_a_continuation_is_paused_and_cancelled_like_any_run(make_engine: EngineMaker, home: Home) -> None:
    """By the same id."""
    engine = make_engine(**home)
    info = engine.execute("a", reading, [], 3)
    engine.signal("a", "item", 1)
    engine.wait(timeout=10)
    engine.pause("a")
    engine.signal("a", "item", 2)
    engine.wait(timeout=10)
    assert (info.run, info.status) == (2, "PAUSED")
    engine.resume("a")
    engine.wait(timeout=10)
    assert info.run == 3

    engine.cancel("a")

    with pytest.raises(WorkflowCancelled):
        info.get(timeout=10)


def outside(ctx: WorkflowContext, number: int, gate: str) -> list[Any]:
    """Waits for what never comes; only a continuation with 0 ends it."""
    if number > 0:
        ctx.activity("hold", pass_gate, gate).get()
    return [ctx.run, number, ctx.signal("item").get() if number < 0 else None]


def test_a_continuation_from_outside_takes_effect_at_the_wait(
    make_engine: EngineMaker, home: Home, gate: Gate
) -> None:
    """Its running activities are cancelled; the next run has the given arguments."""
    engine = make_engine(**home, queues=THREADS)
    info = engine.execute("a", outside, 1, gate.path)
    gate.wait_until_reached()

    info.actor_ref.ask(ContinueAsNew((0, gate.path)), timeout=10)

    assert info.get(timeout=10) == [2, 0, None]
    gate.release()
    with pytest.raises(WorkflowFinished):
        info.actor_ref.ask(ContinueAsNew((0, gate.path)), timeout=10)


def test_a_continuation_from_outside_keeps_signals_and_pauses(
    make_engine: EngineMaker, home: Home, gate: Gate
) -> None:
    """A paused run's next run is paused; what was unread is its."""
    engine = make_engine(**home, queues=THREADS)
    info = engine.execute("a", outside, 1, gate.path)
    gate.wait_until_reached()
    engine.signal("a", "item", "kept")
    engine.pause("a")

    info.actor_ref.tell(ContinueAsNew((-1, gate.path)))
    wait_until(lambda: info.run == 2)
    engine.wait(timeout=10)
    assert info.status == "PAUSED"
    gate.release(2)
    engine.resume("a")

    assert info.get(timeout=10) == [2, -1, "kept"]


def test_wrong_arguments_from_outside_are_refused(make_engine: EngineMaker, home: Home, gate: Gate) -> None:
    """``InvalidArguments``; the run goes on as it was."""
    engine = make_engine(**home, queues=THREADS)
    info = engine.execute("a", outside, 1, gate.path)
    gate.wait_until_reached()

    with pytest.raises(InvalidArguments):
        info.actor_ref.ask(ContinueAsNew((1, 2, 3, 4)), timeout=10)
    gate.release()

    assert info.get(timeout=10) == [1, 1, None]


def test_options_hold_for_the_next_runs(make_engine: EngineMaker, home: Home) -> None:
    """Queue, and versions that were given or recorded."""
    engine = make_engine(**home, queues=[Queue("default", kind="inline"), Queue("gpu", kind="inline")])
    ranges = {"seen": 1}

    def versioned(ctx: WorkflowContext, got: list[int]) -> list[int]:
        got = [*got, ctx.get_version("given", 1, 9), ctx.get_version("seen", 1, ranges["seen"])]
        if ctx.run < 3:
            ranges["seen"] = 5
            ctx.continue_as_new(got)
        return got

    info = engine.execute("a", workflow(versioned, queue="gpu", versions={"given": 4}), [])

    assert info.get(timeout=10) == [4, 1, 4, 1, 4, 1]
    assert info.queue == "gpu"


def test_a_continuation_never_waits_behind_its_parent(make_engine: EngineMaker, home: Home) -> None:
    """``max_runs=1``: the next run has the place of the one before, others wait; children need none."""
    engine = make_engine(**home, queues=[Queue("default", kind="inline", max_runs=1)])
    order: list[str] = []

    def child(ctx: WorkflowContext) -> int:
        return 1

    def thrice(ctx: WorkflowContext) -> int:
        order.append(f"{ctx.workflow_id}{ctx.run}")
        ctx.workflow("c", child).get()
        if ctx.run < 3:
            ctx.continue_as_new()
        return ctx.run

    infos = [engine.execute(id, thrice) for id in "abc"]

    assert [info.get(timeout=10) for info in infos] == [3, 3, 3]
    assert list(dict.fromkeys(order)) == [f"{id}{run}" for id in "abc" for run in (1, 2, 3)]


def test_continuations_go_on_after_a_crash(make_engine: EngineMaker, on_file: Home, effects: Effects) -> None:
    """No run is begun twice as another run; each activity of it is done at least once."""
    engine = make_engine(**on_file)
    engine.execute("a", counting, 40, effects.path)
    for _ in range(3):
        engine._crash()
        engine = make_engine(**on_file, workflows=[counting])

    assert engine.get("a").get(timeout=10) == [41, "a"]
    assert list(dict.fromkeys(effects.lines())) == [f"run {number}" for number in range(1, 42)]


async def cleaning(ctx: AsyncWorkflowContext) -> None:
    """Cleans up whatever happens."""
    try:
        await ctx.signal("go")
    finally:
        await ctx.activity("clean", len, "abc")


def test_code_that_cleans_up_is_ended_without_a_word(
    make_engine: EngineMaker, on_file: Home, caplog: pytest.LogCaptureFixture
) -> None:
    """Put away, continued or closed: its ``finally`` blocks run, and what they ask for is refused."""
    engine = make_engine(**on_file)
    info = engine.execute("a", cleaning)
    engine.wait(timeout=10)
    info.actor_ref.ask(ContinueAsNew(()))
    engine.wait(timeout=10)
    engine.close()

    assert [each.getMessage() for each in caplog.records if each.levelname == "ERROR"] == []


@pytest.mark.parametrize("paused", [False, True])
def test_a_deferred_run_that_continues_stays_deferred(
    make_engine: EngineMaker, home: Home, paused: bool
) -> None:
    """Listed so from the first moment; its time does not run before it begins."""
    engine = make_engine(**home)
    info = engine.execute("a", workflow(counting, defer=True, timeout=3600), 0, "")
    if paused:
        info.pause()

    info.actor_ref.ask(ContinueAsNew((1, "never")))

    statuses = {str(row[0]) for row in engine._rows("SELECT status FROM runs WHERE is_latest = 1")}
    assert statuses == {"PAUSED" if paused else "PENDING"}
    engine.wait(timeout=10)
    assert (info.run, engine._rows("SELECT count(*) FROM timers")) == (2, [(0,)])
