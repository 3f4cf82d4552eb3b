"""Worker processes that die: the activity runs again, the third loss fails it, and nobody else pays."""

from __future__ import annotations

from typing import Any

import pytest

from tempolite import Queue, Tempolite, WorkerLost
from tests.workers.calls import (
    DEADLINE_S,
    STEP,
    begin,
    last_attempt,
    losses,
    outcome,
    several_activities,
)
from tests.workers.conftest import MakeEngine
from tests.workers.marks import count_marks

DEATHS = [
    pytest.param("kill_itself", "SIGKILL", id="kill"),
    pytest.param("kill_group", "SIGKILL", id="kill of the group"),
    pytest.param("segfault", "SIGSEGV", id="segfault"),
    pytest.param("terminate_itself", "exit code 143", id="term"),
    pytest.param("abort", "SIGABRT", id="abort"),
    pytest.param("leave", "exit code 3", id="os._exit"),
]


@pytest.mark.parametrize(("death", "cause"), DEATHS)
def test_activity_whose_worker_dies_runs_again(engine: Tempolite, marks: str, death: str, cause: str) -> None:
    """P7: the worker is replaced, and the loss is on record with its cause."""
    info = begin(engine, death, marks, 1)

    assert info.get(timeout=DEADLINE_S) == "alive"
    assert losses(info) == [cause]


@pytest.mark.parametrize(("death", "cause"), [DEATHS[0], DEATHS[2], DEATHS[-1]])
def test_third_loss_fails_the_activity_whatever_its_policy(
    engine: Tempolite, marks: str, death: str, cause: str
) -> None:
    """P7: three worker deaths are enough, though the policy allows a thousand attempts."""
    info = begin(engine, death, marks, attempts=1_000)

    with pytest.raises(WorkerLost) as caught:
        info.get(timeout=DEADLINE_S)

    assert caught.value.cause == cause
    assert losses(info) == [cause] * 3
    assert count_marks(marks, "call") == 3


def test_worker_lost_is_no_time_out(engine: Tempolite) -> None:
    """A loss is told apart from other failures by its type: it is a WorkerLost, and no TimeoutError."""
    with pytest.raises(WorkerLost) as caught:
        outcome(engine, "kill_itself")

    assert not isinstance(caught.value, TimeoutError)
    assert "SIGKILL" in str(caught.value)


def test_worker_that_closes_its_descriptors_is_replaced(engine: Tempolite, marks: str) -> None:
    """Whoever can't be reached any more counts as dead."""
    info = begin(engine, "close_all_fds", marks, 1)

    assert info.get(timeout=DEADLINE_S) == "alive"
    assert len(losses(info)) == 1


@pytest.mark.parametrize("code", [0, 1, 255])
def test_exit_code_is_told_as_the_cause(engine: Tempolite, code: int) -> None:
    """``os._exit(0)`` in an activity is a loss like any other."""
    with pytest.raises(WorkerLost) as caught:
        outcome(engine, "leave", "", 1_000, code)

    assert caught.value.cause == f"exit code {code}"


def test_loss_does_not_use_up_an_attempt(engine: Tempolite, marks: str) -> None:
    """P7: after two losses the first attempt is still the first, and the second is the last allowed."""
    info = begin(engine, "die_then_fail_then_work", marks, attempts=2)

    attempt, keys = info.get(timeout=DEADLINE_S)

    assert (attempt, keys) == (2, 1)
    assert last_attempt(info) == 2
    assert losses(info) == ["exit code 9"] * 2


def test_losses_of_one_run_are_not_charged_to_another(engine: Tempolite, tmp_path: Any) -> None:
    """Five runs of the same activity, each with two losses: all end well."""
    infos = [begin(engine, "kill_itself", str(tmp_path / f"marks {n}"), 2) for n in range(5)]

    assert [info.get(timeout=DEADLINE_S) for info in infos] == ["alive"] * 5
    assert [len(losses(info)) for info in infos] == [2] * 5


def test_runs_beside_a_dying_worker_are_untouched(engine: Tempolite) -> None:
    """P7: a worker's death costs only its own activity; the innocent ones know nothing of it."""
    guilty = [begin(engine, "kill_itself") for _ in range(3)]
    innocent = [begin(engine, "add", n, n) for n in range(200)]

    assert [info.get(timeout=DEADLINE_S) for info in innocent] == [2 * n for n in range(200)]
    assert [losses(info) for info in innocent] == [[]] * 200
    for info in guilty:
        with pytest.raises(WorkerLost):
            info.get(timeout=DEADLINE_S)


def test_short_activities_behind_a_dying_one_are_not_charged(make_engine: MakeEngine) -> None:
    """What a worker was given in advance runs elsewhere, uncharged."""
    engine = make_engine(queues=[Queue("default", workers=1)])
    for n in range(20):
        outcome(engine, "add", n, 1)

    calls: list[Any] = [("add", [n, 1], {}) for n in range(60)]
    calls[30] = ("kill_itself", [], {})
    info = engine.execute(None, several_activities, calls)

    expected: list[Any] = [n + 1 for n in range(60)]
    expected[30] = "WorkerLost"
    assert info.get(timeout=DEADLINE_S) == expected
    charged = {event.step for event in info.history() if event.type == "ActivityWorkerLost"}
    assert charged == {f"{STEP} 30"}


@pytest.mark.parametrize("bystander", ["stand_by", "stand_by_async"])
def test_of_several_in_a_dead_worker_only_the_guilty_is_charged(
    make_engine: MakeEngine, marks: str, bystander: str
) -> None:
    """P7: each that shared the worker runs again alone, so that the guilty one shows."""
    engine = make_engine(queues=[Queue("default", workers=1, slots=4)])
    calls: list[Any] = [(bystander, [marks, n], {}) for n in range(3)]
    calls.append(("die_beside_others", [marks, 3], {}))

    info = engine.execute(None, several_activities, calls)

    assert info.get(timeout=DEADLINE_S) == [*(f"bystander {n}" for n in range(3)), "WorkerLost"]
    assert [losses(info, f"{STEP} {n}") for n in range(3)] == [[]] * 3
    assert losses(info, f"{STEP} 3") == ["SIGKILL"] * 3
    assert count_marks(marks, "guilty") == 4, "once with the others, then three times alone"
    assert [count_marks(marks, f"bystander {n} ") for n in range(3)] == [2] * 3


def test_other_queues_go_on_beside_a_queue_of_dying_workers(make_engine: MakeEngine) -> None:
    """Queues share nothing but the engine."""
    engine = make_engine(queues=[Queue("default", workers=1), Queue("poisoned", workers=1)])
    poisoned = [begin(engine, "kill_itself", queue="poisoned") for _ in range(2)]

    results = [outcome(engine, "add", n, 1) for n in range(20)]

    assert results == list(range(1, 21))
    for info in poisoned:
        with pytest.raises(WorkerLost):
            info.get(timeout=DEADLINE_S)


def test_other_queues_go_on_beside_a_queue_that_hangs(make_engine: MakeEngine) -> None:
    """All workers of a queue can be stuck: the other queue's don't wait for them."""
    engine = make_engine(queues=[Queue("default", workers=1), Queue("stuck", workers=1)])
    stuck = [begin(engine, "block_in_c", queue="stuck") for _ in range(5)]

    results = [outcome(engine, "add", n, 1) for n in range(20)]

    assert results == list(range(1, 21))
    assert {info.status for info in stuck} <= {"RUNNING"}


def test_caller_can_catch_a_lost_worker_in_workflow_code(engine: Tempolite) -> None:
    """The loss arrives in the workflow as an ordinary exception, beside the results of others."""
    calls: list[Any] = [("add", [1, 2], {}), ("leave", [], {}), ("add", [3, 4], {})]

    info = engine.execute(None, several_activities, calls)

    assert info.get(timeout=DEADLINE_S) == [3, "WorkerLost", 7]
