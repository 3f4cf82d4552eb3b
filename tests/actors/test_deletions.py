"""Deleting through the directory: what is live stays, and what speaks to a leaving workflow waits."""

from __future__ import annotations

import pytest

from tempolite.actors.controls import Asked, Resume
from tempolite.actors.messages import (
    ChildEnded,
    DeleteRuns,
    Deliver,
    ForgetTimers,
    FunctionRegistered,
    Recover,
    RetryDue,
    TimerDue,
)
from tempolite.core.identifiers import StepKey, WorkflowId
from tempolite.errors import EngineClosed, StorageFailed, WorkflowNotFound
from tests.actors.directory_bench import DirectoryBench
from tests.actors.scripted_run import FINISH, Store

SEEDS = pytest.mark.parametrize("seed", range(8))


def deletion(*workflows: str) -> DeleteRuns:
    return DeleteRuns(tuple(WorkflowId(each) for each in workflows))


def with_finished(*workflows: str, seed: int = 1) -> DirectoryBench:
    return DirectoryBench(seed, prepare=lambda store: [store.finished(each) for each in workflows])


def test_a_deletion_is_answered_when_it_is_durable() -> None:
    """With how many went; unknown ones, live ones and those named twice are not counted."""
    bench = with_finished("a", "b")
    bench.start("live")
    bench.settle()
    bench.ledger.is_holding = True

    reply = bench.ask(deletion("a", "nobody", "live", "a"))
    bench.settle()
    early = reply.is_set
    bench.ledger.settle(bench.ledger.held.pop())
    bench.settle()

    assert early is False
    assert reply.get(timeout=0) == 1
    assert sorted(bench.store.runs) == ["b", "live"]


def test_nothing_to_delete_is_answered_without_a_commit() -> None:
    """At once."""
    bench = with_finished()

    reply = bench.ask(deletion("nobody"))
    bench.settle()

    assert (reply.get(timeout=0), bench.log) == (0, [])


@SEEDS
def test_a_start_of_the_same_id_comes_after_the_deletion(seed: int) -> None:
    """It makes a new workflow, and is answered when that is durable."""
    bench = with_finished("w", seed=seed)
    bench.ledger.is_holding = True
    gone = bench.ask(deletion("w"))
    bench.settle()
    started = bench.start("w", "another")
    bench.settle()
    early = (gone.is_set, started.is_set, bench.lives_of("w"))

    while bench.ledger.held:
        bench.ledger.settle(bench.ledger.held.pop(0))
        bench.settle()

    assert early == (False, False, 0)
    assert (gone.get(timeout=0), started.get(timeout=0)) == (1, "w")
    assert bench.store.runs[WorkflowId("w")].function == "another"


def test_who_waits_for_the_outcome_is_told_that_it_is_gone() -> None:
    """Whoever comes while it leaves, and whoever comes later."""
    bench = with_finished("w")
    bench.ledger.is_holding = True
    bench.ask(deletion("w"))
    bench.settle()
    while_leaving = bench.outcome("w")
    bench.settle()
    assert not while_leaving.is_set
    bench.ledger.settle(bench.ledger.held.pop())
    bench.settle()
    later = bench.outcome("w")
    bench.settle()

    for reply in (while_leaving, later):
        with pytest.raises(WorkflowNotFound):
            reply.get(timeout=0)


def test_a_workflow_of_the_same_id_is_not_given_timers_of_the_deleted_one() -> None:
    """They are forgotten, and one that was due just then is dropped, whatever waits beside it."""
    bench = with_finished("w")
    bench.ledger.is_holding = True
    bench.ask(deletion("w"))
    bench.settle()
    bench.start("w", "another")
    step, name = StepKey("s"), WorkflowId("w")
    for message in (TimerDue(step), RetryDue(step), ChildEnded(step, WorkflowId("w/s"))):
        bench.directory.actor_ref.tell(Deliver(name, message))
    bench.settle()

    while bench.ledger.held:
        bench.ledger.settle(bench.ledger.held.pop(0))
        bench.settle()

    assert ("timers", ForgetTimers(frozenset([name]))) in bench.log
    assert bench.words_of("w") == ["ChildEnded"]


def test_a_deletion_that_fails_leaves_everything() -> None:
    """Who asked is told why, and what was held back goes to the run that is still there."""
    bench = with_finished("w")
    bench.ledger.is_holding = True
    reply = bench.ask(deletion("w"))
    bench.settle()
    found = bench.start("w")
    waiting = bench.outcome("w")
    bench.ledger.refuse(bench.ledger.held.pop())
    bench.settle()

    with pytest.raises(StorageFailed):
        reply.get(timeout=0)
    assert found.get(timeout=0) == "w"
    assert waiting.get(timeout=0).status == "COMPLETED"


@SEEDS
def test_a_run_that_is_just_leaving_is_waited_for(seed: int) -> None:
    """Its outcome is in the file, its actor has not stopped yet: it goes, whatever comes first."""
    bench = DirectoryBench(seed)
    bench.start("w")
    bench.settle()
    bench.deliver("w", FINISH)
    bench.ledger.is_holding = True
    bench.settle()
    bench.ledger.is_holding = False
    bench.ledger.settle(bench.ledger.held.pop())

    reply = bench.ask(deletion("w"))
    bench.settle()

    assert reply.get(timeout=0) == 1
    assert bench.store.runs == {}


def test_a_finished_run_that_goes_on_is_left_alone() -> None:
    """It was brought to life again, and its next turn is not durable yet."""
    bench = with_finished("w")
    bench.directory._activate(bench.store.runs[WorkflowId("w")], [Asked(Resume())])

    reply = bench.ask(deletion("w"))
    bench.settle()

    assert reply.get(timeout=0) == 0
    assert "w" in bench.store.runs


def test_two_deletions_of_the_same_count_once() -> None:
    """The second comes while the first is under way."""
    bench = with_finished("a", "b")
    bench.ledger.is_holding = True
    first = bench.ask(deletion("a"))
    bench.settle()
    second = bench.ask(deletion("a", "b"))
    bench.settle()
    for commit in bench.ledger.held:
        bench.ledger.settle(commit)
    bench.settle()

    assert (first.get(timeout=0), second.get(timeout=0)) == (1, 1)


def test_closing_ends_the_wait_for_a_deletion() -> None:
    """And that of those who were held back."""
    bench = with_finished("w")
    bench.ledger.is_holding = True
    gone = bench.ask(deletion("w"))
    bench.settle()
    held = bench.start("w")
    bench.settle()

    bench.directory.close()
    late = bench.ask(deletion("w"))
    bench.settle()

    for reply in (gone, held, late):
        with pytest.raises(EngineClosed):
            reply.get(timeout=0)


def test_a_note_that_comes_late_ends_no_wait_for_a_run_that_goes_on() -> None:
    """It was stranded, its function became known, and the note of it was written only then."""

    def prepare(store: Store) -> None:
        store.put("w")
        store.unknown.add("w")

    bench = DirectoryBench(prepare=prepare)
    bench.ledger.is_holding = True
    bench.ask(Recover())
    bench.settle()
    bench.store.unknown.clear()
    bench.ask(FunctionRegistered(("f",)))
    bench.settle()
    waiting = bench.outcome("w")
    bench.settle()

    bench.ledger.settle(bench.ledger.held.pop(0))
    bench.settle()

    assert not waiting.is_set
