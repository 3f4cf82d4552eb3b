"""The directory: a run is started once, by whoever asks first, and found by all others."""

from __future__ import annotations

from typing import Any

import pytest

from tempolite.actors.run_store import Asker
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId
from tempolite.errors import WorkflowAlreadyExists
from tests.actors.directory_bench import DirectoryBench, start_of
from tests.actors.scripted_run import Store

SEEDS = pytest.mark.parametrize("seed", range(8))

# ── starting ────────────────────────────────────────────────────────────────────────────────────────────


@SEEDS
def test_a_start_is_answered_when_the_run_is_durable(seed: int) -> None:
    """With its id; before the commit there is neither answer nor row (P2)."""
    bench = DirectoryBench(seed)
    bench.ledger.is_holding = True
    started = bench.start("w")
    bench.settle()
    assert (started.is_set, bench.store.find(WorkflowId("w"))) == (False, None)

    bench.ledger.settle(bench.ledger.held.pop())
    bench.settle()

    assert started.get(timeout=0) == "w"
    assert bench.store.find(WorkflowId("w")) is not None


def test_streams_are_never_used_twice() -> None:
    """They go on after the highest one in the file, also after a run that could not be created."""
    bench = DirectoryBench(prepare=lambda store: [store.finished(name) for name in "abc"])
    bench.ledger.failures = 1
    for name in ("x", "y", "z"):
        bench.start(name)
    bench.settle()

    assert sorted(each.stream for each in bench.store.executions) == [StreamId(n) for n in (4, 5, 6)]


def test_the_same_id_and_function_is_the_run_that_exists() -> None:
    """Live, finished, or put away: nothing is started twice."""

    def prepare(store: Store) -> None:
        store.finished("finished")
        store.put("put away")

    bench = DirectoryBench(prepare=prepare)
    bench.start("live")
    bench.settle()
    for name in ("live", "finished", "put away"):
        again = bench.start(name)
        bench.settle()
        assert again.get(timeout=0) == name

    assert [bench.lives_of(name) for name in ("live", "finished", "put away")] == [1, 0, 0]


@pytest.mark.parametrize("name", ["live", "finished", "put away"])
@pytest.mark.parametrize("fields", [{"function": "g"}, {"must_be_new": True}])
def test_an_id_that_is_taken_is_refused(name: str, fields: dict[str, Any]) -> None:
    """By another function, or for whoever needs a new one; the run itself is left alone."""

    def prepare(store: Store) -> None:
        store.finished("finished")
        store.put("put away")

    bench = DirectoryBench(prepare=prepare)
    bench.start("live")
    bench.settle()
    lives = bench.lives_of(name)

    refused = bench.start(name, **fields)
    bench.settle()

    with pytest.raises(WorkflowAlreadyExists, match=f"{name}.*of function f"):
        refused.get(timeout=0)
    assert bench.lives_of(name) == lives


@SEEDS
def test_a_second_start_is_not_answered_before_the_first_is_durable(seed: int) -> None:
    """Two callers of the same id at once: neither has a run that a power loss could still undo (P2)."""
    bench = DirectoryBench(seed)
    bench.ledger.is_holding = True
    first, second = bench.start("w"), bench.start("w")
    bench.settle()
    early = (first.is_set, second.is_set)

    bench.ledger.settle(bench.ledger.held.pop())
    bench.settle()

    assert early == (False, False)
    assert (first.get(timeout=0), second.get(timeout=0)) == ("w", "w")
    assert bench.lives_of("w") == 1


@SEEDS
def test_a_run_that_could_not_be_created_can_be_asked_for_again(seed: int) -> None:
    """Its first caller has the error, its id is free."""
    bench = DirectoryBench(seed)
    bench.ledger.failures = 1
    first = bench.start("w")
    bench.settle()
    second = bench.start("w")
    bench.settle()

    with pytest.raises(Exception, match="no space"):
        first.get(timeout=0)
    assert second.get(timeout=0) == "w"


# ── children ────────────────────────────────────────────────────────────────────────────────────────────


def child_of(bench: DirectoryBench, **fields: Any) -> list[Any]:
    """Lets a parent ask for its child; gives what the parent was told."""
    bench.start("parent")
    bench.settle()
    bench.directory.actor_ref.tell(start_of("child", parent="parent", parent_step="c", **fields))
    bench.settle()
    return [word for turn in bench.run_of("parent").turns for word in turn if word != "Begin"]


def test_a_child_is_started_like_any_run() -> None:
    """Its parent is told of its end, not of its start."""
    bench = DirectoryBench()

    assert child_of(bench) == []
    assert bench.lives_of("child") == 1


def test_a_parent_that_asks_again_is_told_what_became_of_its_child() -> None:
    """It ended while the parent was not there, or before the parent could record it."""
    bench = DirectoryBench(
        prepare=lambda store: store.finished("child", asker=Asker(WorkflowId("parent"), StepKey("c")))
    )

    assert child_of(bench) == ["ChildEnded"]
    assert bench.lives_of("child") == 0


def test_a_parent_that_asks_again_wakes_its_child() -> None:
    """Put away or stuck: an outcome will come, now is none."""

    def prepare(store: Store) -> None:
        store.put("child", asker=Asker(WorkflowId("parent"), StepKey("c")))

    bench = DirectoryBench(prepare=prepare)

    assert child_of(bench) == []
    assert bench.lives_of("child") == 1


@pytest.mark.parametrize("status", ["STUCK", "STRANDED"])
def test_a_child_that_needs_help_is_no_outcome_for_its_parent(status: str) -> None:
    """It has neither value nor failure; the parent goes on waiting."""

    def prepare(store: Store) -> None:
        store.finished("child", status, asker=Asker(WorkflowId("parent"), StepKey("c")))

    assert child_of(DirectoryBench(prepare=prepare)) == []


@pytest.mark.parametrize("is_live", [True, False])
def test_a_child_s_id_that_belongs_to_somebody_else_fails_the_step(is_live: bool) -> None:
    """The parent would wait for ever: that run tells another one, or nobody."""
    bench = DirectoryBench(prepare=lambda store: None if is_live else store.finished("child"))
    if is_live:
        bench.start("child")
        bench.settle()

    assert child_of(bench) == ["ChildEnded"]
