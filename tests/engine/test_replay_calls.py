"""``tp.replay`` of code that has changed: what the history has, and what the code asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tempolite import NonDeterminismError, Queue, WorkflowContext, workflow
from tests.engine.conftest import EngineMaker


def as_recorded(ctx: WorkflowContext) -> int:
    ctx.side_effect("count", lambda: 1).get()
    ctx.side_effect("weigh", lambda: 2).get()
    ctx.sleep("rest", 0)
    return 3


def with_another_name(ctx: WorkflowContext) -> int:
    ctx.side_effect("count", lambda: 1).get()
    ctx.side_effect("measure", lambda: 2).get()
    return 3


def with_fewer_steps(ctx: WorkflowContext) -> int:
    ctx.side_effect("count", lambda: 1).get()
    return 3


def with_another_kind(ctx: WorkflowContext) -> int:
    ctx.sleep("count", 0)
    return 3


def with_another_end(ctx: WorkflowContext) -> int:
    return as_recorded(ctx) + 1


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (with_another_name, "no side effect 'measure'.*not asked for: side effect 'weigh', timer 'rest'"),
        (with_fewer_steps, "does not ask for: side effect 'weigh', timer 'rest'"),
        (with_another_kind, "has side effect 'count'.*asks for timer 'count'"),
        (with_another_end, "ends with result 3, the code ends with result 4"),
    ],
)
def test_code_that_has_changed_is_shown_beside_its_history(
    make_engine: EngineMaker, changed: Callable[..., Any], words: str
) -> None:
    """Both sides, so that a name which was changed is found; nothing is executed."""
    engine = make_engine(queues=[Queue("default", kind="inline")])
    engine.execute("a", workflow(as_recorded, name="weighing")).get(timeout=10)
    engine.register(workflow(changed, name="weighing"))

    with pytest.raises(NonDeterminismError, match=words):
        engine.replay("a")
