"""Engines for these tests; each must leave the process as it found it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tempolite import Queue, Tempolite
from tests.workers.processes import children_of, open_fds, thread_names

MakeEngine = Callable[..., Tempolite]


@pytest.fixture
def marks(tmp_path: Path) -> str:
    """A file that activities leave marks in."""
    return str(tmp_path / "marks")


@pytest.fixture
def make_engine() -> Iterator[MakeEngine]:
    """Started engines; they are closed at the end, and nothing of them may be left."""
    fds, threads, children = open_fds(), thread_names(), set(children_of(os.getpid()))
    with ExitStack() as stack:

        def make(*args: Any, **settings: Any) -> Tempolite:
            engine = Tempolite(*args, **settings).start()
            stack.callback(engine.close, timeout=0)
            return engine

        yield make
    left = set(children_of(os.getpid())) - children
    assert not left, f"processes are left: {left}"
    assert thread_names() <= threads, "threads are left"
    assert open_fds() <= fds, "descriptors are left"


@pytest.fixture
def engine(make_engine: MakeEngine) -> Tempolite:
    """One engine with two workers of one slot each."""
    return make_engine(queues=[Queue("default", workers=2)])
