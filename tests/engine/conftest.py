"""Engines for tests: closed at the end, with no thread, child process or open file left of them."""

from __future__ import annotations

import faulthandler
import gc
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tempolite import Queue, Tempolite
from tests.engine.gates import Effects, Gate
from tests.engine.timelines import HELD, Timeline, double

TEST_S = 40
"""No test of these may take longer, whatever happens."""
GRACE_S = 10
"""For what a crashed engine leaves to the system to end."""

EngineMaker = Callable[..., Tempolite]


@pytest.fixture(autouse=True)
def hang_guard() -> Iterator[None]:
    """Fails a test that hangs, wherever it does."""

    def fail(*_: object) -> None:
        faulthandler.dump_traceback()
        raise TimeoutError(f"the test took longer than {TEST_S} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(TEST_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def nothing_left(hang_guard: None) -> Iterator[None]:
    """Fails a test that leaves a thread, a child process or an open file."""
    threads, children, files = set(threading.enumerate()), _children(), _open_files()
    yield
    for thread in set(threading.enumerate()) - threads:
        thread.join(GRACE_S)
    for child in _children() - children:
        _wait_for_end(child)
    if _open_files() - files:
        gc.collect()
    assert not set(threading.enumerate()) - threads, "threads are left"
    assert not _children() - children, "child processes are left"
    assert not _open_files() - files, "open files are left"


@pytest.fixture
def make_engine(nothing_left: None, tmp_path: Path) -> Iterator[EngineMaker]:
    """Makes started engines, with inline activities unless told; closes them at the end."""
    engines: list[Tempolite] = []

    def make(database: str | os.PathLike[str] = ":memory:", **settings: Any) -> Tempolite:
        settings.setdefault("queues", [Queue("default", kind="inline")])
        engine = Tempolite(database, **settings)
        engines.append(engine)
        return engine.start()

    yield make
    for engine in reversed(engines):
        engine.close(timeout=5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database file may be; nothing is there yet."""
    return tmp_path / "engine.db"


@pytest.fixture(params=["file", "memory"])
def database(request: pytest.FixtureRequest, path: Path) -> str:
    """Both kinds of database, one after the other."""
    return ":memory:" if request.param == "memory" else str(path)


@pytest.fixture
def engine(make_engine: EngineMaker, database: str) -> Tempolite:
    """A started engine on either kind of database, with inline activities."""
    return make_engine(database)


@pytest.fixture(params=["file", "memory", "put away"])
def home(request: pytest.FixtureRequest, path: Path) -> dict[str, Any]:
    """Settings of an engine: on a file, in memory, or on a file with every idle run put away."""
    if request.param == "memory":
        return {"database": ":memory:"}
    return {"database": str(path), **({"resident_workflows": 0} if request.param == "put away" else {})}


@pytest.fixture(params=["kept", "put away"])
def on_file(request: pytest.FixtureRequest, path: Path) -> dict[str, Any]:
    """Settings of an engine on a file, which may be opened again: idle runs are kept in memory, or not."""
    return {"database": str(path), **({"resident_workflows": 0} if request.param == "put away" else {})}


@pytest.fixture
def line(path: Path, nothing_left: None) -> Iterator[Timeline]:
    """An engine in virtual time, which knows ``double`` and has a queue without workers."""
    timeline = Timeline(path)
    timeline.open(double, queues=[HELD])
    yield timeline
    timeline.tp.close()


@pytest.fixture
def make_gate(make_engine: EngineMaker, tmp_path: Path) -> Iterator[Callable[[str], Gate]]:
    """Makes gates by name; they open before the engines close."""
    gates: list[Gate] = []

    def make(name: str) -> Gate:
        gates.append(Gate(tmp_path / name))
        return gates[-1]

    yield make
    for gate in gates:
        gate.close()


@pytest.fixture
def gate(make_gate: Callable[[str], Gate]) -> Gate:
    """One place where activities are held."""
    return make_gate("gate")


@pytest.fixture
def effects(tmp_path: Path) -> Effects:
    """What activities did."""
    return Effects(tmp_path / "effects")


def _children() -> set[int]:
    """Those of every thread, zombies included."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found.update(map(int, (task / "children").read_text().split()))
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended
            continue
    return found


def _wait_for_end(pid: int) -> None:
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([watch], [], [], GRACE_S)
    finally:
        os.close(watch)


def _open_files() -> set[tuple[str, str]]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
        except FileNotFoundError:
            continue
    return found
