"""Nothing is left: descriptors, threads and zombies after many deaths, processes after the engine's end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tempolite import Queue, Tempolite, WorkerLost
from tempolite.actors import frames, worker_process
from tests.workers.calls import DEADLINE_S, begin, losses, outcome
from tests.workers.conftest import MakeEngine
from tests.workers.marks import count_marks
from tests.workers.processes import Watched, children_of, is_running, open_fds, thread_names, wait_for

DEATHS = 102
WORKERS = 2
MORTAL_WORKER = """
import os, sys
connection, heard = int(sys.argv[1]), b""
os.write(connection, bytes.fromhex("{ready}"))
while b"{run}" not in heard:
    said = os.read(connection, 65536)
    if not said:
        os._exit(0)
    heard += said
os._exit(3)
"""
"""A worker that imports nothing, to be started soon, and ends where it should run something."""

ORPHANS_END_S = 1.0
ROOT = Path(__file__).parents[2]

ENGINE_SCRIPT = """
import json, sys
from tempolite import Queue, Tempolite
from tests.workers.calls import one_activity

engine = Tempolite(sys.argv[1], queues=[Queue("default", workers=1)]).start()
engine.execute("run", one_activity, sys.argv[2], json.loads(sys.argv[3]), {})
engine.wait()
sys.stdin.read()
"""

WORKING = ("clean_up_when_told", "{marks}")

FORKING_SCRIPT = """
import json, os, sys
from tempolite import Queue, Tempolite
from tests.workers.calls import one_activity
from tests.workers.marks import count_marks
from tests.workers.processes import wait_for

engine = Tempolite(sys.argv[1], queues=[Queue("default", workers=1)]).start()
engine.execute("run", one_activity, sys.argv[2], json.loads(sys.argv[3]), {})
wait_for("the activity", lambda: count_marks(sys.argv[4], "working") > 0)
if os.fork() == 0:
    os.read(0, 1)
    os._exit(0)
with open(sys.argv[4], "a") as marks:
    marks.write("under way\\n")
engine.wait()
"""


def test_nothing_leaks_in_a_hundred_worker_deaths(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Descriptors, threads and children are as many as before, and no zombie is among them."""
    engine = make_engine(queues=[Queue("default", workers=WORKERS)])
    warm_up(engine)
    fds, threads = open_fds(), thread_names()
    ready = frames.pack(frames.Ready()).hex()
    monkeypatch.setattr(worker_process, "_BOOT", MORTAL_WORKER.format(ready=ready, run=frames.Run.__name__))

    infos = [begin(engine, "leave") for _ in range(DEATHS // 3)]
    for info in infos:
        with pytest.raises(WorkerLost, match="exit code 3"):
            info.get(timeout=3 * DEADLINE_S)

    assert sum(len(losses(info)) for info in infos) == DEATHS
    wait_for("the last ones to be replaced or gone", lambda: open_fds() <= fds)
    assert thread_names() == threads
    children = children_of(os.getpid())
    assert len(children) <= WORKERS
    assert all(is_running(child) for child in children)


@pytest.mark.parametrize(
    "hang",
    [
        "mark_and_loop",
        "mark_and_block_in_c",
        "mark_and_block_in_c_with_gil",
        "mark_and_stop",
        "mark_and_be_deaf",
    ],
)
def test_workers_of_a_killed_engine_end_within_a_second(tmp_path: Path, hang: str) -> None:
    """P8: whatever their code is doing when the engine is gone; the last one is idle by then."""
    with engine_process(ENGINE_SCRIPT, tmp_path, "say_and", "{marks}", hang) as engine, ExitStack() as stack:
        workers = [stack.enter_context(Watched(pid)) for pid in children_of(engine.pid)]
        assert len(workers) == 1

        engine.kill()

        assert all(worker.ends_within(ORPHANS_END_S) for worker in workers)


@pytest.mark.parametrize("way", ["popen", "fork"])
def test_grandchildren_of_a_killed_engine_end_with_its_workers(tmp_path: Path, way: str) -> None:
    """What an activity started goes too."""
    grandchild = ("start_grandchild_and", "loop", "{marks}", way)
    with engine_process(ENGINE_SCRIPT, tmp_path, *grandchild) as engine, ExitStack() as stack:
        marks = (tmp_path / "marks").read_text().splitlines()
        pids = [int(line.split()[1]) for line in marks if line.startswith("grandchild")]
        grandchildren = [stack.enter_context(Watched(pid)) for pid in pids]
        assert len(grandchildren) == 1

        engine.kill()

        assert grandchildren[0].ends_within(ORPHANS_END_S)


def test_workers_end_though_a_forked_child_of_the_host_lives_on(tmp_path: Path) -> None:
    """P8: a host that forked (``multiprocessing`` on Linux does) is dead all the same when it is killed."""
    with (
        engine_process(FORKING_SCRIPT, tmp_path, "clean_up_when_told", "{marks}") as engine,
        ExitStack() as stack,
    ):
        children = [stack.enter_context(Watched(pid)) for pid in children_of(engine.pid)]
        forked = [child for child in children if is_fork_of(child.pid, engine.pid)]
        workers = [child for child in children if child not in forked]
        assert (len(workers), len(forked)) == (1, 1)
        stack.callback(os.kill, forked[0].pid, signal.SIGKILL)

        engine.kill()

        assert workers[0].ends_within(ORPHANS_END_S)


def test_next_engine_starts_though_a_forked_child_of_the_last_host_lives_on(tmp_path: Path) -> None:
    """The lock on the file ends with the engine's process, not with the processes that it forked."""
    with (
        engine_process(FORKING_SCRIPT, tmp_path, "clean_up_when_told", "{marks}") as engine,
        ExitStack() as stack,
    ):
        children = children_of(engine.pid)
        forked = [child for child in children if is_fork_of(child, engine.pid)]
        stack.callback(os.kill, forked[0], signal.SIGKILL)
        engine.kill()
        engine.wait()

        Tempolite(tmp_path / "runs.db").start().close(timeout=0)


@contextmanager
def engine_process(script: str, folder: Path, activity: str, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    """An engine in a process of its own, once its activity is under way; killed at the end.

    ``{marks}`` among the activity's arguments is the file in which it says so.
    """
    marks = folder / "marks"
    filled = json.dumps([arg.format(marks=marks) for arg in args])
    command = [sys.executable, "-c", script, str(folder / "runs.db"), activity, filled, str(marks)]
    engine = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)
    try:
        wait_for("the activity", lambda: is_under_way(marks) or engine.poll() is not None)
        assert engine.poll() is None
        yield engine
    finally:
        engine.kill()
        engine.wait()
        assert engine.stdin is not None
        engine.stdin.close()


def is_under_way(marks: Path) -> bool:
    """Whether the activity said so."""
    return count_marks(marks, "under way") + count_marks(marks, "grandchild") > 0


def is_fork_of(pid: int, parent: int) -> bool:
    """Whether it runs the same program with the same arguments."""
    return Path(f"/proc/{pid}/cmdline").read_bytes() == Path(f"/proc/{parent}/cmdline").read_bytes()


def warm_up(engine: Tempolite) -> None:
    """Both workers are there, and what is imported late is imported."""
    infos = [begin(engine, "add", n, 1) for n in range(10)]
    for info in infos:
        info.get(timeout=DEADLINE_S)
    with pytest.raises(ValueError, match="call 0"):
        outcome(engine, "flaky", os.devnull, 1)
