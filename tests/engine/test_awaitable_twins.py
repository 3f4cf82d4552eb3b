"""Every blocking call has an awaitable twin, which means the same and never blocks the loop."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tempolite import EngineClosed, Queue, ScheduleInfo, Tempolite, WorkflowContext, WorkflowInfo, workflow
from tempolite.engine.port import Port
from tests.engine.conftest import EngineMaker
from tests.engine.waiting import wait_until

Home = dict[str, Any]
WAIT_S = 15
TICKS = 30

TWINS = {"wait": "await_idle"}
"""Those that are not called ``a`` and the name."""

INSIDE = {"when_ended", *(name for name in vars(Port) if not name.startswith("_"))}
"""For the engine's own parts."""

NO_TWINS = {"register", *INSIDE}
"""``register`` touches nothing but memory."""


def listening(ctx: WorkflowContext, last: bool = False) -> Any:
    ctx.on_query("id", lambda: ctx.workflow_id)
    ctx.on_update("double", lambda value: value * 2)
    return ctx.signal("go").get() if not last else "ended"


def methods_of(kind: type) -> dict[str, Any]:
    """Public methods that a caller may have to wait for."""
    found = inspect.getmembers(kind, inspect.isfunction)
    return {name: fn for name, fn in found if not name.startswith("_")}


def is_awaitable(fn: Any) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn)


@contextmanager
def standing_still(engine: Tempolite) -> Iterator[None]:
    """Nobody is answered within this: the actors' thread is busy with something else."""
    reached, going_on = threading.Event(), threading.Event()

    def stand() -> None:
        reached.set()
        going_on.wait(WAIT_S)

    keeper = threading.Thread(target=lambda: engine._system._perform(stand))
    keeper.start()
    assert reached.wait(WAIT_S)
    try:
        yield
    finally:
        going_on.set()
        keeper.join()


async def ticks() -> None:
    """Returns when the loop has gone round often enough; a blocked loop never gets there."""
    for _ in range(TICKS):
        await asyncio.sleep(0)


@pytest.mark.parametrize("kind", [Tempolite, WorkflowInfo, ScheduleInfo])
def test_every_blocking_method_has_a_twin(kind: type) -> None:
    """With the same parameters; and no twin is left alone."""
    methods = methods_of(kind)
    blocking = {name for name, fn in methods.items() if not is_awaitable(fn) and name not in NO_TWINS}
    twins = {name: TWINS.get(name, f"a{name}") for name in blocking}

    assert {name for name, fn in methods.items() if is_awaitable(fn)} == set(twins.values())
    for name, twin in twins.items():
        taken = [list(inspect.signature(methods[each]).parameters) for each in (name, twin)]
        assert taken[0] == taken[1] or taken[1] == ["self", "filters"] or taken[1][-1] == "options", name


def calls(engine: Tempolite, folder: Path) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Each awaitable call of an engine once, on runs that are there for it."""
    return {
        "execute": lambda: engine.aexecute("new", listening),
        "execute_default": lambda: engine.aexecute_default("other", listening),
        "get": lambda: engine.aget("ended"),
        "signal": lambda: engine.asignal("s", "go", 1),
        "publish_signal": lambda: engine.apublish_signal("p", "go", 1),
        "query": lambda: engine.aquery("q", "id"),
        "update": lambda: engine.aupdate("q", "double", 4),
        "pause": lambda: engine.apause("x"),
        "resume": lambda: engine.aresume("paused"),
        "cancel": lambda: engine.acancel("c"),
        "enqueue": lambda: engine.aenqueue("deferred"),
        "retry": lambda: engine.aretry("ended", "again"),
        "replay": lambda: engine.areplay("ended"),
        "fork": lambda: engine.afork("stepping", "forked", before="step"),
        "workflows": lambda: engine.aworkflows(status="COMPLETED"),
        "count": lambda: engine.acount(),
        "tree": lambda: engine.atree("ended"),
        "history": lambda: engine.ahistory("ended"),
        "delete": lambda: engine.adelete(["gone"]),
        "gc": lambda: engine.agc(timedelta(days=1)),
        "create_queue": lambda: engine.acreate_queue(Queue("second", kind="inline")),
        "scale": lambda: engine.ascale("default", 1),
        "queue": lambda: engine.aqueue("default"),
        "metrics": lambda: engine.ametrics(),
        "schedule": lambda: engine.aschedule("nightly", "0 3 * * *", listening),
        "schedules": lambda: engine.aschedules(),
        "backup": lambda: engine.abackup(folder / "copy.db"),
        "verify": lambda: engine.averify(),
        "wait": lambda: engine.await_idle(timeout=WAIT_S),
        "events": lambda: collect(engine),
        "start": lambda: engine.astart(),
    }


async def collect(engine: Tempolite) -> list[Any]:
    return [event async for event in engine.aevents()]


def stepping(ctx: WorkflowContext) -> int:
    return ctx.activity("step", len, "abc").get()


def prepared(engine: Tempolite) -> Tempolite:
    """Runs for each call."""
    for id in ("s", "p", "q", "x", "paused", "c"):
        engine.execute(id, listening)
    engine.execute("deferred", workflow(listening, defer=True))
    engine.execute("ended", listening, True)
    engine.execute("gone", listening, True)
    engine.execute("stepping", stepping)
    engine.pause("paused")
    engine.wait(timeout=WAIT_S)
    return engine


def test_no_twin_blocks_the_loop(make_engine: EngineMaker, home: Home, tmp_path: Path) -> None:
    """While the engine answers nobody, the loop goes round; afterwards each has its answer."""
    engine = prepared(make_engine(**home))
    every = calls(engine, tmp_path)
    blocking = {name for name, fn in methods_of(Tempolite).items() if not is_awaitable(fn)}
    # A connection is made by a client, in another thread; its tests look at that.
    assert blocking - set(every) - set(NO_TWINS) == {"close", "connect"}

    async def main() -> dict[str, Any]:
        with standing_still(engine):
            tasks = {name: asyncio.ensure_future(call()) for name, call in every.items()}
            await ticks()
            assert not any(tasks[name].done() for name in ("execute", "signal", "query", "metrics", "wait"))
        return dict(zip(tasks, await asyncio.wait_for(asyncio.gather(*tasks.values()), WAIT_S), strict=True))

    answers = asyncio.run(main())

    assert (answers["query"], answers["update"], answers["replay"]) == ("q", 8, "ended")
    assert (answers["get"], answers["delete"], answers["start"]) == (engine.get("ended"), 1, engine)
    assert engine.get("c").status == "CANCELLED"
    assert engine.get("x").status == "PAUSED"


def test_twins_of_a_handle_mean_the_same(make_engine: EngineMaker, home: Home) -> None:
    """``await info`` and ``aget`` give the outcome, the others speak to the run."""
    engine = make_engine(**home)

    async def main() -> list[Any]:
        info = await engine.aexecute("a", listening)
        await info.apause()
        await info.aresume()
        answers = [await info.aquery("id"), await info.aupdate("double", 4)]
        await info.asignal("go", 7)
        return [*answers, await info, await info.aget(), len(await info.ahistory()) == len(info.history())]

    assert asyncio.run(main()) == ["a", 8, 7, 7, True]


def test_a_twin_without_patience_gives_what_is_there(make_engine: EngineMaker, home: Home) -> None:
    """As ``get(timeout=0)`` does."""
    engine = prepared(make_engine(**home))

    async def main() -> None:
        assert await engine.get("ended").aget(timeout=0) == "ended"
        with pytest.raises(TimeoutError, match="'s'"):
            await engine.get("s").aget(timeout=0)

    asyncio.run(main())


def test_who_gives_up_an_await_is_forgotten(make_engine: EngineMaker, home: Home) -> None:
    """However often somebody looks whether a run has ended, nothing gathers in the engine."""
    engine = prepared(make_engine(**home))
    waiters = engine._system.directory._waiters

    async def main() -> None:
        for _ in range(20):
            with pytest.raises(TimeoutError):
                await engine.get("s").aget(timeout=0.001)
            task = asyncio.ensure_future(engine.get("s").aget())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    wait_until(lambda: not waiters._of_outcomes)


def test_a_close_cuts_awaits_short(make_engine: EngineMaker, home: Home) -> None:
    """Each ends with ``EngineClosed``, whenever it asked, and so does what comes later."""
    engine = prepared(make_engine(**home))

    async def main() -> list[Any]:
        waits = [engine.get("s").aget(), engine.get("q").aget(timeout=WAIT_S)]
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        await ticks()
        await engine.aclose(timeout=WAIT_S)
        ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), WAIT_S)
        with pytest.raises(EngineClosed):
            await engine.aexecute("late", listening)
        return ended

    assert [type(error) for error in asyncio.run(main())] == [EngineClosed, EngineClosed]


def test_who_asks_while_the_engine_closes_is_told_so(make_engine: EngineMaker) -> None:
    """Its actors have ended, and it has not said yet that it is closed: ``EngineClosed`` all the same."""
    engine = prepared(make_engine())
    engine._system._perform(engine._system.directory.stop_now)

    async def main() -> None:
        for call in (engine.aexecute("new", listening), engine.aquery("q", "id"), engine.get("q").aget()):
            with pytest.raises(EngineClosed):
                await asyncio.wait_for(call, WAIT_S)

    asyncio.run(main())
