"""Under pytest and ``debug=True``, calls of workflow code that belong elsewhere are found."""

from __future__ import annotations

import asyncio
import logging
import os
import pdb
import random
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tempolite import AsyncWorkflowContext, NotAllowedInWorkflow, Tempolite, WorkflowContext
from tests.determinism import samples
from tests.engine.conftest import EngineMaker

AT_RUN_TIME = [each for each in samples.BAD if each[0] not in (samples.over_a_closure, samples.another_loop)]


def name_of(value: Any) -> str | None:
    """An id for a parameter that is a function."""
    return getattr(value, "__name__", None)


def plain(number: int) -> int:
    return number


@pytest.mark.parametrize(("fn", "name", "instead", "line"), AT_RUN_TIME, ids=name_of)
def test_a_call_that_belongs_elsewhere_is_refused(
    engine: Tempolite, fn: Callable[..., Any], name: str, instead: str, line: int
) -> None:
    """``NotAllowedInWorkflow`` with the line and what to use instead."""
    with pytest.raises(NotAllowedInWorkflow) as caught:
        engine.execute("a", fn).get(timeout=10)

    place = f"{samples.__file__}:{fn.__code__.co_firstlineno + line}"
    assert place in str(caught.value)
    assert instead in str(caught.value)


def test_a_call_is_refused_in_an_async_workflow(engine: Tempolite) -> None:
    """In its own code and in its tasks, before and after a wait."""

    async def clock() -> float:
        return time.time()

    async def flow(ctx: AsyncWorkflowContext) -> list[str]:
        refused = []
        for ask in (clock, lambda: asyncio.gather(clock()), lambda: asyncio.create_task(clock())):
            await ctx.activity("wait", plain, 1)
            with pytest.raises(NotAllowedInWorkflow, match=r"time\.time"):
                await ask()
            refused.append("refused")
        return refused

    assert engine.execute("a", flow).get(timeout=10) == ["refused"] * 3


def test_a_call_is_refused_before_and_after_each_wait(engine: Tempolite) -> None:
    """The stack of a ``def`` is left and taken up again; the look goes on with it."""

    def flow(ctx: WorkflowContext) -> int:
        count = 0
        for _ in range(3):
            with pytest.raises(NotAllowedInWorkflow):
                time.time()
            count += ctx.activity("wait", plain, 1).get()
        return count

    assert engine.execute("a", flow).get(timeout=10) == 3


def test_a_call_is_refused_at_any_depth(engine: Tempolite) -> None:
    """Through helpers and the standard library; the line is the innermost that the user wrote."""

    def helper(path: str) -> str:
        return Path(path).read_text("utf-8")

    def flow(ctx: WorkflowContext) -> str:
        return helper(os.devnull)

    with pytest.raises(NotAllowedInWorkflow) as caught:
        engine.execute("a", flow).get(timeout=10)

    assert f"{__file__}:{helper.__code__.co_firstlineno + 1}" in str(caught.value)


def test_the_call_is_not_made(engine: Tempolite, tmp_path: Path) -> None:
    """What it would have done has not happened."""

    def flow(ctx: WorkflowContext) -> None:
        (tmp_path / "made").mkdir()

    with pytest.raises(NotAllowedInWorkflow):
        engine.execute("a", flow).get(timeout=10)

    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("fn", samples.GOOD, ids=name_of)
def test_what_the_context_offers_is_allowed(engine: Tempolite, fn: Callable[..., Any]) -> None:
    """What the refusals recommend, and what runs in activities and side effects."""
    engine.execute("a", fn).get(timeout=10)


def test_what_is_nobodys_doing_is_allowed(engine: Tempolite, tmp_path: Path) -> None:
    """Imports, log records, time zones, warnings and finalizers do what they have to."""
    handler = logging.FileHandler(tmp_path / "log", delay=True)
    log = logging.getLogger("tests.determinism")
    log.addHandler(handler)

    class Finalized:
        def __del__(self) -> None:
            os.stat(tmp_path)
            done.append("finalized")

    done: list[str] = []

    def flow(ctx: WorkflowContext) -> str:
        from zoneinfo import ZoneInfo

        import this_is_imported_late

        log.warning("said by %s", ctx.workflow_id)
        ctx.logger.warning("said")
        print("said")  # noqa: T201
        try:
            raise ValueError("said")
        except ValueError:
            log.exception("with its traceback")
        Finalized()
        return str(ctx.now().astimezone(ZoneInfo("UTC")).tzinfo) + this_is_imported_late.WORD

    (tmp_path / "this_is_imported_late.py").write_text("import time\nWORD = str(time.time() > 0)\n")
    sys.path.insert(0, str(tmp_path))
    try:
        assert engine.execute("a", flow).get(timeout=10) == "UTCTrue"
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("this_is_imported_late", None)
        log.removeHandler(handler)
        handler.close()

    assert done == ["finalized"]
    assert "said by a" in (tmp_path / "log").read_text()


def test_randomness_of_ones_own_is_allowed(engine: Tempolite) -> None:
    """An instance with a seed, also with the methods that share their code with ``random.randint``."""

    def flow(ctx: WorkflowContext) -> tuple[int, int]:
        return random.Random(7).randint(1, 9), ctx.random.randint(1, 9)

    assert engine.execute("a", flow).get(timeout=10)[0] == random.Random(7).randint(1, 9)


def test_a_refusal_fails_the_run_as_any_error_does(engine: Tempolite) -> None:
    """It is an ``Exception`` at that line: code may catch it."""

    def flow(ctx: WorkflowContext) -> str:
        try:
            return str(uuid.uuid4())
        except NotAllowedInWorkflow:
            return "caught"

    assert engine.execute("a", flow).get(timeout=10) == "caught"


def test_handlers_and_conditions_are_workflow_code(engine: Tempolite) -> None:
    """What changes the run's state is the same on replay; a query may look at what it likes."""

    def flow(ctx: WorkflowContext) -> str:
        ctx.on_query("age", time.time_ns)
        ctx.on_update("touch", lambda: time.time_ns())
        ctx.signal("go").get()
        with pytest.raises(NotAllowedInWorkflow):
            ctx.wait_until("late", lambda: time.time() > 0)
        return "done"

    info = engine.execute("a", flow)

    assert info.query("age") > 0
    with pytest.raises(NotAllowedInWorkflow):
        info.update("touch")
    info.signal("go")
    assert info.get(timeout=10) == "done"


@pytest.mark.parametrize("setting", ["setprofile", "settrace"])
def test_a_host_that_looks_itself_is_left_alone(engine: Tempolite, setting: str) -> None:
    """A profiler, tracer or debugger that is set keeps its place; nothing is refused then."""
    seen: list[str] = []

    def own(frame: Any, event: str, arg: Any) -> None:
        seen.append(event)

    def get() -> Any:
        return getattr(sys, f"get{setting[3:]}")()

    def use() -> None:
        getattr(sys, setting)(own)

    def stop() -> Any:
        set_before = get()
        getattr(sys, setting)(None)
        return set_before

    engine._system._perform(use)
    try:
        started = engine.execute("a", lambda ctx: time.time() > 0).get(timeout=10)
    finally:
        left = engine._system._perform(stop)

    assert (started, left) == (True, own)
    assert seen


def test_nothing_is_left_set_between_turns(engine: Tempolite) -> None:
    """The hook is there while workflow code runs, and in no other code of that thread."""

    def flow(ctx: WorkflowContext) -> bool:
        is_set = sys.getprofile() is not None
        ctx.activity("wait", plain, 1).get()
        return is_set and sys.getprofile() is not None

    assert engine.execute("a", flow).get(timeout=10)
    assert engine._system._perform(sys.getprofile) is None


def test_a_breakpoint_ends_the_look(engine: Tempolite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A debugger reads files, clocks and the keyboard; the stretch goes on without a look."""

    def debugger(*_: Any, **__: Any) -> None:
        with open(os.devnull) as keyboard:
            pdb.Pdb(readrc=True, stdin=keyboard)
        input_at_prompt.append(time.time())

    input_at_prompt: list[float] = []
    monkeypatch.setattr(sys, "breakpointhook", debugger)

    def flow(ctx: WorkflowContext) -> bool:
        breakpoint()
        return time.time() > 0

    assert engine.execute("a", flow).get(timeout=10)
    assert len(input_at_prompt) == 1


def test_without_pytest_only_debug_refuses(
    make_engine: EngineMaker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In production a workflow runs without a hook, unless ``debug=True``."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")

    assert make_engine().execute("a", samples.clock).get(timeout=10) > 0
    assert "in workflow code, at" not in caplog.text
    with pytest.raises(NotAllowedInWorkflow):
        make_engine(debug=True).execute("a", samples.clock).get(timeout=10)


def test_under_pytest_a_call_is_reported_once_and_made(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """The code does what it does in production; the log says where it is wrong, and what to use instead."""
    engine = make_engine()

    for name in ("a", "b"):
        assert engine.execute(name, samples.clock).get(timeout=10) > 0

    found = [each for each in caplog.messages if "can't be called in workflow code, at" in each]
    assert len(found) == 1
    assert "samples.py:" in found[0]
    assert "ctx.now()" in found[0]


async def to_thread() -> None:
    await asyncio.to_thread(print)


async def in_executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, print)


async def connect() -> None:
    await asyncio.open_connection("localhost", 9)


async def connect_locally() -> None:
    await asyncio.open_unix_connection("socket")


async def serve() -> None:
    await asyncio.start_server(print, port=0)


async def start_process() -> None:
    await asyncio.create_subprocess_exec("true")


async def start_shell() -> None:
    await asyncio.create_subprocess_shell("true")


async def receive() -> None:
    await asyncio.get_running_loop().sock_recv(None, 1)  # type: ignore[arg-type]


async def resolve() -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 9)


async def run_within() -> None:
    waiting = asyncio.sleep(0)
    try:
        asyncio.run(waiting)
    finally:
        waiting.close()


ASYNC_CALLS = [
    to_thread,
    in_executor,
    connect,
    connect_locally,
    serve,
    start_process,
    start_shell,
    receive,
    resolve,
]


@pytest.mark.parametrize("is_under_pytest", [True, False])
@pytest.mark.parametrize("call", ASYNC_CALLS, ids=name_of)
def test_asyncio_that_needs_more_than_a_loop_is_refused(
    make_engine: EngineMaker, monkeypatch: pytest.MonkeyPatch, call: Any, is_under_pytest: bool
) -> None:
    """``NotAllowedInWorkflow`` and what to use instead, with the hook and without it."""
    if not is_under_pytest:
        monkeypatch.delenv("PYTEST_CURRENT_TEST")

    async def flow(ctx: AsyncWorkflowContext) -> None:
        await call()

    with pytest.raises(NotAllowedInWorkflow, match="activity"):
        make_engine(debug=is_under_pytest).execute("a", flow).get(timeout=10)


def test_another_loop_is_refused(engine: Tempolite) -> None:
    """``asyncio.run``, in an ``async def`` and in a ``def``."""

    async def within(ctx: AsyncWorkflowContext) -> None:
        await run_within()

    def beside(ctx: WorkflowContext) -> None:
        waiting = asyncio.sleep(0)
        try:
            asyncio.run(waiting)
        finally:
            waiting.close()

    for name, fn in (("within", within), ("beside", beside)):
        with pytest.raises(NotAllowedInWorkflow, match=r"asyncio\.run.*await"):
            engine.execute(name, fn).get(timeout=10)


def test_another_loop_within_a_loop_is_refused_without_the_hook_too(
    make_engine: EngineMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By asyncio itself."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")

    async def flow(ctx: AsyncWorkflowContext) -> None:
        await run_within()

    with pytest.raises(RuntimeError, match="running event loop"):
        make_engine().execute("a", flow).get(timeout=10)
