"""Requests: what is asked of a run is answered once, after its commit, wherever the run is at that moment."""

from __future__ import annotations

from typing import Any

import pytest

from tempolite.actors.controls import Cancel, Enqueue, Pause, QueryArrived, Resume, ToRun
from tempolite.actors.messages import ChildEnded, Deliver
from tempolite.core.identifiers import StepKey, WorkflowId
from tempolite.errors import InvalidState, WorkflowFinished, WorkflowNotFound
from tests.actors.directory_bench import DirectoryBench, answer_of
from tests.actors.scripted_run import CONTINUE, FAIL, FINISH, IDLE

SEEDS = pytest.mark.parametrize("seed", range(8))
MANY_SEEDS = pytest.mark.parametrize("seed", range(51))

QUERY = QueryArrived("how far", b"")


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────


@SEEDS
def test_a_request_is_answered_after_the_commit_of_its_turn(seed: int) -> None:
    """Not before: a power loss could still undo what it led to (P2)."""
    bench = DirectoryBench(seed)
    bench.start("w")
    bench.settle()
    bench.ledger.is_holding = True
    asked = bench.request("w", "a")
    bench.settle()
    was_answered = asked.is_set

    bench.ledger.settle(bench.ledger.held.pop())
    bench.settle()

    assert (was_answered, answer_of(asked)) == (False, "a")


@SEEDS
@pytest.mark.parametrize("where", ["live", "put away", "just started"])
def test_requests_are_taken_in_order_wherever_the_run_is(where: str, seed: int) -> None:
    """In memory, in the file, or not yet durable."""
    bench = DirectoryBench(seed, prepare=lambda store: where == "put away" and store.put("w"))
    if where != "put away":
        bench.start("w")
    if where == "live":
        bench.settle()
    asked = [bench.request("w", word) for word in "abcd"]
    bench.settle()

    assert [answer_of(reply) for reply in asked] == list("abcd")
    assert bench.words_of("w") == list("abcd")


def test_what_is_only_told_reaches_the_run_as_well() -> None:
    """Nobody is answered, and the run takes it the same way."""
    bench = DirectoryBench()
    bench.start("w")
    bench.directory.actor_ref.tell(ToRun(WorkflowId("w"), Pause()))
    bench.settle()

    assert bench.store.runs[WorkflowId("w")].status == "PAUSED"


def test_a_request_to_a_run_that_never_was_is_refused() -> None:
    """There is no such workflow."""
    bench = DirectoryBench()
    asked = bench.request("nobody", "a")
    bench.settle()

    assert answer_of(asked) is WorkflowNotFound


# ── finished runs ───────────────────────────────────────────────────────────────────────────────────────

TO_FINISHED = [
    ("COMPLETED", "a", WorkflowFinished),
    ("COMPLETED", Pause(), WorkflowFinished),
    ("FAILED", Cancel(), WorkflowFinished),
    ("COMPLETED", Resume(), InvalidState),
    ("COMPLETED", Enqueue(), InvalidState),
    ("CANCELLED", Resume(by_parent=True), InvalidState),
]


@pytest.mark.parametrize(("status", "message", "error"), TO_FINISHED)
def test_a_finished_run_is_not_brought_to_life_to_refuse(
    status: str, message: Any, error: type[Exception]
) -> None:
    """The directory knows the answer."""
    bench = DirectoryBench(prepare=lambda store: store.finished("w", status))
    asked = bench.request("w", message)
    bench.settle()

    assert answer_of(asked) is error
    assert bench.store.executions == []


@pytest.mark.parametrize(
    ("status", "message"),
    [("COMPLETED", QUERY), ("FAILED", QUERY), ("FAILED", Resume()), ("CANCELLED", Resume())],
)
def test_a_finished_run_comes_to_life_for_what_it_alone_can_do(status: str, message: Any) -> None:
    """Queries read it; a failed or cancelled one can be resumed."""
    bench = DirectoryBench(prepare=lambda store: store.finished("w", status))
    asked = bench.request("w", message)
    bench.settle()

    assert answer_of(asked) == type(message).__name__
    assert bench.lives_of("w") == 1


def test_the_end_of_a_child_that_a_finished_parent_does_not_wait_for_is_noted() -> None:
    """Else the child would owe it at each start again."""
    bench = DirectoryBench(prepare=lambda store: store.finished("parent"))
    ended = ChildEnded(StepKey("c"), WorkflowId("child"), b"1")
    bench.directory.actor_ref.tell(Deliver(WorkflowId("parent"), ended))
    bench.settle()

    assert bench.store.settled == ["child"]
    assert bench.store.executions == []


# ── runs that leave ─────────────────────────────────────────────────────────────────────────────────────


@MANY_SEEDS
def test_a_request_to_a_run_that_is_leaving_is_answered_once(seed: int) -> None:
    """Put away in any order with requests on their way: none is lost, none is taken twice."""
    bench = DirectoryBench(seed)
    bench.start("w")
    bench.deliver("w", IDLE)
    bench.settle()
    asked = []
    for word in "abcdef":
        bench.put_away("w")
        bench.some_steps()
        asked.append(bench.request("w", word))
        bench.some_steps()
    bench.settle()

    assert [answer_of(reply) for reply in asked] == list("abcdef")
    assert bench.words_of("w") == [IDLE, *"abcdef"]


def test_put_aways_do_meet_requests_on_their_way() -> None:
    """The test above is worth something: among its seeds runs do leave, and come again for a request."""
    lives = []
    for seed in range(51):
        bench = DirectoryBench(seed, residents_max=0)
        bench.start("w")
        bench.deliver("w", IDLE)
        for word in "abc":
            bench.some_steps(10)
            bench.request("w", word)
        bench.settle()
        lives.append(bench.lives_of("w"))

    assert min(lives) < max(lives)


# ── runs that end ───────────────────────────────────────────────────────────────────────────────────────


@MANY_SEEDS
def test_requests_in_the_mail_of_a_run_that_ends_are_refused_as_finished(seed: int) -> None:
    """Those before its end are answered, those after it are told so, all of them once."""
    bench = DirectoryBench(seed)
    bench.start("w")
    bench.settle()
    asked = [bench.request("w", "a")]
    bench.settle()
    ending = bench.request("w", FINISH)
    for word in "bcd":
        bench.some_steps()
        asked.append(bench.request("w", word))
    bench.settle()

    answers = [answer_of(reply) for reply in asked]
    taken = [answer for answer in answers if answer is not WorkflowFinished]
    assert (answers[0], answer_of(ending)) == ("a", FINISH)
    assert bench.words_of("w") == [taken[0], FINISH, *taken[1:]]
    assert bench.store.runs[WorkflowId("w")].status == "COMPLETED"


def test_a_request_that_came_during_the_last_commit_is_refused_as_finished() -> None:
    """The run has its outcome once that commit is durable."""
    bench = DirectoryBench()
    bench.start("w")
    bench.settle()
    bench.ledger.is_holding = True
    bench.deliver("w", FINISH)
    bench.settle()
    asked = bench.request("w", "late")
    bench.settle()
    was_answered = asked.is_set

    bench.ledger.settle(bench.ledger.held.pop())
    bench.settle()

    assert (was_answered, answer_of(asked)) == (False, WorkflowFinished)


@MANY_SEEDS
def test_requests_in_the_mail_of_a_run_that_continues_go_to_the_next_run(seed: int) -> None:
    """Every one is answered, in order; who waits for the outcome goes on waiting."""
    bench = DirectoryBench(seed)
    bench.start("w")
    waiting = bench.outcome("w")
    bench.settle()
    asked = [bench.request("w", CONTINUE)]
    for word in "abcd":
        bench.some_steps()
        asked.append(bench.request("w", word))
    bench.settle()

    assert [answer_of(reply) for reply in asked] == [CONTINUE, *"abcd"]
    assert bench.words_of("w") == [CONTINUE, *"abcd"]
    assert bench.lives_of("w") == 2
    assert not waiting.is_set


@MANY_SEEDS
def test_a_run_that_is_stuck_takes_the_requests_behind_it(seed: int) -> None:
    """They are recorded, as signals to it are; none is lost between its lives."""
    bench = DirectoryBench(seed)
    bench.start("w")
    bench.settle()
    asked = [bench.request("w", FAIL)]
    for word in "abc":
        bench.some_steps()
        asked.append(bench.request("w", word))
    bench.settle()

    assert [answer_of(reply) for reply in asked] == [FAIL, *"abc"]
    assert bench.words_of("w") == [FAIL, *"abc"]
