"""New runs made from stored ones: ``retry`` runs everything again, ``fork`` keeps what was done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    InvalidArguments,
    NotRegistered,
    Queue,
    Tempolite,
    WorkflowAlreadyExists,
    WorkflowContext,
    WorkflowNotFound,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate


def order(ctx: WorkflowContext, effects: str, amount: int) -> list[Any]:
    """Three steps that leave a trace, and draws between them."""
    first = ctx.activity("reserve", note, effects, "reserve").get()
    draw = ctx.side_effect("draw", lambda: note(effects, "draw")).get()
    child = ctx.workflow("child", inner, effects).get()
    last = ctx.activity("charge", note, effects, f"charge {amount}").get()
    ctx.activity("ship", note, effects, "ship").get()
    return [first, draw, child, last, ctx.random.random()]


def inner(ctx: WorkflowContext, effects: str) -> str:
    return ctx.activity("inner", note, effects, "inner").get()


def refuse(effects: str) -> None:
    note(effects, "refuse")
    raise ValueError("refused")


def caught(ctx: WorkflowContext, effects: str) -> str:
    try:
        ctx.activity("refuse", refuse, effects).get()
    except ValueError as error:
        return ctx.activity("after", note, effects, f"after {error}").get()
    return "never"


def parallel(ctx: WorkflowContext, gate: str, effects: str) -> tuple[Any, ...]:
    slow = ctx.activity("slow", pass_gate, gate)
    quick = ctx.activity("quick", note, effects, "quick").get()
    last = ctx.activity("last", note, effects, "last").get()
    return slow.get(), quick, last


def asking(ctx: WorkflowContext, effects: str) -> list[Any]:
    name = ctx.signal("name").get()
    ctx.activity("tell", note, effects, name).get()
    return [name, ctx.signal("name").get()]


def numbered(ctx: WorkflowContext, number: int) -> int:
    return ctx.continue_as_new(number + 1) if number < 3 else number


ONCE = ["reserve", "draw", "inner", "charge 5", "ship"]


def test_a_retry_runs_everything_again(engine: Tempolite, effects: Effects) -> None:
    """The same function and inputs under an id of its own; the old run stays as it is."""
    old = engine.execute("old", order, effects.path, 5)
    expected = old.get(timeout=20)[:4]
    history = old.history()

    new = engine.retry("old", "new")

    assert new.get(timeout=20)[:4] == expected
    assert effects.lines() == ONCE * 2
    assert (new.retried_from, new.forked_from, old.retried_from) == ("old", None, None)
    assert (new.run, new.run_group, new.function, new.parent) == (1, "new", old.function, None)
    assert old.history() == history


def test_a_retry_without_an_id_gets_one(engine: Tempolite, effects: Effects) -> None:
    """Of failed runs and of children too; its draws are its own."""
    old = engine.execute("old", order, effects.path, 5)
    draws = {old.get(timeout=20)[-1]}

    for _ in range(2):
        draws.add(engine.retry("old").get(timeout=20)[-1])
    child = asyncio.run(engine.aretry("old/child"))

    assert len(draws) == 3
    assert child.get(timeout=20) == "inner"
    assert (child.parent, child.retried_from) == (None, "old/child")


def test_a_fork_keeps_what_was_done(engine: Tempolite, effects: Effects) -> None:
    """Steps before are not run again, the one named and all later ones are; draws are the same."""
    old = engine.execute("old", order, effects.path, 5)
    expected = old.get(timeout=20)

    new = engine.fork("old", "new", before="charge")

    assert new.get(timeout=20) == expected
    assert effects.lines() == [*ONCE, "charge 5", "ship"]
    assert (new.forked_from, new.retried_from, new.run_group) == ("old", None, "new")
    assert engine.tree("new").children == ()
    assert engine.verify().problems == ()


@pytest.mark.parametrize(
    ("before", "again"),
    [("reserve", ONCE), ("draw", ONCE[1:]), ("child", ONCE[2:]), ("ship", ONCE[4:])],
)
def test_a_fork_begins_before_any_step(
    engine: Tempolite, effects: Effects, before: str, again: list[str]
) -> None:
    """An activity, a side effect, a child; the child of a fork is its own."""
    engine.execute("old", order, effects.path, 5).get(timeout=20)

    asyncio.run(engine.afork("old", "new", before=before)).get(timeout=20)

    assert effects.lines() == [*ONCE, *again]


def test_a_fork_begins_with_one_commit(engine: Tempolite, effects: Effects) -> None:
    """Its history has the kept entries right behind its creation, all of one moment."""
    engine.execute("old", order, effects.path, 5).get(timeout=20)

    engine.fork("old", "new", before="charge").get(timeout=20)
    history = engine.history("new")

    assert [event.type for event in history[:7]] == [
        "RunCreated",
        "ActivityScheduled",
        "ActivityCompleted",
        "SideEffectCompleted",
        "ChildScheduled",
        "ChildCompleted",
        "ActivityScheduled",
    ]
    assert len({event.at for event in history[:7]}) == 1
    batches = engine._rows(
        "SELECT count(DISTINCT batch) FROM events WHERE position BETWEEN ? AND ?",
        (history[0].seq, history[6].seq),
    )
    assert batches == [(1,)]


def test_a_failure_that_was_caught_is_kept(engine: Tempolite, effects: Effects) -> None:
    """The code of the fork catches it again, and nothing ran for it."""
    engine.execute("old", caught, effects.path).get(timeout=20)

    assert engine.fork("old", "new", before="after").get(timeout=20) == "after refused"
    assert effects.lines() == ["refuse", "after refused", "after refused"]
    assert [event.type for event in engine.history("new")].count("ActivityFailed") == 1


def test_what_was_under_way_runs_again(make_engine: EngineMaker, gate: Gate, effects: Effects) -> None:
    """Also of a run that is not finished: it goes on beside its fork."""
    engine = make_engine(queues=[Queue("default", kind="thread", workers=4)])
    old = engine.execute("old", parallel, gate.path, effects.path)
    gate.wait_until_reached()
    while "ActivityCompleted" not in [event.type for event in old.history() if event.step == "last"]:
        engine._system.wait_for(engine._system.next_commit())

    new = engine.fork("old", "new", before="last")
    gate.wait_until_reached()
    gate.release(times=2)

    assert new.get(timeout=20) == old.get(timeout=20) == ("passed", "quick", "last")
    assert effects.lines() == ["quick", "last", "last"]


def test_signals_that_were_taken_are_kept(engine: Tempolite, effects: Effects) -> None:
    """Others were sent to the old run: the fork waits for its own."""
    old = engine.execute("old", asking, effects.path)
    for name in ("ada", "bob"):
        old.signal("name", name, dedup=name)
    old.get(timeout=20)

    new = engine.fork("old", "new", before="tell")
    new.signal("name", "ada", dedup="ada")

    assert new.get(timeout=20) == ["ada", "ada"]
    assert effects.lines() == ["ada", "ada"]


def test_a_fork_survives_a_restart(make_engine: EngineMaker, path: Path, effects: Effects) -> None:
    """Its history is one like any other: it can be replayed, forked and retried again."""
    first = make_engine(path)
    expected = first.execute("old", order, effects.path, 5).get(timeout=20)
    first.fork("old", "new", before="ship").get(timeout=20)
    first._crash()
    effects_before = effects.lines()

    engine = make_engine(path, workflows=[order])

    assert engine.replay("new") == expected
    assert effects.lines() == effects_before
    assert engine.fork("new", "newer", before="ship").get(timeout=20) == expected
    assert engine.get("newer").forked_from == "new"


def test_the_latest_run_is_the_one_that_is_cloned(engine: Tempolite) -> None:
    """Of a workflow that continued as new; the clone counts its runs from 1."""
    engine.execute("old", numbered, 1).get(timeout=20)

    new = engine.retry("old", "new")

    assert (new.get(timeout=20), new.run, engine.get("old").run) == (3, 1, 3)


def test_a_deferred_run_is_cloned_to_start_at_once(engine: Tempolite, effects: Effects) -> None:
    """The clone is not deferred; the old run still is."""
    engine.execute("old", workflow(inner, defer=True), effects.path)

    assert engine.retry("old", "new").get(timeout=20) == "inner"
    assert engine.get("old").status == "PENDING"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda engine: engine.retry("nobody"), WorkflowNotFound),
        (lambda engine: engine.fork("nobody", "new", before="draw"), WorkflowNotFound),
        (lambda engine: engine.retry("old", "old"), WorkflowAlreadyExists),
        (lambda engine: engine.retry("old", "taken"), WorkflowAlreadyExists),
        (lambda engine: engine.fork("old", "taken", before="draw"), WorkflowAlreadyExists),
        (lambda engine: engine.fork("old", "new", before="nothing"), InvalidArguments),
        (lambda engine: engine.fork("old", "new", before=None), InvalidArguments),
        (lambda engine: engine.fork("old", "", before="draw"), InvalidArguments),
        (lambda engine: engine.fork("old", None, before="draw"), InvalidArguments),
        (lambda engine: engine.retry("old", 7), InvalidArguments),
    ],
)
def test_what_can_not_be_cloned_is_refused(
    engine: Tempolite, effects: Effects, call: Callable[[Tempolite], Any], error: type[Exception]
) -> None:
    """Nothing is recorded then, and nothing runs."""
    engine.execute("old", order, effects.path, 5).get(timeout=20)
    engine.execute("taken", order, effects.path, 5).get(timeout=20)
    before = engine.count()

    with pytest.raises(error):
        call(engine)

    assert engine.count() == before
    assert effects.lines() == ONCE * 2


def test_a_function_that_is_not_known_can_not_be_cloned(
    make_engine: EngineMaker, path: Path, effects: Effects
) -> None:
    """Once it is registered it can."""
    first = make_engine(path)
    first.execute("old", inner, effects.path).get(timeout=20)
    first.close()
    engine = make_engine(path)

    with pytest.raises(NotRegistered, match="inner"):
        engine.retry("old")

    engine.register(inner)
    assert engine.retry("old").get(timeout=20) == "inner"
