"""Sleeping runs that were cancelled and go on again."""

from __future__ import annotations

from tempolite import WorkflowContext
from tests.engine.timelines import HOUR, Timeline


def sleeping(ctx: WorkflowContext) -> str:
    """Sleeps for two hours."""
    ctx.sleep("nap", 2 * HOUR)
    return "awake"


def test_a_sleep_that_a_cancel_cut_short_ends_when_it_would_have(line: Timeline) -> None:
    """A durable timer is due when it is, whatever happens meanwhile; also after a restart."""
    line.tp.execute("s", sleeping)
    line.tp.cancel("s")
    line.pass_time(HOUR)
    line.tp.resume("s")
    line.crash()
    line.open(sleeping)

    line.pass_time(HOUR - 1)
    assert line.tp.get("s").status == "WAITING"
    line.pass_time(2)

    assert line.tp.get("s").get(timeout=0) == "awake"


def test_wait_does_not_return_while_a_resumed_run_sleeps(line: Timeline) -> None:
    """A sleeping run goes on by itself."""
    line.tp.execute("s", sleeping)
    line.tp.cancel("s")
    line.tp.resume("s")

    line.tp.wait()

    assert line.tp.get("s").status == "COMPLETED"
