"""What a newcomer gets wrong is answered with the way that is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tempolite import (
    AsyncWorkflowContext,
    EngineClosed,
    InvalidArguments,
    NotStorable,
    Queue,
    Tempolite,
    WorkflowContext,
)
from tempolite.registry import unknown_function
from tests.engine.conftest import EngineMaker


def double(number: int) -> int:
    return 2 * number


def without_a_name(ctx: WorkflowContext) -> Any:
    return ctx.activity(double, 4).get()  # type: ignore[call-overload]


def already_called(ctx: WorkflowContext) -> Any:
    return ctx.activity("double", double(4)).get()  # type: ignore[call-overload]


async def not_awaited(ctx: AsyncWorkflowContext) -> Any:
    return ctx.activity("double", double, 4).get(timeout=5)


@pytest.mark.parametrize(
    ("fn", "kind", "words"),
    [
        (without_a_name, InvalidArguments, "pass the function itself.*the name before it"),
        (already_called, InvalidArguments, "8 is not callable.*pass the function itself, not called"),
        (not_awaited, NotStorable, "coroutine can't be stored; await it"),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_wrong_call_is_told_the_right_one(
    make_engine: EngineMaker, fn: Callable[..., Any], kind: type[Exception], words: str
) -> None:
    """The message says what to write."""
    engine = make_engine(queues=[Queue("default", kind="inline")])

    with pytest.raises(kind, match=words):
        engine.execute("a", fn).get(timeout=10)


def test_an_engine_that_was_not_started_says_how() -> None:
    """Both ways."""
    with pytest.raises(EngineClosed, match=r"not started; use it in a `with` block, or call start\(\)"):
        Tempolite().execute("a", without_a_name)


@pytest.mark.parametrize("settings", [{"queues": Queue("gpu")}, {"workflows": already_called}])
def test_one_where_several_are_expected_is_told(settings: dict[str, Any]) -> None:
    """A queue or a function by itself belongs in a list."""
    (name,) = settings

    with pytest.raises(InvalidArguments, match=rf"{name} is .*, expected several: \["):
        Tempolite(**settings)


def test_a_function_of_a_script_is_told_to_get_a_name() -> None:
    """Where its file is imported it has another one, so passing it is not enough."""
    assert "@workflow(name='__main__:order')" in unknown_function("__main__:order")
    assert "by a script" not in unknown_function("shop:order")


def test_an_event_reads_as_a_line(make_engine: EngineMaker) -> None:
    """When, whose, what, which step."""
    engine = make_engine(queues=[Queue("default", kind="inline")])

    def order(ctx: WorkflowContext) -> int:
        return ctx.activity("double", double, 4).get()

    engine.execute("order-1", order).get(timeout=10)

    lines = [str(event) for event in engine.history("order-1")]
    assert " 'order-1', run 1: ActivityCompleted 'double' {'result': 8}" in lines[2]
    assert lines[2].startswith(engine.history("order-1")[2].at.isoformat(" ", "milliseconds"))


def test_a_failure_is_one_line_of_the_log(make_engine: EngineMaker) -> None:
    """Its type and its message; the traceback is in the payload."""
    engine = make_engine(queues=[Queue("default", kind="inline")])

    def divide(ctx: WorkflowContext) -> Any:
        return ctx.activity("divide", lambda: 1 / 0).get()

    with pytest.raises(ZeroDivisionError):
        engine.execute("a", divide).get(timeout=10)

    failed = engine.history("a")[2]
    assert str(failed).endswith(
        "ActivityFailed 'divide' {'failure': 'builtins:ZeroDivisionError: division by zero'}"
    )
    assert "Traceback" in failed.payload["failure"]["traceback"]


def test_a_traceback_ends_where_the_users_code_does(make_engine: EngineMaker) -> None:
    """Neither a step's error nor a refused call shows the way through the engine."""
    engine = make_engine(queues=[Queue("default", kind="inline")])

    def divide(ctx: WorkflowContext) -> Any:
        return ctx.activity("divide", lambda: 1 / 0).get()

    for fn, kind in ((divide, ZeroDivisionError), (without_a_name, InvalidArguments)):
        with pytest.raises(kind) as caught:
            engine.execute(fn.__name__, fn).get(timeout=10)
        assert "test_words_for_mistakes.py" in str(caught.value.__cause__)
        assert "infos.py" not in str(caught.value.__cause__)
        assert "definitions.py" not in str(caught.value.__cause__)


def test_a_context_that_was_kept_says_that_its_code_is_over(make_engine: EngineMaker) -> None:
    """Who kept it, in a thread or a list, is told why nothing comes of the call."""
    engine = make_engine(queues=[Queue("default", kind="inline")])
    kept: list[WorkflowContext] = []
    engine.execute("a", lambda ctx: kept.append(ctx)).get(timeout=10)

    with pytest.raises(BaseException, match="the workflow's code is over"):
        kept[0].sleep("nap", 1)
