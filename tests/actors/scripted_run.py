"""Runs that do what their mail says, in a store that is a dict."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from tempolite.actors.controls import Admit, Answer, Asked, Enqueue, Pause, QueryArrived, Resume
from tempolite.actors.messages import CONTINUED, ChildEnded, RetryDue, RunEnded, StartRun, Statement, Write
from tempolite.actors.run_store import InLine, StoredRun, asker_of
from tempolite.actors.workflow import Outgoing, Turn
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId

RECORD = Statement("record", "", columns=1, rank=0)
FINISH = "finish"
FAIL = "fail"
EXPLODE = "explode"
IDLE = "idle"
"""Wait for something from outside."""
SLEEP = "sleep"
"""Wait for a durable timer."""
BUSY = "busy"
CONTINUE = "continue"

CONTROLS: dict[type, str] = {Pause: "PAUSED", Resume: "RUNNING", Enqueue: "RUNNING", Admit: "RUNNING"}
"""Status of a run after each of these; what is held is pending instead."""


def poke(what: str) -> RetryDue:
    """A message that the scripted run understands: one of the words above, or any other to remember."""
    return RetryDue(StepKey(what))


def word_of(message: Any) -> str:
    """What a message says: the word of a poke, asked or told, else its kind."""
    if isinstance(message, Asked):
        return word_of(message.message)
    return str(message.step) if isinstance(message, RetryDue) else type(message).__name__


@dataclass
class Store:
    """Runs as last committed.

    Attributes:
        runs: by workflow.
        words: what each workflow has recorded of its mail.
        executions: every run that was brought to life, in order.
        unreadable: loading these raises.
        unknown: the function of these is not known.
        faults: words at which the next ``advance`` raises, once each.
        moods: what each run waits for, if it waits: one of the words above.
        deferred: those that nobody has enqueued.
        behind: children that don't follow their parent, and whether they are to be cancelled.
        settled: children whose outcome nobody waits for any more.
    """

    runs: dict[WorkflowId, StoredRun] = field(default_factory=dict)
    words: dict[WorkflowId, list[str]] = field(default_factory=dict)
    executions: list[ScriptedExecution] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    moods: dict[str, str] = field(default_factory=dict)
    deferred: set[str] = field(default_factory=set)
    behind: list[tuple[WorkflowId, str]] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    streams: int = 0

    def find(self, workflow: WorkflowId) -> StoredRun | None:
        """The latest run of a workflow, as last committed."""
        return self.runs.get(workflow)

    def create(self, request: StartRun, stream: StreamId) -> ScriptedExecution:
        """A new run; its first turn records that it exists."""
        created = request.created
        if created.deferred:
            self.deferred.add(request.workflow)
        run = StoredRun(
            request.workflow,
            stream,
            created.function,
            "PENDING" if created.held or created.deferred else "RUNNING",
            asker_of(created),
            queue=created.queue,
            priority=created.priority,
        )
        return ScriptedExecution(self, run)

    def load(self, stored: StoredRun, *, has_mail: bool = False) -> ScriptedExecution | RunEnded:
        """A run from its history, or why it can't come to life; a stranded one still takes mail."""
        if stored.workflow in self.unreadable:
            raise ValueError(f"{stored.workflow} is damaged")
        if stored.workflow in self.unknown and not has_mail:
            return RunEnded(stored.workflow, "STRANDED", problem="its function is not known")
        return ScriptedExecution(self, stored)

    def new_stream(self) -> StreamId:
        """A stream that was never used."""
        self.streams = 1 + max([self.streams, *(run.stream for run in self.runs.values())])
        return StreamId(self.streams)

    def with_work(self) -> Iterable[WorkflowId]:
        """Workflows that have something to do without a message from outside."""
        return [
            run.workflow
            for run in self.runs.values()
            if run.parent
            or (run.ended is None and run.status == "RUNNING" and self.mood_of(run.workflow) == BUSY)
        ]

    def in_line(self, limited: Iterable[str]) -> Iterable[InLine]:
        """Root runs of these queues that are active, and all that wait to be; oldest first."""
        for run in self.runs.values():
            is_held = run.status == "PENDING" and run.workflow not in self.deferred
            if is_held or (run.status == "RUNNING" and run.parent is None and run.queue in limited):
                yield InLine(run.workflow, run.queue, run.priority, is_held)

    def unstarted(self, names: tuple[str, ...] | None = None) -> list[StartRun]:
        return []

    def left_behind(self) -> Iterable[tuple[WorkflowId, str]]:
        """Children that don't follow their parent yet."""
        return self.behind

    def is_sleeping(self) -> bool:
        """Whether a run waits for a timer."""
        return SLEEP in self.moods.values()

    def timers(self, from_us: int, before_us: int) -> Iterable[tuple[WorkflowId, StepKey, int]]:
        """None: nobody reads them here."""
        return ()

    def next_timer(self, from_us: int) -> int | None:
        """None."""
        return None

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

    def settle_write(self, ended: ChildEnded) -> Write:
        """Notes that nobody waits for a child's outcome any more."""
        return RECORD, (lambda: self.settled.append(ended.child),)

    def mood_of(self, workflow: WorkflowId) -> str:
        """What it waits for; one that waits for nothing is busy."""
        return self.moods.get(workflow, BUSY)

    def write(self, run: StoredRun, words: list[str], mood: str = BUSY) -> Write:
        """What a turn records: the run as it is then, and the mail that it took."""

        def record() -> None:
            self.runs[run.workflow] = run
            self.words.setdefault(run.workflow, []).extend(words)
            self.moods[run.workflow] = mood
            if run.status != "PENDING":
                self.deferred.discard(run.workflow)

        return RECORD, (record,)

    def apply(self, writes: list[Write]) -> None:
        """The writes of a turn are durable."""
        for _, (record,) in writes:
            record()

    def deletable(self, workflows: Iterable[WorkflowId]) -> set[WorkflowId]:
        """Those that have an outcome."""
        return {each for each in workflows if each in self.runs and self.runs[each].ended is not None}

    def deletion(self, workflows: list[WorkflowId], now_us: int) -> list[Write]:
        """Deletes them."""
        return [(RECORD, (partial(self.runs.pop, each),)) for each in workflows]

    def expired(self, before_us: int, limit: int) -> tuple[WorkflowId, ...]:
        """Nothing goes by itself here."""
        return ()

    def first_end(self) -> int | None:
        """Nothing goes by itself here."""
        return None

    def stranded_on(self, queue: str) -> list[WorkflowId]:
        """Nothing waits for a queue here."""
        return []

    def put(self, workflow: str, function: str = "f", status: str = "RUNNING", **fields: Any) -> StoredRun:
        """A run that was recorded before."""
        run = StoredRun(WorkflowId(workflow), StreamId(len(self.runs) + 1), function, status, **fields)
        self.runs[run.workflow] = run
        return run

    def finished(self, workflow: str, status: str = "COMPLETED", **fields: Any) -> StoredRun:
        """A run whose outcome was recorded before."""
        run = self.put(workflow, **fields)
        ended = RunEnded(run.workflow, status, b"1" if status == "COMPLETED" else None)
        self.runs[run.workflow] = run = msgspec.structs.replace(run, status=status, ended=ended)
        return run


class ScriptedExecution:
    """A run that records each message it takes, answers who asked, and obeys some of them.

    Queries of a run that has not begun wait for it, as in a real one.

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
        self._mood = store.mood_of(run.workflow)
        self._waiting: list[Asked] = []
        store.executions.append(self)

    def attach(self, actor: Any) -> None:
        """Says who gets the answers."""
        self.actor = actor

    def unanswered(self) -> list[Any]:
        """Queries that wait for the run to begin."""
        return list(self._waiting)

    def advance(self, mail: list[Any], now_us: int) -> Turn:
        """Takes messages and obeys them."""
        words = [word_of(message) for message in mail]
        self.turns.append(words)
        self.on_turn(mail, now_us)
        for fault in [word for word in words if word in self._store.faults]:
            self._store.faults.remove(fault)
            raise RuntimeError(f"the code of the engine fails at {fault}")
        for message in mail:
            self._obey(message)
        outbox = [*self._answers(mail), *(self.outbox.pop(0) if self.outbox else [])]
        told = [word for word in words if word not in self.silent and word not in ("Begin", "QueryArrived")]
        ended = self._ended(words)
        writes = self._writes(told) if told or self._is_new else []
        self._is_new = False
        if ended is not None and ended.status == CONTINUED:
            following = msgspec.structs.replace(self._run, stream=self._store.new_stream())
            writes.append(self._store.write(following, []))
        is_active = self._run.status == "RUNNING"
        has_work = bool(self._waiting) or (self._mood == BUSY and is_active)
        return Turn(writes, outbox, ended, self._mood != IDLE and is_active, has_work, is_active)

    def discard(self) -> None:
        """Ends without recording anything."""
        self.discards += 1

    def moved(self) -> None:
        """It has no code that could not follow."""

    def _writes(self, told: list[str]) -> list[Write]:
        return [self._store.write(self._run, told, self._mood)]

    def _obey(self, message: Any) -> None:
        word = word_of(message)
        self._mood = word if word in (IDLE, SLEEP, BUSY) else self._mood
        control = message.message if isinstance(message, Asked) else message
        if (status := CONTROLS.get(type(control))) is not None:
            is_held = getattr(control, "held", False)
            self._become("PENDING" if is_held else status)
        elif word in (FINISH, FAIL):
            self._become("COMPLETED" if word == FINISH else "STUCK")

    def _become(self, status: str) -> None:
        result, problem = (b"1" if status == "COMPLETED" else None), "told to be" if status == "STUCK" else ""
        ended = RunEnded(self.workflow, status, result, problem=problem)
        is_ended = status in ("COMPLETED", "STUCK")
        self._run = msgspec.structs.replace(self._run, status=status, ended=ended if is_ended else None)

    def _ended(self, words: list[str]) -> RunEnded | None:
        if self.workflow in self._store.unknown:
            return RunEnded(self.workflow, "STRANDED", problem="its function is not known")
        return RunEnded(self.workflow, CONTINUED) if CONTINUE in words else self._run.ended

    def _answers(self, mail: list[Any]) -> list[Outgoing]:
        asked = [*self._waiting, *(message for message in mail if isinstance(message, Asked))]
        self._waiting = [each for each in asked if self._must_wait(each)]
        return [
            Answer(each.reply, word_of(each))
            for each in asked
            if each.reply is not None and not self._must_wait(each)
        ]

    def _must_wait(self, asked: Asked) -> bool:
        return isinstance(asked.message, QueryArrived) and self._run.status == "PENDING"
