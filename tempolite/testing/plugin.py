"""The fixtures that pytest finds by itself; nothing of the engine is imported until one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tempolite.testing.actor_system import TestActorSystem
    from tempolite.testing.clock import TestClock
    from tempolite.testing.crash_points import CrashedRun, Scenario
    from tempolite.testing.engines import Engines, TestedEngine
    from tempolite.testing.leaks import Belongings


_BEFORE: pytest.StashKey[Belongings] = pytest.StashKey()
"""What there was before the test that runs now, if that uses an engine."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Looks at what there is before a test that uses an engine, and again when all its fixtures are done."""
    stash = request.config.stash
    if request.scope == "function":
        if _BEFORE not in stash and "tempolite_engines" in (*request.fixturenames, fixturedef.argname):
            _watch(request)
        return (yield)
    if _BEFORE not in stash:
        return (yield)
    # Asked for in the middle of a test, and not its own: it lives on.
    belongings = type(stash[_BEFORE])
    before = belongings.now()
    try:
        return (yield)
    finally:
        stash[_BEFORE] = stash[_BEFORE].and_what_came(before, belongings.now())


def _watch(request: pytest.FixtureRequest) -> None:
    from tempolite.testing.leaks import Belongings

    stash = request.config.stash
    stash[_BEFORE] = Belongings.now()

    def look() -> None:
        before = stash[_BEFORE]
        del stash[_BEFORE]
        _fail_for(before.added())

    # The first that is added is the last that is called.
    request.node.addfinalizer(look)


def _fail_for(left: list[str]) -> None:
    if left:
        pytest.fail("the test left behind:\n  " + "\n  ".join(left), pytrace=False)


_ENGINES: pytest.StashKey[Engines] = pytest.StashKey()
_NOTES = pytest.StashKey[dict[str, str]]()
"""What a failed test's report adds, by topic."""


@pytest.fixture
def tempolite_settings() -> dict[str, Any]:
    """Arguments of every engine of the other fixtures; override it to change them."""
    return {}


@pytest.fixture
def tempolite_engines(
    request: pytest.FixtureRequest,
    tempolite_settings: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Engines]:
    """What the other fixtures make engines with; one for each test."""
    from tempolite.testing.engines import Engines
    from tempolite.testing.hidden_frames import hide_own_frames

    hide_own_frames()
    # Whatever their order in the test's signature: the first engine has to know.
    clock = request.getfixturevalue("tempolite_clock") if "tempolite_clock" in request.fixturenames else None
    engines = Engines(
        tempolite_settings, lambda: str(tmp_path_factory.mktemp("tempolite") / "engine.db"), clock
    )
    if "actor_system" in request.fixturenames:
        engines.listen()
    request.node.stash[_ENGINES] = engines
    yield engines
    engines.close()


@pytest.fixture
def tempolite_engine(tempolite_engines: Engines) -> TestedEngine:
    """A started engine on a fresh temporary file; closed at the end of the test."""
    return tempolite_engines.make_alone()


@pytest.fixture
def tempolite_factory(tempolite_engines: Engines) -> Callable[..., TestedEngine]:
    """Makes started engines, as many as the test wants, by default all on one temporary file.

    ``tempolite_factory(**arguments)`` takes the arguments of ``Tempolite``. Each engine can be killed with
    ``.crash()``; the next call then opens the same file again.
    """
    return tempolite_engines.make


@pytest.fixture
def tempolite_clock(request: pytest.FixtureRequest) -> TestClock:
    """Virtual time of every engine of the test: ``.now()``, ``.advance(seconds)``.

    It moves by itself only while the test waits for an engine, and nothing else can happen.
    """
    from tempolite.errors import InvalidState
    from tempolite.testing.clock import TestClock

    if _ENGINES in request.node.stash:
        raise InvalidState(
            "tempolite_clock comes too late for the test's engines; name it in the test's signature"
        )
    return TestClock()


@pytest.fixture
def actor_system(request: pytest.FixtureRequest, tempolite_engines: Engines) -> TestActorSystem:
    """The actors of the test's engines: ``.refs("WorkflowActor")``, ``.messages``, ``.seeded(seed)`` …"""
    from tempolite.testing.actor_system import TestActorSystem

    return TestActorSystem(tempolite_engines, partial(_note, request.node))


@pytest.fixture
def tempolite_crash_points(
    request: pytest.FixtureRequest, tempolite_engines: Engines
) -> Callable[[Scenario], Iterator[CrashedRun]]:
    """``for run in tempolite_crash_points(scenario)``: killed after each of its commits, and reopened."""
    from tempolite.testing.crash_points import CrashPoints

    return CrashPoints(tempolite_engines, partial(_note, request.node))


# ── what the report of a failed test says ───────────────────────────────────────────────────────────────


def _note(item: pytest.Item, topic: str, text: str) -> None:
    item.stash.setdefault(_NOTES, {})[topic] = text


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Says how to have a failed test happen again."""
    report = yield
    notes = "\n".join(filter(None, item.stash.get(_NOTES, {}).values()))
    if report.failed and notes:
        report.sections.append(("tempolite", notes))
    return report
