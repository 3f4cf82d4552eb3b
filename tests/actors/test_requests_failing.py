"""Requests: failed commits and failing runs feed them again with their replies; each has one answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tempolite.actors.controls import QueryArrived, Resume
from tempolite.actors.futures import Reply
from tempolite.core.identifiers import WorkflowId
from tempolite.errors import WorkflowStuck
from tests.actors.directory_bench import DirectoryBench, answer_of
from tests.actors.scripted_run import CONTINUE, EXPLODE, FINISH, IDLE, Store

SEEDS = pytest.mark.parametrize("seed", range(8))

QUERY = QueryArrived("how far", b"")


@pytest.fixture(autouse=True)
def silent(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Failures here are on purpose."""
    with caplog.at_level(logging.CRITICAL + 1, "tempolite"):
        yield


@SEEDS
def test_requests_of_a_failed_commit_are_fed_again_with_their_replies(seed: int) -> None:
    """Who asked is answered by the run's next life, once."""
    bench = DirectoryBench(seed)
    bench.start("w")
    bench.settle()
    bench.ledger.failures = 2
    asked = [bench.request("w", word) for word in "abc"]
    bench.settle()

    assert [answer_of(reply) for reply in asked] == list("abc")
    assert bench.words_of("w") == list("abc")


@SEEDS
def test_a_query_that_waits_for_its_run_to_begin_survives_a_failed_commit(seed: int) -> None:
    """Its own turn was acted on long ago; the reply is with the run that is discarded."""
    bench = DirectoryBench(seed, max_runs={"default": 1})
    bench.start("first")
    bench.start("w")
    bench.settle()
    held = next(each for each in ("first", "w") if bench.store.runs[WorkflowId(each)].status == "PENDING")
    query = bench.request(held, QUERY)
    bench.settle()
    was_answered = query.is_set
    bench.ledger.failures = 1
    update = bench.request(held, "a")
    bench.settle()
    assert (was_answered, query.is_set, answer_of(update)) == (False, False, "a")

    bench.deliver("w" if held == "first" else "first", FINISH)
    bench.settle()

    assert answer_of(query) == "QueryArrived"


def test_a_waiting_query_whose_answer_was_not_committed_is_asked_again_once() -> None:
    """It was taken by a turn before the one that failed."""
    bench = DirectoryBench(max_runs={"default": 0})
    bench.start("w")
    bench.settle()
    query = bench.request("w", QUERY)
    bench.settle()
    bench.ledger.failures = 1
    bench.request("w", Resume())
    bench.directory.lines.add("default", 5)
    bench.request("w", Resume())
    bench.settle()

    assert answer_of(query) == "QueryArrived"
    assert sum(turn.count("QueryArrived") for turn in bench.run_of("w").turns) == 1


def test_requests_are_told_when_nothing_can_be_written_any_more() -> None:
    """The engine ends; nobody is left waiting."""
    bench = DirectoryBench()
    bench.start("w")
    bench.settle()
    bench.ledger.is_holding = True
    asked = [bench.request("w", word) for word in "ab"]
    bench.settle()
    bench.ledger.refuse(bench.ledger.held.pop(), is_final=True)
    bench.settle()

    assert [reply.is_set for reply in asked] == [True, True]
    with pytest.raises(Exception, match="no space"):
        asked[0].get(timeout=0)


def test_requests_to_a_run_that_can_not_be_read_are_refused_with_the_problem() -> None:
    """It is stuck, and can take nothing."""

    def prepare(store: Store) -> None:
        store.put("w")
        store.unreadable.add("w")

    bench = DirectoryBench(prepare=prepare)
    asked = bench.request("w", "a")
    bench.settle()

    with pytest.raises(WorkflowStuck, match="is damaged"):
        asked.get(timeout=0)


def test_requests_to_a_run_that_is_given_up_are_refused_with_the_problem() -> None:
    """Its actor failed again and again; the last failure is told."""
    bench = DirectoryBench()
    bench.start("w")
    bench.settle()
    bench.store.faults = [EXPLODE] * 4
    asked = [bench.request("w", word) for word in (EXPLODE, "a")]
    bench.settle()

    with pytest.raises(WorkflowStuck, match="fails at explode"):
        asked[0].get(timeout=0)
    assert asked[1].is_set


def test_a_run_that_was_given_up_can_be_resumed() -> None:
    """A person said so: it has all its tries again."""
    bench = DirectoryBench()
    bench.start("w")
    bench.settle()
    bench.store.faults = [EXPLODE] * 4
    bench.deliver("w", EXPLODE)
    bench.settle()

    resumed = bench.request("w", Resume())
    bench.deliver("w", FINISH)
    bench.settle()
    outcome = bench.outcome("w")
    bench.settle()

    assert answer_of(resumed) == "Resume"
    assert outcome.get(timeout=0).status == "COMPLETED"


@SEEDS
def test_everything_at_once_answers_everybody_once(seed: int) -> None:
    """Put-aways, failed commits, failing turns and continuations: each request has one answer, its own."""
    bench = DirectoryBench(seed, residents_max=1)
    names = ["w1", "w2", "w3"]
    for name in names:
        bench.start(name)
        bench.deliver(name, IDLE)
    bench.settle()
    bench.store.faults = ["c", "g"]
    asked: dict[str, list[Reply[Any]]] = {name: [] for name in names}
    for number, word in enumerate("abcdefghij"):
        bench.ledger.failures += number % 5 == seed % 5
        for name in names:
            asked[name].append(bench.request(name, CONTINUE if number == 5 else word))
            bench.some_steps()
    bench.settle()

    expected = [*"abcde", CONTINUE, *"ghij"]
    assert {name: [answer_of(reply) for reply in asked[name]] for name in names} == dict.fromkeys(
        names, expected
    )
    assert {name: sorted(bench.words_of(name)) for name in names} == dict.fromkeys(
        names, sorted([IDLE, *expected])
    )
