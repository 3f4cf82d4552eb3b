"""Runs whose function this engine does not know: they keep their state until it does."""

from __future__ import annotations

import dataclasses
import logging
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from tempolite import Queue, Tempolite, WorkflowContext, WorkflowStranded, workflow
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate

THREADS = [Queue("default", kind="thread", workers=1)]


def flow(ctx: WorkflowContext, gate: str, effects: str) -> str:
    ctx.activity("before", note, effects, "before").get()
    return ctx.activity("hold", pass_gate, gate).get()


@workflow
def decorated(ctx: WorkflowContext, gate: str) -> str:
    return ctx.activity("hold", pass_gate, gate).get()


@workflow(name="a-name-of-its-own")
def named(ctx: WorkflowContext, gate: str) -> str:
    return ctx.activity("hold", pass_gate, gate).get()


@pytest.fixture
def left(make_engine: EngineMaker, path: Path, gate: Gate, effects: Effects) -> str:
    """A run ``a`` of ``flow`` in a file, in the middle of its second step."""
    engine = make_engine(path, queues=THREADS)
    engine.execute("a", flow, gate.path, effects.path)
    gate.wait_until_reached()
    engine._crash()
    gate.release(10)
    return "a"


def test_a_run_of_an_unknown_function_is_stranded(make_engine: EngineMaker, path: Path, left: str) -> None:
    """``get`` raises with the problem; it is listed, and others run."""
    engine = make_engine(path, queues=THREADS)

    with pytest.raises(WorkflowStranded, match=r"flow.*register"):
        engine.get(left).get(timeout=10)

    assert engine.get(left).status == "STRANDED"
    assert f"{__name__}:flow" in engine.get(left).problem
    assert engine.count(status="STRANDED") == 1
    engine.wait(timeout=10)


def test_stranded_runs_are_listed_when_the_engine_has_started(make_engine: EngineMaker, path: Path) -> None:
    """Whatever they were about, each of them; nobody has to ask twice."""

    def wait(ctx: WorkflowContext) -> str:
        return ctx.signal("go", str).get()

    engine = make_engine(path)
    for number in range(20):
        engine.execute(f"waits-{number}", wait)
    engine.execute("deferred", workflow(wait, defer=True))
    engine.execute("paused", wait).pause()
    engine.wait(timeout=10)
    engine.close()

    engine = make_engine(path)

    assert [info.status for info in engine.workflows()] == ["STRANDED"] * 22
    engine.close()
    assert make_engine(path).count(status="STRANDED") == 22


def test_stranding_is_told_once_by_a_warning(
    make_engine: EngineMaker, path: Path, left: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It names the run, the function and the remedy."""
    engine = make_engine(path, queues=THREADS)
    with pytest.raises(WorkflowStranded):
        engine.get(left).get(timeout=10)

    warnings = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    told = [warning for warning in warnings if "flow" in warning]
    assert len(told) == 1
    assert "register" in told[0]
    assert "'a'" in told[0]


def test_registering_the_function_later_lets_the_run_go_on(
    make_engine: EngineMaker, path: Path, left: str, effects: Effects
) -> None:
    """From where it was, with what was recorded."""
    engine = make_engine(path, queues=THREADS)
    with pytest.raises(WorkflowStranded):
        engine.get(left).get(timeout=10)

    engine.register(flow)
    engine.wait(timeout=10)

    assert engine.get(left).get(timeout=10) == "passed"
    assert (engine.get(left).status, engine.get(left).problem or "") == ("COMPLETED", "")
    assert effects.lines() == ["before"]


def test_executing_the_same_id_lets_the_run_go_on(
    make_engine: EngineMaker, path: Path, left: str, gate: Gate, effects: Effects
) -> None:
    """``execute`` makes the function known, and gives the existing run's handle."""
    engine = make_engine(path, queues=THREADS)

    assert engine.execute(left, flow, gate.path, effects.path).get(timeout=10) == "passed"
    assert effects.lines() == ["before"]


def test_executing_another_id_lets_stranded_runs_go_on_as_well(
    make_engine: EngineMaker, path: Path, left: str, gate: Gate, effects: Effects
) -> None:
    """What matters is that the function is known."""
    engine = make_engine(path, queues=THREADS)
    with pytest.raises(WorkflowStranded):
        engine.get(left).get(timeout=10)

    engine.execute("b", flow, gate.path, effects.path)
    engine.wait(timeout=10)

    assert engine.get(left).get(timeout=10) == "passed"


def test_a_stranded_run_goes_on_at_the_next_start_that_knows_it(
    make_engine: EngineMaker, path: Path, left: str
) -> None:
    """Stranding changes nothing in the record."""
    make_engine(path, queues=THREADS).close()
    make_engine(path, queues=THREADS).close()

    engine = make_engine(path, queues=THREADS, workflows=[flow])

    assert engine.get(left).get(timeout=10) == "passed"


def test_an_alias_finds_runs_of_the_old_name(make_engine: EngineMaker, path: Path, left: str) -> None:
    """The function moved, its runs go on."""

    def moved(ctx: WorkflowContext, gate: str, effects: str) -> str:
        return "moved " + flow(ctx, gate, effects)

    engine = make_engine(path, queues=THREADS, workflows=[workflow(moved, aliases=(f"{__name__}:flow",))])

    assert engine.get(left).get(timeout=10) == "moved passed"


@pytest.mark.parametrize("fn", [decorated, named], ids=["decorated", "named"])
def test_a_decorated_function_of_an_imported_module_is_known(
    make_engine: EngineMaker, path: Path, gate: Gate, fn: Any
) -> None:
    """Nobody has to list it."""
    engine = make_engine(path, queues=THREADS)
    engine.execute("a", fn, gate.path)
    gate.wait_until_reached()
    engine._crash()
    gate.release(10)

    reopened = make_engine(path, queues=THREADS)

    assert reopened.get("a").get(timeout=10) == "passed"


def test_nothing_is_imported_because_a_row_names_it(
    make_engine: EngineMaker, tmp_path: Path, path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that is on the path and not imported stays so."""
    source = f"from tempolite import workflow\nimport {__name__} as t\nflow = workflow(t.decorated_body)\n"
    (tmp_path / "orders_module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    import orders_module  # type: ignore[import-not-found]

    engine = make_engine(path, queues=THREADS)
    engine.execute("a", workflow(decorated_body, name="orders_module:flow"), gate.path)
    gate.wait_until_reached()
    engine._crash()
    gate.release(10)
    assert orders_module.flow
    monkeypatch.delitem(sys.modules, "orders_module")

    reopened = make_engine(path, queues=THREADS)

    with pytest.raises(WorkflowStranded):
        reopened.get("a").get(timeout=10)
    assert "orders_module" not in sys.modules


def decorated_body(ctx: WorkflowContext, gate: str) -> str:
    return ctx.activity("hold", pass_gate, gate).get()


def test_finished_runs_need_no_function(make_engine: EngineMaker, path: Path, gate: Gate) -> None:
    """They are listed, read, and give their outcome."""
    engine = make_engine(path, queues=THREADS)
    gate.release()
    engine.execute("a", decorated_body, gate.path).get(timeout=10)
    engine.close()

    reopened = make_engine(path, queues=THREADS)

    assert reopened.get("a").get(timeout=1) == "passed"
    assert reopened.get("a").status == "COMPLETED"
    assert reopened.history("a")


def test_a_child_of_an_unknown_function_is_stranded_alone(
    make_engine: EngineMaker, path: Path, gate: Gate, effects: Effects
) -> None:
    """It goes on when it is known; its parent then gets the outcome."""

    def parent(ctx: WorkflowContext) -> str:
        return ctx.workflow("child", flow, gate.path, effects.path).get()

    engine = make_engine(path, queues=THREADS)
    engine.execute("p", parent)
    gate.wait_until_reached()
    engine._crash()
    gate.release(10)

    reopened = make_engine(path, queues=THREADS)
    reopened.wait(timeout=10)
    assert reopened.get("p/child").status == "STRANDED"
    assert reopened.get("p").status in ("WAITING", "STRANDED")
    reopened.register(flow)
    reopened.wait(timeout=10)
    assert reopened.get("p/child").get(timeout=10) == "passed"
    assert reopened.get("p").status == "STRANDED"
    reopened.register(parent)

    assert reopened.get("p").get(timeout=10) == "passed"


def listening(ctx: WorkflowContext) -> str:
    return ctx.signal("go").get()


def listening_too(ctx: WorkflowContext) -> str:
    return ctx.signal("go").get()


def statuses(engine: Tempolite, *ids: str) -> list[str]:
    engine.wait(timeout=10)
    return [str(engine.get(each).status) for each in ids]


def test_stranded_runs_that_go_on_stand_in_their_queues_line(make_engine: EngineMaker, path: Path) -> None:
    """However many they are: ``max_runs`` holds, and each has its turn."""
    one = [Queue("default", kind="inline", max_runs=1)]
    engine = make_engine(path, queues=one)
    for name in "ab":
        engine.execute(name, listening)
    assert statuses(engine, "a", "b") == ["WAITING", "PENDING"]
    engine.close()

    engine = make_engine(path, queues=one)
    assert statuses(engine, "a", "b") == ["STRANDED", "STRANDED"]
    engine.execute("c", listening_too)
    assert statuses(engine, "c") == ["WAITING"]
    engine.register(listening)

    assert statuses(engine, "a", "b", "c") == ["PENDING", "PENDING", "WAITING"]
    engine.signal("a", "go", "kept")
    assert statuses(engine, "a", "b", "c") == ["PENDING", "PENDING", "WAITING"]
    engine.signal("c", "go", "done")
    assert engine.get("a").get(timeout=10) == "kept"
    assert statuses(engine, "a", "b", "c") == ["COMPLETED", "WAITING", "COMPLETED"]
    engine.signal("b", "go", "last")
    assert engine.get("b").get(timeout=10) == "last"


def test_a_stranded_run_in_line_is_paused_and_cancelled_like_any_other(
    make_engine: EngineMaker, path: Path
) -> None:
    """Over a crash, too: then it stands in line as before."""
    one = [Queue("default", kind="inline", max_runs=1)]
    engine = make_engine(path, queues=one)
    for name in "ab":
        engine.execute(name, listening)
    engine.close()
    engine = make_engine(path, queues=one)
    engine.execute("c", listening_too)
    engine.register(listening)
    assert statuses(engine, "a", "b", "c") == ["PENDING", "PENDING", "WAITING"]
    engine._crash()

    engine = make_engine(path, queues=one, workflows=[listening, listening_too])
    assert statuses(engine, "a", "b", "c") == ["PENDING", "PENDING", "WAITING"]
    engine.pause("a")
    engine.cancel("b")
    engine.cancel("c")

    assert statuses(engine, "a", "b", "c") == ["PAUSED", "CANCELLED", "CANCELLED"]
    engine.resume("a")
    assert statuses(engine, "a") == ["WAITING"]


def test_a_run_with_an_unknown_type_is_stranded_with_the_remedy(
    make_engine: EngineMaker, path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A type that can't be found is no reason to fail a run; it goes on once it is there."""
    module = types.ModuleType("gone_module")
    gone = dataclasses.make_dataclass("Gone", [("number", int)], namespace={"__module__": "gone_module"})
    module.Gone = gone  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gone_module", module)

    def typed(ctx: WorkflowContext, value: Any) -> int:
        ctx.activity("hold", pass_gate, gate.path).get()
        return value.number  # type: ignore[no-any-return]

    engine: Tempolite = make_engine(path, queues=THREADS)
    engine.execute("a", typed, gone(7))
    gate.wait_until_reached()
    engine._crash()
    gate.release(10)
    monkeypatch.delitem(sys.modules, "gone_module")

    reopened = make_engine(path, queues=THREADS, workflows=[typed])

    with pytest.raises(WorkflowStranded, match=r"gone_module"):
        reopened.get("a").get(timeout=10)
    reopened.close()
    monkeypatch.setitem(sys.modules, "gone_module", module)
    assert make_engine(path, queues=THREADS, workflows=[typed]).get("a").get(timeout=10) == 7
