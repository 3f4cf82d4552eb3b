"""The fixtures that make engines, each used as a user's test would."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    EngineClosed,
    EngineCrashed,
    EngineLocked,
    Queue,
    Tempolite,
    WorkflowContext,
)
from tempolite.testing.engines import TestedEngine
from tempolite.testing.leaks import Belongings
from tests.engine.gates import Effects, Gate, note, pass_gate
from tests.plugin.conftest import Project

Factory = Callable[..., TestedEngine]


def double(ctx: WorkflowContext, number: int) -> int:
    """A workflow without a worker."""
    return ctx.side_effect("double", lambda: 2 * number).get()


def listen(ctx: WorkflowContext) -> str:
    """Waits for one signal."""
    return ctx.signal("go", str).get()


def held(ctx: WorkflowContext, gate: str, effects: str) -> str:
    """A step, and one that is held."""
    ctx.activity("first", note, effects, "first").get()
    return ctx.activity("second", pass_gate, gate).get()


def test_an_engine_is_started_on_a_fresh_file(tempolite_engine: Tempolite) -> None:
    """Nothing is in it, and it works."""
    assert tempolite_engine.count() == 0

    assert tempolite_engine.execute("a", double, 3).get(timeout=10) == 6


def test_an_engine_of_a_factory_is_one_like_any_other(tempolite_factory: Factory) -> None:
    """It takes the same arguments, the database among them."""
    engine = tempolite_factory(":memory:", queues=[Queue("extra", kind="inline")])

    assert isinstance(engine, Tempolite)
    assert engine.queue("extra").kind == "inline"
    assert tempolite_factory(database=":memory:").execute("a", double, 3).get(timeout=10) == 6


def test_the_engines_of_a_factory_share_one_file(tempolite_factory: Factory) -> None:
    """A second one is refused while the first is open, and finds its runs afterwards."""
    first = tempolite_factory()
    first.execute("a", double, 3).get(timeout=10)

    with pytest.raises(EngineLocked):
        tempolite_factory()
    first.close()

    assert tempolite_factory().get("a").get(timeout=10) == 6


def test_the_engine_and_those_of_the_factory_have_files_of_their_own(
    tempolite_engine: Tempolite, tempolite_factory: Factory
) -> None:
    """A test may use both."""
    tempolite_engine.execute("a", double, 3)

    assert tempolite_factory().count() == 0


def test_a_crashed_engine_is_gone_at_once_and_its_file_is_free(tempolite_factory: Factory) -> None:
    """What it had committed is there for the next; it itself answers nobody any more, as if closed."""
    first = tempolite_factory()
    first.execute("a", double, 3).get(timeout=10)

    first.crash()
    first.crash()
    first.close()

    for error in (EngineCrashed, EngineClosed):
        with pytest.raises(error):
            first.get("a")
    assert tempolite_factory().get("a").get(timeout=10) == 6


def test_who_waits_for_a_crashed_engine_is_told_so(tempolite_factory: Factory) -> None:
    """The run itself goes on with the next engine."""
    first, told = tempolite_factory(workflows=[listen]), list[BaseException]()
    info = first.execute("a", listen)

    def wait() -> None:
        try:
            info.get()
        except EngineCrashed as error:
            told.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    first.crash()
    waiter.join(10)

    assert len(told) == 1
    second = tempolite_factory(workflows=[listen])
    second.signal("a", "go", "on")
    assert second.get("a").get(timeout=10) == "on"


def test_a_crash_makes_no_checkpoint_and_commits_nothing_more(tempolite_factory: Factory) -> None:
    """The log lies beside the file, and what ends after the crash is run again."""
    first = tempolite_factory()
    first.execute("a", double, 3).get(timeout=10)
    (database,) = Path(first._file.path).parent.glob("*.db")

    first.crash()

    assert database.with_name(database.name + "-wal").stat().st_size > 0


def test_an_activity_that_a_crash_cut_short_runs_again(tempolite_factory: Factory, tmp_path: Path) -> None:
    """The step before it does not; its process is gone when ``crash`` returns."""
    gate, effects = Gate(tmp_path / "gate"), Effects(tmp_path / "effects")
    first = tempolite_factory(workflows=[held])
    first.execute("a", held, gate.path, effects.path)
    gate.wait_until_reached()
    workers = Belongings.now().children

    first.crash()
    assert not workers & Belongings.now().children
    second = tempolite_factory(workflows=[held])
    gate.wait_until_reached()
    gate.release()

    assert second.get("a").get(timeout=10) == "passed"
    assert effects.lines() == ["first"]
    gate.close()


SETTINGS = """
    import pytest
    from tempolite import Queue

    @pytest.fixture
    def tempolite_settings():
        return {"queues": [Queue("letters", kind="inline")], "signal_limit": 3}
"""


def test_settings_of_a_conftest_are_those_of_every_engine(project: Project) -> None:
    """A module or a class can have others, and a call of the factory, too."""
    outcome = project(
        """
        import pytest
        from tempolite import Queue, QueueNotFound

        def test_the_engine(tempolite_engine):
            assert tempolite_engine.queue("letters").kind == "inline"

        def test_the_factory(tempolite_factory):
            assert tempolite_factory().queue("letters").kind == "inline"
            with pytest.raises(QueueNotFound):
                tempolite_factory(":memory:", queues=[]).queue("letters")

        class TestOthers:
            @pytest.fixture
            def tempolite_settings(self, tempolite_settings):
                return {**tempolite_settings, "database": ":memory:"}

            def test_here(self, tempolite_engine, tempolite_factory):
                assert tempolite_engine._path == ":memory:"
                assert tempolite_factory().queue("letters").kind == "inline"
        """,
        conftest=SETTINGS,
    )

    outcome.assert_outcomes(passed=3)


def test_a_wrong_setting_is_told(project: Project) -> None:
    """As the engine tells it."""
    outcome = project(
        """
        import pytest

        @pytest.fixture
        def tempolite_settings():
            return {"signal_limit": "many"}

        def test_a(tempolite_engine):
            pass
        """
    )

    outcome.assert_outcomes(errors=1)
    outcome.stdout.fnmatch_lines(["*signal_limit is 'many', expected an int from 0*"])


def test_nothing_of_the_engine_is_imported_until_a_fixture_asks(project: Project) -> None:
    """A project that has Tempolite installed, and does not test with it, pays nothing."""
    outcome = project(
        """
        import sys

        HEAVY = ["pykka", "apsw", "dill", "greenlet", "msgspec", "tempolite.engine", "tempolite.actors"]

        def test_without():
            assert "tempolite.testing.plugin" in sys.modules
            assert not [name for name in HEAVY if name in sys.modules]

        def test_with(tempolite_engine):
            assert "tempolite.engine" in sys.modules
        """,
        apart=True,
    )

    outcome.assert_outcomes(passed=2)


def test_tests_run_side_by_side_on_many_processes(project: Project) -> None:
    """pytest-xdist: each test has files of its own."""
    outcome = project(
        """
        import pytest

        def flow(ctx, number):
            return ctx.side_effect("double", lambda: 2 * number).get()

        @pytest.mark.parametrize("number", range(6))
        def test_a(tempolite_engine, number):
            assert tempolite_engine.execute("a", flow, number).get(timeout=10) == 2 * number
        """,
        "-n2",
        beside="xdist",
        apart=True,
    )

    outcome.assert_outcomes(passed=6)


def test_settings_count_from_the_moment_an_engine_is_made(
    tempolite_factory: Factory, tempolite_settings: dict[str, Any]
) -> None:
    """A test may change the dict that it has asked for, too."""
    tempolite_settings["queues"] = [Queue("gpu", kind="inline")]

    assert tempolite_factory().queue("gpu").kind == "inline"


def test_coroutines_are_tested_with_the_same_fixtures(project: Project) -> None:
    """pytest-asyncio, where every coroutine is a test; what its loop keeps is not taken for a leak."""
    outcome = project(
        """
        import asyncio
        from datetime import timedelta

        async def nap(ctx):
            await ctx.sleep("a day", timedelta(days=1))
            return "awake"

        async def test_a(tempolite_clock, tempolite_engine):
            info = await tempolite_engine.aexecute("a", nap)
            assert await asyncio.wait_for(info.aget(timeout=10), 10) == "awake"

        async def test_b(tempolite_engine, tempolite_clock):
            async with asyncio.TaskGroup() as group:
                for number in range(3):
                    group.create_task(tempolite_engine.aexecute(f"a{number}", nap))
            await tempolite_engine.await_idle(timeout=10)
            assert tempolite_engine.count(status="COMPLETED") == 3
        """,
        "--asyncio-mode=auto",
        "-oasyncio_default_fixture_loop_scope=function",
        beside="asyncio",
    )

    outcome.assert_outcomes(passed=2)


def test_a_failed_call_is_shown_at_the_line_of_the_test(project: Project) -> None:
    """Not in the middle of the engine; a fault of the engine's own is shown with its place."""
    result = project(
        """
        from tempolite import Queue

        def divide(ctx):
            return ctx.side_effect("divide", lambda: 1 / 0).get()

        def test_a_step_fails(tempolite_engine):
            tempolite_engine.execute("a", divide).get()

        def test_a_call_is_wrong(tempolite_engine):
            tempolite_engine.execute(5, divide)

        def test_the_engine_is_at_fault(tempolite_engine, monkeypatch):
            monkeypatch.setattr("tempolite.engine.running.Running._start_request", lambda *_: 1 // 0)
            tempolite_engine.execute("a", divide)
        """
    )

    result.stdout.fnmatch_lines(
        ["test_project.py:7: ZeroDivisionError", "test_project.py:10: InvalidArguments"]
    )
    result.stdout.fnmatch_lines(["*running.py:*: in execute"])
    result.stdout.no_fnmatch_line("*handle.py:*")
