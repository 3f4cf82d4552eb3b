"""Programs of all kinds that use an engine: no guard, other start methods, threads, forks, odd modules."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.workers.calls import DEADLINE_S

ROOT = Path(__file__).parents[2]

HEAD = """
from __future__ import annotations

import os
import sys
from tempolite import Queue, Tempolite, WorkflowContext, activity

print("top of the module", flush=True)
"""

UNGUARDED = """
import dataclasses

FACTOR = 3

@dataclasses.dataclass
class Order:
    number: int
    lines: list[str]

class Multiply:
    def __init__(self, by): self.by = by
    def run(self, x): return x * self.by

def triple(x): return x * FACTOR
def grow(order: Order) -> Order: return Order(order.number + 1, [*order.lines, "more"])
async def slowly(x): return x + 1
def closure(held): return lambda x: (x, held, FACTOR)

def workflow(ctx: WorkflowContext):
    infos = [
        ctx.activity("function", triple, 2),
        ctx.activity("lambda", lambda x: x * FACTOR, 3),
        ctx.activity("closure", closure([1, 2]), 4),
        ctx.activity("method", Multiply(5).run, 5),
        ctx.activity("object", Multiply(6), 6),
        ctx.activity("async", slowly, 7),
        ctx.activity("dataclass", grow, Order(8, ["one"])),
        ctx.activity("where", os.getpid),
    ]
    return [info.get() for info in infos]

with Tempolite() as engine:
    *results, pid = engine.execute("run", workflow).get(timeout=15)
    assert pid != os.getpid()
    expected = [6, 9, (4, [1, 2], 3), 25, 36, 8, Order(9, ["one", "more"])]
    assert results == expected, results
"""

START_METHOD = """
import multiprocessing
import threading

def pid(): return os.getpid()
def workflow(ctx: WorkflowContext): return [ctx.activity("pid", pid).get() for _ in range(3)]

multiprocessing.set_start_method("{method}")
stop = threading.Event()
threads = [threading.Thread(target=stop.wait) for _ in range(20)]
for thread in threads: thread.start()
with Tempolite(queues=[Queue("default", workers=2)]) as engine:
    infos = [engine.execute(None, workflow) for _ in range(10)]
    assert all(os.getpid() not in info.get(timeout=15) for info in infos)
assert multiprocessing.get_start_method() == "{method}"
stop.set()
"""

FORK_WHILE_STARTING = """
import multiprocessing

def one(): return 1
def workflow(ctx: WorkflowContext): return ctx.activity("one", one).get()

def pause(connection): connection.recv()

context = multiprocessing.get_context("fork")
with Tempolite(queues=[Queue("default", workers=4)]) as engine:
    mine, theirs = context.Pipe()
    infos, children = [], []
    for n in range(4):
        infos.append(engine.execute(None, workflow))
        children.append(context.Process(target=pause, args=(theirs,), daemon=True))
        children[-1].start()
    results = [info.get(timeout=10) for info in infos]
    for child in children: mine.send(None)
    for child in children: child.join()
    assert results == [1] * 4, results
"""

FORKED_CHILD_EXITS = """
def one(): return 1
def workflow(ctx: WorkflowContext): return ctx.activity("one", one).get()

with Tempolite(sys.argv[1]) as engine:
    assert engine.execute("before", workflow).get(timeout=15) == 1
    child = os.fork()
    if child == 0:
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert engine.execute("after", workflow).get(timeout=15) == 1
"""

BLOCKED_SIGNALS = """
import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])

def loop():
    while True: pass

def clean_up():
    try:
        loop()
    finally:
        os.write(1, b"cleaned up\\n")

def workflow(ctx: WorkflowContext):
    ctx.activity("hang", activity(clean_up, timeout=0.3, grace=3)).get()

with Tempolite(queues=[Queue("default", workers=1)]) as engine:
    try:
        engine.execute("run", workflow).get(timeout=15)
    except TimeoutError:
        print("timed out", flush=True)
"""

IGNORED_CHILDREN = """
import signal

signal.signal(signal.SIGCHLD, signal.SIG_IGN)

def die(): os._exit(4)
def workflow(ctx: WorkflowContext): ctx.activity("die", die).get()

with Tempolite(queues=[Queue("default", workers=1)]) as engine:
    try:
        engine.execute("run", workflow).get(timeout=15)
    except Exception as error:
        assert type(error).__name__ == "WorkerLost", error
        assert error.cause != "exit code 0", "nobody knows the exit code"
    else:
        raise AssertionError("it can't have run")
"""

ODD_MODULE = """
import importlib.util

spec = importlib.util.spec_from_file_location("odd.name", sys.argv[1] + ".py")
odd = sys.modules["odd.name"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(odd)

def workflow(ctx: WorkflowContext, marks):
    guilty = ctx.activity("guilty", odd.die_beside, marks)
    innocent = ctx.activity("innocent", odd.survive, marks)
    doubled = ctx.activity("double", odd.double, 4).get()
    assert innocent.get() == "alive"
    try:
        guilty.get()
    except Exception as error:
        return doubled, type(error).__name__

with Tempolite(queues=[Queue("default", workers=1, slots=2)]) as engine:
    outcome = engine.execute("run", workflow, sys.argv[1]).get(timeout=15)
    assert outcome == (8, "WorkerLost"), outcome
"""

ODD_ACTIVITIES = """
import os

def double(x):
    return 2 * x

def die_beside(marks):
    while not os.path.exists(marks):
        os.sched_yield()
    os._exit(5)

def survive(marks):
    if os.path.exists(marks):
        return "alive"
    open(marks, "a").close()
    while True:
        pass
"""

POISONED_IMPORT = """
import poisoned

def one(): return 1
def call(ctx: WorkflowContext, name):
    return ctx.activity(name, poisoned.activity if name == "poisoned" else one).get()

with Tempolite(queues=[Queue("default", workers=1)]) as engine:
    guilty = engine.execute("guilty", call, "poisoned")
    innocent = [engine.execute(f"innocent {n}", call, "one") for n in range(5)]
    assert [info.get(timeout=15) for info in innocent] == [1] * 5
    try:
        guilty.get(timeout=15)
    except Exception as error:
        assert type(error).__name__ == "WorkerLost", error
        assert error.cause == "exit code 6", error.cause
    else:
        raise AssertionError("it can't have run")
"""

MOVED_FOLDER = """
import os, tempfile

def one(): return 1
def die(): os._exit(1)
def call(ctx: WorkflowContext, name):
    return ctx.activity(name, {"one": one, "die": die}[name]).get()

folder = tempfile.mkdtemp()
os.chdir(folder)
with Tempolite(queues=[Queue("default", workers=1)]) as engine:
    assert engine.execute("first", call, "one").get(timeout=5) == 1
    os.rmdir(folder)
    try:
        engine.execute("lost", call, "die").get(timeout=5)
    except Exception as error:
        assert type(error).__name__ == "WorkerLost", error
    assert engine.execute("second", call, "one").get(timeout=5) == 1
"""

NO_DESCRIPTORS = """
import resource

def one(): return 1
def call(ctx: WorkflowContext): return ctx.activity("one", one).get()

with Tempolite(queues=[Queue("default", workers=2)]) as engine:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), hard))
    info = engine.execute("run", call)
    try:
        info.get(timeout=1)
    except Exception as error:
        print(type(error).__name__)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert info.get(timeout=10) == 1
"""


def run_script(text: str, folder: Path, *options: str, name: str = "program.py") -> str:
    """Runs a program as a user would, and gives what it said; it must end well."""
    script = folder / name
    script.write_text(HEAD + textwrap.dedent(text))
    command = [sys.executable, *options, str(script), str(folder / "argument")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_script_without_a_guard_runs_its_own_functions(tmp_path: Path) -> None:
    """P9: functions, lambdas, closures, objects and types of ``__main__``; its module is run once."""
    output = run_script(UNGUARDED, tmp_path)

    assert output.count("top of the module") == 1


def test_module_that_is_run_with_m_works_too(tmp_path: Path) -> None:
    """P9: ``python -m program``."""
    (tmp_path / "program.py").write_text(HEAD + UNGUARDED)
    command = [sys.executable, "-m", "program"]

    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("top of the module") == 1


def test_program_from_the_command_line_works_too(tmp_path: Path) -> None:
    """P9: ``python -c``, where no file holds the source."""
    command = [sys.executable, "-c", HEAD + UNGUARDED]

    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("top of the module") == 1


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_start_method_and_threads_of_the_host_do_not_matter(tmp_path: Path, method: str) -> None:
    """No fork of ours, so no warning about forking beside threads, and no start method of multiprocessing."""
    output = run_script(START_METHOD.format(method=method), tmp_path, "-W", "error")

    assert output.count("top of the module") == 1


def test_host_that_forks_while_workers_start_does_not_stop_the_engine(tmp_path: Path) -> None:
    """Children of a host hold copies of its descriptors: the engine waits for none of them."""
    run_script(FORK_WHILE_STARTING, tmp_path)


def test_forked_child_that_exits_takes_nothing_with_it(tmp_path: Path) -> None:
    """The child's exit runs the host's exit code paths: the parent's engine and workers go on."""
    run_script(FORKED_CHILD_EXITS, tmp_path)


def test_signals_that_the_host_blocks_reach_its_workers(tmp_path: Path) -> None:
    """Masks are inherited by processes: workers take TERM all the same, and activities clean up."""
    output = run_script(BLOCKED_SIGNALS, tmp_path)

    assert "timed out" in output
    assert "cleaned up" in output


def test_host_that_ignores_the_end_of_its_children_gets_no_false_cause(tmp_path: Path) -> None:
    """With SIGCHLD ignored the kernel keeps no exit codes: the loss is seen, and its cause is not made up."""
    run_script(IGNORED_CHILDREN, tmp_path)


def test_function_that_no_name_leads_to_survives_the_death_of_a_neighbour(tmp_path: Path) -> None:
    """P7, P9: it is shipped by value, in the first worker and in the one where it runs again alone."""
    (tmp_path / "argument.py").write_text(ODD_ACTIVITIES)

    run_script(ODD_MODULE, tmp_path)


def test_module_that_kills_whoever_imports_it_costs_only_its_own_activity(tmp_path: Path) -> None:
    """P7: a death while the callable is loaded is charged to its activity, and the queue goes on."""
    (tmp_path / "poisoned.py").write_text(
        "import os\nif os.environ.setdefault('HOST', str(os.getpid())) != str(os.getpid()): os._exit(6)\n"
        "def activity(): return 1\n"
    )

    run_script(POISONED_IMPORT, tmp_path)


def test_workers_start_though_the_working_directory_is_gone(tmp_path: Path) -> None:
    """A host whose directory was removed still gets new workers."""
    run_script(MOVED_FOLDER, tmp_path)


def test_worker_that_could_not_be_started_is_tried_again(tmp_path: Path) -> None:
    """No descriptor is free for a moment: the work waits, and goes on when there are some."""
    run_script(NO_DESCRIPTORS, tmp_path)


def test_interactive_session_runs_its_own_functions(tmp_path: Path) -> None:
    """P9: functions typed into ``python -i``, as in a notebook."""
    typed = HEAD + UNGUARDED
    session = f"exec({typed!r})\n"
    done: Any = subprocess.run(
        [sys.executable, "-i", "-c", "pass"],
        cwd=tmp_path,
        input=session,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert "Error" not in done.stderr, done.stderr
    assert done.stdout.count("top of the module") == 1
