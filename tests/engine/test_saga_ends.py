"""Sagas that are cancelled, paused, undone, asked for wrongly, or asked for again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from tempolite import (
    InvalidState,
    Queue,
    RetryPolicy,
    Saga,
    SagaCompensated,
    SagaFailed,
    Status,
    Tempolite,
    TransactionContext,
    WorkflowCancelled,
    WorkflowContext,
    activity,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate
from tests.engine.saga_steps import do, held, hold, hold_back, note_it, undo, undo_not

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


def test_a_cancel_stops_activities_and_leaves_a_compensation_under_way(
    make_engine: EngineMaker, effects: Effects, make_gate: Callable[[str], Gate]
) -> None:
    """It goes on to its end, and what is before it is undone too."""
    engine = make_engine(queues=[Queue("default", workers=2)])
    gate, other_gate = make_gate("gate"), make_gate("other")

    def shop(ctx: WorkflowContext) -> Any:
        ctx.activity("beside", activity(pass_gate, grace=0.1), other_gate.path)
        saga = Saga().add(do, undo, args=(effects.path, "a"))
        saga.add(note_it, hold_back, args=(effects.path, gate.path)).add(do, args=(effects.path, "fail"))
        return ctx.saga("checkout", saga).get()

    info = engine.execute("run", shop)
    other_gate.wait_until_reached()
    gate.wait_until_reached()
    info.cancel()
    gate.release()

    with pytest.raises(WorkflowCancelled):
        info.get()
    assert effects.lines() == ["do a", "do b", "do fail", "undo b", "undo a"]
    failed = {event.step for event in info.history() if event.type == "ActivityFailed"}
    assert failed == {"beside", "saga:checkout/do#2"}


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


# ── where nobody waits for the saga ─────────────────────────────────────────────────────────────────────


def test_a_saga_begun_while_the_run_is_being_cancelled_is_undone_if_nobody_waits_for_it(
    make_engine: EngineMaker, effects: Effects, gate: Gate
) -> None:
    """The end of the code turns it back, like every other one."""
    engine = make_engine(queues=[Queue("default", workers=1)])

    def shop(ctx: WorkflowContext) -> Any:
        try:
            ctx.signal("never").get()
        finally:
            ctx.saga("late", Saga().add(hold, args=(gate.path,)).add(do, args=(effects.path, "z")))

    info = engine.execute("run", shop)
    engine.wait(timeout=20)
    info.cancel()

    with pytest.raises(WorkflowCancelled):
        info.get()
    assert effects.lines() == []
    assert "SagaRolledBack" in [event.type for event in info.history()]


def test_a_query_of_a_finished_run_does_not_take_up_a_saga_that_it_left(
    make_engine: EngineMaker, effects: Effects, gate: Gate
) -> None:
    """The code is looked at through its history; nothing is executed."""
    engine = make_engine(queues=[Queue("default", workers=2)])

    def shop(ctx: WorkflowContext) -> str:
        ctx.on_query("how", lambda: "left it")
        ctx.saga("left", held(effects, gate))
        ctx.signal("go").get()
        return "over"

    info = engine.execute("run", shop)
    gate.wait_until_reached()
    info.signal("go")
    assert info.get() == "over"

    assert info.query("how") == "left it"
    engine.wait(timeout=20)
    assert effects.lines() == ["do a"]
    assert not gate.is_reached_within(0.2)


def test_a_query_of_a_finished_run_does_not_take_up_an_activity_that_it_left(
    make_engine: EngineMaker, gate: Gate
) -> None:
    """Nor any other step."""
    engine = make_engine(queues=[Queue("default", workers=2)])

    def shop(ctx: WorkflowContext) -> str:
        ctx.on_query("how", lambda: "left it")
        ctx.activity("left", pass_gate, gate.path)
        ctx.signal("go").get()
        return "over"

    info = engine.execute("run", shop)
    gate.wait_until_reached()
    info.signal("go")
    assert info.get() == "over"

    assert info.query("how") == "left it"
    assert not gate.is_reached_within(0.2)


def test_a_resumed_run_that_waits_for_its_queue_keeps_its_saga_waiting(
    make_engine: EngineMaker, effects: Effects, make_gate: Callable[[str], Gate]
) -> None:
    """``max_runs`` counts for sagas as for code."""
    engine = make_engine(queues=[Queue("default", workers=2, max_runs=1)])
    gate, other_gate = make_gate("gate"), make_gate("other")

    def shop(ctx: WorkflowContext) -> Any:
        return ctx.saga("checkout", held(effects, gate)).get()

    def other(ctx: WorkflowContext) -> Any:
        ctx.activity("hold", pass_gate, other_gate.path).get()
        return ctx.activity("note", note, effects.path, "other").get()

    info = engine.execute("run", shop)
    gate.wait_until_reached()
    info.pause()
    gate.release()
    engine.wait(timeout=20)
    second = engine.execute("other", other)
    other_gate.wait_until_reached()
    info.resume()
    assert info.status == Status.PENDING
    assert not gate.is_reached_within(0.2)
    other_gate.release()

    assert second.get() == "other"
    assert info.get() == ("a", "passed", "z")
    assert effects.lines() == ["do a", "other", "do z"]
