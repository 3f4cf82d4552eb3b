"""A message that comes together with the last thing a run waited for: answered by what the run has become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tempolite import ContinueAsNew, Pause, Signal, Update, WorkflowContext, WorkflowFinished
from tests.engine.timelines import Timeline

SEEDS = pytest.mark.parametrize("seed", range(2))


def ending(ctx: WorkflowContext, renews: bool, told: str = "") -> list[Any]:
    """Ends, or begins its next run, when it is told to."""
    notes = [told]
    ctx.on_update("note", notes.append)
    ctx.signal("first").get()
    ctx.signal("go").get()
    if renews:
        ctx.continue_as_new(False, "by itself")
    return notes


def told_at_once(path: Path, seed: int, renews: bool, message: Any) -> tuple[Timeline, Any]:
    """The message lies behind the signal that ends the run, both in the mail of one turn."""
    line = Timeline(path, seed=seed)
    line.open(ending)
    ref = line.tp.execute("a", ending, renews).actor_ref
    line.settle()
    for each in (Signal("first"), Signal("go")):
        ref.ask(each, block=False)
    answer = ref.ask(message, block=False)
    line.settle()
    return line, answer


@SEEDS
@pytest.mark.parametrize("message", [Pause(), Update("note", ("late",)), ContinueAsNew((False, "late"))])
def test_what_comes_too_late_is_told_so(path: Path, seed: int, message: Any) -> None:
    """The run has its outcome, and nothing is recorded behind that."""
    line, answer = told_at_once(path, seed, False, message)

    with pytest.raises(WorkflowFinished):
        answer.get(timeout=0)
    assert line.tp.history("a")[-1].type == "RunCompleted"
    assert line.tp.get("a").get() == [""]
    line.tp.close()


@SEEDS
def test_what_meets_the_end_of_a_run_is_for_the_next_one(path: Path, seed: int) -> None:
    """A workflow that goes on is paused, and continued once more."""
    line, answer = told_at_once(path, seed, True, Pause())
    assert answer.get(timeout=0) is None
    assert (line.tp.get("a").status, line.tp.get("a").run) == ("PAUSED", 2)
    line.tp.close()
    path.unlink()

    line, answer = told_at_once(path, seed, True, ContinueAsNew((False, "from outside")))
    assert answer.get(timeout=0) is None
    assert line.tp.get("a").run == 3
    for name in ("first", "go"):
        line.tp.signal("a", name)
    assert line.tp.get("a").get() == ["from outside"]
    line.tp.close()
