"""P5: what escapes a step arrives as it was; what can't be is told as data."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    ActivityError,
    ActivityTimeout,
    AsyncWorkflowContext,
    DeadlineExceeded,
    HeartbeatTimeout,
    NotStorable,
    Queue,
    Tempolite,
    TempoliteError,
    WorkerLost,
    WorkflowContext,
    WorkflowFailed,
    WorkflowTimeout,
    activity,
)
from tests.engine.conftest import EngineMaker


class Declined(Exception):
    """Needs arguments that it does not pass on."""

    def __init__(self, order: str, *, code: int) -> None:
        super().__init__(f"{order} was declined")
        self.order = order
        self.code = code


class Mute(Exception):
    """Can't say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def decline(order: str) -> None:
    raise Declined(order, code=7)


async def decline_async(order: str) -> None:
    decline(order)


def chain() -> None:
    try:
        decline("order-1")
    except Declined as error:
        raise ValueError("payment failed") from error


def exit_with(code: int) -> None:
    raise SystemExit(code)


def interrupt() -> None:
    raise KeyboardInterrupt


def local_error() -> None:
    class Local(Exception):
        pass

    raise Local("nobody knows me")


def with_lock() -> None:
    error = ValueError("with a lock")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    raise error


def with_lock_as_argument() -> None:
    raise ValueError("lock", threading.Lock())


def mute() -> None:
    raise Mute


def group() -> None:
    raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])


def unstorable() -> Any:
    return {"items": [1, threading.Lock()]}


def noted() -> None:
    error = ValueError("noted")
    error.add_note("the customer is new")
    raise error


def step_of(fn: Callable[..., Any], *args: Any) -> Callable[[WorkflowContext], Any]:
    def flow(ctx: WorkflowContext) -> Any:
        return ctx.activity("pay", fn, *args).get()

    return flow


def error_of(engine: Tempolite, fn: Callable[..., Any], *args: Any) -> BaseException:
    """What the workflow sees of the activity's error; it must see some."""
    seen: list[BaseException] = []

    def flow(ctx: WorkflowContext) -> None:
        try:
            ctx.activity("pay", fn, *args).get()
        except Exception as error:
            seen.append(error)

    engine.execute(None, flow).get(timeout=20)
    return seen[0]


def first_frame(error: BaseException) -> str:
    """Name of the outermost function in an error's remote traceback."""
    found = re.search(r", in (\S+)", str(error.__cause__))
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def three_kinds() -> Any:
    """One engine with a queue of each kind."""
    queues = [Queue(kind, kind=kind, workers=1) for kind in ("inline", "thread", "process")]  # type: ignore[arg-type]
    with Tempolite(queues=queues) as engine:
        for queue in queues:
            engine.execute(None, step_of(activity(len, queue=queue.name), "")).get(timeout=20)
        yield engine


@pytest.fixture(params=["inline", "thread", "process"])
def on_queue(request: pytest.FixtureRequest, three_kinds: Tempolite) -> Callable[..., BaseException]:
    """``error_of`` on a queue of each kind."""

    def run(fn: Callable[..., Any], *args: Any) -> BaseException:
        return error_of(three_kinds, activity(fn, queue=request.param), *args)

    return run


def test_an_error_arrives_as_the_same_type(on_queue: Callable[..., BaseException]) -> None:
    """With its arguments and attributes, though its constructor wants others."""
    error = on_queue(decline, "order-7")

    assert type(error) is Declined
    assert (error.args, error.order, error.code) == (("order-7 was declined",), "order-7", 7)
    assert str(error) == "order-7 was declined"


def test_an_error_tells_where_it_came_from(on_queue: Callable[..., BaseException]) -> None:
    """Step and attempt in its notes, the remote traceback as its cause."""
    error = on_queue(decline, "order-7")

    notes, cause = "\n".join(error.__notes__), str(error.__cause__)
    assert "pay" in notes
    assert "attempt 1" in notes
    assert "in decline" in cause
    assert "test_errors.py" in cause
    assert first_frame(error) == "decline"
    assert first_frame(on_queue(decline_async, "order-7")) == "decline_async"


def test_the_causes_of_an_error_are_told(on_queue: Callable[..., BaseException]) -> None:
    """Both tracebacks, in the order in which they were raised."""
    error = on_queue(chain)

    told = str(error.__cause__)
    causes = [error.__cause__]
    while causes[-1] is not None:
        causes.append(causes[-1].__cause__)
    told = "\n".join(str(cause) for cause in causes)
    assert type(error) is ValueError
    assert "in chain" in told
    assert "order-1 was declined" in told


def test_notes_of_the_raiser_are_kept(on_queue: Callable[..., BaseException]) -> None:
    """Ours are added after them."""
    error = on_queue(noted)

    assert error.__notes__[0] == "the customer is new"
    assert len(error.__notes__) > 1


@pytest.mark.parametrize(
    ("fn", "args", "name", "text"),
    [
        (exit_with, (3,), "SystemExit", "3"),
        (interrupt, (), "KeyboardInterrupt", ""),
        (local_error, (), "Local", "nobody knows me"),
    ],
)
def test_what_cannot_be_rebuilt_is_an_activity_error(
    on_queue: Callable[..., BaseException], fn: Any, args: Any, name: str, text: str
) -> None:
    """What is no ``Exception``, and what no name finds: type, message and traceback as text."""
    error = on_queue(fn, *args)

    assert type(error) is ActivityError
    assert name in error.type_name
    assert text in error.message
    assert fn.__name__ in error.traceback


@pytest.mark.parametrize("fn", [with_lock, with_lock_as_argument, mute, group])
def test_an_error_that_resists_is_an_error_all_the_same(
    on_queue: Callable[..., BaseException], fn: Callable[[], None]
) -> None:
    """Locks in it, no text, several in one: itself, or ``ActivityError``; the worker lives."""
    error = on_queue(fn)

    assert isinstance(error, (ActivityError, ValueError, Mute, ExceptionGroup))
    assert not isinstance(error, WorkerLost)
    assert on_queue(decline, "next").args == ("next was declined",)


def test_a_result_that_cannot_be_stored_fails_the_step(on_queue: Callable[..., BaseException]) -> None:
    """``NotStorable`` with the path in the result; the worker lives."""
    error = on_queue(unstorable)

    assert isinstance(error, NotStorable)
    assert 'result["items"][1]' in str(error)
    assert on_queue(decline, "next").args == ("next was declined",)


def test_a_result_over_the_limit_fails_the_step(make_engine: EngineMaker) -> None:
    """``PayloadTooLarge``, from a worker process too."""
    for kind in ("inline", "process"):
        engine = make_engine(payload_limit=10_000, queues=[Queue("default", kind=kind, workers=1)])  # type: ignore[arg-type]

        error = error_of(engine, "x".__mul__, 20_000)

        assert type(error).__name__ == "PayloadTooLarge"


def test_get_raises_what_the_workflow_raised(engine: Tempolite) -> None:
    """The same type, with the traceback of the workflow's code as its cause."""

    def failing(ctx: WorkflowContext) -> None:
        decline("order-9")

    info = engine.execute("a", failing)

    with pytest.raises(Declined, match="order-9") as caught:
        info.get(timeout=10)
    assert caught.value.code == 7
    assert first_frame(caught.value) == "failing"


def test_the_traceback_of_async_code_begins_with_it(engine: Tempolite) -> None:
    """Not with the loop that runs it, nor behind the first function."""

    async def failing(ctx: AsyncWorkflowContext) -> None:
        decline("order-9")

    info = engine.execute("a", failing)

    with pytest.raises(Declined) as caught:
        info.get(timeout=10)
    assert first_frame(caught.value) == "failing"


def test_get_raises_the_same_after_reopening(make_engine: EngineMaker, path: Path) -> None:
    """Type, arguments, attributes and notes are stored."""
    engine = make_engine(path)
    with pytest.raises(Declined) as before:
        engine.execute("a", step_of(decline, "order-9")).get(timeout=10)
    engine.close()

    with pytest.raises(Declined) as after:
        make_engine(path).get("a").get(timeout=10)

    assert vars(after.value) == vars(before.value)
    assert after.value.args == before.value.args


def test_a_run_that_raises_what_nobody_finds_is_workflow_failed(engine: Tempolite) -> None:
    """Type, message and traceback as text."""

    def failing(ctx: WorkflowContext) -> None:
        local_error()

    with pytest.raises(WorkflowFailed) as caught:
        engine.execute("a", failing).get(timeout=10)

    assert "Local" in caught.value.type_name
    assert caught.value.message == "nobody knows me"
    assert "in failing" in caught.value.traceback


def test_errors_of_different_gets_are_different_objects(engine: Tempolite) -> None:
    """Raising one again does not grow the traceback of the other."""
    info = engine.execute("a", step_of(decline, "x"))

    errors = []
    for _ in range(2):
        with pytest.raises(Declined) as caught:
            info.get(timeout=10)
        errors.append(caught.value)

    assert errors[0] is not errors[1]


def test_an_error_can_be_asked_for_twice_in_a_workflow(engine: Tempolite) -> None:
    """``get`` of a failed step raises each time."""

    def stubborn(ctx: WorkflowContext) -> int:
        info, count = ctx.activity("pay", decline, "x"), 0
        for _ in range(3):
            try:
                info.get()
            except Declined:
                count += 1
        return count if info.done else -1

    assert engine.execute("a", stubborn).get(timeout=10) == 3


def test_an_error_that_the_workflow_wraps_is_told_whole(engine: Tempolite) -> None:
    """The run's error is the new one, its causes are in the traceback."""

    def wrapping(ctx: WorkflowContext) -> None:
        try:
            ctx.activity("pay", decline, "order-3").get()
        except Declined as error:
            raise RuntimeError("could not pay") from error

    with pytest.raises(RuntimeError, match="could not pay") as caught:
        engine.execute("a", wrapping).get(timeout=10)

    told, cause = [], caught.value.__cause__
    while cause is not None:
        told.append(str(cause))
        cause = cause.__cause__
    assert "order-3 was declined" in "\n".join(told)


def test_finally_and_else_work_around_steps(engine: Tempolite) -> None:
    """Steps in ``except`` and ``finally`` are steps like others."""

    def careful(ctx: WorkflowContext) -> list[int]:
        done: list[int] = []
        try:
            ctx.activity("pay", decline, "x").get()
        except Declined:
            done.append(ctx.activity("undo", len, "a").get())
        else:
            done.append(-1)
        finally:
            done.append(ctx.activity("clean", len, "ab").get())
        return done

    assert engine.execute("a", careful).get(timeout=10) == [1, 2]


def test_timeouts_are_timeout_errors() -> None:
    """The tree says whose fault it is, and that time ran out."""
    for kind in (ActivityTimeout, DeadlineExceeded, HeartbeatTimeout, WorkflowTimeout):
        assert issubclass(kind, TimeoutError)
        assert issubclass(kind, TempoliteError)
