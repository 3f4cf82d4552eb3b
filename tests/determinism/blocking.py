"""What blocks workflow code in tests, for as long as they want."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tempolite import AsyncWorkflowContext, Tempolite, WorkflowContext, WorkflowStuck
from tempolite.actors import watchdog
from tempolite.actors.lost_threads import NAME
from tests.actors.waiting import wait_until

Make = Callable[..., Tempolite]


class Block:
    """Something that blocks for as long as the test wants; it lets go of the interpreter lock."""

    def __init__(self) -> None:
        self.is_open = False
        self._event, self._lock = threading.Event(), threading.Lock()
        self._lock.acquire()
        self._reader, self._writer = os.pipe()
        self.ways: dict[str, Callable[[], Any]] = {
            "event": self._event.wait,
            "lock": self._lock.acquire,
            "pipe": partial(os.read, self._reader, 1),
        }

    def wait(self) -> None:
        """Blocks."""
        self._event.wait()

    def release(self) -> None:
        """Lets everybody go, and waits until their threads have ended."""
        if not self.is_open:
            self.is_open = True
            self._event.set()
            self._lock.release()
            os.close(self._writer)
            wait_until(lambda: not lost_threads(), "what blocked ends its thread")
            os.close(self._reader)


@pytest.fixture
def block(nothing_left: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Block]:
    """Is released at the end; who blocks is given up soon."""
    monkeypatch.setattr(watchdog, "LOST_S", 0.2)
    block = Block()
    yield block
    block.release()


def lost_threads() -> list[str]:
    """Names of all that live."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(NAME)]


def plain(number: int) -> int:
    return number


def quick(ctx: WorkflowContext) -> int:
    return ctx.activity("plain", plain, 7).get()


def adding(ctx: WorkflowContext) -> int:
    total = ctx.activity("plain", plain, 1).get()
    while (number := ctx.signal("number").get()) is not None:
        total += number
    return total


async def adding_async(ctx: AsyncWorkflowContext) -> int:
    total = await ctx.activity("plain", plain, 1)
    while (number := await ctx.signal("number")) is not None:
        total += number
    return total


def make_remembering(make: Make, **settings: Any) -> Tempolite:
    """An engine whose runs keep their live code between turns, in every configuration of the tests."""
    engine = make(**{"resident_workflows": 100, **settings})
    engine.services.is_forgetful = False
    return engine


def get_stuck(engine: Tempolite, workflow: str) -> None:
    """Waits until it is."""
    with pytest.raises(WorkflowStuck, match="TurnTooLong"):
        engine.get(workflow).get(timeout=20)


def close_amid(engine: Tempolite, stay: Callable[[], Any]) -> None:
    """Closes an engine while the code of a run stays in a call; whoever executed that run is let go."""
    started = threading.Event()

    def flow(ctx: WorkflowContext) -> None:
        started.set()
        stay()

    thread = threading.Thread(target=lambda: engine.execute("a", flow))
    thread.start()
    assert started.wait(10)

    engine.close(timeout=5)

    thread.join(10)
    assert not thread.is_alive()
