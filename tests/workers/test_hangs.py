"""Activities that don't end: time-outs stop them, whatever their code is doing (P8)."""

from __future__ import annotations

import time

import pytest

from tempolite import ActivityTimeout, Queue, Tempolite
from tests.workers.calls import (
    DEADLINE_S,
    begin,
    losses,
    outcome,
    several_activities,
)
from tests.workers.conftest import MakeEngine
from tests.workers.marks import marked

TIMEOUT_S = 0.2
GRACE_S = 0.2
LATE_S = 2.0
"""How late a time-out may come on a busy machine, grace included."""

HANGS = [
    "loop",
    "block_in_c",
    "block_in_c_with_gil",
    "block_signals_and_loop",
    "ignore_term_and_loop",
    "stop_itself",
    "block_the_event_loop",
]


@pytest.mark.parametrize("hang", HANGS)
def test_activity_past_its_time_is_stopped(make_engine: MakeEngine, hang: str) -> None:
    """P8: TERM, grace, KILL; the worker is replaced, and the failure is an ActivityTimeout."""
    engine = make_engine(queues=[Queue("default", workers=1)])
    assert outcome(engine, "add", 1, 2) == 3
    began_s = time.monotonic()

    with pytest.raises(ActivityTimeout) as caught:
        outcome(engine, hang, timeout=TIMEOUT_S, grace=GRACE_S)

    assert TIMEOUT_S <= time.monotonic() - began_s < TIMEOUT_S + GRACE_S + LATE_S
    assert isinstance(caught.value, TimeoutError)
    assert outcome(engine, "add", 1, 2) == 3


def test_time_out_is_a_failure_and_not_a_loss(engine: Tempolite) -> None:
    """A worker that we killed ourselves is charged to nobody; the attempt is used up."""
    info = begin(engine, "loop", timeout=TIMEOUT_S, grace=GRACE_S, attempts=2)

    with pytest.raises(ActivityTimeout):
        info.get(timeout=DEADLINE_S)

    assert losses(info) == []
    failed = [event.attempt for event in info.history() if event.type == "ActivityAttemptFailed"]
    assert failed == [1]


def test_activity_may_clean_up_within_its_grace(engine: Tempolite, marks: str) -> None:
    """TERM runs the ``finally`` blocks of the activity, before KILL comes."""
    with pytest.raises(ActivityTimeout):
        outcome(engine, "clean_up_when_told", marks, timeout=TIMEOUT_S)

    assert marked(marks) == ["working", "cleaned up"]


def test_time_counts_from_the_start_and_not_from_queueing(make_engine: MakeEngine) -> None:
    """P8: what waits behind a long one in the only worker is not late by that."""
    engine = make_engine(queues=[Queue("default", workers=1)])
    hanging = begin(engine, "loop", timeout=3 * TIMEOUT_S, grace=GRACE_S)
    behind = [begin(engine, "add", n, 1, timeout=2 * TIMEOUT_S) for n in range(5)]

    assert [info.get(timeout=DEADLINE_S) for info in behind] == [1, 2, 3, 4, 5]
    with pytest.raises(ActivityTimeout):
        hanging.get(timeout=DEADLINE_S)


@pytest.mark.parametrize("hang", ["loop", "block_in_c", "block_in_c_with_gil"])
def test_neighbours_of_a_hung_activity_run_again_uncharged(
    make_engine: MakeEngine, marks: str, hang: str
) -> None:
    """One slot of a worker hangs past its time: the worker goes, its neighbours pay nothing."""
    engine = make_engine(queues=[Queue("default", workers=1, slots=3)])
    calls: list[tuple[str, list[object], dict[str, object]]] = [
        ("stand_by", [marks, 0], {}),
        ("stand_by_async", [marks, 1], {}),
        (hang, [], {"timeout": TIMEOUT_S, "grace": GRACE_S}),
    ]

    info = engine.execute(None, several_activities, calls)

    assert info.get(timeout=DEADLINE_S) == ["bystander 0", "bystander 1", "ActivityTimeout"]
    assert not [event for event in info.history() if event.type == "ActivityWorkerLost"]


def test_hung_activity_is_tried_again_where_the_policy_says_so(engine: Tempolite, marks: str) -> None:
    """A time-out is a failure like others: the second attempt of this one works."""
    info = begin(engine, "hang_first", marks, timeout=TIMEOUT_S, grace=GRACE_S, attempts=2)

    assert info.get(timeout=DEADLINE_S) == "second"


def test_close_ends_what_hangs(make_engine: MakeEngine) -> None:
    """Closing gives running activities their time, then ends them; the run stays as it is."""
    engine = make_engine(queues=[Queue("default", workers=2)])
    infos = [begin(engine, hang) for hang in ("block_signals_and_loop", "block_in_c_with_gil")]
    assert {info.status for info in infos} == {"RUNNING"}
    began_s = time.monotonic()

    engine.close(timeout=0.1)

    assert time.monotonic() - began_s < LATE_S
