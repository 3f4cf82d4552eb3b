"""The fixtures that pytest finds by itself; nothing of the engine is imported until one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tempolite.testing.actor_system import TestActorSystem
    from tempolite.testing.clock import TestClock
    from tempolite.testing.engines import Engines, TestedEngine
    from tempolite.testing.leaks import Belongings


_BEFORE: pytest.StashKey[Belongings] = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> None:
    """Looks at what there is before a test that uses an engine, and again when all its fixtures are done."""
    is_ours = "tempolite_engines" in (*request.fixturenames, fixturedef.argname)
    if request.scope != "function" or not is_ours or _BEFORE in request.node.stash:
        return
    from tempolite.testing.leaks import Belongings

    before = request.node.stash[_BEFORE] = Belongings.now()
    # The first that is added is the last that is called.
    request.node.addfinalizer(lambda: _fail_for(before.added()))


def _fail_for(left: list[str]) -> None:
    if left:
        pytest.fail("the test left behind:\n  " + "\n  ".join(left), pytrace=False)


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

    # Whatever their order in the test's signature: the first engine has to know.
    clock = request.getfixturevalue("tempolite_clock") if "tempolite_clock" in request.fixturenames else None
    engines = Engines(
        tempolite_settings, lambda: str(tmp_path_factory.mktemp("tempolite") / "engine.db"), clock
    )
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
def tempolite_clock() -> TestClock:
    """Virtual time of every engine of the test: ``.now()``, ``.advance(seconds)``.

    It moves by itself only while the test waits for an engine, and nothing else can happen.
    """
    from tempolite.testing.clock import TestClock

    return TestClock()


@pytest.fixture
def actor_system(tempolite_engines: Engines) -> TestActorSystem:
    """The actors of the test's engines: ``.refs("WorkflowActor")``, ``.wait_idle()``, ``.send(…)``."""
    from tempolite.testing.actor_system import TestActorSystem

    return TestActorSystem(tempolite_engines)
