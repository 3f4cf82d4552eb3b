"""Deleting finished workflows: what goes, what stays, and what the log says of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tempolite import InvalidArguments, Queue, Tempolite, WorkflowContext, WorkflowNotFound, workflow
from tempolite.actors.clock import VirtualClock
from tempolite.actors.database_file import run
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Gate, pass_gate

THREADS = [Queue("default", kind="thread", workers=2)]


def echo(ctx: WorkflowContext, value: Any) -> Any:
    return value


def broken(ctx: WorkflowContext) -> None:
    raise ValueError("broken")


def held(ctx: WorkflowContext, gate: str) -> str:
    return ctx.activity("hold", pass_gate, gate).get()


def leaves_a_child(ctx: WorkflowContext) -> None:
    """The child finishes; whether its parent ever hears of that is left open."""
    ctx.workflow("child", echo, 1)


def start_all(engine: Tempolite, *ids: str) -> None:
    for name in ids:
        engine.execute(name, echo, name)
    engine.wait(timeout=20)


def rows_of(engine: Tempolite, table: str) -> int:
    return int(engine._rows(f"SELECT count(*) FROM {table}")[0][0])


def write(engine: Tempolite, sql: str) -> None:
    """What the engine's own statements lead to for a moment only."""
    connection = engine._file.connect()
    run(connection, sql)
    connection.close()


def stored(engine: Tempolite) -> list[str]:
    return sorted(info.id for info in engine.workflows(limit=1000))


def test_a_deleted_workflow_is_gone_with_everything(engine: Tempolite) -> None:
    """Its row, its events, and the handles that lead to it; others stay as they are."""
    start_all(engine, "a", "b")
    info, kept = engine.get("a"), engine.history("b")

    count = engine.delete(["a"])

    assert (count, stored(engine)) == (1, ["b"])
    assert engine.history("b") == kept
    assert rows_of(engine, "events") == len(kept) + 1
    for call in (info.get, lambda: info.status, lambda: engine.get("a"), lambda: engine.history("a")):
        with pytest.raises(WorkflowNotFound):
            call()


def test_a_deletion_is_an_event_of_the_engine(engine: Tempolite) -> None:
    """It belongs to no workflow, and no number of the log is ever used again."""
    start_all(engine, "a", "b")
    last = list(engine.events())[-1].seq

    engine.delete(["b", "a"])
    deletion = list(engine.events())[-1]

    assert (deletion.workflow, deletion.run, deletion.type) == ("", 0, "WorkflowsDeleted")
    assert sorted(deletion.payload["workflows"]) == ["a", "b"]
    assert deletion.seq == last + 1
    assert [event.seq for event in engine.events()] == [last + 1]


def test_unknown_and_unfinished_ones_are_passed_over(make_engine: EngineMaker, gate: Gate) -> None:
    """Not counted, and untouched."""
    engine = make_engine(queues=THREADS)
    start_all(engine, "a")
    running = engine.execute("running", held, gate.path)
    engine.execute("deferred", workflow(echo, defer=True), 1)
    gate.wait_until_reached()

    assert engine.delete(["nobody", "running", "deferred", "a", "a"]) == 1
    assert engine.delete() == 0
    assert stored(engine) == ["deferred", "running"]
    gate.release()
    assert running.get(timeout=20)


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        ({"ids": "a"}, ["b", "failed"]),
        ({"status": "failed"}, ["a", "b"]),
        ({"status": ["COMPLETED", "RUNNING"]}, ["failed"]),
        ({"ids": ["a", "failed"], "status": "COMPLETED"}, ["b", "failed"]),
        ({"older_than": timedelta(0)}, []),
        ({"older_than": timedelta(hours=1)}, ["a", "b", "failed"]),
        ({"ids": []}, ["a", "b", "failed"]),
        ({}, []),
    ],
)
def test_conditions_choose_what_goes(engine: Tempolite, chosen: dict[str, Any], left: list[str]) -> None:
    """All of them must hold."""
    start_all(engine, "a", "b")
    engine.execute("failed", broken)
    engine.wait(timeout=20)

    count = engine.delete(**chosen)

    assert (stored(engine), count) == (left, 3 - len(left))


@pytest.mark.parametrize(
    "call",
    [
        lambda engine: engine.delete([1]),
        lambda engine: engine.delete(status="GONE"),
        lambda engine: engine.delete(older_than=3600),
        lambda engine: engine.gc(timedelta(seconds=-1)),
        lambda engine: Tempolite(retention=30),  # type: ignore[arg-type]
    ],
)
def test_conditions_that_mean_nothing_are_refused(
    engine: Tempolite, call: Callable[[Tempolite], Any]
) -> None:
    """Nothing is deleted then."""
    start_all(engine, "a")

    with pytest.raises(InvalidArguments):
        call(engine)

    assert stored(engine) == ["a"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "UPDATE runs SET parent = 'p', owes_parent = 1,"
            " parent_stream = (SELECT stream FROM runs WHERE workflow = 'p') WHERE workflow = 'child'",
            "UPDATE runs SET owes_parent = 0",
        ),
        ("INSERT INTO spawns SELECT 'child', stream FROM runs WHERE workflow = 'p'", "DELETE FROM spawns"),
    ],
    ids=["its outcome is not recorded there", "it was asked to try again"],
)
def test_a_child_stays_while_its_parent_needs_it(engine: Tempolite, before: str, after: str) -> None:
    """The parent would start it anew; once it has what it needs, the child can go."""
    start_all(engine, "child")
    engine.execute("p", workflow(echo, defer=True), 1)

    write(engine, before)
    early = engine.delete(["child"])
    write(engine, after)

    assert (early, engine.delete(["child"])) == (0, 1)


def test_a_child_that_nobody_asked_about_can_go(engine: Tempolite) -> None:
    """Its parent finished without it, and will never hear of it."""
    engine.execute("p", leaves_a_child).get(timeout=20)
    engine.wait(timeout=20)

    assert engine.delete(["p/child"]) == 1
    assert engine.get("p").get(timeout=20) is None


def test_an_id_can_be_used_again(engine: Tempolite) -> None:
    """A new workflow, of another function, with nothing of the old one."""
    start_all(engine, "a")
    engine.delete(["a"])

    with pytest.raises(ValueError, match="broken"):
        engine.execute("a", broken).get(timeout=20)

    assert [event.type for event in engine.history("a")] == ["RunCreated", "RunFailed"]
    assert engine.verify().ok


def test_streams_are_not_used_again_after_a_restart(make_engine: EngineMaker, path: os.PathLike[str]) -> None:
    """Though the rows are gone that had them: listings stay in order."""
    first = make_engine(path)
    start_all(first, "a", "b", "c")
    before = first.get_row("c").stream
    first.delete()
    first.close()

    again = make_engine(path)
    start_all(again, "d")

    assert again.get_row("d").stream == before + 1


def test_deleted_workflows_stay_deleted_after_a_crash(
    make_engine: EngineMaker, path: os.PathLike[str]
) -> None:
    """The count is returned when it is durable."""
    first = make_engine(path)
    start_all(first, "a", "b")
    assert first.delete(["a"]) == 1
    first._crash()

    again = make_engine(path)

    assert stored(again) == ["b"]
    assert again.verify().ok


def test_more_than_one_transaction_holds_goes_too(make_engine: EngineMaker) -> None:
    """More than fit in one transaction; each goes once."""
    engine = make_engine()
    start_all(engine, *(f"w{number}" for number in range(2_100)))

    assert engine.delete(status="COMPLETED") == 2_100
    assert (rows_of(engine, "runs"), rows_of(engine, "events")) == (0, 3)


def test_gc_without_a_word_deletes_nothing(engine: Tempolite) -> None:
    """Neither a span nor a retention was given: only space is given back."""
    start_all(engine, "a")

    assert engine.gc() == 0
    assert engine.gc(timedelta(hours=1)) == 0
    assert stored(engine) == ["a"]


def test_gc_gives_space_back(make_engine: EngineMaker, path: os.PathLike[str]) -> None:
    """The file is small again, and so is its log; runs go on meanwhile and afterwards."""
    engine = make_engine(path)
    for number in range(40):
        engine.execute(f"w{number}", echo, "x" * 400_000)
    engine.wait(timeout=30)
    large = os.path.getsize(path) + os.path.getsize(f"{path}-wal")

    count = engine.gc(timedelta(0))

    assert count == 40
    assert os.path.getsize(path) + os.path.getsize(f"{path}-wal") < large / 20
    start_all(engine, "after")
    assert engine.verify().problems == ()


def test_finished_workflows_go_by_themselves(make_engine: EngineMaker, path: os.PathLike[str]) -> None:
    """``retention``: what came due while no engine was there, and what finishes now."""
    first = make_engine(path)
    start_all(first, "a")
    first.close()

    clock = VirtualClock(first._clock.now_us() + 60 * 1_000_000)
    engine = make_engine(path, retention=timedelta(seconds=30), clock=clock)
    follower = engine.events(follow=True)
    gone = next(event for event in follower if event.type == "WorkflowsDeleted")

    assert gone.payload["workflows"] == ["a"]
    assert stored(engine) == []


def test_what_finishes_goes_when_its_time_comes(make_engine: EngineMaker) -> None:
    """Nothing polls for it: the end of a run sets the clock."""
    keeping_nothing = make_engine(retention=timedelta(0))

    for name in "ab":
        keeping_nothing.execute(name, echo, 1)
    log = keeping_nothing.events(follow=True)
    gone: list[str] = []
    while len(gone) < 2:
        event = next(log)
        gone += event.payload["workflows"] if event.type == "WorkflowsDeleted" else []

    assert (gone, keeping_nothing.count()) == (["a", "b"], 0)


def test_awaitable_twins_delete_too(engine: Tempolite) -> None:
    """``adelete`` and ``agc`` leave the loop free."""
    start_all(engine, "a", "b")

    async def both() -> tuple[int, int]:
        return await engine.adelete(["a"], status="COMPLETED"), await engine.agc(timedelta(0))

    assert asyncio.run(both()) == (1, 1)
