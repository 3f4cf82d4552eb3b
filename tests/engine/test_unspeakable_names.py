"""Texts that are no UTF-8, such as undecodable file names, and numbers beyond a column: refused at the call.

SQLite holds neither. One that came as far as the writer, or as a question to an actor, ended the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tempolite import InvalidArguments, Queue, Saga, Tempolite, WorkflowContext, activity, workflow
from tempolite.errors import TempoliteError
from tests.engine.conftest import EngineMaker

HALF = b"\xed\xa0\x80".decode(errors="surrogatepass")
"""Half a surrogate pair: Python has such a text, UTF-8 does not."""
HUGE = 2**70


def listening(ctx: WorkflowContext) -> Any:
    return ctx.signal("go").get()


def storing(tx: Any) -> None:
    tx.store(HALF, 1)


CALLS: dict[str, Callable[[Tempolite], Any]] = {
    "id": lambda engine: engine.execute(HALF, listening),
    "queue": lambda engine: engine.create_queue(Queue(HALF)),
    "name": lambda engine: engine.execute("b", workflow(listening, name=HALF)),
    "alias": lambda engine: engine.register(workflow(listening, aliases=(HALF,))),
    "child": lambda engine: workflow(listening, id=HALF),
    "activity": lambda engine: activity(abs, name=HALF),
    "priority": lambda engine: engine.execute("b", workflow(listening, priority=HUGE)),
    "schedule": lambda engine: engine.schedule(HALF, "0 3 * * *", listening),
    "signal": lambda engine: engine.signal("a", HALF),
    "dedup": lambda engine: engine.signal("a", "x", dedup=HALF),
    "query": lambda engine: engine.query("a", HALF),
    "update": lambda engine: engine.update("a", HALF),
    "retry": lambda engine: engine.retry("a", HALF),
    "saga": lambda engine: Saga().add(abs, name=HALF),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_a_call_that_names_it_is_refused_and_the_engine_goes_on(
    make_engine: EngineMaker, call: Callable[[Tempolite], Any]
) -> None:
    """Whatever it was to be the name of."""
    engine = make_engine(queues=[Queue("default", kind="inline")])
    engine.execute("a", listening)

    with pytest.raises(InvalidArguments):
        call(engine)

    engine.signal("a", "go", 1)
    assert engine.get("a").get(timeout=10) == 1
    assert engine.verify().ok


@pytest.mark.parametrize("call", ["signal", "query", "pause", "resume", "cancel", "enqueue"])
def test_a_message_to_an_id_that_nothing_can_have_finds_no_run(make_engine: EngineMaker, call: str) -> None:
    """And does not end who looks for it."""
    engine = make_engine(queues=[Queue("default", kind="inline")])
    named = (HALF, "go") if call in ("signal", "query") else (HALF,)

    with pytest.raises(TempoliteError):
        getattr(engine, call)(*named)

    engine.execute("a", listening)
    engine.signal("a", "go", 1)
    assert engine.get("a").get(timeout=10) == 1


STEPS: dict[str, Callable[[WorkflowContext], Any]] = {
    "step": lambda ctx: ctx.activity(HALF, abs, -1).get(),
    "signal": lambda ctx: ctx.signal(HALF),
    "version": lambda ctx: ctx.get_version(HALF, 1, 2),
    "condition": lambda ctx: ctx.wait_until(HALF, lambda: True),
    "status": lambda ctx: ctx.set_status(HALF),
    "progress": lambda ctx: ctx.set_status("far", HUGE**20),
    "infinity": lambda ctx: ctx.set_status("far", float("inf")),
    "no number": lambda ctx: ctx.set_status("far", float("nan")),
    "truth": lambda ctx: ctx.set_status("far", True),
    "saga's key": lambda ctx: ctx.saga("s", Saga().add(storing)).get(),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=list(STEPS))
def test_code_that_names_it_is_told_and_the_history_stays_whole(
    make_engine: EngineMaker, step: Callable[[WorkflowContext], Any]
) -> None:
    """What is refused leaves no gap in the run's events, nor one that can't be read."""
    engine = make_engine(queues=[Queue("default", kind="inline")])

    def wrong(ctx: WorkflowContext) -> str:
        try:
            step(ctx)
        except TempoliteError as error:
            return type(error).__name__
        return "taken"

    assert engine.execute("a", wrong).get(timeout=10) in ("InvalidArguments", "SagaCompensated")

    assert engine.verify().ok


def test_a_huge_progress_is_the_float_that_it_is(make_engine: EngineMaker) -> None:
    """A column has 64 bits for an int, and the history says the same as the row."""
    engine = make_engine(queues=[Queue("default", kind="inline")])

    def far(ctx: WorkflowContext) -> None:
        ctx.set_status("far", HUGE)

    info = engine.execute("a", far)
    info.get(timeout=10)

    assert info.progress == float(HUGE)
    assert engine.verify().ok
