"""The same tests in other configurations: ``TEMPOLITE_TESTS=always-replay`` or ``one-worker``.

``always-replay``: after every turn the workflow's code is thrown away and replayed at the next, and every run
that only waits leaves memory. ``one-worker``: every queue that doesn't say otherwise has one worker.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tempolite.actors import system
from tempolite.engine.lifecycle import Lifecycle

CONFIGURATION = os.environ.get("TEMPOLITE_TESTS", "normal")


HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What lies beside this file takes longest, and comes first.

    With several processes these tests go to one of them, which builds once what they look at; short ones are
    left for the end.
    """
    items.sort(key=lambda item: item.path.parent != HERE)


@pytest.fixture(autouse=True, scope="session")
def configuration() -> Iterator[None]:
    """Engines of this test run are made as the configuration says."""
    with pytest.MonkeyPatch.context() as patch:
        match CONFIGURATION:
            case "normal":
                pass
            case "always-replay":
                patch.setattr(Lifecycle, "__init__", forgetful(Lifecycle.__init__))
            case "one-worker":
                patch.setattr(system, "worker_count", one_worker(system.worker_count))
            case _:
                raise pytest.UsageError(f"TEMPOLITE_TESTS is {CONFIGURATION!r}, a configuration nobody knows")
        yield


def forgetful(make: Any) -> Any:
    """Engines whose runs keep nothing in memory that is not in their history."""

    def make_forgetful(self: Lifecycle, *args: Any, **settings: Any) -> None:
        settings.setdefault("resident_workflows", 0)
        make(self, *args, **settings)
        self.services.is_forgetful = True

    return make_forgetful


def one_worker(count: Any) -> Any:
    """Queues with one worker, but for those that ask for another number."""
    return lambda queue: 1 if queue.workers is None else count(queue)
