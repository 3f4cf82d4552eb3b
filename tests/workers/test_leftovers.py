"""Nothing is left: descriptors, threads and zombies after many deaths, processes after the engine's end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tempolite import Queue, Tempolite
from tests.workers.activities import count_marks
from tests.workers.calls import DEADLINE_S, begin, losses, outcome
from tests.workers.conftest import MakeEngine
from tests.workers.processes import Watched, children_of, is_running, open_fds, thread_names, wait_for

DEATHS = 100
WORKERS = 2
ORPHANS_END_S = 1.0
ROOT = Path(__file__).parents[2]

ENGINE_SCRIPT = """
import sys
from tempolite import Queue, Tempolite
from tests.workers.calls import one_activity

engine = Tempolite(sys.argv[1], queues=[Queue("default", workers=1)]).start()
engine.execute("run", one_activity, sys.argv[2], [sys.argv[3]], {})
engine.wait()
"""

FORKING_SCRIPT = """
import os, sys
from tempolite import Queue, Tempolite
from tests.workers.activities import count_marks
from tests.workers.calls import one_activity
from tests.workers.processes import wait_for

engine = Tempolite(sys.argv[1], queues=[Queue("default", workers=1)]).start()
engine.execute("run", one_activity, sys.argv[2], [sys.argv[3]], {})
wait_for("the activity", lambda: count_marks(sys.argv[3], "working") > 0)
if os.fork() == 0:
    os.read(0, 1)
    os._exit(0)
with open(sys.argv[3], "a") as marks:
    marks.write("under way\\n")
engine.wait()
"""


def test_nothing_leaks_in_a_hundred_worker_deaths(make_engine: MakeEngine, tmp_path: Path) -> None:
    """Descriptors, threads and children are as many as before, and no zombie is among them."""
    engine = make_engine(queues=[Queue("default", workers=WORKERS)])
    warm_up(engine)
    fds, threads = open_fds(), thread_names()

    infos = [begin(engine, "leave", str(tmp_path / f"marks {n}"), 2) for n in range(DEATHS // 2)]
    assert [info.get(timeout=3 * DEADLINE_S) for info in infos] == ["alive"] * (DEATHS // 2)

    assert sum(len(losses(info)) for info in infos) == DEATHS
    assert open_fds() <= fds
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
    """P8: whatever their code is doing when the engine is gone."""
    with engine_process(ENGINE_SCRIPT, tmp_path, hang) as engine, ExitStack() as stack:
        workers = [stack.enter_context(Watched(pid)) for pid in children_of(engine.pid)]
        assert len(workers) == 1

        engine.kill()

        assert all(worker.ends_within(ORPHANS_END_S) for worker in workers)


@pytest.mark.parametrize("way", ["popen", "fork"])
def test_grandchildren_of_a_killed_engine_end_with_its_workers(tmp_path: Path, way: str) -> None:
    """What an activity started goes too."""
    with engine_process(ENGINE_SCRIPT, tmp_path, f"mark_and_start_{way}") as engine, ExitStack() as stack:
        marks = (tmp_path / "marks").read_text().splitlines()
        pids = [int(line.split()[1]) for line in marks if line.startswith("grandchild")]
        grandchildren = [stack.enter_context(Watched(pid)) for pid in pids]
        assert len(grandchildren) == 1

        engine.kill()

        assert grandchildren[0].ends_within(ORPHANS_END_S)


def test_workers_end_though_a_forked_child_of_the_host_lives_on(tmp_path: Path) -> None:
    """P8: a host that forked (``multiprocessing`` on Linux does) is dead all the same when it is killed."""
    with engine_process(FORKING_SCRIPT, tmp_path, "clean_up_when_told") as engine, ExitStack() as stack:
        children = [stack.enter_context(Watched(pid)) for pid in children_of(engine.pid)]
        forked = [child for child in children if is_fork_of(child.pid, engine.pid)]
        workers = [child for child in children if child not in forked]
        assert (len(workers), len(forked)) == (1, 1)
        stack.callback(os.kill, forked[0].pid, signal.SIGKILL)

        engine.kill()

        assert workers[0].ends_within(ORPHANS_END_S)


def test_next_engine_starts_though_a_forked_child_of_the_last_host_lives_on(tmp_path: Path) -> None:
    """The lock on the file ends with the engine's process, not with the processes that it forked."""
    with engine_process(FORKING_SCRIPT, tmp_path, "clean_up_when_told") as engine, ExitStack() as stack:
        children = children_of(engine.pid)
        forked = [child for child in children if is_fork_of(child, engine.pid)]
        stack.callback(os.kill, forked[0], signal.SIGKILL)
        engine.kill()
        engine.wait()

        Tempolite(tmp_path / "runs.db").start().close(timeout=0)


def test_idle_workers_end_with_a_killed_engine(tmp_path: Path) -> None:
    """A worker without work hangs on the same thread of life."""
    with engine_process(ENGINE_SCRIPT.replace("engine.wait()", IDLE), tmp_path, "say_under_way") as engine:
        with ExitStack() as stack:
            workers = [stack.enter_context(Watched(pid)) for pid in children_of(engine.pid)]
            assert workers

            engine.kill()

            assert all(worker.ends_within(ORPHANS_END_S) for worker in workers)


IDLE = "import os; engine.wait(); os.read(0, 1)"


@contextmanager
def engine_process(script: str, folder: Path, activity: str) -> Iterator[subprocess.Popen[bytes]]:
    """An engine in a process of its own, once its activity is under way; killed at the end if it still runs."""
    marks = folder / "marks"
    command = [sys.executable, "-c", script, str(folder / "runs.db"), activity, str(marks)]
    engine = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)
    try:
        wait_for("the activity", lambda: count_marks(marks, "under way") > 0 or engine.poll() is not None)
        assert engine.poll() is None
        yield engine
    finally:
        engine.kill()
        engine.wait()
        assert engine.stdin is not None
        engine.stdin.close()


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
