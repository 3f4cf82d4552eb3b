"""A scenario with children, signals and timers, killed after any number of commits, ends the same."""

from __future__ import annotations

import itertools
import random
import threading
from contextlib import suppress
from typing import Any

import pytest

from tempolite import (
    EngineClosed,
    EngineCrashed,
    Queue,
    RetryPolicy,
    Tempolite,
    WorkflowContext,
    WorkflowFinished,
    workflow,
)
from tempolite.actors.persistence import PersistenceActor
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, note
from tests.engine.waiting import wait_until

Home = dict[str, Any]
SIGNALS = 6


def leaf(ctx: WorkflowContext, number: int, effects: str) -> int:
    """A step, a nap, a step; the second run of it gives the result."""
    ctx.activity("before", note, effects, f"leaf {number}.{ctx.run} before").get()
    ctx.sleep("nap", 0.01)
    if ctx.run == 1:
        ctx.continue_as_new(number, effects)
    ctx.activity("after", note, effects, f"leaf {number}.{ctx.run} after").get()
    return number * 10


def trunk(ctx: WorkflowContext, effects: str) -> list[Any]:
    """Children under way while signals come; a version, a choice between timer and signal, a late child."""
    children = [ctx.workflow("leaf", leaf, number, effects) for number in range(3)]
    version = ctx.get_version("change", 1, 2)
    got: list[Any] = []
    for _ in range(SIGNALS):
        got.append(ctx.signal("item").get())
        ctx.activity("note", note, effects, f"item {got[-1]}").get()
    never, timer = ctx.signal("never"), ctx.timer("pause", 0.02)
    assert ctx.wait_any(never, timer) is timer
    last = ctx.workflow("last", leaf, 9, effects)
    return [version, got, list(ctx.wait_all(*children)), last.get()]


EXPECTED = [2, list(range(SIGNALS)), [0, 10, 20], 90]


class Killer:
    """Kills an engine after so many commits; the commit itself stands, what follows it is not told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        self.is_due = threading.Event()
        write = PersistenceActor._write

        def counted(actor: PersistenceActor, batch: Any) -> None:
            write(actor, batch)
            self.left -= 1
            if self.left == 0:
                actor.abandon()
                self.is_due.set()

        monkeypatch.setattr(PersistenceActor, "_write", counted)

    def arm(self, commits: int) -> None:
        """The next engine dies after so many."""
        self.left = commits
        self.is_due.clear()


def send(engine: Tempolite, number: int) -> None:
    """What a client does that heard of no answer: it sends again, with the same ``dedup``."""
    # A run that has heard it all may have ended.
    with suppress(WorkflowFinished):
        engine.signal("t", "item", number, dedup=f"n{number}")


def drive(engine: Tempolite, effects: str, is_due: threading.Event) -> None:
    """Starts the run and sends all signals, until the engine is to die or the run has ended."""

    def steps() -> None:
        try:
            engine.execute("t", trunk, effects)
            for number in range(SIGNALS):
                send(engine, number)
        except (EngineCrashed, EngineClosed):
            return
        is_through.set()

    is_through = threading.Event()
    client = threading.Thread(target=steps)
    client.start()
    wait_until(lambda: is_due.is_set() or is_through.is_set())
    if is_through.is_set():
        wait_until(lambda: is_due.is_set() or engine.get("t").status == "COMPLETED")
    engine._crash()
    client.join(10)


@pytest.mark.parametrize("seed", range(8))
def test_a_scenario_ends_the_same_wherever_it_was_killed(
    make_engine: EngineMaker,
    on_file: Home,
    effects: Effects,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    """Killed three times after a random number of commits; no signal lost, none read twice."""
    rng, killer = random.Random(seed), Killer(monkeypatch)
    for _ in range(3):
        killer.arm(rng.randint(1, 25))
        drive(make_engine(**on_file, workflows=[trunk, leaf]), effects.path, killer.is_due)
    killer.arm(-1)

    engine = make_engine(**on_file, workflows=[trunk, leaf])
    info = engine.execute("t", trunk, effects.path)
    for number in range(SIGNALS):
        send(engine, number)

    assert info.get(timeout=10) == EXPECTED
    assert engine.replay("t") == EXPECTED
    assert engine.count() == engine.count(status="COMPLETED") == 5
    items = [line for line, _ in itertools.groupby(effects.lines()) if line.startswith("item")]
    assert list(dict.fromkeys(items)) == [f"item {number}" for number in range(SIGNALS)]


def test_a_child_on_another_queue_is_created_once(make_engine: EngineMaker, on_file: Home) -> None:
    """Also when the parent's first attempt failed after it, and the engine died in between."""
    queues = [Queue("default", kind="inline"), Queue("other", kind="inline")]

    def child(ctx: WorkflowContext) -> Any:
        return ctx.signal("go").get()

    def parent(ctx: WorkflowContext) -> list[Any]:
        started = ctx.workflow("c", workflow(child, queue="other"))
        if ctx.attempt == 1:
            raise ValueError("first attempt")
        return [started.get(), ctx.attempt]

    engine = make_engine(**on_file, queues=queues)
    engine.execute("p", workflow(parent, retry=RetryPolicy(max_attempts=2, initial_interval=0.01)))
    engine._crash()
    reopened = make_engine(**on_file, queues=queues, workflows=[parent, child])
    reopened.wait(timeout=10)
    reopened.signal("p/c", "go", 1)

    assert reopened.get("p").get(timeout=10) == [1, 2]
    assert (reopened.count(), reopened.get("p/c").queue) == (2, "other")
