"""P9 and P8 as whole programs: ``__main__`` without a guard, and processes that are killed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tempolite import Queue, WorkflowStranded
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate

SCRIPT_S = 30

ORDERS = """
import dataclasses, decimal, enum, math
from tempolite import ActivityContext, AsyncWorkflowContext, Tempolite, WorkflowContext

print("imported")
RATE = 3

class Kind(enum.Enum):
    GIFT = "gift"

@dataclasses.dataclass
class Item:
    name: str
    price: decimal.Decimal
    kind: Kind = Kind.GIFT

    def doubled(self) -> "Item":
        return Item(self.name, self.price * 2, self.kind)

@dataclasses.dataclass
class Order:
    items: list[Item]
    note: tuple[int, str]

class Declined(Exception):
    def __init__(self, item: Item, *, code: int) -> None:
        super().__init__("declined")
        self.item, self.code = item, code

class Scale:
    def __init__(self, by): self.by = by
    def run(self, value): return value * self.by * RATE

def priced(order: Order) -> Order:
    return Order([item.doubled() for item in order.items], order.note)

def rooted(value: float) -> float:
    return math.sqrt(value) * RATE

def with_context(ctx: ActivityContext, value: int) -> str:
    return f"{ctx.step}:{value * RATE}"

def decline(item: Item) -> None:
    raise Declined(item, code=7)

async def later(value: int) -> int:
    return value + RATE

def flow(ctx: WorkflowContext, order: Order) -> list:
    factor = len(order.items)
    found = [
        ctx.activity("priced", priced, order).get(),
        ctx.activity("rooted", rooted, 16.0).get(),
        ctx.activity("lambda", lambda x: x * RATE, 2).get(),
        ctx.activity("closure", lambda x: x * factor, 5).get(),
        ctx.activity("object", Scale(2), 5).get(),
        ctx.activity("method", order.items[0].doubled).get(),
        ctx.activity("context", with_context, 2).get(),
        ctx.activity("later", later, 1).get(),
        ctx.workflow("child", child, order.items[0]).get(),
    ]
    try:
        ctx.activity("decline", decline, order.items[0]).get()
    except Declined as error:
        found.append((error.item, error.code, str(error)))
    return found

async def child(ctx: AsyncWorkflowContext, item: Item) -> Item:
    return await ctx.activity("echo", lambda given: given.doubled(), item)

ITEM = Item("lamp", decimal.Decimal("1.10"))
ORDER = Order([ITEM], (1, "a"))
with Tempolite() as tp:
    found = tp.execute("order", flow, ORDER).get(timeout=20)

assert found == [
    Order([ITEM.doubled()], (1, "a")), 12.0, 6, 5, 30, ITEM.doubled(), "context:6", 4, ITEM.doubled(),
    (ITEM, 7, "declined"),
], found
print("done")
"""

LONE = """
import os, sys
from tempolite import Queue, Tempolite, WorkflowContext
sys.path.insert(0, sys.argv[3])
from tests.engine.gates import note, pass_gate

def flow(ctx: WorkflowContext, gate: str, effects: str) -> str:
    pid = ctx.activity("pid", os.getpid).get()
    ctx.activity("tell", note, effects, str(pid)).get()
    return ctx.activity("hold", pass_gate, gate).get()

with Tempolite(sys.argv[4], queues=[Queue("default", workers=1)]) as tp:
    tp.execute("a", flow, sys.argv[1], sys.argv[2]).get()
"""


def run_script(*command: str, stdin: str | None = None, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SCRIPT_S,
        check=False,
    )


def has_ended(pid: int, *, within_s: float) -> bool:
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watch], [], [], within_s)[0])
    finally:
        os.close(watch)


@pytest.mark.parametrize("how", ["file", "module", "command", "input", "file without a suffix"])
def test_a_script_needs_no_guard(tmp_path: Path, how: str) -> None:
    """Functions, lambdas, dataclasses, enums and errors of ``__main__``; the script runs once."""
    (tmp_path / "orders.py").write_text(ORDERS)
    (tmp_path / "orders").write_text(ORDERS)
    commands = {
        "file": ["orders.py"],
        "module": ["-m", "orders"],
        "command": ["-c", ORDERS],
        "input": ["-"],
        "file without a suffix": ["orders"],
    }

    done = run_script(*commands[how], stdin=ORDERS if how == "input" else None, folder=tmp_path)

    assert (done.stdout.split(), done.stderr, done.returncode) == (["imported", "done"], "", 0)


def test_a_script_that_ends_without_close_ends(tmp_path: Path) -> None:
    """A forgotten ``close`` keeps no process alive, neither its own nor a worker's."""
    script = """
import os
from tempolite import Tempolite, WorkflowContext
def flow(ctx: WorkflowContext) -> int:
    return ctx.activity("pid", os.getpid).get()
tp = Tempolite("forgotten.db").start()
print(tp.execute("a", flow).get(timeout=20))
"""

    done = run_script("-c", script, folder=tmp_path)

    assert done.returncode == 0, done.stderr
    assert has_ended(int(done.stdout), within_s=1.0)


def test_an_error_of_main_ends_a_script_as_python_does(tmp_path: Path) -> None:
    """It comes out of ``get`` as itself, with a traceback that shows the activity."""
    script = """
from tempolite import Tempolite, WorkflowContext
class Declined(Exception): pass
def decline(): raise Declined("no money")
def flow(ctx: WorkflowContext): ctx.activity("pay", decline).get()
with Tempolite() as tp:
    tp.execute("a", flow).get(timeout=20)
"""

    done = run_script("-c", script, folder=tmp_path)

    assert done.returncode == 1
    assert "Declined: no money" in done.stderr
    assert "in decline" in done.stderr


def test_workers_end_with_a_killed_engine(
    make_engine: EngineMaker, tmp_path: Path, path: Path, gate: Gate, effects: Effects
) -> None:
    """P8: within a second of SIGKILL; the next engine finishes the run."""
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", LONE, gate.path, effects.path, root, str(path)]
    with subprocess.Popen(command, cwd=tmp_path) as script:
        gate.wait_until_reached()
        script.send_signal(signal.SIGKILL)
        assert has_ended(int(effects.lines()[0]), within_s=1.0)

    gate.release()
    engine = make_engine(path, queues=[Queue("default", kind="thread", workers=1)])
    with pytest.raises(WorkflowStranded, match="__main__:flow"):
        engine.get("a").get(timeout=10)
    assert len(effects.lines()) == 1


def test_ctrl_c_ends_a_script_cleanly(tmp_path: Path, path: Path, gate: Gate, effects: Effects) -> None:
    """SIGINT to the process group, as a terminal sends it: engine and workers end."""
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", LONE, gate.path, effects.path, root, str(path)]
    with subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stderr=subprocess.PIPE) as script:
        gate.wait_until_reached()
        os.killpg(script.pid, signal.SIGINT)
        gate.release()
        _, told = script.communicate(timeout=SCRIPT_S)

    assert script.returncode == -signal.SIGINT
    assert told.count(b"Traceback") == 1
    assert has_ended(int(effects.lines()[0]), within_s=1.0)
