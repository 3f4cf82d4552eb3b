"""A host that forks: the child has no engine of its parent's, and may have one of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    EngineClosed,
    EngineLocked,
    Pause,
    Query,
    Queue,
    Tempolite,
    WorkflowContext,
    WorkflowInfo,
)
from tempolite.actors import forking
from tempolite.actors.forking import Undivided
from tempolite.actors.futures import Reply
from tests.embedding.children import in_child
from tests.engine.conftest import EngineMaker
from tests.engine.test_awaitable_twins import NO_TWINS, is_awaitable, methods_of, standing_still
from tests.engine.waiting import wait_until

WAIT_S = 15
INLINE = [Queue("default", kind="inline")]


def waiting(ctx: WorkflowContext) -> Any:
    ctx.on_query("id", lambda: ctx.workflow_id)
    return ctx.signal("go").get()


def working(ctx: WorkflowContext) -> Any:
    return ctx.activity("work", os.getpid).get()


def forking_itself(ctx: WorkflowContext) -> Any:
    return ctx.activity("fork", lambda: in_child(lambda: asyncio.run(with_an_engine_of_its_own()))).get()


async def with_an_engine_of_its_own() -> bool:
    async with Tempolite(queues=INLINE) as mine:
        info = await asyncio.wait_for(mine.aexecute("a", working), WAIT_S)
        ours = await info
        reply: Reply[int] = Reply()
        # Set, once it is awaited, in the very thread that forked: its rounds are over.
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, reply.set, os.getpid())
        return ours == await asyncio.wait_for(awaited(reply), WAIT_S)


def calls(engine: Tempolite, info: WorkflowInfo[Any], folder: Path) -> dict[str, Callable[[], Any]]:
    """What a child may come to call of its parent's engine."""
    return {
        "start": engine.start,
        "with": engine.__enter__,
        "register": lambda: engine.register(waiting),
        "execute": lambda: engine.execute("b", waiting),
        "execute_default": lambda: engine.execute_default("b", waiting),
        "get": lambda: engine.get("a"),
        "signal": lambda: engine.signal("a", "go"),
        "publish_signal": lambda: engine.publish_signal("a", "go"),
        "query": lambda: engine.query("a", "id"),
        "update": lambda: engine.update("a", "id"),
        "pause": lambda: engine.pause("a"),
        "resume": lambda: engine.resume("a"),
        "cancel": lambda: engine.cancel("a"),
        "enqueue": lambda: engine.enqueue("a"),
        "retry": lambda: engine.retry("a"),
        "replay": lambda: engine.replay("a"),
        "fork": lambda: engine.fork("a", "b", before="go"),
        "workflows": engine.workflows,
        "count": engine.count,
        "tree": lambda: engine.tree("a"),
        "history": lambda: engine.history("a"),
        "events": lambda: list(engine.events()),
        "delete": lambda: engine.delete(["a"]),
        "gc": lambda: engine.gc(timedelta(days=1)),
        "create_queue": lambda: engine.create_queue(Queue("other", kind="inline")),
        "scale": lambda: engine.scale("default", 1),
        "queue": lambda: engine.queue("default"),
        "metrics": engine.metrics,
        "schedule": lambda: engine.schedule("nightly", "0 3 * * *", waiting),
        "schedules": engine.schedules,
        "backup": lambda: engine.backup(folder / "copy.db"),
        "verify": engine.verify,
        "wait": engine.wait,
        "info.get": info.get,
        "info.status": lambda: info.status,
        "info.signal": lambda: info.signal("go"),
        "info.history": info.history,
        "actor_ref.tell": lambda: info.actor_ref.tell(Pause()),
        "actor_ref.ask": lambda: info.actor_ref.ask(Pause()),
        "await info": lambda: asyncio.run(awaited(info)),
        "aexecute": lambda: asyncio.run(engine.aexecute("b", waiting)),
        "asignal": lambda: asyncio.run(engine.asignal("a", "go")),
        "ametrics": lambda: asyncio.run(engine.ametrics()),
        "astart": lambda: asyncio.run(engine.astart()),
    }


async def awaited(answer: Any) -> Any:
    return await answer


def refusal(call: Callable[[], Any]) -> str:
    try:
        call()
    except EngineClosed as error:
        return "" if str(os.getppid()) in str(error) and str(os.getpid()) in str(error) else str(error)
    except Exception as error:
        return repr(error)
    return "it was served"


def test_every_call_in_a_forked_child_is_refused_at_once(make_engine: EngineMaker, path: Path) -> None:
    """``EngineClosed`` with both processes' ids; the parent's run and its file notice nothing."""
    engine = make_engine(path)
    info = engine.execute("a", waiting)
    every = calls(engine, info, path.parent)
    blocking = {name for name, fn in methods_of(Tempolite).items() if not is_awaitable(fn)}
    assert blocking - set(every) - {"close", "connect", *NO_TWINS} == set()
    before = engine.metrics().commits

    def try_all() -> dict[str, str]:
        return {name: wrong for name, call in every.items() if (wrong := refusal(call))}

    assert in_child(try_all) == "{}"
    assert engine.metrics().commits == before
    info.signal("go", 1)
    assert info.get(timeout=WAIT_S) == 1


def test_a_close_in_a_forked_child_ends_nothing(make_engine: EngineMaker, path: Path) -> None:
    """As ``with`` and exit hooks call it: it returns, and the parent's engine lives."""
    engine = make_engine(path)

    assert in_child(engine.close) == "None"
    assert in_child(lambda: asyncio.run(engine.aclose())) == "None"

    assert engine.execute("a", working).get(timeout=WAIT_S) == os.getpid()


def test_what_was_asked_before_a_fork_is_not_answered_in_the_child(make_engine: EngineMaker) -> None:
    """A future and an iterator that it takes along end with ``EngineClosed``; what was answered stays."""
    engine = make_engine()
    ref = engine.execute("a", waiting).actor_ref
    answered = ref.ask(Query("id", ()), block=False)
    events = engine.events(follow=True)
    assert (answered.get(timeout=WAIT_S), next(events).workflow) == ("a", "a")

    with standing_still(engine):
        unanswered = ref.ask(Query("id", ()), block=False)
        got = in_child(unanswered.get)
        was_awaited = in_child(lambda: asyncio.run(awaited(unanswered)))

    assert got.startswith(f"EngineClosed: the answer belongs to process {os.getpid()}")
    assert was_awaited == got
    assert in_child(answered.get) == "a"
    assert in_child(lambda: list(events)).startswith("EngineClosed: this engine belongs to process")


def test_a_forked_child_may_have_an_engine_of_its_own(make_engine: EngineMaker, path: Path) -> None:
    """On another file, with worker processes of its own, while the parent's goes on."""
    engine = make_engine(path, queues=[Queue("default", workers=1)])
    engine.execute("a", working).get(timeout=WAIT_S)

    def own() -> Any:
        with Tempolite(path.with_name("own.db"), queues=[Queue("default", workers=1)]) as mine:
            pid = mine.execute("a", working).get(timeout=WAIT_S)
            return pid not in (os.getpid(), os.getppid()) and mine.count()

    assert in_child(own) == "1"
    assert engine.execute("b", working).get(timeout=WAIT_S) != os.getpid()
    assert engine.count() == 2


def test_an_engine_that_was_not_started_before_the_fork_is_the_childs(path: Path) -> None:
    """As in a server that loads the application first and forks its workers then."""
    engine = Tempolite(path, queues=INLINE)

    def use() -> Any:
        with engine:
            return engine.execute("a", working).get(timeout=WAIT_S) == os.getpid()

    assert in_child(use) == "True"
    with engine:
        assert engine.count() == 1


def test_a_fork_in_the_middle_of_a_start_leaves_no_half_engine(
    monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    """The child is refused, and waits for nobody; the parent starts."""
    engine = Tempolite(path, queues=INLINE)
    opened: Callable[[], None] = engine._open
    said: list[str] = []

    def fork_meanwhile() -> None:
        said.append(in_child(engine.start))
        opened()

    monkeypatch.setattr(engine, "_open", fork_meanwhile)

    with engine:
        assert engine.count() == 0
    assert said[0].startswith("EngineClosed: this engine belongs to process")


def test_a_child_of_the_actors_own_thread_may_have_an_engine_of_its_own(make_engine: EngineMaker) -> None:
    """An inline activity forks; what the child's engine answers is not put off to its parent's next round."""

    engine = make_engine()

    assert engine.execute("a", forking_itself).get(timeout=WAIT_S) == "True"


def test_a_forked_child_does_not_get_its_parents_file(make_engine: EngineMaker, path: Path) -> None:
    """Neither while the parent has it nor later: SQLite in the child would believe to have it open."""
    engine = make_engine(path)

    def take() -> None:
        with Tempolite(path, queues=INLINE):
            pass

    def take_later() -> str:
        # The parent ends its engine meanwhile.
        os.write(ready_w, b".")
        os.read(go_r, 1)
        try:
            take()
        except EngineLocked as error:
            return str(error)
        return "it got the file"

    assert in_child(take).startswith(
        f"EngineLocked: {path} is in use by another engine, process {os.getpid()}; speak to it through"
    )
    (ready_r, ready_w), (go_r, go_w) = os.pipe(), os.pipe()
    said: list[str] = []
    child = threading.Thread(target=lambda: said.append(in_child(take_later)))
    child.start()
    os.read(ready_r, 1)
    engine.close()
    os.write(go_w, b".")
    child.join()
    for fd in (ready_r, ready_w, go_r, go_w):
        os.close(fd)

    assert said[0].startswith(f"{path} was open in process {os.getpid()} when this one was forked from it")
    make_engine(path)


def test_a_fork_waits_for_the_transaction_under_way() -> None:
    """SQLite's own locks come along as they are: one that is held would be held in the child for ever."""
    work, held, going_on = Undivided(), threading.Event(), threading.Event()
    order: list[str] = []

    def hold() -> None:
        with work:
            held.set()
            going_on.wait(WAIT_S)
            order.append("done")

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(WAIT_S)
    # What the child says is what was so when it came to be.
    forker = threading.Thread(target=lambda: order.append(in_child(lambda: order)))
    forker.start()
    wait_until(forking._no_fork_meanwhile.locked)
    going_on.set()
    holder.join()
    forker.join()

    assert order == ["done", "['done']"]


def test_transactions_and_readers_are_what_a_fork_waits_for(make_engine: EngineMaker, path: Path) -> None:
    """Each connection of the engine is used within such work."""
    engine = make_engine(path)
    persistence = engine._system.persistence
    advance, held = persistence._advance, []

    def looked(number: int, link: bytes) -> None:
        held.append(is_held(engine._file.undivided))
        advance(number, link)

    persistence._advance = looked  # type: ignore[method-assign]
    engine.execute("a", working).get(timeout=WAIT_S)
    with engine._file.reader():
        held.append(any(is_held(work) for work in list(forking._undivided)))

    assert len(held) >= 3
    assert all(held)


def is_held(work: Undivided) -> bool:
    """Whether another thread would have to wait for it."""
    free: list[bool] = []

    def look() -> None:
        free.append(work._lock.acquire(blocking=False))
        if free[0]:
            work.release()

    looker = threading.Thread(target=look)
    looker.start()
    looker.join()
    return not free[0]


def test_children_of_multiprocessing_are_refused_like_others(make_engine: EngineMaker) -> None:
    """``multiprocessing`` with ``fork``: the error comes out of the target."""
    engine = make_engine()
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()

    def use() -> None:
        theirs.send(refusal(engine.count))

    child = context.Process(target=use)
    child.start()
    assert mine.poll(WAIT_S)
    assert mine.recv() == ""
    child.join(WAIT_S)
    mine.close(), theirs.close()

    assert child.exitcode == 0
    child.close()
    assert engine.count() == 0
