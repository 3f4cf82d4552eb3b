"""Sagas that can't be right, or that the code has changed under."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from tempolite import (
    InvalidArguments,
    NotStorable,
    Queue,
    QueueNotFound,
    Saga,
    Tempolite,
    WorkflowContext,
    WorkflowStuck,
    activity,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate
from tests.engine.saga_steps import Ledger, do, held, hold, undo, undo_not


@pytest.mark.parametrize(
    "add",
    [
        lambda: Saga().add(None),
        lambda: Saga().add(5),
        lambda: Saga().add(do, 5, args=("", "a")),
        lambda: Saga().add(do),
        lambda: Saga().add(do, args=("", "a", "b")),
        lambda: Saga().add(do, lambda tx: None, args=("", "a")),
        lambda: Saga().add(lambda: None),
        lambda: Saga().add(do, args="ab"),
        lambda: Saga().add(Ledger("book")),
        lambda: Saga().add(do, args=("", "a"), name=""),
        lambda: Saga().add(do, args=("", "a"), name="a/b"),
        lambda: Saga().add(do, args=("", "a"), name="a#2"),
        lambda: Saga().add(do, args=("", "a"), retry=3),  # type: ignore[arg-type]
        lambda: Saga().add(do, args=("", "a"), timeout=-1),
        lambda: Saga().add(do, args=("", "a"), name="a").add(do, args=("", "a"), name="a"),
    ],
)
def test_a_step_that_can_not_be_right_is_refused_where_it_is_added(add: Callable[[], Saga]) -> None:
    """Not callable, arguments that don't fit, names twice, values out of range (P4)."""
    with pytest.raises(InvalidArguments):
        add()


def test_names_that_are_not_given_are_made_unique() -> None:
    """The function's, the object's class's; also where they meet a name that was given."""
    saga = Saga().add(do, args=("", "a"), name="undo").add(do, args=("", "a")).add(undo, args=("", "a"))
    saga.add(functools.partial(do, path="", name="a")).add(do, args=("", "a")).add(Ledger("x"), args=("",))

    assert [step.name for step in saga.steps] == ["undo", "do", "undo#2", "do#2", "do#3", "Ledger"]


@pytest.mark.parametrize(
    ("saga", "error"),
    [
        (None, InvalidArguments),
        (Saga().add(do, args=("", object())), NotStorable),
        (Saga().add(activity(do, queue="nowhere"), args=("", "a")), QueueNotFound),
    ],
)
def test_a_saga_that_can_not_run_is_refused_before_anything_is_recorded(
    engine: Tempolite, saga: Any, error: type[Exception]
) -> None:
    """The run hears of it where it asks."""

    def shop(ctx: WorkflowContext) -> Any:
        ctx.saga("checkout", saga)

    with pytest.raises(error):
        engine.execute("run", shop).get()

    assert [event.type for event in engine.history("run")] == ["RunCreated", "RunFailed"]


@pytest.mark.parametrize("change", ["transaction", "compensation", "fewer steps"])
def test_a_saga_whose_functions_changed_under_it_is_stuck(
    make_engine: EngineMaker, effects: Effects, gate: Gate, path: Any, change: str
) -> None:
    """Both sides are shown, nothing is executed (P1)."""
    is_changed = False

    def shop(ctx: WorkflowContext) -> Any:
        if not is_changed:
            return ctx.saga("checkout", held(effects, gate)).get()
        doing = hold if change == "transaction" else do
        undoing = undo_not if change == "compensation" else undo
        args = (gate.path,) if change == "transaction" else (effects.path, "a")
        saga = Saga().add(doing, None if change == "transaction" else undoing, args=args, name="do")
        return ctx.saga("checkout", saga).get()

    engine = make_engine(path, queues=[Queue("default", workers=1)])
    engine.execute("run", shop)
    gate.wait_until_reached()
    engine._crash()
    is_changed = True

    with pytest.raises(WorkflowStuck, match="NonDeterminismError: the history of saga 'checkout' has"):
        make_engine(path, workflows=[shop]).get("run").get()
    assert effects.lines() == ["do a"]


def test_a_step_that_is_gone_from_the_code_can_not_be_undone(
    make_engine: EngineMaker, effects: Effects, path: Any
) -> None:
    """A completed saga may lose a step; asked to undo it, the run is stuck and says which."""
    is_changed = False

    def shop(ctx: WorkflowContext) -> Any:
        saga = Saga().add(do, undo, args=(effects.path, "b"), name="b")
        if not is_changed:
            saga.add(do, undo, args=(effects.path, "a"), name="a")
        ctx.saga("checkout", saga).get()
        ctx.signal("go").get()
        ctx.compensate_saga("checkout").get()

    engine = make_engine(path)
    engine.execute("run", shop)
    engine.wait(timeout=20)
    engine._crash()
    is_changed = True
    info = make_engine(path, workflows=[shop]).get("run")
    info.signal("go")

    with pytest.raises(WorkflowStuck, match="step 'a', the code has no such step"):
        info.get()
    assert effects.lines() == ["do b", "do a"]
