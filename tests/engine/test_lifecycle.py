"""Starting and closing engines, what they refuse outside of that, and who may have the file."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tempolite import EngineClosed, Queue, Tempolite, TempoliteError, WorkflowContext
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate

CALLS: dict[str, Callable[[Tempolite], Any]] = {
    "execute": lambda engine: engine.execute("a", double, 1),
    "get": lambda engine: engine.get("a"),
    "history": lambda engine: engine.history("a"),
    "workflows": lambda engine: engine.workflows(),
    "count": lambda engine: engine.count(),
    "wait": lambda engine: engine.wait(timeout=5),
    "queue": lambda engine: engine.queue("default"),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


def double(ctx: WorkflowContext, number: int) -> int:
    return number * 2


def held(ctx: WorkflowContext, gate: str) -> str:
    return ctx.activity("hold", pass_gate, gate).get()


def held_and_noted(ctx: WorkflowContext, gate: str, effects: str) -> str:
    passed = ctx.activity("hold", pass_gate, gate).get()
    return ctx.activity("note", note, effects, passed).get()


def test_an_idle_engine_closes_without_a_word(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """However short the time that running activities get: there is none."""
    engine = make_engine(queues=[Queue("default", kind="thread", workers=2), Queue("other", kind="inline")])
    engine.execute("a", double, 21).get(timeout=10)

    engine.close(timeout=0)

    assert caplog.messages == []


def test_an_engine_is_a_context_manager_that_gives_itself(database: str) -> None:
    """``with Tempolite(…) as tp`` starts it, and closes it at the end."""
    with Tempolite(database) as engine:
        result = engine.execute("a", double, 21).get(timeout=10)

    assert result == 42
    with pytest.raises(EngineClosed):
        engine.count()


def test_start_gives_the_engine_and_close_may_come_twice(database: str) -> None:
    """``start()`` can be chained; ``close()`` is idempotent."""
    engine = Tempolite(database)

    started = engine.start()
    engine.close()
    engine.close()

    assert started is engine


def test_an_engine_that_never_started_can_be_closed(database: str) -> None:
    """Nothing to end is no error, and no file is made."""
    engine = Tempolite(database)

    engine.close()

    assert not Path(database).exists()


def test_an_error_in_the_block_closes_the_engine_and_comes_out(database: str) -> None:
    """``with`` hides nothing."""
    with pytest.raises(ZeroDivisionError), Tempolite(database) as engine:
        _ = 1 / 0

    with pytest.raises(EngineClosed):
        engine.count()


@every_call
def test_calls_before_start_are_refused(call: Callable[[Tempolite], Any]) -> None:
    """``EngineClosed``, and nothing happens."""
    engine = Tempolite()

    with pytest.raises(EngineClosed):
        call(engine)


@every_call
def test_calls_after_close_are_refused(make_engine: EngineMaker, call: Callable[[Tempolite], Any]) -> None:
    """``EngineClosed`` again."""
    engine = make_engine()
    engine.close()

    with pytest.raises(EngineClosed):
        call(engine)


def test_a_closed_engine_does_not_start_again(make_engine: EngineMaker, database: str) -> None:
    """Make a new one instead."""
    engine = make_engine(database)
    engine.close()

    with pytest.raises(EngineClosed):
        engine.start()


def test_register_is_allowed_before_start(database: str) -> None:
    """It gives the function back, so it can stand as a decorator."""
    engine = Tempolite(database)

    assert engine.register(double) is double


def test_a_waiting_get_is_cut_short_by_close(make_engine: EngineMaker, gate: Gate) -> None:
    """Whoever waits gets ``EngineClosed``, not silence."""
    engine = make_engine(queues=[Queue("default", kind="thread", workers=1)])
    info = engine.execute("a", held, gate.path)
    gate.wait_until_reached()
    outcome = waiting(lambda: info.get(timeout=20))

    engine.close(timeout=0)

    assert isinstance(outcome(), EngineClosed)


def test_a_waiting_wait_is_cut_short_by_close(make_engine: EngineMaker, gate: Gate) -> None:
    """The same for ``wait``."""
    engine = make_engine(queues=[Queue("default", kind="thread", workers=1)])
    engine.execute("a", held, gate.path)
    gate.wait_until_reached()
    outcome = waiting(lambda: engine.wait(timeout=20))

    engine.close(timeout=0)

    assert isinstance(outcome(), EngineClosed)


def test_a_handle_of_a_closed_engine_is_refused(make_engine: EngineMaker, database: str) -> None:
    """What is read fresh can't be read any more."""
    engine = make_engine(database)
    info = engine.execute("a", double, 1)
    info.get(timeout=10)
    engine.close()

    assert info.id == "a"
    with pytest.raises(EngineClosed):
        _ = info.status
    with pytest.raises(EngineClosed):
        info.history()


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_close_lets_a_running_activity_finish(
    make_engine: EngineMaker, path: Path, gate: Gate, effects: Effects, kind: str
) -> None:
    """Its outcome is recorded before the end, so it is not run again."""
    queues = [Queue("default", kind=kind, workers=1)]  # type: ignore[arg-type]
    engine = make_engine(path, queues=queues)
    engine.execute("a", held_and_noted, gate.path, effects.path)
    gate.wait_until_reached()

    closing = waiting(lambda: engine.close(timeout=20))
    gate.release()
    assert closing() is None

    reopened = make_engine(path, queues=queues, workflows=[held_and_noted])
    assert reopened.get("a").get(timeout=10) == "passed"
    assert not gate.is_reached_within(0)
    assert effects.lines() == ["passed"]


def test_close_ends_an_activity_that_takes_too_long(make_engine: EngineMaker, path: Path, gate: Gate) -> None:
    """Past its time-out it is stopped; the next start runs it again."""
    queues = [Queue("default", kind="process", workers=1)]
    engine = make_engine(path, queues=queues)
    engine.execute("a", held, gate.path)
    gate.wait_until_reached()

    engine.close(timeout=0)

    reopened = make_engine(path, queues=queues, workflows=[held])
    gate.wait_until_reached()
    gate.release()
    assert reopened.get("a").get(timeout=10) == "passed"


def test_engines_in_one_process_know_nothing_of_each_other(make_engine: EngineMaker, tmp_path: Path) -> None:
    """Two files and two in memory: four engines with an ``a`` of their own."""
    places = [tmp_path / "one.db", tmp_path / "two.db", ":memory:", ":memory:"]
    engines = [make_engine(place) for place in places]

    results = [engine.execute("a", double, n).get(timeout=10) for n, engine in enumerate(engines)]

    assert results == [0, 2, 4, 6]
    assert [engine.count() for engine in engines] == [1, 1, 1, 1]


def test_an_engine_can_be_closed_from_another_thread(make_engine: EngineMaker, database: str) -> None:
    """Every method may be called from any thread."""
    engine = make_engine(database)

    assert waiting(engine.close)() is None

    with pytest.raises(EngineClosed):
        engine.count()


def test_close_from_several_threads_at_once_ends_all_of_them(make_engine: EngineMaker, database: str) -> None:
    """All return, and only after the engine has ended."""
    engine = make_engine(database)
    engine.execute("a", double, 1).get(timeout=10)

    closings = [waiting(engine.close) for _ in range(4)]

    assert [closing() for closing in closings] == [None] * 4


def test_nothing_runs_any_more_when_close_returns(make_engine: EngineMaker, path: Path) -> None:
    """Threads and processes are gone at that moment, not soon after."""
    threads = set(threading.enumerate())
    engine = make_engine(path, queues=[Queue("default", workers=2), Queue("t", kind="thread")])
    engine.execute("a", worker_pid).get(timeout=20)
    pid = engine.get("a").get(timeout=1)

    engine.close()

    assert set(threading.enumerate()) == threads
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_engine_is_an_async_context_manager_too(database: str) -> None:
    """``async with``, and the awaitable twins in it."""

    async def main() -> int:
        async with Tempolite(database) as engine:
            info = await engine.aexecute("a", double, 21)
            return await info

    assert asyncio.run(main()) == 42


def test_a_place_that_cannot_be_opened_is_an_error_at_start(tmp_path: Path) -> None:
    """A folder that does not exist: an error at once, and nothing is left running."""
    engine = Tempolite(tmp_path / "missing" / "engine.db")

    with pytest.raises((TempoliteError, OSError)):
        engine.start()


def worker_pid(ctx: WorkflowContext) -> int:
    return ctx.activity("pid", os.getpid).get()


def waiting(call: Callable[[], Any]) -> Callable[[], Any]:
    """Starts ``call`` in a thread; what it gives or raises comes from the function that is returned."""
    outcome: list[Any] = []
    begun = threading.Event()

    def run() -> None:
        begun.set()
        try:
            outcome.append(call())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait(5)

    def result() -> Any:
        thread.join(20)
        return outcome[0]

    return result
