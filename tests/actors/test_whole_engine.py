"""The whole engine in one thread, in an order drawn from a seed, with virtual time and crashes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tempolite import AsyncWorkflowContext, Queue, RetryPolicy, Tempolite, WorkflowContext, activity
from tempolite.actors.clock import VirtualClock

RUNS = 4
HOUR_S = 3_600


class World:
    """What the activities did, as the outside sees it: it survives the engine."""

    def __init__(self) -> None:
        self.effects: list[str] = []
        self.tries: Counter[str] = Counter()

    def effect(self, name: str) -> str:
        """Something that happens outside."""
        self.effects.append(name)
        return name

    def flaky(self, name: str) -> str:
        """Succeeds the third time."""
        self.tries[name] += 1
        if self.tries[name] < 3:
            raise OSError(f"{name} is busy")
        return self.effect(name)


def workflows_of(world: World) -> tuple[Callable[..., Any], Callable[..., Any]]:
    patient = RetryPolicy(max_attempts=None, initial_interval=HOUR_S)

    def child(ctx: WorkflowContext, name: str) -> str:
        return ctx.activity("inside", world.effect, f"{name}/child").get()

    def parent(ctx: WorkflowContext, name: str) -> list[str]:
        first = ctx.activity("first", activity(world.flaky, retry=patient), f"{name}/first")
        second = ctx.activity("second", world.effect, f"{name}/second")
        number = ctx.side_effect("number", lambda: world.effect(f"{name}/number")).get()
        made = ctx.workflow("child", child, name).get()
        last = ctx.activity("last", world.effect, f"{name}/last").get()
        return [first.get(), second.get(), number, made, last]

    async def gathering(ctx: AsyncWorkflowContext, name: str) -> list[str]:
        infos = [ctx.activity("part", world.effect, f"{name}/{part}") for part in range(3)]
        return [await info for info in infos]

    return parent, gathering


def engine(path: str, seed: int, world: World) -> Tempolite:
    tp = Tempolite(
        path, queues=[Queue("default", kind="inline")], clock=VirtualClock(), workflows=workflows_of(world)
    )
    tp._seed = seed
    return tp.start()


def start_runs(tp: Tempolite, world: World) -> None:
    parent, gathering = workflows_of(world)
    for number in range(RUNS):
        tp.execute(f"run-{number}", parent, f"run-{number}")
    tp.execute("gathering", gathering, "gathering")


def expected(name: str) -> list[str]:
    return [f"{name}/{step}" for step in ("first", "second", "number", "child", "last")]


@pytest.mark.parametrize("seed", range(12))
def test_every_order_of_messages_ends_in_the_same_outcomes(seed: int) -> None:
    """Whatever order the actors run in; retries an hour apart take no time."""
    world = World()
    with engine(":memory:", seed, world) as tp:
        start_runs(tp, world)

        outcomes = [tp.get(f"run-{number}").get() for number in range(RUNS)]

        assert outcomes == [expected(f"run-{number}") for number in range(RUNS)]
        assert tp.get("gathering").get() == [f"gathering/{part}" for part in range(3)]
        tp.wait()


def test_the_same_seed_gives_the_same_history() -> None:
    """So a failing seed can be looked at again and again."""
    histories = []
    for _ in range(2):
        world = World()
        with engine(":memory:", 5, world) as tp:
            start_runs(tp, world)
            tp.wait()
            histories.append(
                [(e.type, e.step, e.attempt) for n in range(RUNS) for e in tp.history(f"run-{n}")]
            )

    assert histories[0] == histories[1]


@pytest.mark.parametrize("seed", range(25))
def test_crashes_between_any_two_messages_lose_nothing_and_repeat_nothing_recorded(
    seed: int, tmp_path: Path
) -> None:
    """Three lives on one file: every acknowledged run ends right, a step that a later one proves stays."""
    world, draw, path = World(), random.Random(seed), str(tmp_path / "runs.db")
    tp = engine(path, seed, world)
    start_runs(tp, world)
    for life in range(3):
        for _ in range(draw.randrange(60)):
            tp._system._dispatcher.step()  # type: ignore[union-attr]
        tp._crash()
        tp = engine(path, seed + life, world)

    with tp:
        for number in range(RUNS):
            name = f"run-{number}"
            assert tp.get(name).get() == expected(name)
            assert_nothing_recorded_ran_again(world.effects, name)


def assert_nothing_recorded_ran_again(effects: list[str], name: str) -> None:
    """`child` follows the recorded `number`, and `last` the recorded `child`."""
    for proved, by in (("number", "child"), ("child", "last")):
        later = effects.index(f"{name}/{by}")
        assert f"{name}/{proved}" not in effects[later:], f"{name}/{proved} ran again after {by}"
