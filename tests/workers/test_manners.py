"""Activities that behave badly towards their worker: garbage, chatter, and processes left behind."""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tempolite import ActivityTimeout, Queue, Tempolite, WorkerLost
from tests.workers.calls import DEADLINE_S, begin, losses, outcome, several_activities
from tests.workers.conftest import MakeEngine
from tests.workers.marks import marked
from tests.workers.processes import Watched, children_of, is_running, wait_for

LONG_ENOUGH_S = 5.0
GARBAGE_S = 10.0
"""Within that time a spoilt connection has been noticed three times."""

SHORT = {"timeout": 0.3, "grace": 0.2}


@pytest.fixture
def engine(make_engine: MakeEngine, tmp_path: Path) -> Tempolite:
    """One worker, and a file, so that there is something that could be damaged."""
    return make_engine(tmp_path / "runs.db", queues=[Queue("default", workers=1)])


# ── descriptors and streams ─────────────────────────────────────────────────────────────────────────────


GARBAGE = {
    "a few random bytes": random.Random(1).randbytes(300),
    "zeros": bytes(300),
    "a line of text": b"hello, world\n",
    "one newline": b"\n",
    "the length of a frame that never comes": b"\x00\x10\x00\x00" + bytes(4),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_in_every_descriptor_costs_only_its_own_activity(engine: Tempolite, kind: str) -> None:
    """The worker whose connection is spoilt is replaced at once; the engine goes on."""
    info = begin(engine, "write_into_every_fd", GARBAGE[kind])

    with pytest.raises(WorkerLost):
        info.get(timeout=GARBAGE_S)

    assert len(losses(info)) == 3
    assert outcome(engine, "add", 1, 2) == 3


def test_garbage_of_one_activity_does_not_become_the_result_of_another(make_engine: MakeEngine) -> None:
    """Neighbours in the same worker get their own results, or run again."""
    engine = make_engine(queues=[Queue("default", workers=1, slots=4)])
    calls: list[tuple[str, list[Any], dict[str, Any]]] = [("add", [n, n], {}) for n in range(40)]
    calls[7] = ("write_into_every_fd", [GARBAGE["a few random bytes"]], {})

    results = engine.execute(None, several_activities, calls).get(timeout=DEADLINE_S)

    assert results[7] == "WorkerLost"
    assert [*results[:7], *results[8:]] == [2 * n for n in range(40) if n != 7]


def test_chatter_of_an_activity_blocks_and_breaks_nothing(
    engine: Tempolite, capfd: pytest.CaptureFixture[str]
) -> None:
    """Output goes where the application's goes; the result arrives."""
    assert outcome(engine, "print_much", 50_000) == 50_000

    assert "line 49999" in capfd.readouterr().out


def test_worker_holds_nothing_of_the_engine_but_its_own_connection(engine: Tempolite, tmp_path: Path) -> None:
    """No database, no lock of the engine, no connection of another worker; two files are its own business."""
    with (tmp_path / "of the host").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        found = outcome(engine, "open_fds")

    strangers = [entry for entry in found if entry.startswith(str(tmp_path))]
    assert not [entry for entry in strangers if not entry.endswith(("-workers", "-running"))]
    assert len([entry for entry in found if entry.startswith("socket:")]) == 1


# ── grandchildren ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", ["popen", "fork"])
def test_grandchild_is_gone_after_its_worker_was_killed(engine: Tempolite, marks: str, way: str) -> None:
    """A time-out ends the worker's whole process group."""
    with pytest.raises(ActivityTimeout):
        outcome(engine, "start_grandchild_and", "loop", marks, way, **SHORT)

    assert_grandchildren_end(marks, 1)


@pytest.mark.parametrize("way", ["popen", "fork"])
def test_grandchild_is_gone_after_its_worker_died(engine: Tempolite, marks: str, way: str) -> None:
    """Whoever killed the worker: what it had started goes too."""
    with pytest.raises(WorkerLost):
        outcome(engine, "start_grandchild_and", "die", marks, way)

    assert_grandchildren_end(marks, 3)


@pytest.mark.parametrize("way", ["popen", "fork"])
def test_grandchild_is_gone_after_the_engine_was_closed(engine: Tempolite, marks: str, way: str) -> None:
    """An activity that forgot its child does not keep it alive beyond the engine."""
    assert outcome(engine, "start_grandchild_and", "return", marks, way) == "done"
    assert is_running(grandchildren(marks)[0])

    engine.close()

    assert_grandchildren_end(marks, 1)


def test_no_process_is_left_when_the_engine_is_closed(make_engine: MakeEngine) -> None:
    """Workers that ended, idle ones and busy ones: none is a child or a zombie afterwards."""
    before = set(children_of(os.getpid()))
    engine = make_engine(queues=[Queue("default", workers=3)])
    for n in range(10):
        outcome(engine, "add", n, 1)
    busy = begin(engine, "block_signals_and_loop")
    with pytest.raises(WorkerLost):
        outcome(engine, "segfault")
    assert busy.status == "RUNNING"

    engine.close(timeout=0)

    assert set(children_of(os.getpid())) == before


def test_process_that_an_activity_forks_ends_by_term_as_any_other(engine: Tempolite) -> None:
    """As those of ``multiprocessing`` do: what the worker makes of TERM is no business of theirs."""
    assert outcome(engine, "terminate_a_fork") == (signal.SIGTERM, False)


def test_host_that_waits_for_its_children_takes_none_of_ours(engine: Tempolite, marks: str) -> None:
    """A host may reap any child that it finds: the engine still sees the end of its worker."""
    pid = outcome(engine, "pid_of_worker")
    info = begin(engine, "kill_itself", marks, 1)

    wait_for("the death", lambda: marked(marks) == ["call"] * len(marked(marks)) and marked(marks) != [])
    reap(pid)

    assert info.get(timeout=DEADLINE_S) == "alive"
    assert len(losses(info)) == 1


# ── how the tests say it ────────────────────────────────────────────────────────────────────────────────


def reap(pid: int) -> None:
    """Takes the exit status of a child away, as ``os.wait()`` of a host would; the engine may be faster."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        assert sys.platform == "linux"


def grandchildren(marks: str) -> list[int]:
    """Pids that were written down."""
    return [int(line.split()[1]) for line in marked(marks) if line.startswith("grandchild ")]


def assert_grandchildren_end(marks: str, count: int) -> None:
    """All of them are gone within a moment."""
    pids = grandchildren(marks)
    assert len(pids) == count
    for pid in filter(is_running, pids):
        try:
            with Watched(pid) as grandchild:
                assert grandchild.ends_within(LONG_ENOUGH_S), f"process {pid} lives on"
        except ProcessLookupError:
            continue
