"""Who waits for all runs to rest is never told early; who gave up is forgotten."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tempolite.actors.controls import GiveUp, Pause, Resume
from tempolite.actors.futures import Reply
from tempolite.actors.messages import AwaitIdle, ChildEnded, Deliver, Recover, RunEnded
from tempolite.actors.waiters import Waiters
from tempolite.core.identifiers import StepKey, WorkflowId
from tempolite.errors import EngineClosed
from tests.actors.directory_bench import DirectoryBench, start_of
from tests.actors.scripted_run import BUSY, CONTINUE, FINISH, IDLE, SLEEP, Store, poke

SEEDS = pytest.mark.parametrize("seed", range(8))
MANY_SEEDS = pytest.mark.parametrize("seed", range(51))

RUN = WorkflowId("w")


# ── giving up ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_waiter_that_gave_up_is_forgotten() -> None:
    """Of three, two are told; a run that never ends gathers no replies."""
    waiters, replies = Waiters(), [Reply[Any]() for _ in range(3)]
    for reply in replies:
        waiters.add_for_outcome(RUN, reply)

    waiters.give_up(RUN, replies[1])
    waiters.tell_outcome(RunEnded(RUN, "COMPLETED", b"1"))

    assert [reply.is_set for reply in replies] == [True, False, True]


def test_the_last_waiter_that_gives_up_leaves_nothing_behind() -> None:
    """A million time-outs of as many runs cost no memory."""
    waiters, outcome, rest = Waiters(), Reply[Any](), Reply[Any]()
    waiters.add_for_outcome(RUN, outcome)
    waiters.add_for_rest(rest)

    waiters.give_up(RUN, outcome)
    waiters.give_up(None, rest)

    assert not waiters._of_outcomes
    assert not waiters.want_rest


def test_giving_up_what_was_told_already_does_nothing() -> None:
    """The outcome and the time-out met."""
    waiters, reply = Waiters(), Reply[Any]()
    waiters.add_for_outcome(RUN, reply)
    waiters.tell_outcome(RunEnded(RUN, "COMPLETED", b"1"))

    waiters.give_up(RUN, reply)

    assert reply.get(timeout=0).status == "COMPLETED"


def test_closing_tells_everybody_who_has_no_answer_yet() -> None:
    """For an outcome or for rest."""
    waiters, replies = Waiters(), [Reply[Any]() for _ in range(2)]
    waiters.add_for_outcome(RUN, replies[0])
    waiters.add_for_rest(replies[1])

    waiters.fail(EngineClosed("closed"))

    for reply in replies:
        with pytest.raises(EngineClosed):
            reply.get(timeout=0)


@SEEDS
def test_the_directory_forgets_who_gave_up(seed: int) -> None:
    """Of an outcome, and of rest; others are told as before."""
    bench = DirectoryBench(seed)
    bench.start("w")
    gone, stays = bench.outcome("w"), bench.outcome("w")
    idle_gone, idle_stays = bench.ask(AwaitIdle()), bench.ask(AwaitIdle())
    bench.settle()

    bench.directory.actor_ref.tell(GiveUp(gone, RUN))
    bench.directory.actor_ref.tell(GiveUp(idle_gone))
    bench.settle()
    bench.deliver("w", FINISH)
    bench.settle()

    assert [reply.is_set for reply in (gone, stays, idle_gone, idle_stays)] == [False, True, False, True]


# ── rest ────────────────────────────────────────────────────────────────────────────────────────────────


@MANY_SEEDS
def test_nobody_is_told_of_rest_while_mail_is_under_way(seed: int) -> None:
    """What a run said of itself before that mail is old: it will go on."""
    bench = DirectoryBench(seed)
    bench.start("w")
    bench.some_steps(10)
    bench.deliver("w", IDLE)
    bench.some_steps(10)
    bench.deliver("w", BUSY)
    bench.some_steps(3)
    idle = bench.ask(AwaitIdle())
    bench.settle()
    early = idle.is_set
    bench.deliver("w", IDLE)
    bench.settle()

    assert (early, idle.is_set) == (False, True)


@MANY_SEEDS
def test_nobody_is_told_of_rest_while_a_run_is_between_two_lives(seed: int) -> None:
    """Put away with mail behind it, or continued as new: it goes on."""
    bench = DirectoryBench(seed, residents_max=0)
    bench.start("w")
    bench.deliver("w", IDLE)
    bench.some_steps(10)
    bench.deliver("w", CONTINUE)
    bench.some_steps(10)
    idle = bench.ask(AwaitIdle())
    bench.settle()
    early = idle.is_set
    bench.deliver("w", FINISH)
    bench.settle()

    assert bench.words_of("w") == [IDLE, CONTINUE, FINISH]
    assert (early, idle.is_set) == (False, True)


@SEEDS
def test_nobody_is_told_of_rest_while_a_discarded_run_waits_for_its_next_try(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where it has no mail left: it comes again by itself."""
    caplog.set_level(logging.CRITICAL + 1, "tempolite")
    bench = DirectoryBench(seed)
    bench.start("w")
    bench.deliver("w", IDLE)
    bench.settle()
    bench.ledger.failures = 1
    bench.deliver("w", BUSY)
    bench.settle(advance_time=False)
    idle = bench.ask(AwaitIdle())
    bench.settle()
    early = idle.is_set
    bench.deliver("w", IDLE)
    bench.settle()

    assert (early, idle.is_set) == (False, True)


@pytest.mark.parametrize("residents_max", [0, 10])
def test_a_sleeping_run_counts_as_going_on_in_memory_or_not(residents_max: int) -> None:
    """Its timer wakes it; nothing from outside is needed."""
    bench = DirectoryBench(residents_max=residents_max)
    bench.start("w")
    bench.deliver("w", SLEEP)
    bench.settle()
    idle = bench.ask(AwaitIdle())
    bench.settle()
    early = idle.is_set
    bench.deliver("w", IDLE)
    bench.settle()

    assert bench.residents == ["w"][: min(residents_max, 1)]
    assert (early, idle.is_set) == (False, True)


def test_a_run_that_slept_before_the_engine_started_counts_too() -> None:
    """It is in the file only, and stays there until its time comes."""

    def prepare(store: Store) -> None:
        store.put("w", status="WAITING")
        store.moods["w"] = SLEEP

    bench = DirectoryBench(prepare=prepare)
    bench.ask(Recover())
    idle = bench.ask(AwaitIdle())
    bench.settle()

    assert not idle.is_set
    assert bench.store.executions == []


@MANY_SEEDS
def test_nobody_is_told_of_rest_while_a_child_ends(seed: int) -> None:
    """Between the child's last commit and the parent's next turn somebody is always busy."""
    bench = DirectoryBench(seed)
    bench.start("parent")
    bench.settle()
    bench.directory.actor_ref.tell(start_of("child", parent="parent", parent_step="c"))
    bench.deliver("parent", IDLE)
    bench.settle()
    ended = ChildEnded(StepKey("c"), WorkflowId("child"), b"1")
    bench.run_of("child").outbox = [[Deliver(WorkflowId("parent"), each) for each in (ended, poke(BUSY))]]
    bench.deliver("child", FINISH)
    idle = bench.ask(AwaitIdle())
    bench.settle()
    early = idle.is_set
    bench.deliver("parent", IDLE)
    bench.settle()

    assert (early, idle.is_set) == (False, True)


@pytest.mark.parametrize("how", ["paused", "in line"])
def test_runs_that_only_a_person_or_another_run_wakes_are_at_rest(how: str) -> None:
    """They need something from outside; what holds them is busy by itself, or at rest as well."""
    bench = DirectoryBench(max_runs={} if how == "paused" else {"default": 0})
    bench.start("w")
    bench.settle()
    if how == "paused":
        bench.request("w", Pause())
    idle = bench.ask(AwaitIdle())
    bench.settle()

    assert idle.is_set


@SEEDS
def test_a_resumed_run_is_not_at_rest(seed: int) -> None:
    """From the moment that its resume is on its way."""
    bench = DirectoryBench(seed)
    bench.start("w")
    bench.settle()
    bench.request("w", Pause())
    bench.some_steps(8)
    bench.request("w", Resume())
    idle = bench.ask(AwaitIdle())
    bench.settle()

    assert not idle.is_set
