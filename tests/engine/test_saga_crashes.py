"""Sagas and engines that end at any point: whatever is recorded stands, and the rest goes on."""

from __future__ import annotations

import itertools
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    Queue,
    RetryPolicy,
    Saga,
    SagaCompensated,
    SagaFailed,
    Tempolite,
    UnknownOutcome,
    WorkflowCancelled,
    WorkflowContext,
    activity,
)
from tempolite.actors.clock import VirtualClock
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note
from tests.engine.saga_steps import do, hold, undo

RETRY = RetryPolicy(max_attempts=2, initial_interval=60)


class World:
    """What the steps did, as the outside sees it: it survives the engine."""

    def __init__(self) -> None:
        self.effects: list[str] = []

    def do(self, tx: Any, name: str) -> str:
        """Does it, in the second try; the last one never."""
        if tx.attempt == 1 and name == "b":
            raise OSError("busy")
        self.effects.append(f"do {name}")
        tx.store(name, f"stored by {name}")
        if name == "d":
            raise ValueError("no")
        return name

    def undo(self, tx: Any, name: str) -> None:
        """Undoes it, in the second try; the middle one never."""
        assert tx.load(name) == f"stored by {name}"
        if tx.attempt == 1 and name == "c":
            raise OSError("busy")
        self.effects.append(f"undo {name}")
        if name == "b":
            raise ValueError("can not")

    def workflow(self) -> Any:
        """Completes a saga, undoes it, and fails another one."""

        def shop(ctx: WorkflowContext) -> list[str]:
            ends = [str(ctx.saga("good", self.saga("abc")).get())]
            for step in ("good", "bad"):
                try:
                    if step == "good":
                        ctx.compensate_saga("good").get()
                    else:
                        ctx.saga("bad", self.saga("ad")).get()
                except (SagaFailed, SagaCompensated) as error:
                    ends.append(f"{type(error).__name__} {error.__cause__!r}")
            return ends

        return shop

    def saga(self, names: str) -> Saga:
        """These steps, all alike."""
        saga = Saga()
        for name in names:
            saga.add(self.do, self.undo, args=(name,), name=name, retry=RETRY)
        return saga


ENDS = ["('a', 'b', 'c')", "SagaFailed ValueError('can not')", "SagaCompensated ValueError('no')"]
EFFECTS = ["do a", "do b", "do c", "undo c", "undo b", "undo b", "undo a"]
EFFECTS += ["do a", "do d", "do d", "undo a"]


def seeded(path: Path, seed: int, shop: Any, *, forgetful: bool = False) -> Tempolite:
    """An engine in one thread, with virtual time."""
    queues = [Queue("default", kind="inline")]
    tp = Tempolite(path, queues=queues, clock=VirtualClock(), workflows=[shop])
    tp._seed = seed
    tp.start()
    tp._services.is_forgetful = forgetful
    return tp


@pytest.mark.parametrize("forgetful", [False, True])
def test_without_a_crash_everything_happens_once(path: Path, forgetful: bool) -> None:
    """In order, also where the code is run through its history again at every turn."""
    world = World()
    with seeded(path, 1, world.workflow(), forgetful=forgetful) as tp:
        assert tp.execute("run", world.workflow()).get() == ENDS

    assert world.effects == EFFECTS


@pytest.mark.parametrize("part", range(4))
def test_a_crash_at_any_point_goes_on_where_it_was(tmp_path: Path, part: int) -> None:
    """Forward or backward: what a later effect proves to be recorded never runs again."""
    for steps in itertools.count(part, 4):
        world = World()
        shop, file = world.workflow(), tmp_path / f"{steps}.db"
        tp = seeded(file, steps, shop)
        info = tp.execute("run", shop)
        for _ in range(steps):
            tp._system._dispatcher.step()  # type: ignore[union-attr]
        is_over = info.status == "COMPLETED"
        tp._crash()
        with seeded(file, steps, shop) as tp:
            assert tp.get("run").get() == ENDS
            assert_every_step_has_one_outcome(tp)
        assert_only_one_effect_is_repeated(world.effects)
        if is_over:
            return


@pytest.mark.parametrize("steps", range(0, 24, 2))
def test_a_cancel_and_a_crash_leave_everything_undone(tmp_path: Path, steps: int) -> None:
    """Cancelled anywhere, crashed anywhere afterwards: what was completed is compensated, once."""
    world, draw, file = World(), random.Random(steps), tmp_path / "run.db"

    def shop(ctx: WorkflowContext) -> Any:
        return ctx.saga("good", world.saga("ac")).get()

    tp = seeded(file, steps, shop)
    tp.execute("run", shop)
    for _ in range(steps):
        tp._system._dispatcher.step()  # type: ignore[union-attr]
    tp.cancel("run")
    for _ in range(draw.randrange(20)):
        tp._system._dispatcher.step()  # type: ignore[union-attr]
    tp._crash()

    with seeded(file, steps, shop) as tp:
        with pytest.raises(WorkflowCancelled):
            tp.get("run").get()
        done = [event.step for event in tp.history("run") if event.type == "SagaStepCompleted"]
        transactions = [step.removeprefix("saga:") for step in done if step.startswith("saga:")]
        undone = [step.removeprefix("compensation:") for step in done if step.startswith("compensation:")]
        assert undone == transactions[::-1]


@pytest.mark.parametrize("dying", ["transaction", "compensation"])
def test_a_worker_that_dies_costs_only_its_own_step(
    make_engine: EngineMaker, effects: Effects, dying: str
) -> None:
    """The step runs again; nothing before it does (P7)."""
    engine = make_engine(queues=[Queue("default", workers=1)])

    def die_once(tx: Any, path: str, role: str) -> None:
        if role == dying and f"die {role}" not in Effects.lines(effects):
            note(path, f"die {role}")
            os.kill(os.getpid(), signal.SIGKILL)
        note(path, f"live {role}")

    def doing(tx: Any, path: str) -> None:
        die_once(tx, path, "transaction")

    def undoing(tx: Any, path: str) -> None:
        die_once(tx, path, "compensation")

    def shop(ctx: WorkflowContext) -> Any:
        path = effects.path
        saga = Saga().add(do, undo, args=(path, "a")).add(doing, undoing, args=(path,))
        return ctx.saga("checkout", saga.add(do, args=(path, "fail"))).get()

    with pytest.raises(SagaCompensated):
        engine.execute("run", shop).get()

    lines = effects.lines()
    assert [line for line in lines if not line.startswith("die")] == [
        "do a",
        "live transaction",
        "do fail",
        "live compensation",
        "undo a",
    ]
    assert lines[lines.index(f"die {dying}") + 1] == f"live {dying}"


def test_a_compensation_whose_workers_keep_dying_has_failed(
    make_engine: EngineMaker, effects: Effects
) -> None:
    """The third loss ends it, and the others still run."""
    engine = make_engine(queues=[Queue("default", workers=1)])

    def die(tx: Any, path: str, name: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def shop(ctx: WorkflowContext) -> Any:
        path = effects.path
        saga = Saga().add(do, undo, args=(path, "a")).add(do, die, args=(path, "b"))
        return ctx.saga("checkout", saga.add(do, args=(path, "fail"))).get()

    with pytest.raises(SagaFailed) as caught:
        engine.execute("run", shop).get()

    assert [type(error).__name__ for error in caught.value.errors] == ["WorkerLost"]
    assert effects.lines() == ["do a", "do b", "do fail", "undo a"]


def test_a_transaction_that_runs_at_most_once_does_not_run_again(
    make_engine: EngineMaker, effects: Effects, gate: Gate, path: Path
) -> None:
    """Interrupted with the engine, it has failed, and what was done before it is undone."""
    workers = [Queue("default", workers=1)]

    def shop(ctx: WorkflowContext) -> Any:
        saga = Saga().add(do, undo, args=(effects.path, "a"))
        return ctx.saga("checkout", saga.add(activity(hold, once=True), args=(gate.path,))).get()

    engine = make_engine(path, queues=workers)
    engine.execute("run", shop)
    gate.wait_until_reached()
    engine._crash()

    with pytest.raises(SagaCompensated) as caught:
        make_engine(path, queues=workers, workflows=[shop]).get("run").get()
    assert type(caught.value.__cause__) is UnknownOutcome
    assert effects.lines() == ["do a", "undo a"]


def assert_every_step_has_one_outcome(tp: Tempolite) -> None:
    """Whatever ran twice, it was recorded once."""
    ends = ("SagaStepCompleted", "ActivityFailed", "SagaCompleted", "SagaRolledBack", "SagaUndoFailed")
    outcomes = Counter(event.step for event in tp.history("run") if event.type in ends)
    assert set(outcomes.values()) == {1}


def assert_only_one_effect_is_repeated(effects: list[str]) -> None:
    """At most the one that ran when the engine ended, and right after itself."""
    repeated = [EFFECTS[: place + 1] + EFFECTS[place:] for place in range(len(EFFECTS))]
    assert effects in [EFFECTS, *repeated]
