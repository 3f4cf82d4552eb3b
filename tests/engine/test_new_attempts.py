"""Retry policies of workflows: a new attempt keeps what worked and runs what had failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    AsyncWorkflowContext,
    NonRetryable,
    Queue,
    RetryPolicy,
    Tempolite,
    WorkflowContext,
    activity,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate

TWICE = RetryPolicy(max_attempts=2, initial_interval=0.001)
THRICE = RetryPolicy(max_attempts=3, initial_interval=0.001)


def fails_once(effects: str, line: str) -> str:
    """Works when its line is there already."""
    seen = line in Path(effects).read_text("utf-8").splitlines() if Path(effects).exists() else False
    note(effects, line)
    if not seen:
        raise OSError(f"{line} is not ready")
    return line


def two_steps(ctx: WorkflowContext, effects: str) -> list[Any]:
    first = ctx.activity("first", note, effects, "first").get()
    second = ctx.activity("second", fails_once, effects, "second").get()
    return [ctx.attempt, first, second]


async def two_steps_async(ctx: AsyncWorkflowContext, effects: str) -> list[Any]:
    first = await ctx.activity("first", note, effects, "first")
    second = await ctx.activity("second", fails_once, effects, "second")
    return [ctx.attempt, first, second]


def child_that_fails_once(ctx: WorkflowContext, effects: str) -> str:
    ctx.activity("before", note, effects, "before").get()
    return ctx.activity("flaky", fails_once, effects, "flaky").get()


@pytest.mark.parametrize("fn", [two_steps, two_steps_async], ids=lambda fn: fn.__name__)
def test_a_new_attempt_runs_only_what_had_failed(engine: Tempolite, effects: Effects, fn: Any) -> None:
    """Recorded successes are had at once; the run is the same run."""
    info = engine.execute("a", workflow(fn, retry=TWICE), effects.path)

    assert info.get(timeout=10) == [2, "first", "second"]
    assert effects.lines() == ["first", "second", "second"]
    assert (info.run, engine.count()) == (1, 1)


def test_without_a_policy_there_is_one_attempt(engine: Tempolite, effects: Effects) -> None:
    """The error comes out, the run is failed."""
    with pytest.raises(OSError, match="not ready"):
        engine.execute("a", two_steps, effects.path).get(timeout=10)

    assert engine.get("a").status == "FAILED"


def test_the_last_attempts_error_is_the_runs(engine: Tempolite) -> None:
    """When all attempts have failed."""

    def failing(ctx: WorkflowContext) -> None:
        raise ValueError(f"attempt {ctx.attempt}")

    with pytest.raises(ValueError, match="attempt 3"):
        engine.execute("a", workflow(failing, retry=THRICE)).get(timeout=10)


def test_a_run_between_attempts_is_not_finished(engine: Tempolite) -> None:
    """Nobody hears of an error that the policy allows."""

    def failing(ctx: WorkflowContext) -> None:
        raise ValueError("once")

    policy = RetryPolicy(max_attempts=2, initial_interval=60, jitter=False)
    info = engine.execute("a", workflow(failing, retry=policy))

    with pytest.raises(TimeoutError):
        info.get(timeout=0.1)
    assert info.status in ("RUNNING", "WAITING")
    assert info.finished_at is None


def test_nonretryable_ends_a_run_at_once(engine: Tempolite) -> None:
    """Whatever its policy says; from an activity too."""
    tries: list[int] = []

    def refuse() -> None:
        tries.append(1)
        raise NonRetryable("no")

    def flow(ctx: WorkflowContext) -> None:
        ctx.activity("refuse", refuse).get()

    with pytest.raises(NonRetryable):
        engine.execute("a", workflow(flow, retry=THRICE)).get(timeout=10)

    assert tries == [1]


def test_a_policy_of_a_run_chooses_errors(engine: Tempolite) -> None:
    """``retry_on`` and ``never_on``, as for activities."""
    attempts: list[int] = []

    def failing(ctx: WorkflowContext) -> None:
        attempts.append(ctx.attempt)
        raise KeyError("x") if ctx.attempt == 2 else OSError("y")

    policy = RetryPolicy(max_attempts=5, initial_interval=0.001, never_on=(KeyError,))
    with pytest.raises(KeyError):
        engine.execute("a", workflow(failing, retry=policy)).get(timeout=10)

    assert attempts == [1, 2]


def test_what_had_failed_has_a_fresh_budget(engine: Tempolite) -> None:
    """In each attempt of the run the activity's policy begins anew."""
    tries: list[int] = []

    def failing() -> None:
        tries.append(1)
        raise OSError("no")

    def flow(ctx: WorkflowContext) -> None:
        ctx.activity("step", activity(failing, retry=TWICE)).get()

    with pytest.raises(OSError, match="no"):
        engine.execute("a", workflow(flow, retry=THRICE)).get(timeout=10)

    assert len(tries) == 2 * 3


def test_side_effects_and_random_values_are_kept(engine: Tempolite) -> None:
    """A side effect that worked is not run again; time and randomness stay what they were."""
    seen: list[Any] = []
    ran: list[int] = []

    def flow(ctx: WorkflowContext) -> None:
        value = ctx.side_effect("s", lambda: ran.append(1) or len(ran)).get()
        seen.append((value, ctx.uuid4(), ctx.random.random()))
        raise OSError("again")

    with pytest.raises(OSError, match="again"):
        engine.execute("a", workflow(flow, retry=TWICE)).get(timeout=10)

    assert ran == [1]
    assert seen[0] == seen[1]


def test_a_failed_side_effect_is_run_again(engine: Tempolite) -> None:
    """In the next attempt of the run, not before."""
    ran: list[int] = []

    def flaky() -> int:
        ran.append(1)
        if len(ran) == 1:
            raise OSError("not yet")
        return len(ran)

    def flow(ctx: WorkflowContext) -> int:
        return ctx.side_effect("s", flaky).get()

    assert engine.execute("a", workflow(flow, retry=TWICE)).get(timeout=10) == 2


def test_a_failed_child_tries_again_as_the_same_run(engine: Tempolite, effects: Effects) -> None:
    """Its own successes stand as well."""

    def parent(ctx: WorkflowContext) -> str:
        return ctx.workflow("child", child_that_fails_once, effects.path).get()

    info = engine.execute("p", workflow(parent, retry=TWICE))

    assert info.get(timeout=10) == "flaky"
    assert effects.lines() == ["before", "flaky", "flaky"]
    child = engine.get("p/child")
    assert (child.status, child.run, engine.count()) == ("COMPLETED", 1, 2)


def test_a_child_that_worked_is_not_tried_again(engine: Tempolite, effects: Effects) -> None:
    """Only what failed is run again."""

    def child(ctx: WorkflowContext) -> str:
        return ctx.activity("note", note, effects.path, "child").get()

    def parent(ctx: WorkflowContext) -> str:
        ctx.workflow("child", child).get()
        return ctx.activity("flaky", fails_once, effects.path, "flaky").get()

    assert engine.execute("p", workflow(parent, retry=TWICE)).get(timeout=10) == "flaky"
    assert effects.lines() == ["child", "flaky", "flaky"]


def test_a_child_may_have_a_policy_of_its_own(engine: Tempolite, effects: Effects) -> None:
    """Its parent sees only how it ends."""

    def parent(ctx: WorkflowContext) -> list[Any]:
        child = ctx.workflow("child", workflow(child_that_fails_once, retry=TWICE), effects.path)
        return [child.get(), ctx.attempt]

    assert engine.execute("p", parent).get(timeout=10) == ["flaky", 1]


def test_failures_that_the_code_caught_are_tried_again_too(engine: Tempolite) -> None:
    """In a new attempt a step that had failed is run, whatever was made of its failure."""
    tries: list[int] = []

    def flaky() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("no")
        return "yes"

    def flow(ctx: WorkflowContext) -> str:
        try:
            answer = ctx.activity("ask", flaky).get()
        except OSError:
            answer = "no"
        if ctx.attempt == 1:
            raise ValueError("try again")
        return answer

    assert engine.execute("a", workflow(flow, retry=TWICE)).get(timeout=10) == "yes"


def test_attempts_of_a_run_are_durable(
    make_engine: EngineMaker, path: Path, gate: Gate, effects: Effects
) -> None:
    """A crash in the second attempt is no third one."""
    queues = [Queue("default", kind="thread", workers=1)]

    def flow(ctx: WorkflowContext) -> None:
        ctx.activity(f"note-{ctx.attempt}", note, effects.path, f"{ctx.attempt}").get()
        if ctx.attempt == 2:
            ctx.activity("hold", pass_gate, gate.path).get()
        raise ValueError(f"attempt {ctx.attempt}")

    engine = make_engine(path, queues=queues)
    engine.execute("a", workflow(flow, retry=THRICE))
    gate.wait_until_reached()
    engine._crash()

    reopened = make_engine(path, queues=queues, workflows=[flow])
    gate.wait_until_reached()
    gate.release(2)

    with pytest.raises(ValueError, match="attempt 3"):
        reopened.get("a").get(timeout=10)
    assert effects.lines() == ["1", "2", "3"]


def test_a_wait_between_attempts_survives_a_crash(make_engine: EngineMaker, path: Path) -> None:
    """The next attempt begins when it is due, in whichever engine."""
    policy = RetryPolicy(max_attempts=2, initial_interval=0.3, jitter=False)

    def flow(ctx: WorkflowContext) -> int:
        if ctx.attempt == 1:
            raise OSError("not yet")
        return ctx.attempt

    engine = make_engine(path)
    engine.execute("a", workflow(flow, retry=policy))
    engine.execute("b", flow).history()
    engine._crash()

    reopened = make_engine(path, workflows=[flow])

    assert reopened.get("a").get(timeout=10) == 2


def test_steps_left_under_way_by_a_failed_attempt_do_not_run_twice(
    make_engine: EngineMaker, gate: Gate, effects: Effects
) -> None:
    """An activity that nobody waited for yet is the next attempt's as well."""
    engine = make_engine(queues=[Queue("default", kind="thread", workers=2)])

    def flow(ctx: WorkflowContext) -> str:
        slow = ctx.activity("slow", pass_gate, gate.path)
        ctx.activity("note", note, effects.path, f"{ctx.attempt}").get()
        if ctx.attempt == 1:
            raise ValueError("early")
        return slow.get()

    info = engine.execute("a", workflow(flow, retry=TWICE))
    gate.wait_until_reached()
    gate.release()

    assert info.get(timeout=10) == "passed"
    assert not gate.is_reached_within(0)
