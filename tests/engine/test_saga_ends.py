"""Sagas that are cancelled, paused, undone, asked for wrongly, or asked for again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from tempolite import (
    InvalidArguments,
    InvalidState,
    NotStorable,
    Queue,
    QueueNotFound,
    RetryPolicy,
    Saga,
    SagaCompensated,
    SagaFailed,
    Status,
    Tempolite,
    TransactionContext,
    WorkflowCancelled,
    WorkflowContext,
    WorkflowStuck,
    activity,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate
from tests.engine.saga_steps import Ledger, do, undo, undo_not


def hold(tx: Any, gate: str) -> str:
    """Waits at the gate."""
    return pass_gate(gate)


def held(effects: Effects, gate: Gate, *, back: Gate | None = None) -> Saga:
    """A step, one that is held at the gate, and one more; undoing the first may be held as well."""
    saga = Saga().add(do, undo, args=(effects.path, "a"))
    if back is not None:
        saga.add(note_it, hold_back, args=(effects.path, back.path))
    return saga.add(hold, args=(gate.path,)).add(do, undo, args=(effects.path, "z"))


def note_it(tx: Any, path: str, gate: str) -> None:
    """Has something to undo."""
    note(path, "do b")


def hold_back(tx: Any, path: str, gate: str) -> None:
    """Undoes it, once the test lets it."""
    pass_gate(gate)
    note(path, "undo b")


# ── cancel ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_cancelled_run_undoes_its_saga_before_it_is_cancelled(
    make_engine: EngineMaker, effects: Effects, make_gate: Callable[[str], Gate]
) -> None:
    """The transaction under way is stopped, the completed ones are undone, and only then is it over."""
    engine = make_engine(queues=[Queue("default", workers=1)])
    gate, back = make_gate("gate"), make_gate("back")

    def shop(ctx: WorkflowContext) -> Any:
        return ctx.saga("checkout", held(effects, gate, back=back)).get()

    info = engine.execute("run", shop)
    gate.wait_until_reached()
    info.cancel()
    back.wait_until_reached()
    assert info.status == Status.RUNNING
    back.release()

    with pytest.raises(WorkflowCancelled):
        info.get()
    assert info.status == Status.CANCELLED
    assert effects.lines() == ["do a", "do b", "undo b", "undo a"]


def test_a_cancelled_run_that_crashes_while_it_undoes_goes_on_undoing(
    make_engine: EngineMaker, effects: Effects, make_gate: Callable[[str], Gate], path: Any
) -> None:
    """Its end waits for the compensation in the next life too."""
    workers = [Queue("default", workers=1)]
    gate, back = make_gate("gate"), make_gate("back")

    def shop(ctx: WorkflowContext) -> Any:
        return ctx.saga("checkout", held(effects, gate, back=back)).get()

    engine = make_engine(path, queues=workers)
    info = engine.execute("run", shop)
    gate.wait_until_reached()
    info.cancel()
    back.wait_until_reached()
    engine._crash()
    back.release()

    with pytest.raises(WorkflowCancelled):
        make_engine(path, queues=workers, workflows=[shop]).get("run").get()
    assert effects.lines() == ["do a", "do b", "undo b", "undo a"]


def test_code_that_cleans_up_sees_its_saga_compensated(
    make_engine: EngineMaker, effects: Effects, gate: Gate
) -> None:
    """A ``finally`` block may wait for the saga that the cancel turned back."""
    engine = make_engine(queues=[Queue("default", workers=1)])

    def shop(ctx: WorkflowContext) -> Any:
        info = ctx.saga("checkout", held(effects, gate))
        try:
            return info.get()
        finally:
            try:
                info.get()
            except SagaCompensated as error:
                ctx.side_effect("seen", functools.partial(note, effects.path, repr(error.__cause__))).get()

    info = engine.execute("run", shop)
    gate.wait_until_reached()
    info.cancel()

    with pytest.raises(WorkflowCancelled):
        info.get()
    assert effects.lines()[:2] == ["do a", "undo a"]
    assert "WorkflowCancelled" in effects.lines()[2]


def test_a_cancelled_run_that_is_resumed_begins_its_saga_anew(
    make_engine: EngineMaker, effects: Effects, gate: Gate
) -> None:
    """All its steps, since all of them were undone."""
    engine = make_engine(queues=[Queue("default", workers=1)])

    def shop(ctx: WorkflowContext) -> Any:
        return ctx.saga("checkout", held(effects, gate)).get()

    info = engine.execute("run", shop)
    gate.wait_until_reached()
    info.cancel()
    with pytest.raises(WorkflowCancelled):
        info.get()
    gate.release()
    info.resume()

    assert info.get() == ("a", "passed", "z")
    assert effects.lines() == ["do a", "undo a", "do a", "do z"]


def test_a_cancel_does_not_touch_a_compensation_under_way(
    make_engine: EngineMaker, effects: Effects, gate: Gate
) -> None:
    """It goes on to its end, and what is before it is undone too."""
    engine = make_engine(queues=[Queue("default", workers=1)])

    def shop(ctx: WorkflowContext) -> Any:
        saga = Saga().add(do, undo, args=(effects.path, "a"))
        saga.add(note_it, hold_back, args=(effects.path, gate.path)).add(do, args=(effects.path, "fail"))
        return ctx.saga("checkout", saga).get()

    info = engine.execute("run", shop)
    gate.wait_until_reached()
    info.cancel()
    gate.release()

    with pytest.raises(WorkflowCancelled):
        info.get()
    assert effects.lines() == ["do a", "do b", "do fail", "undo b", "undo a"]


# ── pause ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("crashes", [False, True])
def test_a_paused_run_finishes_its_transaction_and_begins_no_other(
    make_engine: EngineMaker, effects: Effects, gate: Gate, path: Any, crashes: bool
) -> None:
    """Until it is resumed, in this life or in the next."""
    workers = [Queue("default", workers=1)]

    def shop(ctx: WorkflowContext) -> Any:
        return ctx.saga("checkout", held(effects, gate)).get()

    engine = make_engine(path, queues=workers)
    info = engine.execute("run", shop)
    gate.wait_until_reached()
    info.pause()
    gate.release()
    engine.wait(timeout=20)

    assert info.status == Status.PAUSED
    assert effects.lines() == ["do a"]
    if crashes:
        engine._crash()
        info = make_engine(path, queues=workers, workflows=[shop]).get("run")
    info.resume()
    assert info.get() == ("a", "passed", "z")
    assert effects.lines() == ["do a", "do z"]


# ── undoing a completed saga ────────────────────────────────────────────────────────────────────────────


def test_a_completed_saga_can_be_undone_once(engine: Tempolite, effects: Effects) -> None:
    """In reverse order; the second time, and before it is complete, it is ``InvalidState``."""

    def shop(ctx: WorkflowContext) -> Any:
        refused = []

        def undo_it() -> None:
            try:
                ctx.compensate_saga("checkout").get()
            except InvalidState as error:
                refused.append(str(error).partition("'run' ")[2])

        undo_it()
        path = effects.path
        saga = Saga().add(do, undo, args=(path, "a")).add(do, undo, args=(path, "b"))
        info = ctx.saga("checkout", saga)
        undo_it()
        info.get()
        undo_it()
        undo_it()
        return refused

    assert engine.execute("run", shop).get() == [
        "was not asked for",
        "is not complete, as far as the code knows: wait for it first",
        "is compensated already",
    ]
    assert effects.lines() == ["do a", "do b", "undo b", "undo a"]


def test_a_failed_saga_can_not_be_undone(engine: Tempolite, effects: Effects) -> None:
    """It was."""

    def shop(ctx: WorkflowContext) -> Any:
        try:
            ctx.saga("checkout", Saga().add(do, args=(effects.path, "fail"))).get()
        except SagaCompensated:
            ctx.compensate_saga("checkout")

    with pytest.raises(InvalidState, match="was compensated"):
        engine.execute("run", shop).get()


def test_an_error_in_undoing_is_raised_and_only_what_failed_runs_again(
    make_engine: EngineMaker, effects: Effects
) -> None:
    """``SagaFailed`` with the errors; a new attempt of the run tries what had failed, the saga stands."""
    engine = make_engine(default_retry=RetryPolicy(max_attempts=1))

    def undo_later(tx: Any, path: str, name: str) -> None:
        lines = effects.lines()
        (undo if f"try to undo {name}" in lines else undo_not)(tx, path, name)

    def shop(ctx: WorkflowContext) -> Any:
        path = effects.path
        saga = Saga().add(do, undo_later, args=(path, "a")).add(do, undo, args=(path, "b"))
        ctx.saga("checkout", saga).get()
        return ctx.compensate_saga("checkout").get()

    info = engine.execute("run", shop)
    with pytest.raises(SagaFailed) as caught:
        info.get()
    info.resume()

    assert info.get() is None
    assert [repr(error) for error in caught.value.errors] == ["OSError('can not undo a')"]
    assert repr(caught.value.__cause__) == "OSError('can not undo a')"
    assert effects.lines() == ["do a", "do b", "undo b", "try to undo a", "undo a"]


# ── new attempts of the run ─────────────────────────────────────────────────────────────────────────────


def test_a_completed_saga_never_runs_again_and_a_failed_one_does_so_whole(
    engine: Tempolite, effects: Effects
) -> None:
    """In a new attempt of the run: all steps of the failed one, with idempotency keys of their own."""

    def keyed(tx: TransactionContext, path: str) -> str:
        note(path, tx.idempotency_key)
        return tx.idempotency_key

    def fails_first(tx: TransactionContext, path: str, attempt: int) -> int:
        if attempt == 1:
            raise OSError("busy")
        return attempt

    def shop(ctx: WorkflowContext) -> Any:
        path = effects.path
        ctx.saga("good", Saga().add(do, args=(path, "good"))).get()
        saga = Saga().add(keyed, args=(path,)).add(fails_first, args=(path, ctx.attempt))
        return ctx.saga("bad", saga).get()

    twice = workflow(shop, retry=RetryPolicy(max_attempts=2, initial_interval=0))
    key, attempt = engine.execute("run", twice).get()

    good, first, second = effects.lines()
    assert (good, second, attempt) == ("do good", key, 2)
    assert first != second


# ── wrong calls and changed code ────────────────────────────────────────────────────────────────────────


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
