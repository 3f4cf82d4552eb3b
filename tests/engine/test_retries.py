"""Retry policies of activities: how often, on what, and what a crash does to the count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    ActivityContext,
    InvalidArguments,
    NonRetryable,
    Queue,
    RetryPolicy,
    Tempolite,
    WorkerLost,
    WorkflowContext,
    activity,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate

ONE_THREAD = [Queue("default", kind="thread", workers=1)]


def quickly(max_attempts: int | None, **settings: Any) -> RetryPolicy:
    return RetryPolicy(max_attempts=max_attempts, initial_interval=0.001, **settings)


def fail_until(attempt: int, error: type[Exception] = OSError) -> Callable[[ActivityContext, str], int]:
    """An activity that works from that attempt on, and notes each."""

    def flaky(ctx: ActivityContext, effects: str) -> int:
        note(effects, f"{ctx.attempt}")
        if ctx.attempt < attempt:
            raise error(f"attempt {ctx.attempt}")
        return ctx.attempt

    return flaky


def run_of(fn: Any, *args: Any) -> Callable[[WorkflowContext], Any]:
    """A workflow of one activity."""

    def flow(ctx: WorkflowContext) -> Any:
        return ctx.activity("step", fn, *args).get()

    return flow


def test_nothing_is_tried_again_unless_told(engine: Tempolite, effects: Effects) -> None:
    """One attempt is the default."""
    with pytest.raises(OSError, match="attempt 1"):
        engine.execute("a", run_of(fail_until(2), effects.path)).get(timeout=10)

    assert effects.lines() == ["1"]


def test_an_activity_is_tried_again_until_it_works(engine: Tempolite, effects: Effects) -> None:
    """``ctx.attempt`` counts from 1."""
    step = activity(fail_until(4), retry=quickly(10))

    assert engine.execute("a", run_of(step, effects.path)).get(timeout=10) == 4
    assert effects.lines() == ["1", "2", "3", "4"]


def test_max_attempts_counts_all_tries(engine: Tempolite, effects: Effects) -> None:
    """The last error comes out, and says which attempt it was."""
    step = activity(fail_until(9), retry=quickly(3))

    with pytest.raises(OSError, match="attempt 3") as caught:
        engine.execute("a", run_of(step, effects.path)).get(timeout=10)

    assert effects.lines() == ["1", "2", "3"]
    assert "attempt 3" in "".join(caught.value.__notes__)


def test_attempts_without_a_limit(engine: Tempolite, effects: Effects) -> None:
    """``max_attempts=None`` goes on."""
    step = activity(fail_until(60), retry=quickly(None, max_interval=0.001))

    assert engine.execute("a", run_of(step, effects.path)).get(timeout=20) == 60


def test_the_engine_may_have_a_policy_for_all(
    make_engine: EngineMaker, database: str, effects: Effects
) -> None:
    """``default_retry`` holds where an activity brings none; its own comes first."""
    engine = make_engine(database, default_retry=quickly(3))

    assert engine.execute("a", run_of(fail_until(3), effects.path)).get(timeout=10) == 3
    once = activity(fail_until(3), retry=RetryPolicy(max_attempts=1))
    with pytest.raises(OSError, match="attempt 1"):
        engine.execute("b", run_of(once, effects.path)).get(timeout=10)


@pytest.mark.parametrize(
    ("policy", "error", "attempts"),
    [
        (quickly(3, retry_on=(ConnectionError,)), ConnectionError, 3),
        (quickly(3, retry_on=(ConnectionError,)), ConnectionResetError, 3),
        (quickly(3, retry_on=(ConnectionError,)), ValueError, 1),
        (quickly(3, never_on=(ValueError,)), ValueError, 1),
        (quickly(3, never_on=(ValueError,)), UnicodeError, 1),
        (quickly(3, never_on=(ValueError,)), ConnectionError, 3),
        (quickly(3, retry_on=(OSError,), never_on=(ConnectionError,)), ConnectionError, 1),
        (quickly(3), NonRetryable, 1),
    ],
)
@pytest.mark.parametrize("kind", ["inline", "thread"])
def test_a_policy_says_which_errors_are_tried_again(
    make_engine: EngineMaker,
    effects: Effects,
    policy: RetryPolicy,
    error: type[Exception],
    attempts: int,
    kind: Any,
) -> None:
    """``retry_on`` and ``never_on`` with their subclasses; ``NonRetryable`` stops at once."""
    engine = make_engine(queues=[Queue("default", kind=kind, workers=1)])
    step = activity(fail_until(9, error), retry=policy)

    with pytest.raises(error):
        engine.execute("a", run_of(step, effects.path)).get(timeout=10)

    assert len(effects.lines()) == attempts


def test_the_idempotency_key_stays_the_same(engine: Tempolite, effects: Effects) -> None:
    """Across retries; other steps and runs have others."""

    def keyed(ctx: ActivityContext) -> str:
        note(effects.path, ctx.idempotency_key)
        if ctx.attempt < 3:
            raise OSError("again")
        return ctx.idempotency_key

    def two(ctx: WorkflowContext) -> tuple[str, str]:
        step = activity(keyed, retry=quickly(3))
        return ctx.activity("step", step).get(), ctx.activity("step", step).get()

    keys = [*engine.execute("a", two).get(timeout=10), *engine.execute("b", two).get(timeout=10)]

    assert len(set(keys)) == 4
    assert effects.lines() == [key for key in keys for _ in range(3)]


def test_an_activity_knows_its_step_and_run(engine: Tempolite) -> None:
    """The optional first parameter, by annotation or by name."""

    def who(ctx: ActivityContext, suffix: str) -> list[Any]:
        return [ctx.workflow_id, ctx.step, ctx.attempt, suffix]

    def twice(ctx: WorkflowContext) -> list[Any]:
        return [ctx.activity("who", who, "x").get(), ctx.activity("who", who, suffix="y").get()]

    assert engine.execute("a", twice).get(timeout=10) == [["a", "who", 1, "x"], ["a", "who#2", 1, "y"]]


def test_other_runs_go_on_while_one_waits_for_its_retry(make_engine: EngineMaker, effects: Effects) -> None:
    """A backoff holds no worker."""
    engine = make_engine(queues=ONE_THREAD)
    slow = activity(fail_until(2), retry=RetryPolicy(max_attempts=2, initial_interval=60, jitter=False))
    waiting = engine.execute("slow", run_of(slow, effects.path))

    assert engine.execute("quick", run_of(len, "abc")).get(timeout=10) == 3
    assert waiting.status in ("RUNNING", "WAITING")


def test_a_crash_neither_renews_attempts_nor_uses_one_up(
    make_engine: EngineMaker, path: Path, gate: Gate, effects: Effects
) -> None:
    """The attempt that was under way is made again, with the same number."""

    def flow(ctx: WorkflowContext) -> None:
        ctx.activity("step", activity(held_failing, retry=quickly(3)), gate.path, effects.path).get()

    engine = make_engine(path, queues=ONE_THREAD)
    engine.execute("a", flow)
    gate.wait_until_reached()
    gate.release()
    gate.wait_until_reached()
    engine._crash()

    reopened = make_engine(path, queues=ONE_THREAD, workflows=[flow])
    gate.wait_until_reached()
    gate.release(10)

    with pytest.raises(OSError, match="attempt 3"):
        reopened.get("a").get(timeout=10)
    assert effects.lines() == ["1", "2", "2", "3"]


def held_failing(ctx: ActivityContext, gate: str, effects: str) -> None:
    note(effects, f"{ctx.attempt}")
    pass_gate(gate)
    raise OSError(f"attempt {ctx.attempt}")


def test_attempts_are_counted_on_after_a_clean_close(
    make_engine: EngineMaker, path: Path, effects: Effects, gate: Gate
) -> None:
    """A retry that waits is waited for after the next start."""

    def flow(ctx: WorkflowContext) -> int:
        policy = RetryPolicy(max_attempts=2, initial_interval=0.5, jitter=False)
        return ctx.activity("step", activity(fail_until(2), retry=policy), effects.path).get()

    engine = make_engine(path)
    engine.execute("a", flow)
    engine.execute("b", run_of(len, "abc")).get(timeout=10)
    engine.close()

    reopened = make_engine(path, workflows=[flow])

    assert reopened.get("a").get(timeout=10) == 2
    assert effects.lines() == ["1", "2"]


def test_an_attempt_that_saw_three_unclean_ends_is_given_up(
    make_engine: EngineMaker, path: Path, gate: Gate, effects: Effects
) -> None:
    """``WorkerLost``: it may be what ends the engine. It is not started a fourth time."""

    def flow(ctx: WorkflowContext) -> str:
        return ctx.activity("hold", pass_gate, gate.path).get()

    first = make_engine(path, queues=ONE_THREAD)
    first.execute("a", flow)
    gate.wait_until_reached()
    first._crash()
    for _ in range(2):
        again = make_engine(path, queues=ONE_THREAD, workflows=[flow])
        gate.wait_until_reached()
        again._crash()

    last = make_engine(path, queues=ONE_THREAD, workflows=[flow])

    with pytest.raises(WorkerLost):
        last.get("a").get(timeout=10)
    assert not gate.is_reached_within(0)


def test_clean_ends_are_no_reason_to_give_an_attempt_up(
    make_engine: EngineMaker, path: Path, gate: Gate
) -> None:
    """However often the engine was closed under it."""
    queues = [Queue("default", kind="process", workers=1)]

    def flow(ctx: WorkflowContext) -> str:
        return ctx.activity("hold", pass_gate, gate.path).get()

    for _ in range(4):
        engine = make_engine(path, queues=queues)
        engine.execute("a", flow)
        gate.wait_until_reached()
        engine.close(timeout=0)

    last = make_engine(path, queues=queues, workflows=[flow])
    gate.release()

    assert last.get("a").get(timeout=10) == "passed"


@pytest.mark.parametrize(
    "settings",
    [
        {"max_attempts": 0},
        {"max_attempts": -1},
        {"max_attempts": 1.5},
        {"max_attempts": "3"},
        {"initial_interval": -1},
        {"backoff": 0.5},
        {"max_interval": float("nan")},
        {"retry_on": (int,)},
        {"retry_on": "OSError"},
        {"never_on": (Exception, "x")},
    ],
)
def test_a_policy_that_means_nothing_is_refused(settings: dict[str, Any]) -> None:
    """``InvalidArguments`` where it is made."""
    with pytest.raises(InvalidArguments):
        RetryPolicy(**settings)


@pytest.mark.parametrize("options", [{"retry": 3}, {"timeout": -1}, {"timeout": "1"}, {"nonsense": 1}])
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    """``TypeError`` where they are given."""
    with pytest.raises(TypeError):
        activity(len, **options)


def test_options_may_be_given_three_ways(engine: Tempolite, effects: Effects) -> None:
    """As a decorator, at the call, and on what the decorator made."""
    decorated = activity(retry=quickly(3))(fail_until(3))
    at_the_call = activity(fail_until(3), retry=quickly(3))
    changed = activity(fail_until(3)).options(retry=quickly(3))

    for number, step in enumerate((decorated, at_the_call, changed)):
        assert engine.execute(f"{number}", run_of(step, effects.path)).get(timeout=10) == 3


def test_a_decorated_activity_is_still_a_function() -> None:
    """It can be called and keeps its name; options don't change the one they are made from."""

    @activity(timeout=5)
    def double(number: int) -> int:
        """Doubles."""
        return number * 2

    assert double(2) == 4
    assert double.__name__ == "double"
    assert double.__doc__ == "Doubles."
    assert double.options(timeout=1)(3) == 6
