"""``actor_system.messages``: what passed between the actors, as a list that reads like a log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tempolite import Cancel, Queue, Signal, Tempolite, WorkflowContext
from tempolite.actors.messages import Commit
from tempolite.actors.workflow import WorkflowActor
from tempolite.testing import message_log
from tempolite.testing.actor_system import TestActorSystem
from tempolite.testing.engines import Engines

Factory = Callable[..., Tempolite]
INLINE = [Queue("default", kind="inline")]


@pytest.fixture
def tempolite_settings() -> dict[str, Any]:
    """Runs that stay in memory in every configuration: one that leaves it says and hears other things."""
    return {"resident_workflows": 100}


def charge(amount: int) -> int:
    """An activity."""
    if amount < 0:
        raise ValueError("no such amount")
    return amount


def order(ctx: WorkflowContext, amount: int) -> Any:
    """Charges once it is approved."""
    approved = ctx.signal("approval", bool).get()
    return approved and ctx.activity("charge", charge, amount).get()


ORDER = """\
outside -> directory: StartRun('order-1', tests.plugin.test_message_log:order)
workflow order-1 -> persistence: Commit(RunCreated)
persistence -> workflow order-1: Committed(turn=1)
workflow order-1 -> directory: Activeness('order-1', is_active)
outside -> directory: Signal('approval', True) for order-1
directory -> workflow order-1: Signal('approval', True)
workflow order-1 -> persistence: {approved}
persistence -> workflow order-1: Committed(turn=2)
workflow order-1 -> pool default: RunActivity('charge' of order-1, attempt 1)
workflow order-1 -> directory: Activeness('order-1', can_go_on, has_work, is_active)
outside -> directory: AwaitOutcome('order-1')
pool default -> pool default: WorkerSpoke(Done)
pool default -> workflow order-1: ActivityEnded('charge', schedule=4, attempt=1, 20)
workflow order-1 -> persistence: Commit(ActivityCompleted 'charge', RunCompleted)
persistence -> workflow order-1: Committed(turn=3)
workflow order-1 -> directory: RunStopped(order-1, COMPLETED)"""

APPROVED = "Commit(SignalReceived, SignalTaken 'signal:approval', ActivityScheduled 'charge')"


def run_order(tp: Tempolite, amount: int = 20) -> Any:
    """From its start to its outcome."""
    info = tp.execute("order-1", order, amount)
    info.signal("approval", True)
    return info.get(timeout=10)


def test_the_messages_read_like_a_log(actor_system: TestActorSystem, tempolite_factory: Factory) -> None:
    """Who told whom what, in order."""
    actor_system.seeded(17)
    tp = tempolite_factory()
    tp.execute("order-0", order, 1)
    before = len(actor_system.messages)

    run_order(tp)

    assert str(actor_system.messages[before:]) == ORDER.format(approved=APPROVED)


def test_messages_are_taken_down_in_threads_too(
    tempolite_engine: Tempolite, actor_system: TestActorSystem
) -> None:
    """Also where the engine stands before ``actor_system`` in the test's signature."""
    assert run_order(tempolite_engine) == 20

    log = actor_system.messages
    assert [sent.sender for sent in log.of(Signal)] == ["outside", "directory"]
    assert [sent.text for sent in log.to("persistence")] == [
        "Commit(RunCreated)",
        APPROVED,
        "Commit(ActivityCompleted 'charge', RunCompleted)",
    ]
    assert "worker process -> pool default: WorkerSpoke(Done)" in str(log)


def test_the_log_is_a_list(actor_system: TestActorSystem, tempolite_factory: Factory) -> None:
    """With length, places, slices and a comparison with others."""
    actor_system.seeded(1)
    run_order(tempolite_factory())

    log = actor_system.messages

    assert len(log) == len(list(log)) > 10
    assert log[0] == next(iter(log))
    assert log[2:5] == list(log)[2:5]
    assert log == actor_system.messages
    assert log != log[1:]
    assert log[1] in log
    assert str(log).splitlines() == [str(sent) for sent in log]
    assert repr(log[0]) == f"<SentMessage {log[0]}>"


def test_the_log_can_be_asked_for_actors_and_types(
    actor_system: TestActorSystem, tempolite_factory: Factory
) -> None:
    """By the actor's name, by its class or its class's name; a type is found in what carries it as well."""
    actor_system.seeded(1)
    tp = tempolite_factory()
    run_order(tp)
    tp.execute("order-2", order, 1).actor_ref.ask(Cancel())

    log = actor_system.messages

    assert {sent.receiver for sent in log.to("WorkflowActor")} == {"workflow order-1", "workflow order-2"}
    assert log.to(WorkflowActor) == log.to("WorkflowActor")
    assert {sent.sender for sent in log.to("workflow order-2")} <= {"directory", "persistence", "outside"}
    assert log.sent_by("workflow order-1").of(Commit) == log.of("Commit").sent_by("workflow order-1")
    assert len(log.of(Signal)) == 2
    assert len(log.of(Signal, Cancel).sent_by("outside")) == 2
    assert log.sent_by("directory").of(Cancel)[0].text == "Cancel()"


def test_failures_are_named_and_shortened(actor_system: TestActorSystem, tempolite_factory: Factory) -> None:
    """With type and message, and long values are cut off."""
    actor_system.seeded(1)
    tp = tempolite_factory()
    with pytest.raises(ValueError, match="no such amount"):
        run_order(tp, -1)
    tp.execute("order-2", order, 1).signal("other", "x" * 1_000)

    log = actor_system.messages

    assert "ValueError: no such amount" in log.of("ActivityEnded")[0].text
    assert all(len(str(sent)) < 200 for sent in log)


def test_only_the_latest_messages_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And the log says how many are missing."""
    monkeypatch.setattr(message_log, "MESSAGES_MAX", 10)
    engines = Engines({}, lambda: str(tmp_path / "engine.db"))
    system = TestActorSystem(engines, lambda _topic, _text: None)
    system.seeded(1)
    run_order(engines.make())

    log = system.messages
    engines.close()

    assert len(log) == 10
    assert log.left_out > 5
    assert str(log).startswith(f"… {log.left_out} messages before these\n")


def test_nobody_listens_where_nobody_asked(tempolite_factory: Factory) -> None:
    """An engine of a test without ``actor_system`` has its actors as they are."""
    tp = tempolite_factory(":memory:")

    assert tp._system.directory.dispatcher.ears is None
    assert "handle_next" not in vars(tp._system.directory)
