"""The directory: at start, what has work comes to life; what owes something pays."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tempolite.actors.lost_threads import LostThread, ThreadLost
from tempolite.actors.messages import AwaitIdle, ChildEnded, FunctionRegistered, Recover
from tempolite.actors.recovery import RECOVERED_PER_ROUND
from tempolite.actors.run_store import Asker
from tempolite.actors.workflow import Turn
from tempolite.core.identifiers import StepKey, WorkflowId
from tests.actors.directory_bench import DirectoryBench
from tests.actors.scripted_run import ScriptedExecution, Store

SEEDS = pytest.mark.parametrize("seed", range(8))


@SEEDS
def test_at_start_everything_with_work_comes_to_life(seed: int) -> None:
    """A part at a time, so that others get their turn in between; each once."""
    count = 2 * RECOVERED_PER_ROUND + 10
    bench = DirectoryBench(seed, prepare=lambda store: [store.put(f"w{n}") for n in range(count)])
    bench.ask(Recover())
    started = bench.start("new")
    bench.settle()

    assert started.get(timeout=0) == "new"
    assert sorted(each.workflow for each in bench.store.executions) == sorted(
        ["new", *(f"w{n}" for n in range(count))]
    )


def test_those_behind_a_run_that_costs_its_thread_come_to_life_in_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They were about to, by the same letter."""
    bench = DirectoryBench(prepare=lambda store: [store.put(name) for name in "abc"])

    def lose(execution: ScriptedExecution, mail: list[Any], now_us: int) -> Turn:
        monkeypatch.undo()
        raise ThreadLost

    monkeypatch.setattr(ScriptedExecution, "advance", lose)
    bench.ask(Recover())
    with pytest.raises(ThreadLost):
        bench.settle()
    code: Any = SimpleNamespace(workflow="gone", abandon=lambda: bool)
    bench.directory.take_over(LostThread(code, "", lambda taken: True))
    bench.settle()

    assert [each.workflow for each in bench.store.executions if each.turns] == ["b", "c"]


def test_an_engine_that_recovers_is_not_idle_yet() -> None:
    """Not before the last run was looked at."""
    bench = DirectoryBench(prepare=lambda store: [store.put(f"w{n}") for n in range(RECOVERED_PER_ROUND + 1)])
    recovered, idle = bench.ask(Recover()), bench.ask(AwaitIdle())
    bench.settle()

    assert (recovered.is_set, idle.is_set) == (True, False)


def test_a_child_that_owes_its_parent_the_outcome_pays_at_start() -> None:
    """Its end is durable, the parent's record of it was not."""

    def prepare(store: Store) -> None:
        store.put("parent")
        store.finished("child", asker=Asker(WorkflowId("parent"), StepKey("c")))

    bench = DirectoryBench(prepare=prepare)
    bench.ask(Recover())
    bench.settle()

    assert bench.words_of("parent") == ["ChildEnded"]
    assert bench.lives_of("child") == 0


def test_the_parent_is_told_how_its_child_ended() -> None:
    """Value or cancellation, with the step that asked."""
    seen: list[ChildEnded] = []

    def prepare(store: Store) -> None:
        store.finished("child", "CANCELLED", asker=Asker(WorkflowId("parent"), StepKey("c")))

    bench = DirectoryBench(prepare=prepare)
    bench.start("parent")
    bench.settle()
    bench.run_of("parent").on_turn = lambda mail, now_us: seen.extend(mail)
    bench.ask(Recover())
    bench.settle()

    assert seen == [ChildEnded(StepKey("c"), WorkflowId("child"), None, None, cancelled=True)]


def test_a_stranded_run_goes_on_when_its_function_becomes_known() -> None:
    """And others of the same function with it."""

    def prepare(store: Store) -> None:
        for name in ("a", "b"):
            store.put(name, "late:f")
            store.unknown.add(name)

    bench = DirectoryBench(prepare=prepare)
    bench.ask(Recover())
    bench.settle()
    assert bench.store.executions == []

    bench.store.unknown.clear()
    bench.directory.actor_ref.tell(FunctionRegistered(("late:f",)))
    bench.settle()

    assert sorted(each.workflow for each in bench.store.executions) == ["a", "b"]
