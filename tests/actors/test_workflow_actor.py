"""A live run: turn, commit, act; one uncommitted turn at a time, and nothing leaves before its commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tempolite.actors.clock import VirtualClock
from tempolite.actors.futures import Reply
from tempolite.actors.messages import (
    ActivityJob,
    CancelActivities,
    CancelTimer,
    Deliver,
    RunActivity,
    RunSideEffect,
    RunStopped,
    SetTimer,
)
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tempolite.actors.workflow import Activeness, Outgoing, Routes, RunDiscarded, ToQueue, WorkflowActor
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId
from tempolite.errors import StorageFailed
from tests.actors.directory_bench import Ledger, start_of
from tests.actors.probes import Collector
from tests.actors.scripted_run import BUSY, FINISH, IDLE, ScriptedExecution, Store, poke, word_of

RUN = WorkflowId("w")
WIRES = ("directory", "timers", "side effects", "sagas", "gpu", "cpu")


class Wire:
    """In place of another actor: notes what is sent at the moment at which it is sent."""

    def __init__(self, log: list[Any], name: str) -> None:
        self._log, self._name = log, name

    def tell(self, message: Any) -> None:
        """It left the run."""
        self._log.append((self._name, message))


class RunBench:
    """One run whose commits the test holds in its hand.

    Attributes:
        log: commits, what became of them and everything that was sent, in one order.
    """

    def __init__(self, seed: int = 1, prepare: Callable[[ScriptedExecution], Any] = lambda run: None) -> None:
        self.clock = VirtualClock()
        self.dispatcher = SeededDispatcher(seed, self.clock)
        self.log: list[Any] = []
        self.failures: list[BaseException] = []
        store = Store()
        self.ledger = Ledger(store, self.log)
        self.ledger.is_holding = True
        self.wires: dict[str, Any] = {name: Wire(self.log, name) for name in WIRES}
        routes = Routes(
            persistence=self.ledger.actor_ref,
            directory=self.wires["directory"],
            timers=self.wires["timers"],
            side_effects=self.wires["side effects"],
            sagas=self.wires["sagas"],
            pool_of=lambda queue: self.wires[queue],
            now_us=self.dispatcher.clock.now_us,
        )
        self.created: Reply[Any] = Reply()
        self.run = store.create(start_of(RUN), StreamId(3))
        prepare(self.run)
        self.actor = WorkflowActor(
            self.run,
            routes,
            [self.created],
            on_actor_failure=lambda actor, error: self.failures.append(error),
        )
        for actor in (self.ledger, self.actor):
            actor.launch(self.dispatcher)

    def tell(self, *words: str) -> None:
        """Mail for the run; nothing happens before ``settle``."""
        for word in words:
            self.actor.actor_ref.tell(poke(word))

    def settle(self) -> None:
        """Until nobody has mail."""
        self.dispatcher.run_until_idle()

    def commit(self) -> None:
        """The commit that is held becomes durable."""
        self.settle()
        self.ledger.settle(self.ledger.held.pop(0))
        self.settle()

    def fail(self, *, is_final: bool = False) -> None:
        """The commit that is held fails."""
        self.settle()
        self.ledger.refuse(self.ledger.held.pop(0), is_final=is_final)
        self.settle()

    def sent(self) -> list[tuple[str, Any]]:
        """What left the run, with its receiver."""
        return [item for item in self.log if isinstance(item, tuple)]


def job() -> ActivityJob:
    return ActivityJob(Collector().actor_ref, RUN, StepKey("a"), 1, 1, None, b"", "key")


OUTBOX: list[tuple[str, Outgoing]] = [
    ("gpu", ToQueue("gpu", RunActivity(job()))),
    ("cpu", ToQueue("cpu", CancelActivities(RUN))),
    ("side effects", RunSideEffect(Collector().actor_ref, StepKey("s"), None)),
    ("timers", SetTimer(RUN, "retry", 5, None)),
    ("timers", CancelTimer(RUN, "retry")),
    ("directory", start_of("w/child", parent="w", parent_step="child")),
    ("directory", Deliver(WorkflowId("parent"), poke("ended"))),
]


# ── turn, commit, act ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(10))
def test_nothing_of_the_outbox_leaves_before_its_commit(seed: int) -> None:
    """Whatever the order of actors: first the commit is durable, then everything is sent (P2)."""
    bench = RunBench(seed, lambda run: run.outbox.append([message for _, message in OUTBOX]))

    bench.settle()
    assert bench.log == ["commit 1"]
    assert not bench.created.is_set

    bench.commit()

    assert bench.log[:2] == ["commit 1", "committed 1"]
    assert len(bench.log) == 2 + len(OUTBOX)


def test_each_message_goes_where_it_belongs_in_order() -> None:
    """To the pool of its queue, the timers, the side effects, the directory."""
    bench = RunBench(prepare=lambda run: run.outbox.append([message for _, message in OUTBOX]))

    bench.commit()

    plain = [(name, m.message if isinstance(m, ToQueue) else m) for name, m in OUTBOX]
    for receiver in WIRES:
        assert [m for name, m in bench.sent() if name == receiver] == [m for n, m in plain if n == receiver]


def test_who_asked_for_the_run_is_answered_after_its_first_commit() -> None:
    """``execute`` returns once the run is durable, and not before."""
    bench = RunBench()
    bench.settle()
    was_set = bench.created.is_set

    bench.commit()

    assert (was_set, bench.created.get(timeout=0)) == (False, RUN)


@pytest.mark.parametrize("seed", range(5))
def test_there_is_one_uncommitted_turn_and_mail_meanwhile_goes_into_the_next(seed: int) -> None:
    """All of it, in its order, in one turn."""
    bench = RunBench(seed)
    bench.settle()

    bench.tell("a", "b", "c")
    bench.settle()
    assert bench.run.turns == [["Begin"]]
    assert len(bench.ledger.held) == 1

    bench.commit()

    assert bench.run.turns == [["Begin"], ["a", "b", "c"]]
    assert len(bench.ledger.held) == 1


def test_the_next_turn_comes_after_the_last_one_was_acted_on() -> None:
    """Its outbox is sent before the code goes on."""

    def prepare(run: ScriptedExecution) -> None:
        run.outbox.append([OUTBOX[3][1]])

    bench = RunBench(prepare=prepare)
    bench.run.on_turn = lambda mail, now_us: bench.log.append(f"turn of {word_of(mail[0])}")
    bench.tell("a")
    bench.commit()

    assert bench.log[1:] == ["committed 1", OUTBOX[3], "turn of a", "commit 2"]


def test_a_turn_that_writes_nothing_is_acted_on_at_once() -> None:
    """There is nothing to wait for."""

    def prepare(run: ScriptedExecution) -> None:
        run.outbox = [[], [OUTBOX[3][1]]]
        run.silent = {"look"}

    bench = RunBench(prepare=prepare)
    bench.commit()
    bench.tell("look")
    bench.settle()

    assert bench.log == ["commit 1", "committed 1", ("timers", OUTBOX[3][1])]
    assert bench.run.turns == [["Begin"], ["look"]]


def test_turns_are_numbered_and_time_comes_in_as_a_value() -> None:
    """Commits of one run are told apart; the clock is that of the routes."""
    times: list[int] = []

    def prepare(run: ScriptedExecution) -> None:
        run.on_turn = lambda mail, now_us: times.append(now_us)

    bench = RunBench(prepare=prepare)
    for word in ("a", "b"):
        bench.commit()
        bench.clock.advance(5.0)
        bench.tell(word)
    bench.commit()

    assert bench.log == [f"{what} {n}" for n in (1, 2, 3) for what in ("commit", "committed")]
    assert [time - times[0] for time in times] == [0, 5_000_000, 10_000_000]


# ── ends ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_that_ended_tells_the_directory_and_stops() -> None:
    """After the commit, after everything else of its outbox; and its code is fenced."""
    message = OUTBOX[6][1]
    bench = RunBench(prepare=lambda run: run.outbox.extend([[], [message]]))
    bench.commit()
    bench.tell(FINISH)
    bench.settle()
    assert bench.sent() == []
    assert bench.actor.actor_ref.is_alive()

    bench.commit()

    (first, (receiver, stopped)) = bench.sent()
    assert first == ("directory", message)
    assert (receiver, type(stopped), stopped.stream) == ("directory", RunStopped, StreamId(3))
    assert stopped.ended.status == "COMPLETED"
    assert bench.run.discards == 1
    assert not bench.actor.actor_ref.is_alive()


def test_mail_of_a_turn_that_ended_the_run_is_not_taken_any_more() -> None:
    """What came while the last turn was committed means nothing to a finished run."""
    bench = RunBench()
    bench.commit()
    bench.tell(FINISH)
    bench.settle()
    bench.tell("late")
    bench.commit()

    assert bench.run.turns == [["Begin"], [FINISH]]
    assert bench.failures == []


def test_the_directory_is_told_whether_a_run_goes_on_when_that_changes() -> None:
    """After each turn that leaves it waiting, and after the one that ends that; work under way is no news."""
    bench = RunBench()
    for word in ("a", IDLE, "b", BUSY, "c"):
        bench.commit()
        bench.tell(word)
    bench.commit()

    told = [message for _, message in bench.sent()]
    idle, busy = (Activeness(RUN, goes_on, goes_on, is_active=True) for goes_on in (False, True))
    assert told == [idle, idle, busy]


# ── failures ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failed_commit_throws_the_execution_away() -> None:
    """It ran ahead of the truth; the directory gets the mail of the turn, and what waited, in order."""
    bench = RunBench(prepare=lambda run: run.outbox.extend([[], [OUTBOX[3][1]]]))
    bench.commit()
    bench.tell("a", "b")
    bench.settle()
    bench.tell("c", "d")
    bench.fail()

    ((receiver, discarded),) = bench.sent()
    assert (receiver, type(discarded)) == ("directory", RunDiscarded)
    assert [word_of(message) for message in discarded.mail] == ["a", "b", "c", "d"]
    assert (discarded.workflow, discarded.stream, discarded.is_final) == (RUN, StreamId(3), False)
    assert isinstance(discarded.error, StorageFailed)
    assert bench.run.discards == 1
    assert not bench.actor.actor_ref.is_alive()


@pytest.mark.parametrize("seed", range(10))
def test_mail_that_was_not_read_yet_is_fed_again_too(seed: int) -> None:
    """It lay in the inbox when the answer came: nobody else has it."""
    bench = RunBench(seed)
    bench.commit()
    bench.tell("a")
    bench.settle()

    bench.ledger.refuse(bench.ledger.held.pop(0))
    bench.tell("b")
    bench.settle()

    ((_, discarded),) = bench.sent()
    assert [word_of(message) for message in discarded.mail] == ["a", "b"]


def test_a_run_that_could_not_be_created_is_told_to_who_asked() -> None:
    """With the storage's error; the id is free."""
    bench = RunBench()

    bench.fail()

    with pytest.raises(StorageFailed):
        bench.created.get(timeout=0)


def test_a_final_failure_is_passed_on_as_such() -> None:
    """Then nothing is of use any more."""
    bench = RunBench()
    bench.fail(is_final=True)

    assert bench.sent()[-1][1].is_final


def test_an_execution_that_fails_is_reported_and_sends_nothing() -> None:
    """The directory decides; the mail of the turn is still there for it."""
    bench = RunBench(prepare=lambda run: run._store.faults.append("bad"))
    bench.commit()
    bench.tell("bad")
    bench.settle()

    assert [str(error) for error in bench.failures] == ["the code of the engine fails at bad"]
    assert bench.sent() == []
    assert [word_of(message) for message in bench.actor.take_mail()] == ["bad"]


def test_an_answer_after_the_stop_reaches_nobody() -> None:
    """The commit is durable all the same; the next life of the run finds it."""
    bench = RunBench()
    bench.settle()
    bench.actor.stop_now()

    bench.commit()

    assert bench.sent() == []
    assert bench.log == ["commit 1", "committed 1"]
