"""How a test runs an activity of the zoo, and what the engine recorded of it."""

from __future__ import annotations

from typing import Any

from tempolite import RetryPolicy, Tempolite, WorkflowContext, WorkflowInfo, activity
from tests.workers import activities

DEADLINE_S = 20
"""Guards every wait: a test that hangs fails."""

STEP = "step"


def one_activity(ctx: WorkflowContext, name: str, args: list[Any], options: dict[str, Any]) -> Any:
    """Runs one activity of the zoo."""
    return ctx.activity(STEP, _declared(name, options), *args).get()


def several_activities(ctx: WorkflowContext, calls: list[tuple[str, list[Any], dict[str, Any]]]) -> list[Any]:
    """Runs several at the same time; errors are given as texts."""
    infos = [
        ctx.activity(f"{STEP} {number}", _declared(name, options), *args)
        for number, (name, args, options) in enumerate(calls)
    ]
    outcomes: list[Any] = []
    for info in infos:
        try:
            outcomes.append(info.get())
        except Exception as error:
            outcomes.append(type(error).__name__)
    return outcomes


def begin(engine: Tempolite, name: str, *args: Any, **options: Any) -> WorkflowInfo[Any]:
    """Starts a run of one activity with these options."""
    return engine.execute(None, one_activity, name, list(args), options)


def outcome(engine: Tempolite, name: str, *args: Any, **options: Any) -> Any:
    """Runs one activity and gives or raises its outcome."""
    return begin(engine, name, *args, **options).get(timeout=DEADLINE_S)


def losses(info: WorkflowInfo[Any], step: str = STEP) -> list[str]:
    """Causes of the worker deaths that were charged to a step."""
    return [
        event.payload["cause"]
        for event in info.history()
        if event.type == "ActivityWorkerLost" and event.step == step
    ]


def last_attempt(info: WorkflowInfo[Any], step: str = STEP) -> int:
    """Number of the attempt that ended the step."""
    ends = [event for event in info.history() if event.step == step and event.type.startswith("Activity")]
    return ends[-1].attempt


def _declared(name: str, options: dict[str, Any]) -> Any:
    """The activity with options; ``attempts`` stands for a policy of so many tries."""
    chosen = dict(options)
    if (attempts := chosen.pop("attempts", None)) is not None:
        chosen["retry"] = RetryPolicy(max_attempts=attempts, initial_interval=0.01)
    return activity(getattr(activities, name), **chosen)
