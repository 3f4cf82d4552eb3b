"""The directory: failed commits and failing runs; their mail is fed again, and others go on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial

import pytest

from tempolite.actors.directory import FAILURES_MAX, RETRY_COMMIT_S
from tempolite.actors.messages import AwaitIdle, Recover
from tempolite.core.identifiers import WorkflowId
from tests.actors.directory_bench import DirectoryBench
from tests.actors.scripted_run import EXPLODE, FINISH, Store

SEEDS = pytest.mark.parametrize("seed", range(8))


@pytest.fixture(autouse=True)
def silent(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Failures here are on purpose."""
    with caplog.at_level(logging.CRITICAL + 1, "tempolite"):
        yield


# ── failed commits ──────────────────────────────────────────────────────────────────────────────────────


@SEEDS
def test_a_failed_commit_discards_the_run_and_feeds_its_mail_again(seed: int) -> None:
    """A new life, from what is recorded, takes the same messages in the same order."""
    bench = DirectoryBench(seed)
    bench.start("w")
    bench.settle()
    bench.ledger.failures = 1

    bench.deliver("w", *"abc")
    bench.settle()

    first, second = bench.store.executions
    assert (first.discards, second.discards) == (1, 0)
    assert second.turns[0][0] == "Begin"
    assert bench.words_of("w") == ["a", "b", "c"]


def test_mail_that_comes_meanwhile_goes_behind_what_is_fed_again() -> None:
    """A sender's second message is not overtaken by its first one's bad luck (in order)."""
    bench = DirectoryBench()
    bench.start("w")
    bench.settle()
    bench.ledger.failures = 1
    bench.deliver("w", "a")
    bench.settle(advance_time=False)

    bench.deliver("w", "b")
    bench.settle()

    assert bench.words_of("w") == ["a", "b"]


@SEEDS
@pytest.mark.parametrize("failures", [1, 2, 5])
def test_no_mail_is_lost_however_often_commits_fail(failures: int, seed: int) -> None:
    """Mail that comes before, while and after the run is brought back, each message once."""
    bench = DirectoryBench(seed)
    bench.start("w")
    bench.settle()
    bench.ledger.failures = failures

    for word in "abcdefgh":
        bench.deliver("w", word)
        for _ in range(seed):
            bench.dispatcher.step()
    bench.settle()

    assert sorted(bench.words_of("w")) == list("abcdefgh")
    assert bench.ledger.failures == 0


@SEEDS
def test_a_run_that_was_discarded_is_finished_in_the_end(seed: int) -> None:
    """Whoever waits is told once the outcome could be committed."""
    bench = DirectoryBench(seed)
    bench.start("w")
    waiting = bench.outcome("w")
    bench.settle()
    bench.ledger.failures = 3
    bench.deliver("w", FINISH)
    bench.settle()

    assert waiting.get(timeout=0).status == "COMPLETED"
    assert bench.lives_of("w") == 4


def test_a_failed_commit_is_not_tried_again_at_once() -> None:
    """A full disk is not asked a thousand times a second."""
    bench = DirectoryBench()
    bench.start("w")
    bench.settle()
    began_s = bench.dispatcher.clock.monotonic_s()
    bench.ledger.failures = 4
    bench.deliver("w", "a")
    bench.settle()

    assert bench.words_of("w") == ["a"]
    assert bench.dispatcher.clock.monotonic_s() - began_s >= 4 * RETRY_COMMIT_S


@SEEDS
def test_an_engine_with_a_run_that_waits_for_its_next_try_is_not_idle(seed: int) -> None:
    """That run goes on by itself."""
    bench = DirectoryBench(seed)
    bench.start("w")
    bench.settle()
    bench.ledger.failures = 1
    bench.deliver("w", FINISH)
    bench.settle(advance_time=False)
    idle = bench.ask(AwaitIdle())
    bench.settle(advance_time=False)
    was_idle = idle.is_set
    bench.settle()

    assert (was_idle, idle.is_set) == (False, True)


def test_a_final_failure_brings_nobody_back() -> None:
    """The file can't be written any more; the engine ends."""
    bench = DirectoryBench()
    bench.start("w")
    bench.settle()
    bench.ledger.is_holding = True
    bench.deliver("w", "a")
    bench.settle()
    bench.ledger.refuse(bench.ledger.held.pop(), is_final=True)
    bench.settle()

    assert bench.lives_of("w") == 1


def test_closing_while_a_run_waits_for_its_next_try_brings_nobody_back() -> None:
    """Its mail is recorded by whoever sent it, or asked for again."""
    bench = DirectoryBench()
    bench.start("w")
    bench.settle()
    bench.ledger.failures = 1
    bench.deliver("w", "a")
    bench.settle(advance_time=False)

    bench.directory.close()
    bench.settle()

    assert bench.lives_of("w") == 1


# ── failing runs ────────────────────────────────────────────────────────────────────────────────────────


@SEEDS
def test_a_run_whose_actor_failed_starts_again_from_its_history(seed: int) -> None:
    """With the mail of that turn; others don't notice."""
    bench = DirectoryBench(seed)
    for name in ("bad", "good"):
        bench.start(name)
    bench.settle()
    bench.store.faults = [EXPLODE]
    bench.deliver("bad", "a", EXPLODE, "b")
    bench.deliver("good", "a", "b")
    bench.settle()

    assert bench.words_of("good") == ["a", "b"]
    assert sorted(bench.words_of("bad")) == sorted(["a", "b", EXPLODE])
    assert (bench.lives_of("good"), bench.lives_of("bad")) == (1, 2)


def test_a_run_that_fails_again_and_again_is_given_up() -> None:
    """After a few times, until the next start; who waits is told that it is stuck, and why."""
    bench = DirectoryBench()
    bench.start("w")
    waiting = bench.outcome("w")
    bench.settle()
    bench.store.faults = [EXPLODE] * 100
    bench.deliver("w", EXPLODE)
    bench.settle()

    assert bench.lives_of("w") == 1 + FAILURES_MAX
    assert waiting.get(timeout=0).status == "STUCK"
    assert "fails at explode" in waiting.get(timeout=0).problem


def test_who_asks_for_a_run_that_was_given_up_is_told_too() -> None:
    """It will not go on by itself: a wait would be for ever."""
    bench = DirectoryBench()
    bench.start("w")
    bench.settle()
    bench.store.faults = [EXPLODE] * 100
    bench.deliver("w", EXPLODE)
    bench.settle()

    late = bench.outcome("w")
    bench.settle()

    assert late.is_set
    assert late.get(timeout=0).status == "STUCK"


def test_a_run_that_was_given_up_does_not_keep_the_engine_busy() -> None:
    """``wait`` returns."""
    bench = DirectoryBench()
    bench.start("w")
    bench.settle()
    bench.store.faults = [EXPLODE] * 100
    bench.deliver("w", EXPLODE)
    idle = bench.ask(AwaitIdle())
    bench.settle()

    assert idle.is_set


# ── failures in the first turn ──────────────────────────────────────────────────────────────────────────


def test_a_new_run_that_fails_in_its_first_turn_is_told_to_who_asked() -> None:
    """Nothing was recorded; the directory, and with it the engine, goes on."""
    bench = DirectoryBench()
    bench.store.faults = ["Begin"] * 100
    started = bench.start("w")
    bench.settle()
    bench.store.faults = []
    other, again = bench.start("other"), bench.start("w")
    bench.settle()

    assert started.is_set
    with pytest.raises(Exception, match="fails at Begin"):
        started.get(timeout=0)
    assert other.get(timeout=0) == "other"
    assert again.get(timeout=0) == "w"
    assert WorkflowId("w") in bench.store.runs


@pytest.mark.parametrize("how", ["mail", "recovery"])
def test_a_stored_run_that_fails_in_its_first_turn_ends_no_engine(how: str) -> None:
    """One run that can't be replayed must not keep all others from going on, at every start."""
    bench = DirectoryBench(prepare=lambda store: store.put("bad"))
    bench.store.faults = ["Begin"] * (1 + FAILURES_MAX)
    waiting = bench.outcome("bad")
    if how == "mail":
        bench.deliver("bad", "a")
    else:
        bench.ask(Recover())
    bench.settle()
    bench.store.faults = []
    bench.start("good")
    bench.deliver("good", FINISH)
    bench.settle()

    assert bench.store.runs[WorkflowId("good")].status == "COMPLETED"
    assert waiting.get(timeout=0).status == "STUCK"


def test_a_run_that_can_not_be_read_is_stuck_and_others_go_on() -> None:
    """Its history is damaged; who waits for it is told so."""

    def prepare(store: Store) -> None:
        for name in ("a", "damaged", "b"):
            store.put(name)
        store.unreadable.add("damaged")

    bench = DirectoryBench(prepare=prepare)
    waiting = bench.outcome("damaged")
    bench.ask(Recover())
    bench.deliver("damaged", "mail")
    bench.settle()

    assert sorted(each.workflow for each in bench.store.executions) == ["a", "b"]
    assert waiting.get(timeout=0).status == "STUCK"
    assert "is damaged" in waiting.get(timeout=0).problem


def test_nobody_is_told_that_a_run_is_stranded_before_that_is_noted() -> None:
    """Whoever lists runs after the answer sees the same; nor is the engine idle before."""

    def prepare(store: Store) -> None:
        store.put("w")
        store.unknown.add("w")

    bench = DirectoryBench(prepare=prepare)
    bench.ledger.is_holding = True
    waiting = bench.outcome("w")
    bench.ask(Recover())
    bench.settle()
    idle = bench.ask(AwaitIdle())
    bench.settle()
    early = (waiting.is_set, idle.is_set)

    bench.ledger.settle(bench.ledger.held.pop())
    bench.settle()

    assert early == (False, False)
    assert (waiting.is_set, idle.is_set) == (True, True)
    assert bench.store.runs[WorkflowId("w")].status == "STRANDED"


@SEEDS
def test_everything_at_once_ends_well(seed: int) -> None:
    """Failed commits and failing turns, mixed by the seed: every run is finished, every message kept."""
    bench = DirectoryBench(seed)
    names = [f"w{number}" for number in range(10)]
    started = [bench.start(name) for name in names]
    bench.settle()
    bench.store.faults = ["c", "e"]
    actions = [partial(bench.deliver, name, word) for word in "abcdef" for name in names]
    for number, action in enumerate(actions):
        bench.ledger.failures += number % 7 == seed % 7
        action()
        bench.dispatcher.step()
    bench.settle()
    for name in names:
        bench.deliver(name, FINISH)
    outcomes = [bench.outcome(name) for name in names]
    bench.settle()

    assert all(reply.get(timeout=0) for reply in started)
    assert [reply.get(timeout=0).status for reply in outcomes] == ["COMPLETED"] * len(names)
    for name in names:
        assert sorted(bench.words_of(name)[:-1]) == list("abcdef")
