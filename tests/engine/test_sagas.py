"""Sagas: all of it, or nothing of it, whatever happens in between (P11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tempolite import (
    ActivityTimeout,
    AsyncWorkflowContext,
    CompensationContext,
    NonRetryable,
    Queue,
    RetryPolicy,
    Saga,
    SagaCompensated,
    SagaFailed,
    Tempolite,
    TransactionContext,
    WorkflowContext,
    activity,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, note
from tests.engine.saga_steps import FAST, Ledger, do, do_async, undo, undo_not


def test_a_saga_gives_the_values_of_its_transactions_in_order(engine: Tempolite, effects: Effects) -> None:
    """A tuple, as any Python function with several values."""

    def shop(ctx: WorkflowContext) -> Any:
        return ctx.saga("checkout", three_steps(effects)).get()

    assert engine.execute("run", shop).get() == ("a", "b", "c")
    assert effects.lines() == ["do a", "do b", "do c"]


@pytest.mark.parametrize("failing", range(3))
def test_a_failure_undoes_the_steps_before_it_in_reverse(
    engine: Tempolite, effects: Effects, failing: int
) -> None:
    """Step i itself is not undone, nor is anything after it begun."""
    names = ["a", "b", "c"]

    def shop(ctx: WorkflowContext) -> Any:
        return ctx.saga("checkout", three_steps(effects, failing=names[failing])).get()

    with pytest.raises(SagaCompensated, match=f"step '{names[failing]}'") as caught:
        engine.execute("run", shop).get()

    done = names[:failing]
    expected = [f"do {name}" for name in [*done, names[failing]]] + [f"undo {name}" for name in done[::-1]]
    assert effects.lines() == expected
    assert type(caught.value.__cause__) is ValueError
    assert "attempt 1" in caught.value.__cause__.__notes__[0]


def test_a_compensation_that_fails_does_not_keep_the_others_from_running(
    engine: Tempolite, effects: Effects
) -> None:
    """Then it is ``SagaFailed``: its cause is the failure, its errors are those of the compensations."""

    def shop(ctx: WorkflowContext) -> Any:
        path = effects.path
        saga = Saga().add(do, undo, args=(path, "a")).add(do, undo_not, args=(path, "b"))
        saga.add(do, undo_not, args=(path, "c")).add(do, undo, args=(path, "fail"))
        try:
            return ctx.saga("checkout", saga).get()
        except SagaFailed as error:
            return [repr(error.__cause__), *map(repr, error.errors)]

    result = engine.execute("run", shop).get()

    assert result == ["ValueError('fail')", "OSError('can not undo c')", "OSError('can not undo b')"]
    assert effects.lines()[-3:] == ["try to undo c", "try to undo b", "undo a"]


def test_a_failed_saga_leaves_the_workflow_with_its_cause_and_errors(
    engine: Tempolite, effects: Effects
) -> None:
    """What ``get`` outside raises is what the code saw."""

    def shop(ctx: WorkflowContext) -> Any:
        saga = Saga().add(do, undo_not, args=(effects.path, "a")).add(do, args=(effects.path, "fail"))
        return ctx.saga("checkout", saga).get()

    with pytest.raises(SagaFailed) as caught:
        engine.execute("run", shop).get()

    assert repr(caught.value.__cause__) == "ValueError('fail')"
    assert [repr(error) for error in caught.value.errors] == ["OSError('can not undo a')"]


def test_a_step_without_compensation_is_left_as_it_is(engine: Tempolite, effects: Effects) -> None:
    """The steps around it are undone."""

    def shop(ctx: WorkflowContext) -> Any:
        path = effects.path
        saga = Saga().add(do, undo, args=(path, "a")).add(do, args=(path, "b"))
        return ctx.saga("checkout", saga.add(do, undo, args=(path, "fail"))).get()

    with pytest.raises(SagaCompensated):
        engine.execute("run", shop).get()

    assert effects.lines() == ["do a", "do b", "do fail", "undo a"]


def test_what_a_step_stores_is_there_for_every_later_one(engine: Tempolite) -> None:
    """Compensations included; values come back as they were, each time anew."""

    def reserve(tx: TransactionContext) -> None:
        tx.store("seats", {1, 2})
        tx.store("seats", {3, 4})

    def charge(tx: TransactionContext) -> None:
        tx.load("seats").clear()
        tx.store("receipt", (tx.step_index, tx.load("seats")))

    def fail(tx: TransactionContext) -> None:
        raise ValueError(repr(tx.load("receipt")))

    def refund(tx: CompensationContext) -> None:
        tx.store("refunded", tx.load("receipt"))

    def release(tx: CompensationContext) -> None:
        raise ValueError((tx.step_index, tx.load("refunded")))

    def shop(ctx: WorkflowContext) -> Any:
        saga = Saga().add(reserve, release).add(charge, refund).add(fail)
        try:
            ctx.saga("checkout", saga).get()
        except SagaFailed as error:
            return str(error.__cause__), error.errors[0].args

    assert engine.execute("run", shop).get() == ("(1, {3, 4})", ((0, (1, {3, 4})),))


def test_of_two_values_under_one_key_the_later_one_counts(make_engine: EngineMaker) -> None:
    """Also where its type is known to nobody but the code: it goes along to the worker."""
    engine = make_engine(queues=[Queue("default", workers=1)])

    @dataclass
    class Seat:
        row: int

    engine.codec.register(Seat)

    def reserve(tx: TransactionContext, seat: Any) -> None:
        tx.store("seat", seat)

    def row_of(tx: TransactionContext) -> int:
        row: int = tx.load("seat").row
        return row

    def shop(ctx: WorkflowContext) -> Any:
        saga = Saga().add(reserve, args=(Seat(1),), name="z").add(reserve, args=(Seat(2),), name="a")
        return ctx.saga("checkout", saga.add(row_of)).get()

    assert engine.execute("run", shop).get() == (None, None, 2)


def test_an_unknown_key_is_a_key_error_that_names_those_that_are_there(engine: Tempolite) -> None:
    """As of any mapping."""

    def store(tx: TransactionContext) -> None:
        tx.store("known", 1)

    def load(tx: TransactionContext) -> None:
        tx.load("unknown")

    def shop(ctx: WorkflowContext) -> Any:
        return ctx.saga("checkout", Saga().add(store).add(load)).get()

    with pytest.raises(SagaCompensated) as caught:
        engine.execute("run", shop).get()

    assert isinstance(caught.value.__cause__, KeyError)
    assert "there are: known" in str(caught.value.__cause__)


def test_what_an_attempt_that_failed_stored_is_forgotten(engine: Tempolite, effects: Effects) -> None:
    """Only what was recorded together with a result counts."""

    def flaky(tx: TransactionContext, path: str) -> str:
        note(path, "tried")
        if tx.attempt == 1:
            tx.store("first", 1)
            raise OSError("busy")
        try:
            return str(tx.load("first"))
        except KeyError:
            return "forgotten"

    def shop(ctx: WorkflowContext) -> Any:
        return ctx.saga("checkout", Saga().add(flaky, args=(effects.path,), retry=FAST)).get()

    assert engine.execute("run", shop).get() == ("forgotten",)


@pytest.mark.parametrize("where", ["step", "options", "engine"])
def test_transactions_and_compensations_are_retried_as_their_policy_says(
    make_engine: EngineMaker, effects: Effects, where: str
) -> None:
    """The step's policy holds for both, then the function's own, then the engine's."""
    engine = make_engine(**({"default_retry": FAST} if where == "engine" else {}))

    def third_time(tx: TransactionContext | CompensationContext, path: str) -> None:
        note(path, f"{type(tx).__name__} {tx.attempt} {tx.idempotency_key}")
        if tx.attempt < 3:
            raise OSError("busy")

    def fail(tx: TransactionContext) -> None:
        raise NonRetryable("never")

    def shop(ctx: WorkflowContext) -> Any:
        step = activity(third_time, retry=FAST) if where == "options" else third_time
        retry = FAST if where == "step" else None
        return ctx.saga("checkout", Saga().add(step, step, args=(effects.path,), retry=retry).add(fail)).get()

    with pytest.raises(SagaCompensated) as caught:
        engine.execute("run", shop).get()

    assert type(caught.value.__cause__) is NonRetryable
    tries = [line.split() for line in effects.lines()]
    kinds = ["TransactionContext"] * 3 + ["CompensationContext"] * 3
    assert [(kind, n) for kind, n, _ in tries] == list(zip(kinds, ["1", "2", "3"] * 2, strict=True))
    assert [len({key for kind, _, key in tries if kind == each}) for each in set(kinds)] == [1, 1]
    assert len({key for _, _, key in tries}) == 2


def test_objects_and_functions_can_be_mixed(engine: Tempolite) -> None:
    """An object with ``transaction`` and ``compensation`` is a step; its instance is configuration."""
    saga = Saga().add(Ledger("book"), args=("a",)).add(do_async, undo, args=("", "b"))

    def shop(ctx: WorkflowContext) -> Any:
        first = ctx.saga("checkout", saga).get()
        ctx.compensate_saga("checkout").get()
        return first

    assert engine.execute("run", shop).get() == ("book a", "b")
    assert [event.step for event in engine.history("run") if event.type == "SagaStepScheduled"] == [
        "saga:checkout/Ledger",
        "saga:checkout/do_async",
        "compensation:checkout/do_async",
        "compensation:checkout/Ledger",
    ]


def test_an_async_workflow_awaits_its_sagas(engine: Tempolite, effects: Effects) -> None:
    """Several at once, each with a name of its own or an occurrence of one."""

    async def shop(ctx: AsyncWorkflowContext) -> Any:
        saga = Saga().add(do, undo, args=(effects.path, "a"))
        first, second = ctx.saga("checkout", saga), ctx.saga("checkout", saga)
        values = [await first, await second]
        await ctx.compensate_saga(second.step)
        return values, second.step

    assert engine.execute("run", shop).get() == ([("a",), ("a",)], "checkout#2")
    assert effects.lines() == ["do a", "do a", "undo a"]


def test_a_saga_without_steps_is_complete(engine: Tempolite) -> None:
    """Nothing to do, nothing done."""

    def shop(ctx: WorkflowContext) -> Any:
        return ctx.saga("checkout", Saga()).get()

    assert engine.execute("run", shop).get() == ()


def test_a_step_past_its_time_out_fails_the_saga(make_engine: EngineMaker, effects: Effects) -> None:
    """The step's time-out stops its process."""
    engine = make_engine(queues=[Queue("default", workers=1)])

    def hang(tx: TransactionContext) -> None:
        while True:
            pass

    def shop(ctx: WorkflowContext) -> Any:
        saga = Saga().add(do, undo, args=(effects.path, "a"))
        return ctx.saga("checkout", saga.add(activity(hang, grace=0.1), timeout=0.2)).get()

    with pytest.raises(SagaCompensated) as caught:
        engine.execute("run", shop).get()

    assert type(caught.value.__cause__) is ActivityTimeout
    assert effects.lines() == ["do a", "undo a"]


def test_a_time_out_of_the_wait_leaves_the_saga_alone(engine: Tempolite, effects: Effects) -> None:
    """``get(timeout=…)`` ends the wait, and asking again waits again."""
    slow = RetryPolicy(max_attempts=2, initial_interval=0.3, jitter=False)

    def later(tx: TransactionContext) -> str:
        if tx.attempt == 1:
            raise OSError("busy")
        return "done"

    def shop(ctx: WorkflowContext) -> Any:
        info = ctx.saga("checkout", Saga().add(later, retry=slow))
        try:
            info.get(timeout=0.01)
        except TimeoutError:
            return "later", info.get()

    assert engine.execute("run", shop).get() == ("later", ("done",))


@pytest.mark.parametrize("kind", ["process", "thread"])
def test_a_saga_runs_in_every_kind_of_worker(make_engine: EngineMaker, effects: Effects, kind: Any) -> None:
    """Closures, values of types that only this file knows, and what was stored go along."""
    engine = make_engine(queues=[Queue("default", kind=kind, workers=1)])

    def shop(ctx: WorkflowContext) -> Any:
        return ctx.saga("checkout", three_steps(effects, failing="c")).get()

    with pytest.raises(SagaCompensated):
        engine.execute("run", shop).get()

    assert effects.lines() == ["do a", "do b", "do c", "undo b", "undo a"]


def test_a_finished_run_with_sagas_replays_to_the_same_outcome(engine: Tempolite, effects: Effects) -> None:
    """Nothing runs, failures and their errors included."""

    def shop(ctx: WorkflowContext) -> Any:
        first = ctx.saga("good", three_steps(effects)).get()
        ctx.compensate_saga("good").get()
        try:
            ctx.saga("bad", three_steps(effects, failing="b")).get()
        except SagaCompensated as error:
            return first, repr(error.__cause__)

    outcome = engine.execute("run", shop).get()
    before = effects.lines()

    assert engine.replay("run") == outcome
    assert effects.lines() == before


def three_steps(effects: Effects, failing: str | None = None) -> Saga:
    """Steps a, b and c."""
    saga = Saga()
    for name in "abc":
        saga.add(do, undo, args=(effects.path, f"{name}!" if name == failing else name), name=name)
    return saga


@pytest.mark.parametrize(
    ("before", "again"),
    [
        ("good", ["do a", "do b", "do c", "undo c", "undo b", "undo a", "last"]),
        ("saga:good/b", ["do a", "do b", "do c", "undo c", "undo b", "undo a", "last"]),
        ("compensate:good", ["undo c", "undo b", "undo a", "last"]),
        ("compensation:good/b", ["undo c", "undo b", "undo a", "last"]),
        ("last", ["last"]),
    ],
)
def test_a_fork_keeps_a_saga_whole_or_not_at_all(
    engine: Tempolite, effects: Effects, before: str, again: list[str]
) -> None:
    """One that was under way is begun anew; so is the undoing of one that was complete."""

    def shop(ctx: WorkflowContext) -> Any:
        value = ctx.saga("good", three_steps(effects)).get()
        ctx.compensate_saga("good").get()
        ctx.activity("last", note, effects.path, "last").get()
        return value

    value = engine.execute("run", shop).get()
    done = len(effects.lines())

    assert engine.fork("run", "fork", before=before).get() == value
    assert effects.lines()[done:] == again
