"""User projects in temporary folders, run by pytest within this process."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

import pytest

# pytester forgets modules that were first imported within it; C libraries don't bear being loaded again.
import tempolite.testing.actor_system
import tempolite.testing.clock
import tempolite.testing.crash_points
import tempolite.testing.engines
import tempolite.testing.leaks  # noqa: F401
from tests.engine.conftest import hang_guard  # noqa: F401 - a fixture

Project = Callable[..., pytest.RunResult]

OTHER_PLUGINS = ("hypothesispytest", "asyncio", "xdist")
"""A run of one small test doesn't need them, and takes a second longer with them."""


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    """Runs a test file, with a conftest where there is one, and beside one other plugin; in this process."""

    def run(
        tests: str, *options: str, conftest: str = "", beside: str = "", apart: bool = False
    ) -> pytest.RunResult:
        pytester.makepyfile(test_project=dedent(tests))
        pytester.makeconftest(dedent(conftest))
        without = [f"-pno:{name}" for name in OTHER_PLUGINS if name != beside]
        if apart:
            return pytester.runpytest_subprocess("-q", *without, *options, timeout=30)
        return pytester.runpytest_inprocess("-q", *without, *options)

    return run
