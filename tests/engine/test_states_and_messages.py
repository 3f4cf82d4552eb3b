"""Every state of a run and every message to it: the outcome that the contract says, whoever sends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tempolite import (
    Cancel,
    HandlerNotFound,
    InvalidState,
    Pause,
    Query,
    Queue,
    Resume,
    Signal,
    Tempolite,
    Update,
    WorkflowContext,
    WorkflowFinished,
    WorkflowStranded,
    WorkflowStuck,
    activity,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Gate, pass_gate
from tests.engine.waiting import wait_for_status

Home = dict[str, Any]

QUEUES = [
    Queue("default", kind="thread", workers=4),
    Queue("one", kind="thread", workers=1, max_runs=1),
]


def subject(ctx: WorkflowContext, gate: str, end: str = "") -> str:
    """Answers queries and updates, and then does what the test wants to see."""
    ctx.on_query("which", lambda: ctx.workflow_id)
    ctx.on_update("change", lambda value: value * 2)
    if end == "fail":
        raise ValueError("as asked")
    if end == "run":
        return ctx.activity("hold", pass_gate, gate).get()
    if end == "wait":
        return str(ctx.signal("go").get())
    return "done"


@dataclass
class Bench:
    """An engine and the run that is looked at, always ``x``."""

    make: EngineMaker
    home: Home
    gate: Gate
    engine: Tempolite

    def start(self, end: str, **options: Any) -> None:
        self.engine.execute("x", workflow(subject, **options), self.gate.path, end)

    def deferred(self) -> None:
        self.start("wait", defer=True)

    def held(self) -> None:
        self.engine.execute("before", workflow(subject, queue="one"), self.gate.path, "wait")
        self.start("wait", queue="one")

    def running(self) -> None:
        self.start("run")
        self.gate.wait_until_reached()

    def waiting(self) -> None:
        self.start("wait")
        self.engine.wait(timeout=10)

    def paused(self) -> None:
        self.waiting()
        self.engine.pause("x")

    def stuck(self) -> None:
        step = {"fn": len}

        def changing(ctx: WorkflowContext) -> str:
            ctx.activity("step", step["fn"], "abc").get()
            ctx.on_query("which", lambda: ctx.workflow_id)
            ctx.on_update("change", lambda value: value * 2)
            return str(ctx.signal("go").get())

        self.engine.execute("x", workflow(changing, name="changing"))
        self.engine.wait(timeout=10)
        self.engine._crash()
        step["fn"] = activity(str.upper, name="other")
        self._reopen(workflow(changing, name="changing"))
        self.engine.signal("x", "wake", 0)

    def stranded(self) -> None:
        self.start("wait", name="known by this name only")
        self.engine.wait(timeout=10)
        self.engine._crash()
        self._reopen()
        self.engine.signal("x", "wake", 0)

    def completed(self) -> None:
        self.start("")
        self.engine.wait(timeout=10)

    def failed(self) -> None:
        self.start("fail")
        self.engine.wait(timeout=10)

    def cancelled(self) -> None:
        self.waiting()
        self.engine.cancel("x")
        self.engine.wait(timeout=10)

    def _reopen(self, *known: Any) -> None:
        self.engine = self.make(**self.home, queues=QUEUES, workflows=known)
        self.engine.wait(timeout=10)


MESSAGES: dict[str, tuple[Callable[[Tempolite], Any], Any]] = {
    "pause": (lambda engine: engine.pause("x"), Pause()),
    "resume": (lambda engine: engine.resume("x"), Resume()),
    "cancel": (lambda engine: engine.cancel("x"), Cancel()),
    "signal": (lambda engine: engine.signal("x", "other", 1), Signal("other", 1)),
    "query": (lambda engine: engine.query("x", "which"), Query("which")),
    "update": (lambda engine: engine.update("x", "change", 4), Update("change", (4,))),
    "no query": (lambda engine: engine.query("x", "?"), Query("?")),
    "no update": (lambda engine: engine.update("x", "?"), Update("?")),
    "enqueue": (lambda engine: engine.enqueue("x"), None),
}

DONE = None
"""Answered with nothing."""

TABLE: dict[str, tuple[str, dict[str, Any]]] = {
    # state: its status, and for each message the answer and the status afterwards
    "deferred": (
        "PENDING",
        {
            "pause": (DONE, "PAUSED"),
            "resume": (InvalidState, "PENDING"),
            "cancel": (DONE, "CANCELLED"),
            "signal": (DONE, "PENDING"),
            "enqueue": (DONE, "WAITING"),
        },
    ),
    "held": (
        "PENDING",
        {
            "pause": (DONE, "PAUSED"),
            "resume": (InvalidState, "PENDING"),
            "cancel": (DONE, "CANCELLED"),
            "signal": (DONE, "PENDING"),
            "enqueue": (InvalidState, "PENDING"),
        },
    ),
    "running": (
        "RUNNING",
        {
            "pause": (DONE, "PAUSED"),
            "resume": (InvalidState, "RUNNING"),
            "cancel": (DONE, "CANCELLED"),
            "signal": (DONE, "RUNNING"),
            "query": ("x", "RUNNING"),
            "update": (8, "RUNNING"),
            "no query": (HandlerNotFound, "RUNNING"),
            "no update": (HandlerNotFound, "RUNNING"),
            "enqueue": (InvalidState, "RUNNING"),
        },
    ),
    "waiting": (
        "WAITING",
        {
            "pause": (DONE, "PAUSED"),
            "resume": (InvalidState, "WAITING"),
            "cancel": (DONE, "CANCELLED"),
            "signal": (DONE, "WAITING"),
            "query": ("x", "WAITING"),
            "update": (8, "WAITING"),
            "no query": (HandlerNotFound, "WAITING"),
            "no update": (HandlerNotFound, "WAITING"),
            "enqueue": (InvalidState, "WAITING"),
        },
    ),
    "paused": (
        "PAUSED",
        {
            "pause": (DONE, "PAUSED"),
            "resume": (DONE, "WAITING"),
            "cancel": (DONE, "CANCELLED"),
            "signal": (DONE, "PAUSED"),
            "query": ("x", "PAUSED"),
            "no query": (HandlerNotFound, "PAUSED"),
            "enqueue": (InvalidState, "PAUSED"),
        },
    ),
    "stuck": (
        "STUCK",
        {
            "pause": (DONE, "STUCK"),
            "resume": (DONE, "STUCK"),
            "cancel": (DONE, "CANCELLED"),
            "signal": (DONE, "STUCK"),
            "query": (WorkflowStuck, "STUCK"),
            "update": (WorkflowStuck, "STUCK"),
            "enqueue": (InvalidState, "STUCK"),
        },
    ),
    "stranded": (
        "STRANDED",
        {
            "pause": (DONE, ("PAUSED", "STRANDED")),
            "resume": (InvalidState, "STRANDED"),
            "cancel": (DONE, "CANCELLED"),
            "signal": (DONE, "STRANDED"),
            "query": (WorkflowStranded, "STRANDED"),
            "update": (WorkflowStranded, "STRANDED"),
            "enqueue": (InvalidState, "STRANDED"),
        },
    ),
    "completed": (
        "COMPLETED",
        {
            "pause": (WorkflowFinished, "COMPLETED"),
            "resume": (InvalidState, "COMPLETED"),
            "cancel": (WorkflowFinished, "COMPLETED"),
            "signal": (WorkflowFinished, "COMPLETED"),
            "query": ("x", "COMPLETED"),
            "update": (WorkflowFinished, "COMPLETED"),
            "no query": (HandlerNotFound, "COMPLETED"),
            "enqueue": (InvalidState, "COMPLETED"),
        },
    ),
    "failed": (
        "FAILED",
        {
            "pause": (WorkflowFinished, "FAILED"),
            "resume": (DONE, "FAILED"),
            "cancel": (WorkflowFinished, "FAILED"),
            "signal": (WorkflowFinished, "FAILED"),
            "query": ("x", "FAILED"),
            "update": (WorkflowFinished, "FAILED"),
            "no query": (HandlerNotFound, "FAILED"),
            "enqueue": (InvalidState, "FAILED"),
        },
    ),
    "cancelled": (
        "CANCELLED",
        {
            "pause": (WorkflowFinished, "CANCELLED"),
            "resume": (DONE, "WAITING"),
            "cancel": (WorkflowFinished, "CANCELLED"),
            "signal": (WorkflowFinished, "CANCELLED"),
            "query": ("x", "CANCELLED"),
            "update": (WorkflowFinished, "CANCELLED"),
            "no query": (HandlerNotFound, "CANCELLED"),
            "enqueue": (InvalidState, "CANCELLED"),
        },
    ),
}
away = pytest.mark.parametrize("on_file", ["put away"], indirect=True)
CASES = [(state, message) for state, (_, row) in TABLE.items() for message in row]


@pytest.fixture
def bench(make_engine: EngineMaker, on_file: Home, gate: Gate) -> Bench:
    """An engine on a file; idle runs are kept in memory, or put away."""
    return Bench(make_engine, on_file, gate, make_engine(**on_file, queues=QUEUES))


@pytest.mark.parametrize(("state", "message"), CASES, ids=[f"{s}-{m}" for s, m in CASES])
def test_a_call_in_a_state_gives_what_the_contract_says(bench: Bench, state: str, message: str) -> None:
    """By the engine's methods."""
    before, row = TABLE[state]
    getattr(bench, state)()
    assert bench.engine.get("x").status == before

    check(bench.engine, lambda: MESSAGES[message][0](bench.engine), row[message])


@pytest.mark.parametrize(
    ("state", "message"),
    [case for case in CASES if case[1] != "enqueue"],
    ids=[f"{s}-{m}" for s, m in CASES if m != "enqueue"],
)
@away
def test_asking_the_actor_in_a_state_gives_the_same(bench: Bench, state: str, message: str) -> None:
    """By ``info.actor_ref.ask``."""
    before, row = TABLE[state]
    getattr(bench, state)()
    assert bench.engine.get("x").status == before
    ref = bench.engine.get("x").actor_ref

    check(bench.engine, lambda: ref.ask(MESSAGES[message][1], timeout=10), row[message])


@pytest.mark.parametrize(
    ("state", "message"),
    [case for case in CASES if case[1] in ("pause", "resume", "cancel", "signal")],
    ids=[f"{s}-{m}" for s, m in CASES if m in ("pause", "resume", "cancel", "signal")],
)
@away
def test_telling_the_actor_in_a_state_does_the_same(bench: Bench, state: str, message: str) -> None:
    """By ``info.actor_ref.tell``: nobody hears of a refusal, and nothing is changed by it."""
    before, row = TABLE[state]
    getattr(bench, state)()
    assert bench.engine.get("x").status == before

    bench.engine.get("x").actor_ref.tell(MESSAGES[message][1])

    after = row[message][1]
    wait_for_one_of(bench.engine, after)


def check(engine: Tempolite, call: Callable[[], Any], expected: tuple[Any, Any]) -> None:
    """The answer or the error, and the status that it leads to."""
    answer, after = expected
    if isinstance(answer, type):
        with pytest.raises(answer):
            call()
    else:
        assert call() == answer
    wait_for_one_of(engine, after)


def wait_for_one_of(engine: Tempolite, after: str | tuple[str, ...]) -> None:
    """The status that a message leads to, once nothing of the run goes on; a run at a gate never rests."""
    if after == "RUNNING":
        assert engine.get("x").status == after
        return
    if after in ("CANCELLED", "PAUSED"):
        # Told, not asked: it takes a moment.
        wait_for_status(engine, "x", after)
        return
    engine.wait(timeout=10)
    known = (after,) if isinstance(after, str) else after
    assert engine.get("x").status in known
