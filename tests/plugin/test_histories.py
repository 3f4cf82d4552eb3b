"""Histories from production, replayed against today's code: an upgrade is proved before it is deployed."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    AsyncWorkflowContext,
    InvalidArguments,
    NonDeterminismError,
    Queue,
    RetryPolicy,
    Saga,
    Tempolite,
    TransactionContext,
    WorkflowContext,
    WorkflowNotFound,
    workflow,
)
from tempolite.testing import ReplayReport, export_histories, replay_histories
from tempolite.testing.engines import TestedEngine

Factory = Callable[..., TestedEngine]


@pytest.fixture
def tempolite_settings() -> dict[str, Any]:
    """No processes, and no disk where a test doesn't name one."""
    return {"database": ":memory:", "queues": [Queue("default", kind="inline")]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where histories are written."""
    return tmp_path / "histories.jsonl"


def price(item: str) -> int:
    """An activity."""
    return len(item)


def tax(amount: int) -> int:
    """Another one."""
    return amount // 5


def reserve(tx: TransactionContext) -> str:
    """The only step of a saga."""
    return "reserved"


def broken() -> None:
    """An activity that fails."""
    raise ValueError("no")


@workflow(name="order")
def order(ctx: WorkflowContext, item: str) -> int:
    """What ran in production: a step, a wait, a step."""
    amount = ctx.activity("price", price, item).get()
    ctx.signal("paid").get()
    ctx.saga("reserve", Saga().add(reserve)).get()
    return amount + ctx.activity("tax", tax, amount).get()


@workflow(name="order")
def order_with_more(ctx: WorkflowContext, item: str) -> int:
    """An upgrade that is safe for runs in flight: a step more, behind a version."""
    amount = ctx.activity("price", price, item).get()
    ctx.signal("paid").get()
    if ctx.get_version("checked", 0, 1) == 1:
        ctx.activity("check", price, item).get()
    ctx.saga("reserve", Saga().add(reserve)).get()
    return amount + ctx.activity("tax", tax, amount).get()


@workflow(name="order")
def order_with_another_price(ctx: WorkflowContext, item: str) -> int:
    """An upgrade that is not: the step of that name is another function."""
    return ctx.activity("price", tax, 5).get()


@workflow(name="order")
def order_with_more_arguments(ctx: WorkflowContext, item: str, customer: str) -> int:
    """An upgrade that is not: it can't be called with what was recorded."""
    return order(ctx, item)


@workflow(name="order")
def order_that_fails(ctx: WorkflowContext, item: str) -> int:
    """An upgrade that is not: it fails where runs wait."""
    raise LookupError(ctx.activity("price", price, item).get())


@workflow(name="order")
def order_that_fails_when_paid(ctx: WorkflowContext, item: str) -> int:
    """An upgrade that is not: it fails where runs go on."""
    raise LookupError(ctx.activity("price", price, item).get() + ctx.signal("paid").get())


@workflow(name="order")
def order_for_less(ctx: WorkflowContext, item: str) -> int:
    """Goes by the same steps to another result."""
    return order(ctx, item) - 1


@workflow(name="batch")
async def batch(ctx: AsyncWorkflowContext, rounds: int) -> str:
    """Goes on as new, and fails in the end."""
    if rounds:
        await ctx.activity("price", price, "x")
        ctx.continue_as_new(rounds - 1)
    await ctx.activity("broken", broken)
    return "never"


@pytest.fixture
def production(tempolite_engine: TestedEngine) -> TestedEngine:
    """Orders that are finished, in flight, paused and stuck, and a batch that failed."""
    for name in ("done", "waiting", "paused"):
        tempolite_engine.execute(name, order, "chair")
    tempolite_engine.signal("done", "paid")
    tempolite_engine.execute("batch", batch, 2)
    tempolite_engine.wait(timeout=10)
    tempolite_engine.pause("paused")
    tempolite_engine.signal("paused", "paid")
    return tempolite_engine


def test_code_that_did_not_change_goes_as_recorded(production: TestedEngine, file: Path) -> None:
    """Finished or in flight, paused, continued or failed; nothing is recorded by it."""
    events = len(list(production.events()))

    count = export_histories(production, file)
    report = replay_histories(file, [order, batch])

    assert count == 6
    assert report == ReplayReport(6, 2, ())
    assert report.ok
    assert str(report) == "all 6 recorded runs go as recorded (2 were in flight)"
    assert len(list(production.events())) == events


def test_a_safe_upgrade_is_proved(production: TestedEngine, file: Path) -> None:
    """A finished run has no such step, so of those only runs in flight are asked for."""
    export_histories(production, file, status=["WAITING", "PAUSED"])

    assert replay_histories(file, [order_with_more]).in_flight == 2


@pytest.mark.parametrize(
    ("fn", "told"),
    [
        (order_with_another_price, "price"),
        (order_with_more_arguments, "customer"),
        (order_that_fails, "the code fails there with builtins:LookupError: 5"),
    ],
)
def test_an_upgrade_that_breaks_runs_in_flight_is_found(
    production: TestedEngine, file: Path, fn: Any, told: str
) -> None:
    """Each of them is named, with what disagrees."""
    export_histories(production, file, ids=["waiting", "paused"])

    with pytest.raises(NonDeterminismError, match="2 of 2 recorded runs don't go as recorded") as caught:
        replay_histories(file, [fn])

    for name in ("'waiting', run 1 of order (WAITING)", "'paused', run 1 of order (PAUSED)"):
        (line,) = [line for line in str(caught.value).splitlines() if name in line]
        assert told in line


def test_a_paused_run_is_looked_at_as_if_it_were_resumed(production: TestedEngine, file: Path) -> None:
    """What came while it was paused is given to the code."""
    export_histories(production, file, ids=["waiting", "paused"])

    report = replay_histories(file, [order_that_fails_when_paid], check=False)

    assert [mismatch.workflow for mismatch in report.mismatches] == ["paused"]


def test_a_run_that_would_be_tried_again_is_found_too(tempolite_engine: TestedEngine, file: Path) -> None:
    """Its policy was recorded with it."""
    policy = RetryPolicy(max_attempts=2)
    tempolite_engine.execute("a", workflow(order, retry=policy), "chair")
    tempolite_engine.wait(timeout=10)
    export_histories(tempolite_engine, file)

    assert replay_histories(file, [order]).ok
    with pytest.raises(NonDeterminismError, match="the code fails there, and would be tried again"):
        replay_histories(file, [order_that_fails])


def test_a_finished_run_must_come_to_the_same_end(production: TestedEngine, file: Path) -> None:
    """Both ends are shown; the report has what the error says."""
    export_histories(production, file, ids=["done"])

    report = replay_histories(file, [order_for_less], check=False)

    (mismatch,) = report.mismatches
    assert (mismatch.workflow, mismatch.run, mismatch.status) == ("done", 1, "COMPLETED")
    assert "ends with result 6, the code ends with result 5" in mismatch.problem
    assert not report.ok


def test_a_run_whose_function_is_gone_would_be_stranded(production: TestedEngine, file: Path) -> None:
    """That, too, is found before it is deployed."""
    export_histories(production, file, function="batch")

    report = replay_histories(file, [], check=False)

    # ``@workflow`` in this module makes it known, as in production; another name is not.
    assert report.ok
    file.write_text(file.read_text().replace('"function":"batch"', '"function":"bulk"'))
    problems = [mismatch.problem for mismatch in replay_histories(file, [], check=False).mismatches]
    assert len(problems) == 3
    assert all("'bulk' is not among the workflows" in problem for problem in problems)


def test_a_stuck_run_is_looked_at_as_if_it_were_resumed(tempolite_factory: Factory, tmp_path: Path) -> None:
    """So a repair is proved as well."""
    first = tempolite_factory(tmp_path / "engine.db")
    first.execute("a", order, "chair")
    first.wait(timeout=10)
    first.close()
    second = tempolite_factory(tmp_path / "engine.db", workflows=[order_with_another_price])
    second.signal("a", "paid")
    second.wait(timeout=10)
    assert second.get("a").status == "STUCK"

    export_histories(second, tmp_path / "stuck")

    assert replay_histories(tmp_path / "stuck", [order]).ok
    assert not replay_histories(tmp_path / "stuck", [order_with_another_price], check=False).ok


def test_a_file_that_no_engine_has_open_is_read_from_its_path(
    tempolite_factory: Factory, tmp_path: Path
) -> None:
    """Also after a crash; nothing goes on by it, and its filters are the engine's."""
    path = tmp_path / "engine.db"
    engine = tempolite_factory(path)
    for number in range(3):
        engine.execute(f"a{number}", order, "chair")
    engine.signal("a1", "paid")
    engine.wait(timeout=10)
    engine.crash()

    assert export_histories(path, tmp_path / "all") == 3
    assert export_histories(path, tmp_path / "open", status="WAITING", function=order) == 2
    assert export_histories(path, tmp_path / "one", ids=["a1"]) == 1
    with pytest.raises(WorkflowNotFound):
        export_histories(path, tmp_path / "none", ids=["a9"])

    assert replay_histories(tmp_path / "all", [order]) == ReplayReport(3, 2, ())
    assert not (tmp_path / "none").exists()
    assert tempolite_factory(path).count() == 3


def test_a_file_that_an_engine_has_open_is_read_through_it(
    tempolite_factory: Factory, tmp_path: Path
) -> None:
    """As a client of it, from this process or another one."""
    engine = tempolite_factory(tmp_path / "engine.db")
    engine.execute("a", order, "chair")
    engine.wait(timeout=10)

    assert export_histories(tmp_path / "engine.db", tmp_path / "by path") == 1
    with Tempolite.connect(tmp_path / "engine.db") as client:
        assert export_histories(client, tmp_path / "by client") == 1

    assert (tmp_path / "by path").read_bytes() == (tmp_path / "by client").read_bytes()


def test_many_runs_are_exported_page_by_page(
    tempolite_factory: Factory, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is missing, and none is there twice."""
    monkeypatch.setattr("tempolite.testing.exporting.RUNS_PER_PAGE", 2)
    engine = tempolite_factory(file.with_name("engine.db"))
    for number in range(5):
        engine.execute(f"a{number}", order, "chair")
    engine.wait(timeout=10)

    assert export_histories(engine, file) == 5
    engine.crash()
    assert export_histories(file.with_name("engine.db"), file.with_name("again")) == 5

    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line.get("workflow") for line in lines] == [None, "a4", "a3", "a2", "a1", "a0", None]
    assert file.read_bytes() == file.with_name("again").read_bytes()


def test_an_export_is_private_and_never_written_over_a_file(production: TestedEngine, file: Path) -> None:
    """It holds what the runs were given."""
    export_histories(production, file)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(InvalidArguments, match="exists"):
        export_histories(production, file)
    with pytest.raises(InvalidArguments, match="either ids or filters"):
        export_histories(production, file.with_name("x"), ids=["a"], status="FAILED")
    with pytest.raises(InvalidArguments, match="there is no database"):
        export_histories(file.with_name("nothing.db"), file.with_name("x"))
    assert [path.name for path in file.parent.iterdir() if path.is_file()] == [file.name]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda lines: [], "is empty"),
        (lambda lines: lines[:-1], "is cut off: it ends after line 3, with 2 runs"),
        (lambda lines: [*lines[:-1], lines[-1][:9]], "line 4 can't be read"),
        (lambda lines: [lines[0], lines[1][:70], *lines[2:]], "line 2 can't be read"),
        (lambda lines: [lines[0], *lines[2:]], "is cut off"),
        (lambda lines: lines[1:], "line 1: a run line has no place there"),
        (lambda lines: [*lines, lines[1]], "line 5: a run line has no place there"),
        (lambda lines: ["SQLite format 3", *lines], "is no export of histories"),
        (lambda lines: ["\udcff\udcfe"], "is no export of histories"),
        (lambda lines: [lines[0].replace('"format":1', '"format":2'), *lines[1:]], "has format 2"),
        (lambda lines: [line.replace("RunCreated", "RunDreamt") for line in lines], "an event of type 'RunD"),
        (lambda lines: [line.replace('"RunCreated"', '"RunPaused"') for line in lines], "can't be read"),
    ],
)
def test_a_damaged_file_is_refused_and_the_place_is_named(
    tempolite_engine: TestedEngine, file: Path, damage: Any, told: str
) -> None:
    """It never counts as a proof."""
    for name in ("a", "b"):
        tempolite_engine.execute(name, order, "chair")
    export_histories(tempolite_engine, file)
    lines = damage(file.read_text().splitlines())
    file.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))

    with pytest.raises(InvalidArguments, match=told):
        replay_histories(file, [order])
