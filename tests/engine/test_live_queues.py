"""Queues of a running engine: created, scaled, and missed by runs that need them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tempolite import (
    InvalidArguments,
    Queue,
    QueueExists,
    QueueNotFound,
    Tempolite,
    WorkflowContext,
    activity,
    workflow,
)
from tests.engine.conftest import EngineMaker

INLINE = Queue("late", kind="inline")


def on_late_queue(ctx: WorkflowContext) -> int:
    """Its activity belongs on another queue, after a signal."""
    first = ctx.activity("first", activity(len, queue="late"), "ab").get()
    ctx.signal("go").get()
    return first + ctx.activity("second", activity(len, queue="late"), "abc").get()


def test_a_queue_that_is_created_while_the_engine_runs_takes_work(engine: Tempolite) -> None:
    """It is listed like any other."""
    engine.create_queue(INLINE)

    info = engine.execute("a", workflow(on_late_queue, queue="late"))
    engine.signal("a", "go")

    assert info.get(timeout=10) == 5
    assert (info.queue, engine.queue("late").kind) == ("late", "inline")


def test_a_queue_of_a_taken_name_is_refused(engine: Tempolite) -> None:
    """The first one goes on as it is."""
    with pytest.raises(QueueExists, match="default"):
        engine.create_queue(Queue("default"))


@pytest.mark.parametrize("queue", [None, "late", Queue("late", kind="ray")])
def test_what_is_no_queue_yet_is_refused(engine: Tempolite, queue: Queue) -> None:
    """In words, and nothing is started."""
    with pytest.raises(InvalidArguments, match=r"expected Queue|not supported yet"):
        engine.create_queue(queue)


def test_a_cluster_queue_is_refused_when_the_engine_is_made() -> None:
    """It says that there is none yet, and what there is."""
    with pytest.raises(InvalidArguments, match="kind='ray' is not supported yet"):
        Tempolite(queues=[Queue("far", kind="ray")])


def test_a_queue_without_workers_holds_what_comes(engine: Tempolite) -> None:
    """Until it is scaled up again."""
    before = engine.scale("default", 0)
    held = engine.execute("a", workflow(flow_of_one))
    with pytest.raises(TimeoutError):
        held.get(timeout=0.05)

    engine.scale("default", before)

    assert held.get(timeout=10) == 3


def test_scaling_a_queue_that_there_is_not_is_refused(engine: Tempolite) -> None:
    """By its name, with those that there are."""
    with pytest.raises(QueueNotFound, match="default"):
        engine.scale("nowhere", 1)


def test_a_run_whose_queue_is_missing_is_stranded_until_it_is_there(
    make_engine: EngineMaker, path: Path
) -> None:
    """Nothing of it fails because an engine was started with other settings."""
    queues = [Queue("default", kind="inline"), INLINE]
    first = make_engine(path, queues=queues)
    first.execute("whole", workflow(on_late_queue, queue="late"))
    first.execute("step", on_late_queue)
    first.wait(timeout=10)
    first.close()
    second = make_engine(path, workflows=[on_late_queue])

    second.signal("whole", "go")
    second.signal("step", "go")
    assert second.get("whole").status == "STRANDED"
    assert "create_queue" in second.get("whole").problem
    assert second.get("step").status == "STRANDED"
    second.create_queue(INLINE)

    assert second.get("whole").get(timeout=10) == 5
    assert second.get("step").get(timeout=10) == 5


def flow_of_one(ctx: WorkflowContext) -> int:
    """One activity."""
    return ctx.activity("len", len, "abc").get()
