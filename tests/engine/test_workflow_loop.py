"""The event loop of an async workflow, on its own."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

import pytest

from tempolite.execution.workflow_loop import new_loop


class NoTime:
    """The time of a run that waits for none."""

    def now_s(self) -> float:
        """The beginning."""
        return 0.0

    def start(self, delay_s: float, fire: Callable[[], None]) -> Callable[[], None]:
        """Never fires."""
        return lambda: None


def test_tasks_that_are_dropped_go_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    """A run goes with its engine: asyncio would tell of each task, at some time, in some other test."""
    loop = new_loop(NoTime())
    waited_for = [loop.create_future()]

    async def wait() -> None:
        await asyncio.shield(waited_for[0])

    tasks = [loop.create_task(wait())]
    loop.run_ready()
    assert not tasks.pop().done()
    waited_for.clear()
    del loop
    gc.collect()

    assert caplog.records == []
