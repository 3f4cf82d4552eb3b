"""The actors of a test's engines: found, waited for, spoken to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tempolite.actors
from tempolite import (
    InvalidArguments,
    Pause,
    Query,
    Queue,
    Signal,
    Tempolite,
    WorkflowContext,
    WorkflowFinished,
    WorkflowNotFound,
    activity,
)
from tempolite.actors.workflow import WorkflowActor
from tempolite.testing.actor_system import TestActorSystem
from tempolite.testing.engines import TestedEngine
from tests.engine.gates import Gate, pass_gate

Factory = Callable[..., TestedEngine]


@pytest.fixture
def tempolite_settings() -> dict[str, Any]:
    """No process, no disk; runs stay in memory while they wait."""
    queues = [Queue("threads", kind="thread", workers=1)]
    return {"database": ":memory:", "queues": queues, "resident_workflows": 100}


def listen(ctx: WorkflowContext) -> Any:
    """Waits for a signal; says what it waits for."""
    ctx.on_query("wants", lambda: "go")
    return ctx.signal("go").get()


def held(ctx: WorkflowContext, gate: str) -> str:
    """An activity that is held."""
    return ctx.activity("hold", activity(pass_gate, queue="threads"), gate).get()


def test_actors_are_found_by_name_and_by_class(
    tempolite_engine: Tempolite, actor_system: TestActorSystem
) -> None:
    """Those of runs have the workflow's id as their urn."""
    tempolite_engine.execute("a", listen)
    tempolite_engine.execute("b", listen)

    refs = actor_system.refs("WorkflowActor")

    assert sorted(ref.actor_urn for ref in refs) == ["a", "b"]
    assert all(ref.is_alive() for ref in refs)
    assert actor_system.refs(WorkflowActor) == refs
    counts = {name: len(actor_system.refs(name)) for name in ("ActivityPool", "SagaCoordinator")}
    assert counts == {"ActivityPool": 2, "SagaCoordinator": 1}
    assert len(actor_system.refs("PersistenceActor")) == 1


@pytest.mark.parametrize("name", ["WorkflowActor", "ActivityPool", "SagaCoordinator", "PersistenceActor"])
def test_classes_of_actors_are_found_where_they_are_looked_for(
    tempolite_engine: Tempolite, actor_system: TestActorSystem, name: str
) -> None:
    """``from tempolite.actors import WorkflowActor``; another name is no attribute."""
    tempolite_engine.execute("a", listen)

    assert actor_system.refs(getattr(tempolite.actors, name)) == actor_system.refs(name) != []
    with pytest.raises(AttributeError, match=f"No{name}"):
        getattr(tempolite.actors, f"No{name}")


def test_actors_of_every_open_engine_are_found(
    tempolite_factory: Factory, actor_system: TestActorSystem
) -> None:
    """Those of one that is closed, or dead, are gone."""
    first, second, third = tempolite_factory(), tempolite_factory(), tempolite_factory()
    assert len(actor_system.refs("PersistenceActor")) == 3

    first.close()
    second.crash()

    assert len(actor_system.refs("PersistenceActor")) == 1
    assert third.count() == 0


@pytest.mark.parametrize("kind", ["WorkflowActress", int, None])
def test_an_unknown_kind_of_actor_is_refused(actor_system: TestActorSystem, kind: Any) -> None:
    """With the names that there are."""
    with pytest.raises(InvalidArguments, match=r"there are .*PersistenceActor.*WorkflowActor"):
        actor_system.refs(kind)


def test_what_is_sent_is_answered_by_the_run(
    tempolite_factory: Factory, actor_system: TestActorSystem
) -> None:
    """In whichever engine it is, and durably."""
    tempolite_factory().execute("a", listen)
    engine = tempolite_factory()
    engine.execute("b", listen)

    assert actor_system.send("b", Query("wants", ())) == "go"
    actor_system.send("b", Pause())
    assert engine.get("b").status == "PAUSED"
    actor_system.send("a", Signal("go", 7))

    with pytest.raises(WorkflowFinished):
        actor_system.send("a", Signal("go", 8))
    with pytest.raises(WorkflowNotFound, match="'nobody'"):
        actor_system.send("nobody", Signal("go"))


def test_idle_is_when_nothing_goes_on_at_this_moment(
    tempolite_engine: Tempolite, actor_system: TestActorSystem, tmp_path: Path
) -> None:
    """An activity under way is waited for; a run that waits for a signal is not."""
    gate, is_idle = Gate(tmp_path / "gate"), threading.Event()
    tempolite_engine.execute("a", listen)
    actor_system.wait_idle()
    info = tempolite_engine.execute("b", held, gate.path)
    gate.wait_until_reached()

    waiter = threading.Thread(target=lambda: (actor_system.wait_idle(), is_idle.set()))
    waiter.start()
    with pytest.raises(TimeoutError, match="activity 'hold' of 'b'"):
        actor_system.wait_idle(timeout=0.05)
    assert not is_idle.is_set()
    gate.release()
    waiter.join(10)

    assert is_idle.is_set()
    assert info.status == "COMPLETED"
    gate.close()


def test_a_side_effect_is_waited_for(tempolite_engine: Tempolite, actor_system: TestActorSystem) -> None:
    """And what follows from it is done."""
    gate = threading.Event()

    def flow(ctx: WorkflowContext) -> bool:
        return ctx.side_effect("wait", lambda: gate.wait(10)).get()

    info = tempolite_engine.execute("a", flow)
    with pytest.raises(TimeoutError, match="side effect 'wait'"):
        actor_system.wait_idle(timeout=0.05)
    gate.set()
    actor_system.wait_idle()

    assert info.status == "COMPLETED"
