"""A directory on a seeded dispatcher, a store that is a dict, and collectors in place of all others."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tempolite.actors.actor import Actor, receives
from tempolite.actors.clock import VirtualClock
from tempolite.actors.controls import ToRun
from tempolite.actors.directory import RESIDENTS_MAX, Directory
from tempolite.actors.futures import Reply
from tempolite.actors.messages import (
    AwaitOutcome,
    Commit,
    CommitFailed,
    Committed,
    Deliver,
    PutAway,
    StartRun,
)
from tempolite.actors.run_lines import RunLines
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tempolite.actors.workflow import Routes
from tempolite.core.events import RunCreated
from tempolite.core.identifiers import WorkflowId
from tempolite.errors import StorageFailed
from tests.actors.probes import Collector
from tests.actors.scripted_run import ScriptedExecution, Store, poke


class Ledger(Actor):
    """Commits in a store that is a dict, at once or when the test says so.

    Attributes:
        log: ``commit n`` for each commit, and what became of it.
        is_holding: commits wait for ``commit_next`` or ``fail_next``.
        failures: how many of the next commits fail.
    """

    def __init__(self, store: Store, log: list[Any]) -> None:
        super().__init__()
        self.log = log
        self.held: list[Commit] = []
        self.is_holding = False
        self.failures = 0
        self._store = store

    @receives(Commit)
    def on_commit(self, message: Commit) -> None:
        """Commits, fails or holds."""
        self.log.append(f"commit {message.turn}")
        if self.is_holding:
            self.held.append(message)
        elif self.failures:
            self.failures -= 1
            self.refuse(message)
        else:
            self.settle(message)

    def settle(self, message: Commit) -> None:
        """Makes it durable."""
        self._store.apply(message.writes)
        self.log.append(f"committed {message.turn}")
        if message.sender.is_alive():
            message.sender.tell(Committed(message.turn))

    def refuse(self, message: Commit, *, is_final: bool = False) -> None:
        """Does not."""
        self.log.append(f"failed {message.turn}")
        if message.sender.is_alive():
            message.sender.tell(CommitFailed(message.turn, StorageFailed("no space"), is_final))


class DirectoryBench:
    """A directory, a ledger, and collectors in place of everybody else.

    Attributes:
        log: what the ledger did and what was sent, in one order; texts, or pairs of receiver and message.
    """

    def __init__(
        self,
        seed: int = 1,
        prepare: Callable[[Store], Any] = lambda store: None,
        *,
        residents_max: int = RESIDENTS_MAX,
        max_runs: Mapping[str, int] = {},
    ) -> None:
        self.random = random.Random(seed)
        self.dispatcher = SeededDispatcher(seed, VirtualClock())
        self.store = Store()
        prepare(self.store)
        self.log: list[Any] = []
        self.failures: list[BaseException] = []
        self.ledger = Ledger(self.store, self.log)
        self.directory = Directory(
            self.store,
            lines=RunLines(max_runs),
            residents_max=residents_max,
            on_actor_failure=self._on_failure,
        )
        self.timers, self.side_effects, self.sagas, self.pool = (
            Collector(self.log, name) for name in ("timers", "side effects", "sagas", "pool")
        )
        self.directory.routes = Routes(
            persistence=self.ledger.actor_ref,
            directory=self.directory.actor_ref,
            timers=self.timers.actor_ref,
            side_effects=self.side_effects.actor_ref,
            sagas=self.sagas.actor_ref,
            pool_of=lambda queue: self.pool.actor_ref,
            now_us=self.dispatcher.clock.now_us,
        )
        for actor in (self.ledger, self.directory, self.timers, self.side_effects, self.sagas, self.pool):
            actor.launch(self.dispatcher)

    def _on_failure(self, _actor: Actor, error: BaseException) -> None:
        self.failures.append(error)

    def ask(self, message: Any) -> Reply[Any]:
        """Asks the directory; nothing happens before ``settle``."""
        reply: Any = self.directory.actor_ref.ask(message, block=False)
        assert isinstance(reply, Reply)
        return reply

    def start(self, workflow: str, function: str = "f", **fields: Any) -> Reply[Any]:
        """Asks for a run."""
        return self.ask(start_of(workflow, function, **fields))

    def request(self, workflow: str, message: Any) -> Reply[Any]:
        """Asks a run something: a word to remember, or a message."""
        return self.ask(ToRun(WorkflowId(workflow), poke(message) if isinstance(message, str) else message))

    def put_away(self, workflow: str) -> None:
        """Asks a run to leave memory, if it is there."""
        live = self.directory._residents.live.get(WorkflowId(workflow))
        if live is not None and not live.is_leaving:
            live.actor.actor_ref.tell(PutAway())

    def deliver(self, workflow: str, *words: str) -> None:
        """Sends a run some mail, through the directory."""
        for word in words:
            self.directory.actor_ref.tell(Deliver(WorkflowId(workflow), poke(word)))

    def outcome(self, workflow: str) -> Reply[Any]:
        """Asks for the outcome of a run."""
        return self.ask(AwaitOutcome(WorkflowId(workflow)))

    def settle(self, *, advance_time: bool = True) -> None:
        """Until nobody has anything to do; nobody but runs may have failed."""
        self.dispatcher.run_until_idle(advance_time=advance_time)
        assert self.failures == [], "the directory failed"

    def some_steps(self, most: int = 6) -> None:
        """Lets a few messages be handled, as many as the seed says."""
        for _ in range(self.random.randrange(most + 1)):
            self.dispatcher.step(advance_time=False)

    @property
    def residents(self) -> list[str]:
        """Runs in memory, in the order of their names."""
        return sorted(self.directory._residents.live)

    def run_of(self, workflow: str) -> ScriptedExecution:
        """The latest life of a run."""
        return [each for each in self.store.executions if each.workflow == workflow][-1]

    def lives_of(self, workflow: str) -> int:
        """How often a run was brought to life."""
        return len([each for each in self.store.executions if each.workflow == workflow])

    def words_of(self, workflow: str) -> list[str]:
        """What a run has recorded of its mail."""
        return self.store.words.get(WorkflowId(workflow), [])


def start_of(workflow: str, function: str = "f", **fields: Any) -> StartRun:
    """The wish for a run; fields are those of the wish or of the run, ``parent`` makes it a child's."""
    of_start = {name: fields.pop(name) for name in ("must_be_new", "times", "is_made_up") if name in fields}
    created = RunCreated(workflow=workflow, function=function, args=msgspec.Raw(b"[[],{}]"), seed=1, **fields)
    starter = WorkflowId(created.parent) if created.parent else None
    return StartRun(WorkflowId(workflow), created, starter, **of_start)


def answer_of(reply: Reply[Any]) -> Any:
    """The answer, or the kind of error; None where there is none yet."""
    if not reply.is_set:
        return None
    try:
        return reply.get(timeout=0)
    except Exception as error:
        return type(error)
