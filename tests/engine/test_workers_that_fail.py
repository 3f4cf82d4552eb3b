"""P7 and P8: workers that die, activities that don't end; each costs only itself."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    ActivityContext,
    ActivityTimeout,
    Queue,
    RetryPolicy,
    Tempolite,
    WorkerLost,
    WorkflowContext,
    activity,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate

PROCESS = [Queue("default", workers=1)]


def die_by(how: str) -> None:
    if how == "SIGKILL":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "SIGTERM":
        os.kill(os.getpid(), signal.SIGTERM)
    elif how == "segfault":
        ctypes.string_at(0)
    elif how == "abort":
        os.abort()
    else:
        os._exit(3)


def dies_until(times: int, how: str, effects: str) -> int:
    """Kills its worker so many times, then works."""
    note(effects, f"{os.getpid()}")
    tries = len(Path(effects).read_text("utf-8").splitlines())
    if tries <= times:
        die_by(how)
    return tries


def step_of(fn: Any, *args: Any) -> Callable[[WorkflowContext], Any]:
    def flow(ctx: WorkflowContext) -> Any:
        return ctx.activity("step", fn, *args).get()

    return flow


def spin() -> None:
    while True:
        pass


def ignore_term_and_hang(gate: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pass_gate(gate)


async def hang_the_loop(gate: str) -> None:
    pass_gate(gate)


def attempt_of(ctx: ActivityContext, gate: str) -> int:
    if ctx.attempt == 1:
        pass_gate(gate)
    return ctx.attempt


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "segfault", "abort", "_exit"])
def test_an_activity_whose_worker_died_runs_again(
    make_engine: EngineMaker, effects: Effects, how: str
) -> None:
    """In a new worker, without a policy; the loss is no attempt."""
    engine = make_engine(queues=PROCESS)

    result = engine.execute("a", step_of(dies_until, 1, how, effects.path)).get(timeout=20)

    assert result == 2
    assert len(set(effects.lines())) == 2


def test_the_third_loss_fails_the_activity(make_engine: EngineMaker, effects: Effects) -> None:
    """``WorkerLost`` with the cause, whatever its policy; the engine goes on."""
    engine = make_engine(queues=PROCESS)
    step = activity(dies_until, retry=RetryPolicy(max_attempts=10, initial_interval=0.001))

    with pytest.raises(WorkerLost) as caught:
        engine.execute("a", step_of(step, 9, "SIGKILL", effects.path)).get(timeout=20)

    assert "SIGKILL" in caught.value.cause
    assert len(effects.lines()) == 3
    assert engine.execute("b", step_of(len, "abc")).get(timeout=20) == 3


def test_losses_are_counted_apart_from_attempts(make_engine: EngineMaker, effects: Effects) -> None:
    """Two losses leave an activity of one attempt its attempt."""

    def attempt_after_losses(ctx: ActivityContext, path: str) -> int:
        dies_until(2, "_exit", path)
        return ctx.attempt

    engine = make_engine(queues=PROCESS)

    assert engine.execute("a", step_of(attempt_after_losses, effects.path)).get(timeout=20) == 1


def test_a_dying_worker_costs_only_its_own_activity(make_engine: EngineMaker, effects: Effects) -> None:
    """Others on the same queue run once each."""
    engine = make_engine(queues=[Queue("default", workers=2)])
    killer = engine.execute("killer", step_of(die_by, "SIGKILL"))

    others = [engine.execute(f"r{n}", step_of(note, effects.path, f"{n}")) for n in range(20)]

    assert [other.get(timeout=20) for other in others] == [f"{n}" for n in range(20)]
    with pytest.raises(WorkerLost):
        killer.get(timeout=20)


def test_who_shared_the_worker_with_the_guilty_is_not_charged(
    make_engine: EngineMaker, gate: Gate, effects: Effects
) -> None:
    """The killer fails in the end, its neighbours finish."""
    engine = make_engine(queues=[Queue("default", workers=1, slots=3)])

    def killer(path: str) -> None:
        pass_gate(path)
        die_by("SIGKILL")

    def together(ctx: WorkflowContext) -> list[str]:
        bad = ctx.activity("bad", killer, gate.path)
        good = [ctx.activity("good", pass_gate, gate.path, f"{n}") for n in range(2)]
        with pytest.raises(WorkerLost):
            bad.get()
        return [info.get() for info in good]

    info = engine.execute("a", together)
    gate.wait_until_reached(3)
    gate.release(30)

    assert info.get(timeout=30) == ["0", "1"]


@pytest.mark.parametrize("fn", [pass_gate, ignore_term_and_hang, hang_the_loop])
def test_a_timeout_stops_a_process_activity(make_engine: EngineMaker, gate: Gate, fn: Any) -> None:
    """Whatever its code is doing: blocked, deaf to TERM, or blocking its loop."""
    engine = make_engine(queues=PROCESS)
    step = activity(fn, timeout=0.3, grace=0.1)

    with pytest.raises(ActivityTimeout) as caught:
        engine.execute("a", step_of(step, gate.path)).get(timeout=20)

    assert isinstance(caught.value, TimeoutError)
    assert engine.execute("b", step_of(len, "abc")).get(timeout=20) == 3


def test_a_timeout_stops_a_busy_loop(make_engine: EngineMaker) -> None:
    """A worker that computes for ever is ended as well."""
    engine = make_engine(queues=PROCESS)

    with pytest.raises(ActivityTimeout):
        engine.execute("a", step_of(activity(spin, timeout=0.2, grace=0.1))).get(timeout=20)


def test_a_timed_out_attempt_is_tried_again(make_engine: EngineMaker, gate: Gate) -> None:
    """As an attempt of its policy."""
    engine = make_engine(queues=PROCESS)
    policy = RetryPolicy(max_attempts=2, initial_interval=0.001)
    step = activity(attempt_of, timeout=0.3, grace=0.1, retry=policy)

    assert engine.execute("a", step_of(step, gate.path)).get(timeout=20) == 2


def test_time_in_the_queue_does_not_count(make_engine: EngineMaker, gate: Gate) -> None:
    """One waits behind another for longer than its own time-out, and works."""
    engine = make_engine(queues=PROCESS)

    def two(ctx: WorkflowContext) -> int:
        first = ctx.activity("first", activity(pass_gate, timeout=1.2, grace=0.1), gate.path)
        second = ctx.activity("second", activity(len, timeout=0.6), "abc")
        with pytest.raises(ActivityTimeout):
            first.get()
        return second.get()

    assert engine.execute("a", two).get(timeout=20) == 3


def test_a_thread_activity_past_its_time_is_not_overlapped(make_engine: EngineMaker, gate: Gate) -> None:
    """It can't be killed, so it is tried again only after it has returned; its late result is dropped."""
    engine = make_engine(queues=[Queue("default", kind="thread", workers=4)])
    policy = RetryPolicy(max_attempts=2, initial_interval=0.001)

    def held(ctx: ActivityContext, path: str) -> int:
        pass_gate(path)
        return ctx.attempt

    info = engine.execute("a", step_of(activity(held, timeout=0.1, retry=policy), gate.path))
    gate.wait_until_reached()
    assert not gate.is_reached_within(0.5)
    gate.release(2)

    assert info.get(timeout=10) == 2


def test_a_timeout_does_not_stop_the_neighbours(make_engine: EngineMaker, gate: Gate) -> None:
    """Those who shared the worker that had to be killed finish all the same."""
    engine = make_engine(queues=[Queue("default", workers=1, slots=2)])

    def together(ctx: WorkflowContext) -> str:
        good = ctx.activity("good", pass_gate, gate.path)
        bad = ctx.activity("bad", activity(spin, timeout=0.5, grace=0.1))
        with pytest.raises(ActivityTimeout):
            bad.get()
        return good.get()

    info = engine.execute("a", together)
    gate.wait_until_reached()
    gate.release(10)

    assert info.get(timeout=20) == "passed"


def test_a_worker_of_a_crashed_engine_does_not_overlap_the_next(
    make_engine: EngineMaker, path: Path, gate: Gate
) -> None:
    """P8: it is gone before its activity is run again."""

    def pid_at_the_gate(path: str) -> int:
        pass_gate(path)
        return os.getpid()

    flow = step_of(pid_at_the_gate, gate.path)
    engine: Tempolite = make_engine(path, queues=PROCESS)
    engine.execute("a", flow)
    gate.wait_until_reached()
    engine._crash()

    reopened = make_engine(path, queues=PROCESS, workflows=[flow])
    gate.wait_until_reached()
    gate.release()
    reopened.get("a").get(timeout=10)

    assert not gate.is_reached_within(0)
