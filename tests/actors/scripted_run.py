"""Runs that do what their mail says, in a store that is a dict: a directory on a seeded dispatcher."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tempolite.actors.actor import Actor, receives
from tempolite.actors.clock import VirtualClock
from tempolite.actors.directory import Directory
from tempolite.actors.dispatcher import SeededDispatcher
from tempolite.actors.futures import Reply
from tempolite.actors.messages import (
    AwaitOutcome,
    Commit,
    CommitFailed,
    Committed,
    Deliver,
    RetryDue,
    RunEnded,
    StartRun,
    Statement,
    Write,
)
from tempolite.actors.run_store import StoredRun
from tempolite.actors.workflow import Outgoing, Routes, Turn
from tempolite.core.events import RunCreated
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId
from tempolite.errors import StorageFailed
from tests.actors.probes import Collector

RECORD = Statement("record", "", columns=1, rank=0)
FINISH = "finish"
FAIL = "fail"
EXPLODE = "explode"
IDLE = "idle"
BUSY = "busy"


def poke(what: str) -> RetryDue:
    """A message that the scripted run understands: one of the words above, or any other to remember."""
    return RetryDue(StepKey(what))


def word_of(message: Any) -> str:
    """What a message says: the word of a poke, else its kind."""
    return str(message.step) if isinstance(message, RetryDue) else type(message).__name__


@dataclass
class Store:
    """Runs as last committed.

    Attributes:
        runs: by workflow.
        words: what each run has recorded of its mail.
        executions: every run that was brought to life, in order.
        unreadable: loading these raises.
        unknown: the function of these is not known.
        faults: words at which the next ``advance`` raises, once each.
    """

    runs: dict[WorkflowId, StoredRun] = field(default_factory=dict)
    words: dict[WorkflowId, list[str]] = field(default_factory=dict)
    executions: list[ScriptedExecution] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def find(self, workflow: WorkflowId) -> StoredRun | None:
        """The latest run of a workflow, as last committed."""
        return self.runs.get(workflow)

    def create(self, request: StartRun, stream: StreamId) -> ScriptedExecution:
        """A new run; its first turn records that it exists."""
        parent_step = request.created.parent_step
        run = StoredRun(
            request.workflow,
            stream,
            request.created.function,
            "RUNNING",
            WorkflowId(request.created.parent) if request.created.parent else None,
            StepKey(parent_step) if parent_step else None,
        )
        return ScriptedExecution(self, run)

    def load(self, stored: StoredRun) -> ScriptedExecution | RunEnded:
        """A run from its history, or why it can't come to life."""
        if stored.workflow in self.unreadable:
            raise ValueError(f"{stored.workflow} is damaged")
        if stored.workflow in self.unknown:
            return RunEnded(stored.workflow, "STRANDED", problem="its function is not known")
        return ScriptedExecution(self, stored)

    def last_stream(self) -> StreamId:
        """The highest stream ever used."""
        return StreamId(max((run.stream for run in self.runs.values()), default=0))

    def with_work(self) -> Iterable[WorkflowId]:
        """Workflows that have something to do without a message from outside."""
        return [run.workflow for run in self.runs.values() if run.ended is None or run.parent]

    def is_same_function(self, stored: StoredRun, function: str) -> bool:
        """Whether both names mean the same function."""
        return stored.function == function

    def strand(self, names: tuple[str, ...]) -> list[WorkflowId]:
        """Stranded workflows whose function is one of these."""
        return [run.workflow for run in self.runs.values() if run.function in names]

    def learn(self, code: Any) -> None:
        """Nothing to learn here."""

    def problem_write(self, stored: StoredRun, ended: RunEnded) -> Write:
        """The row of a run that can't come to life."""
        return self.write(msgspec.structs.replace(stored, status=ended.status, ended=ended), [])

    def write(self, run: StoredRun, words: list[str]) -> Write:
        """What a turn records: the run as it is then, and the mail that it took."""
        return RECORD, ((run, words),)

    def apply(self, writes: list[Write]) -> None:
        """The writes of a turn are durable."""
        for _, ((run, words),) in writes:
            self.runs[run.workflow] = run
            self.words.setdefault(run.workflow, []).extend(words)

    def put(self, workflow: str, function: str = "f", **fields: Any) -> StoredRun:
        """A run that was recorded before."""
        run = StoredRun(WorkflowId(workflow), StreamId(len(self.runs) + 1), function, "RUNNING", **fields)
        self.runs[run.workflow] = run
        return run

    def finished(self, workflow: str, status: str = "COMPLETED", **fields: Any) -> StoredRun:
        """A run whose outcome was recorded before."""
        run = self.put(workflow, **fields)
        ended = RunEnded(run.workflow, status, b"1" if status == "COMPLETED" else None)
        self.runs[run.workflow] = run = msgspec.structs.replace(run, status=status, ended=ended)
        return run


class ScriptedExecution:
    """A run that records each message it takes, and obeys some of them.

    Attributes:
        turns: words of each turn's mail.
        outbox: what the next turns send, one list a turn.
        silent: words that are not recorded: a turn of only these writes nothing.
        discards: how often it was told to end.
        on_turn: called with the mail and the time of each turn.
    """

    def __init__(self, store: Store, run: StoredRun) -> None:
        self.workflow, self.stream = run.workflow, run.stream
        self.turns: list[list[str]] = []
        self.outbox: list[list[Outgoing]] = []
        self.silent: set[str] = set()
        self.discards = 0
        self.on_turn: Callable[[list[Any], int], Any] = lambda mail, now_us: None
        self._store, self._run = store, run
        self._is_new = run.workflow not in store.runs
        self._can_go_on = True
        store.executions.append(self)

    def attach(self, actor: Any) -> None:
        """Says who gets the answers."""
        self.actor = actor

    def advance(self, mail: list[Any], now_us: int) -> Turn:
        """Takes messages and obeys them."""
        words = [word_of(message) for message in mail]
        self.turns.append(words)
        self.on_turn(mail, now_us)
        for fault in [word for word in words if word in self._store.faults]:
            self._store.faults.remove(fault)
            raise RuntimeError(f"the code of the engine fails at {fault}")
        self._can_go_on = BUSY in words or (self._can_go_on and IDLE not in words)
        ended = self._ended(words)
        if ended is not None:
            self._run = msgspec.structs.replace(self._run, status=ended.status, ended=ended)
        told = [word for word in words if word not in self.silent and word != "Begin"]
        writes = [self._store.write(self._run, told)] if told or self._is_new else []
        self._is_new = False
        outbox = self.outbox.pop(0) if self.outbox else []
        return Turn(writes, outbox, ended, self._can_go_on)

    def discard(self) -> None:
        """Ends without recording anything."""
        self.discards += 1

    def _ended(self, words: list[str]) -> RunEnded | None:
        if FINISH in words:
            return RunEnded(self.workflow, "COMPLETED", b"1")
        if FAIL in words:
            return RunEnded(self.workflow, "STUCK", problem="told to be")
        return None


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

    def __init__(self, seed: int = 1, prepare: Callable[[Store], Any] = lambda store: None) -> None:
        self.dispatcher = SeededDispatcher(seed, VirtualClock())
        self.store = Store()
        prepare(self.store)
        self.log: list[Any] = []
        self.failures: list[BaseException] = []
        self.ledger = Ledger(self.store, self.log)
        self.directory = Directory(self.store, on_actor_failure=self._on_failure)
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
        for actor in (
            self.ledger,
            self.directory,
            self.timers,
            self.side_effects,
            self.sagas,
            self.pool,
        ):
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
    """The wish for a run; ``parent`` and ``parent_step`` make it a child's."""
    parent, step = fields.pop("parent", None), fields.pop("parent_step", None)
    created = RunCreated(
        function=function, args=msgspec.Raw(b"[[],{}]"), seed=1, parent=parent, parent_step=step
    )
    starter = WorkflowId(parent) if parent else None
    return StartRun(WorkflowId(workflow), created, starter, **fields)
