"""What a handle tells of its run, and how long it waits."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tempolite import Queue, Status, Tempolite, WorkflowContext, workflow
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Gate, pass_gate

THREAD = Queue("default", kind="thread", workers=1)


def double(ctx: WorkflowContext, number: int) -> int:
    return number * 2


def broken(ctx: WorkflowContext) -> None:
    raise ValueError("broken")


def held(ctx: WorkflowContext, gate: str) -> str:
    return ctx.activity("hold", pass_gate, gate).get()


def test_a_handle_tells_who_the_run_is(make_engine: EngineMaker, database: str) -> None:
    """Id, run, function by module and name, queue, and no parent."""
    engine = make_engine(database, queues=[Queue("gpu", kind="inline"), Queue("default", kind="inline")])

    info = engine.execute("a", workflow(double, queue="gpu"), 2)

    assert (info.id, info.run, info.queue, info.parent) == ("a", 1, "gpu", None)
    assert info.function == f"{__name__}:double"
    assert (info.retried_from, info.forked_from) == (None, None)
    assert info.run_group


def test_a_name_in_the_options_is_the_functions_name(engine: Tempolite) -> None:
    """``name=`` stands where ``module:qualname`` would."""
    info = engine.execute("a", workflow(double, name="doubling"), 2)

    assert info.function == "doubling"


def test_a_handle_tells_when(engine: Tempolite) -> None:
    """Aware UTC times; no end before there is one."""
    before = datetime.now(UTC)

    info = engine.execute("a", double, 2)
    info.get(timeout=10)

    assert info.finished_at is not None
    assert before - timedelta(milliseconds=1) <= info.created_at <= info.finished_at
    assert info.finished_at <= datetime.now(UTC) + timedelta(milliseconds=1)
    assert info.created_at.utcoffset() == timedelta(0)


def test_a_handle_reads_fresh(make_engine: EngineMaker, database: str, gate: Gate) -> None:
    """The same object shows what is so now: running first, then completed."""
    engine = make_engine(database, queues=[THREAD])
    info = engine.execute("a", held, gate.path)
    gate.wait_until_reached()
    assert (info.status, info.finished_at) == (Status.RUNNING, None)

    gate.release()
    info.get(timeout=10)

    assert info.status is Status.COMPLETED
    assert info.finished_at is not None


def test_a_status_is_text_as_well(engine: Tempolite) -> None:
    """``StrEnum``: compares with plain text."""
    done, failed = engine.execute("a", double, 1), engine.execute("b", broken)
    engine.wait(timeout=10)

    assert done.status == "COMPLETED"
    assert failed.status == "FAILED"
    assert not done.problem


def test_a_get_past_its_time_leaves_the_run_alone(
    make_engine: EngineMaker, database: str, gate: Gate
) -> None:
    """``TimeoutError`` is the caller's, not the run's."""
    engine = make_engine(database, queues=[THREAD])
    info = engine.execute("a", held, gate.path)

    with pytest.raises(TimeoutError):
        info.get(timeout=0.05)
    gate.release()

    assert info.get(timeout=10) == "passed"


def test_a_get_without_patience_gives_what_is_there(engine: Tempolite) -> None:
    """``timeout=0`` on a finished run is its outcome."""
    info = engine.execute("a", double, 2)
    engine.wait(timeout=10)

    assert info.get(timeout=0) == 4


def test_a_get_without_patience_does_not_wait(make_engine: EngineMaker, gate: Gate) -> None:
    """``timeout=0`` on a run that goes on is a ``TimeoutError``."""
    engine = make_engine(queues=[THREAD])
    info = engine.execute("a", held, gate.path)

    with pytest.raises(TimeoutError):
        info.get(timeout=0)


def test_get_gives_the_same_each_time(engine: Tempolite) -> None:
    """Values and errors alike, from any handle of the run."""
    engine.execute("a", double, 2), engine.execute("b", broken)

    assert [engine.get("a").get(timeout=10) for _ in range(3)] == [4, 4, 4]
    for _ in range(3):
        with pytest.raises(ValueError, match=r"^broken$"):
            engine.get("b").get(timeout=10)


def test_a_handle_of_an_earlier_engine_generation_is_had_by_id(make_engine: EngineMaker, path: Path) -> None:
    """All that it tells is stored."""
    first = make_engine(path)
    info = first.execute("a", double, 2)
    info.get(timeout=10)
    told = (info.function, info.created_at, info.finished_at, info.status, info.run_group, info.queue)
    first.close()

    again = make_engine(path).get("a")

    assert (
        again.function,
        again.created_at,
        again.finished_at,
        again.status,
        again.run_group,
        again.queue,
    ) == told
    assert again.get(timeout=1) == 4


def test_a_handle_has_its_history(engine: Tempolite) -> None:
    """The same as the engine's by id."""
    info = engine.execute("a", double, 2)
    info.get(timeout=10)

    assert info.history() == engine.history("a")
    assert info.history()


def test_a_run_waits_while_only_its_child_can_wake_it(
    make_engine: EngineMaker, database: str, gate: Gate
) -> None:
    """The parent is ``WAITING``, the child ``RUNNING``."""
    engine = make_engine(database, queues=[THREAD])

    def parent(ctx: WorkflowContext) -> str:
        return ctx.workflow("child", held, gate.path).get()

    info = engine.execute("p", parent)
    gate.wait_until_reached()

    assert info.status == "WAITING"
    assert engine.get("p/child").status == "RUNNING"


def test_the_children_of_the_process_are_not_ours_to_wait_for(make_engine: EngineMaker) -> None:
    """A host's own child process is still there to be waited for after ours ended."""
    engine = make_engine(queues=[Queue("default", workers=1)])
    with subprocess.Popen(["true"]) as child:
        engine.execute("a", len_of, "abc").get(timeout=20)
        engine.close()

        assert child.wait(10) == 0


def len_of(ctx: WorkflowContext, text: str) -> int:
    return ctx.activity("len", len, text).get()
