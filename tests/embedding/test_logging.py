"""What is logged where a host can see it, and which run it belongs to."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tempolite import ActivityContext, Queue, Saga, Tempolite, TransactionContext, WorkflowContext
from tempolite.actors.worker_logs import TEXT_MAX
from tests.engine.conftest import EngineMaker

WAIT_S = 20
FIELDS = ("workflow_id", "run", "step", "attempt")


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("no text")


def talk(ctx: ActivityContext, word: str) -> int:
    ctx.logger.info("says %s", word, extra={"word": word})
    return os.getpid()


def talk_of_everything(ctx: ActivityContext) -> int:
    ctx.logger.debug("in detail")
    logging.getLogger("somebody.else").warning("a library's word")
    logging.getLogger("somebody.else").info("nobody wants to know")
    try:
        raise ValueError("inner")
    except ValueError:
        ctx.logger.exception("it failed \ud800", extra={"odd": Unprintable(), "long": "x" * 2 * TEXT_MAX})
    return 1


def talk_in_a_child(ctx: ActivityContext) -> int:
    child = os.fork()
    if child == 0:
        ctx.logger.info("from a child of the worker")
        os._exit(0)
    return os.waitpid(child, 0)[1]


def talking_step(tx: TransactionContext) -> None:
    tx.logger.info("in a saga")


def talking(ctx: WorkflowContext, word: str = "hello") -> Any:
    ctx.logger.info("begins", extra={"word": word})
    pid = ctx.activity("talk", talk, word).get()
    ctx.signal("go").get()
    ctx.logger.info("ends")
    return pid


def continuing(ctx: WorkflowContext, round: int) -> None:
    ctx.logger.info("round %d", round)
    ctx.activity("talk", talk, "again").get()
    if round < 2:
        ctx.continue_as_new(round + 1)


def calling(ctx: WorkflowContext, name: str) -> Any:
    fn = {"everything": talk_of_everything, "child": talk_in_a_child}[name]
    return ctx.activity("call", fn).get()


def saga(ctx: WorkflowContext) -> None:
    ctx.saga("shop", Saga().add(talking_step, name="pay")).get()


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the host's handlers get of the engine's."""
    with caplog.at_level(logging.INFO, "tempolite"):
        yield caplog


def said(heard: pytest.LogCaptureFixture) -> list[tuple[Any, ...]]:
    """Text and fields of each record."""
    return [(each.getMessage(), *(getattr(each, name, "?") for name in FIELDS)) for each in heard.records]


@pytest.mark.parametrize("kind", ["process", "thread", "inline"])
def test_records_of_a_run_reach_the_host_with_their_fields(
    make_engine: EngineMaker, heard: pytest.LogCaptureFixture, kind: Any
) -> None:
    """Workflow id, run, step and attempt; whatever the activity runs in, and before its result."""
    engine = make_engine(queues=[Queue("default", kind=kind, workers=1)])

    info = engine.execute("a", talking)
    info.signal("go")
    pid = info.get(timeout=WAIT_S)

    assert said(heard) == [
        ("begins", "a", 1, None, 1),
        ("says hello", "a", 1, "talk", 1),
        ("ends", "a", 1, None, 1),
    ]
    spoken = heard.records[1]
    assert (spoken.name, spoken.levelname, spoken.funcName) == ("tempolite.activity", "INFO", "talk")
    assert (spoken.process, spoken.word, spoken.filename) == (pid, "hello", Path(__file__).name)  # type: ignore[attr-defined]


def test_what_is_replayed_is_not_logged_again(
    make_engine: EngineMaker, path: Path, heard: pytest.LogCaptureFixture
) -> None:
    """After a restart the code runs through what was recorded in silence."""
    engine = make_engine(path)
    engine.execute("a", talking)
    engine.wait(timeout=WAIT_S)
    engine.close()
    heard.clear()

    again = make_engine(path, workflows=[talking])
    again.signal("a", "go")
    again.get("a").get(timeout=WAIT_S)
    again.replay("a")

    assert [text for text, *_ in said(heard)] == ["ends"]


def test_each_run_of_a_workflow_logs_its_number(
    make_engine: EngineMaker, heard: pytest.LogCaptureFixture
) -> None:
    """Continue-as-new counts on, in the workflow and in its activities."""
    engine = make_engine()

    engine.execute("a", continuing, 1).get(timeout=WAIT_S)

    assert said(heard) == [
        ("round 1", "a", 1, None, 1),
        ("says again", "a", 1, "talk", 1),
        ("round 2", "a", 2, None, 1),
        ("says again", "a", 2, "talk", 1),
    ]


def test_a_new_attempt_of_a_workflow_logs_its_number(
    make_engine: EngineMaker, heard: pytest.LogCaptureFixture
) -> None:
    """``attempt`` is the workflow's where a workflow speaks."""
    engine = make_engine()
    info = engine.execute("a", talking)
    info.cancel()
    engine.wait(timeout=WAIT_S)
    info.resume()
    info.signal("go")
    info.get(timeout=WAIT_S)

    assert said(heard)[-1] == ("ends", "a", 1, None, 2)


def test_steps_of_a_saga_log_like_activities(
    make_engine: EngineMaker, heard: pytest.LogCaptureFixture
) -> None:
    """Their context has the same logger."""
    make_engine().execute("a", saga).get(timeout=WAIT_S)

    ((text, workflow, run, step, attempt),) = said(heard)
    assert (text, workflow, run, attempt) == ("in a saga", "a", 1, 1)
    assert "shop" in step


def test_a_worker_sends_what_the_hosts_levels_let_through(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """Other loggers too; tracebacks as text; values that can't travel do no harm."""
    engine = make_engine(queues=[Queue("default", workers=1)])

    assert engine.execute("a", calling, "everything").get(timeout=WAIT_S) == 1

    texts = [record.getMessage() for record in caplog.records]
    assert texts == ["a library's word", "it failed \\ud800"]
    failed = caplog.records[-1]
    assert "ValueError: inner" in (failed.exc_text or "")
    assert (failed.odd, failed.long) == ("a value without a text", "x" * TEXT_MAX)  # type: ignore[attr-defined]


def test_a_worker_follows_when_the_host_changes_its_levels(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """At the next activity, without a new worker."""
    engine = make_engine(queues=[Queue("default", workers=1)])
    engine.execute("a", calling, "everything").get(timeout=WAIT_S)
    caplog.clear()

    with caplog.at_level(logging.INFO), caplog.at_level(logging.DEBUG, "tempolite.activity"):
        engine.execute("b", calling, "everything").get(timeout=WAIT_S)

    texts = [record.getMessage() for record in caplog.records]
    assert texts[:3] == ["in detail", "a library's word", "nobody wants to know"]


def test_a_child_of_a_worker_does_not_speak_into_its_socket(
    make_engine: EngineMaker, heard: pytest.LogCaptureFixture
) -> None:
    """An activity that forks and logs there costs nobody a worker."""
    engine = make_engine(queues=[Queue("default", workers=1)])

    assert engine.execute("a", calling, "child").get(timeout=WAIT_S) == 0

    assert engine.metrics().lost_workers == 0
    assert heard.messages == []


def test_a_handler_of_the_host_that_fails_is_no_failure_of_the_engine(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """What a worker says is then reported as not handled, and its result counts."""
    engine = make_engine(queues=[Queue("default", workers=1)])
    activities = logging.getLogger("tempolite.activity")

    def fail(record: logging.LogRecord) -> bool:
        raise RuntimeError("a filter of the host's")

    activities.addFilter(fail)
    try:
        assert engine.execute("a", calling, "everything").get(timeout=WAIT_S) == 1
    finally:
        activities.removeFilter(fail)

    assert "a log record of a worker could not be handled" in caplog.messages


def test_warnings_of_the_engine_name_the_run_they_are_about(
    make_engine: EngineMaker, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A stranded run's warning has its id as a field."""
    engine = make_engine(path)
    engine.execute("a", talking)
    engine.wait(timeout=WAIT_S)
    engine.close()
    caplog.clear()

    with Tempolite(path, queues=[Queue("default", kind="inline")]) as other:
        other._registry._calls.clear()
        other.wait(timeout=WAIT_S)
        other.signal("a", "go")

    (record,) = [record for record in caplog.records if "stranded" in record.getMessage()]
    assert (record.workflow_id, record.step) == ("a", None)  # type: ignore[attr-defined]
