"""The directory: the engine rests when no run goes on by itself, and closing ends everything."""

from __future__ import annotations

from typing import Any

import pytest

from tempolite.actors.controls import QueryArrived, ToRun
from tempolite.actors.messages import (
    CONTINUED,
    AwaitIdle,
    Deliver,
    FunctionRegistered,
    Recover,
    RunEnded,
    RunLeft,
    RunStopped,
)
from tempolite.core.identifiers import StreamId, WorkflowId
from tempolite.errors import EngineClosed
from tests.actors.directory_bench import DirectoryBench, start_of
from tests.actors.scripted_run import BUSY, FAIL, FINISH, IDLE, Store, poke

SEEDS = pytest.mark.parametrize("seed", range(8))

CHILD = start_of("w", parent="p", parent_step="s")


# ── idle ────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_engine_without_runs_is_idle() -> None:
    """Nothing to wait for."""
    bench = DirectoryBench()
    idle = bench.ask(AwaitIdle())
    bench.settle()

    assert idle.is_set


@SEEDS
def test_idle_means_that_no_run_goes_on_by_itself(seed: int) -> None:
    """Finished, or waiting for something from outside; never told early."""
    bench = DirectoryBench(seed)
    for name in ("a", "b", "c"):
        bench.start(name)
    bench.settle()
    idle = bench.ask(AwaitIdle())
    seen = []
    for name, word in (("a", FINISH), ("b", IDLE), ("c", FAIL)):
        bench.settle()
        seen.append(idle.is_set)
        bench.deliver(name, word)
    bench.settle()

    assert seen == [False, False, False]
    assert idle.is_set


@SEEDS
def test_mail_makes_an_idle_run_busy_again(seed: int) -> None:
    """From the moment that it is on its way."""
    bench = DirectoryBench(seed)
    bench.start("a")
    bench.deliver("a", IDLE)
    bench.settle()

    bench.deliver("a", BUSY)
    idle = bench.ask(AwaitIdle())
    bench.settle()
    assert not idle.is_set
    bench.deliver("a", IDLE)
    bench.settle()

    assert idle.is_set


# ── closing ─────────────────────────────────────────────────────────────────────────────────────────────


def test_closing_ends_every_run_and_every_wait() -> None:
    """Nothing is recorded by it; who waits is told why."""
    bench = DirectoryBench()
    for name in ("a", "b"):
        bench.start(name)
    waits = [bench.outcome("a"), bench.ask(AwaitIdle())]
    bench.settle()
    rows = dict(bench.store.runs)

    bench.directory.close()
    late = [bench.start("c"), bench.outcome("a")]
    bench.settle()

    for reply in [*waits, *late]:
        with pytest.raises(EngineClosed):
            reply.get(timeout=0)
    assert [each.discards for each in bench.store.executions] == [1, 1]
    assert bench.store.runs == rows


def test_closing_answers_who_waits_for_the_commit_of_a_start() -> None:
    """The run may be durable or not; the caller is not left waiting."""
    bench = DirectoryBench()
    bench.ledger.is_holding = True
    started = bench.start("w")
    bench.settle()

    bench.directory.close()
    bench.settle()

    assert started.is_set
    with pytest.raises(EngineClosed):
        started.get(timeout=0)


CONTINUED_RUN = RunStopped(StreamId(1), RunEnded(WorkflowId("stored"), CONTINUED), [poke("a")])
LATE = [
    Deliver(WorkflowId("stored"), poke("a")),
    ToRun(WorkflowId("stored"), poke("a")),
    Recover(),
    FunctionRegistered(("f",)),
    CHILD,
    CONTINUED_RUN,
    RunStopped(StreamId(2), RunEnded(WorkflowId("stuck"), "STUCK"), [poke("a")]),
    RunLeft(WorkflowId("stored"), StreamId(1)),
]


@pytest.mark.parametrize("message", LATE, ids=lambda message: type(message).__name__)
def test_a_closed_directory_brings_nobody_to_life(message: Any) -> None:
    """While workers end there is still mail: nothing runs, is recorded or fails by it."""

    def prepare(store: Store) -> None:
        store.put("stored", queue="q")
        store.put("held", status="PENDING", queue="q")
        store.finished("stuck", "STUCK")
        store.behind = [(WorkflowId("stored"), True)]

    bench = DirectoryBench(prepare=prepare, max_runs={"q": 5})
    bench.directory.close()

    bench.directory.actor_ref.tell(message)
    bench.settle()

    assert bench.store.executions == []


@SEEDS
def test_closing_answers_every_request_that_is_under_way(seed: int) -> None:
    """Taken by a turn that is not durable, in the mail, kept for a run that comes again, waiting to begin."""
    bench = DirectoryBench(seed, max_runs={"default": 0})
    bench.start("held")
    bench.start("child", parent="p", parent_step="s")
    bench.settle()
    bench.ledger.is_holding = True
    asked = [bench.request("held", QueryArrived("q", b"")), bench.request("child", "a")]
    bench.settle()
    asked += [bench.request("child", "b"), bench.request("child", "c")]
    bench.some_steps()

    bench.directory.close()
    bench.settle()

    for reply in asked:
        assert reply.is_set
        with pytest.raises(EngineClosed):
            reply.get(timeout=0)
