"""An event loop that the engine lives beside goes round, whatever the engine is waiting for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tempolite import Pause, Queue, ScheduleInfo, Tempolite, WorkflowContext, WorkflowInfo, workflow
from tempolite.actors.reader_pool import READERS_MAX
from tests.engine.conftest import EngineMaker
from tests.engine.test_awaitable_twins import (
    calls,
    is_awaitable,
    listening,
    methods_of,
    prepared,
    standing_still,
    ticks,
)

WAIT_S = 15


@contextmanager
def nobody_reads(engine: Tempolite) -> Iterator[None]:
    """All connections that read are taken: who wants one waits for the end of this."""
    with ExitStack() as taken:
        for _ in range(READERS_MAX):
            taken.enter_context(engine._file.reader())
        yield


async def finished(calls: dict[str, Callable[[], Awaitable[Any]]], *held: Any) -> dict[str, Any]:
    """What each call gave; all began while the engine was held, and the loop went round."""
    with ExitStack() as holding:
        for hold in held:
            holding.enter_context(hold)
        tasks = {name: asyncio.ensure_future(call()) for name, call in calls.items()}
        await ticks()
    answers = asyncio.gather(*tasks.values(), return_exceptions=True)
    return dict(zip(tasks, await asyncio.wait_for(answers, WAIT_S), strict=True))


def twins_of(kind: type) -> set[str]:
    return {name for name, fn in methods_of(kind).items() if is_awaitable(fn)}


def test_no_twin_of_an_engine_reads_on_the_loop(make_engine: EngineMaker, path: Path) -> None:
    """While no connection is free, the loop goes round; afterwards each call has its answer."""
    engine = prepared(make_engine(path))

    answers = asyncio.run(finished(calls(engine, path.parent), nobody_reads(engine)))

    assert [answer for answer in answers.values() if isinstance(answer, Exception)] == []
    assert answers["count"] >= 10


def test_no_twin_of_a_handle_blocks_the_loop(make_engine: EngineMaker, path: Path) -> None:
    """Neither while the engine answers nobody, nor while nobody can read; ``await info`` as the others."""
    engine = prepared(make_engine(path))
    engine.execute("r", listening), engine.pause("r")
    # The handles are there before the engine is held: making one reads.
    of = {id: engine.get(id) for id in ("ended", "s", "q", "x", "r", "c", "p")}
    every: dict[str, Callable[[], Awaitable[Any]]] = {
        "aget": of["ended"].aget,
        "aget(0)": lambda: of["ended"].aget(timeout=0),
        "await": lambda: awaited(of["ended"]),
        "asignal": lambda: of["s"].asignal("go", 1),
        "aquery": lambda: of["q"].aquery("id"),
        "aupdate": lambda: of["q"].aupdate("double", 4),
        "apause": of["x"].apause,
        "aresume": of["r"].aresume,
        "acancel": of["c"].acancel,
        "ahistory": of["ended"].ahistory,
        "actor_ref": lambda: awaited(of["p"].actor_ref.ask(Pause(), block=False)),
    }
    assert twins_of(WorkflowInfo) - set(every) == set()

    answers = asyncio.run(finished(every, standing_still(engine), nobody_reads(engine)))

    assert [answer for answer in answers.values() if isinstance(answer, Exception)] == []
    assert {answers[name] for name in ("aget", "aget(0)", "await")} == {"ended"}
    assert (answers["aquery"], answers["aupdate"]) == ("q", 8)


def test_no_twin_of_a_schedule_blocks_the_loop(make_engine: EngineMaker, path: Path) -> None:
    """The same for schedules' handles."""
    engine = make_engine(path)
    names = ("apause", "aresume", "atrigger", "adelete", "ahistory")
    every = {name: getattr(engine.schedule(name, "0 3 * * *", listening), name) for name in names}
    engine.schedules()[0].pause()
    engine.schedule("aresume", "0 3 * * *", listening).pause()
    assert twins_of(ScheduleInfo) == set(names)

    answers = asyncio.run(finished(every, standing_still(engine), nobody_reads(engine)))

    assert [answer for answer in answers.values() if isinstance(answer, Exception)] == []
    assert answers["atrigger"].id.startswith("atrigger/")


def test_a_loop_goes_round_while_an_engine_starts(path: Path) -> None:
    """``async with`` on a file that another engine has, with ``wait_for_lock``."""
    holder = Tempolite(path, queues=[Queue("default", kind="inline")]).start()

    async def main() -> int:
        entering = asyncio.ensure_future(stood_by())
        await ticks()
        assert not entering.done()
        await holder.aclose()
        return await asyncio.wait_for(entering, WAIT_S)

    async def stood_by() -> int:
        engine = Tempolite(path, queues=[Queue("default", kind="inline")], wait_for_lock=True)
        async with engine:
            return await engine.acount()

    assert asyncio.run(main()) == 0


def test_a_stand_by_can_be_cancelled(path: Path) -> None:
    """Its thread ends as well, or the loop could not: its holder goes on."""
    with Tempolite(path, queues=[Queue("default", kind="inline")]) as holder:

        async def main() -> None:
            engine = Tempolite(path, wait_for_lock=True)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(engine.astart(), 0.1)

        asyncio.run(asyncio.wait_for(main(), WAIT_S))

        assert holder.count() == 0


def test_a_loop_goes_round_while_an_engine_closes(make_engine: EngineMaker) -> None:
    """The end of ``async with`` waits for a running activity, and for nothing on the loop."""
    begun, may_end = threading.Event(), threading.Event()

    def hold() -> str:
        begun.set()
        may_end.wait(WAIT_S)
        return "ended"

    async def main() -> Any:
        engine = Tempolite(queues=[Queue("default", kind="thread", workers=1)])
        leaving = asyncio.ensure_future(left(engine))
        await asyncio.to_thread(begun.wait, WAIT_S)
        await ticks()
        assert not leaving.done()
        may_end.set()
        return await asyncio.wait_for(leaving, WAIT_S)

    async def left(engine: Tempolite) -> str:
        async with engine:
            await engine.aexecute("a", holding)
            await asyncio.to_thread(begun.wait, WAIT_S)
        return engine._phase.value

    def holding(ctx: WorkflowContext) -> str:
        return ctx.activity("hold", hold).get()

    assert asyncio.run(main()) == "closed"


def test_a_loop_in_debug_mode_finds_no_slow_callback(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio's own detector, over a run with a child, a deferred start and a signal."""
    engine = make_engine()

    async def main() -> Any:
        # A tenth of the time that a twin would block for.
        asyncio.get_running_loop().slow_callback_duration = WAIT_S / 10
        with standing_still(engine):
            starting = asyncio.ensure_future(engine.aexecute("a", workflow(listening, defer=True)))
            await ticks()
        info = await starting
        await engine.aenqueue("a")
        await info.asignal("go", 7)
        return await info

    assert asyncio.run(main(), debug=True) == 7
    assert [text for text in caplog.messages if "took" in text] == []


async def awaited(answer: Any) -> Any:
    return await answer
