"""Parents, children and paused runs whose engine was killed between two of their commits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tempolite import ActivityContext, ContinueAsNew, RetryPolicy, WorkflowContext, activity, workflow
from tests.engine.timelines import Timeline

RETRY_S = 10


def waiting(ctx: WorkflowContext) -> str:
    """Waits for a signal."""
    return str(ctx.signal("go").get())


def leaving(ctx: WorkflowContext, runs: int = 1) -> str:
    """Leaves a child behind; in its last run it ends."""
    if runs == 1 or ctx.run == 1:
        ctx.workflow("child", workflow(waiting, on_parent_close="abandon"))
    if runs > 1:
        ctx.continue_as_new(runs - 1)
    return "left"


def parent(ctx: WorkflowContext) -> str:
    """Waits for its child."""
    return ctx.workflow("child", waiting).get()


def renewing(ctx: WorkflowContext) -> None:
    """Each run has a child, and ends when it is told to."""
    ctx.workflow("child", waiting)
    ctx.signal("next").get()
    ctx.continue_as_new()


@activity(retry=RetryPolicy(max_attempts=2, initial_interval=RETRY_S, jitter=False))
def second_time(ctx: ActivityContext) -> None:
    """Fails the first time."""
    if ctx.attempt == 1:
        raise OSError("busy")


def noting(ctx: WorkflowContext) -> list[str]:
    """Notes in which order things come."""
    notes: list[str] = []

    def note(text: str) -> int:
        notes.append(text)
        return len(notes)

    ctx.on_update("note", note)
    ctx.on_query("notes", lambda: list(notes))
    ctx.activity("act", second_time).get()
    notes.append("activity")
    ctx.signal("go").get()
    return notes


def reopen(line: Timeline) -> None:
    """The engine is killed, and another one comes to rest."""
    line.crash()
    line.open(waiting, leaving, parent, noting, renewing)
    line.settle()


@pytest.mark.parametrize("runs", [1, 2], ids=["ended", "continued"])
def test_a_child_that_outlives_its_parent_begins_though_the_engine_is_killed_at_the_parents_end(
    line: Timeline, runs: int
) -> None:
    """Its parent has said that it is there: an acknowledged child is not lost."""
    line.tp.execute("p", leaving, runs)

    reopen(line)

    assert line.tp.get("p").get() == "left"
    line.tp.signal("p/child", "go", "went")
    assert line.tp.get("p/child").get() == "went"


def test_a_child_that_outlives_its_parent_begins_once_the_parents_function_is_known(line: Timeline) -> None:
    """Only that function knows of the child, and the engine that comes after the crash learns it later."""
    line.tp.execute("p", leaving)
    line.crash()
    line.open(waiting)
    line.settle()
    assert line.ids() == ["p"]

    line.tp.register(leaving)
    line.settle()

    line.tp.signal("p/child", "go", "went")
    assert line.tp.get("p/child").get() == "went"


def test_a_child_of_an_earlier_run_is_cancelled_though_the_engine_is_killed_as_its_parent_goes_on(
    line: Timeline,
) -> None:
    """It hung on the run that asked for it, which is over; the next run has children of its own."""
    line.tp.execute("p", renewing)
    line.settle()
    line.tp.signal("p", "next")

    reopen(line)

    assert (line.tp.get("p").status, line.tp.get("p").run) == ("WAITING", 2)
    assert (line.tp.get("p/child").status, line.tp.get("p/2/child").status) == ("CANCELLED", "WAITING")


@pytest.mark.parametrize("seed", range(4))
def test_a_child_owes_its_parent_no_end_that_is_void(path: Path, seed: int) -> None:
    """It was resumed before its parent heard of it, and goes on in another run: that one's end counts."""
    line = Timeline(path, seed=seed)
    line.open(waiting, renewing)
    line.tp.execute("p", renewing)
    line.settle()

    line.tp.cancel("p/child")
    line.tp.resume("p/child")
    line.tp.get("p/child").actor_ref.ask(ContinueAsNew(()))
    line.settle()

    assert line.tp.verify().problems == ()
    line.tp.close()


def test_a_child_that_was_resumed_by_itself_is_not_paused_by_a_restart(line: Timeline) -> None:
    """A restart takes nothing back that was acknowledged."""
    line.tp.execute("p", parent)
    line.settle()
    line.tp.pause("p")
    line.settle()
    line.tp.resume("p/child")

    reopen(line)

    assert (line.tp.get("p").status, line.tp.get("p/child").status) == ("PAUSED", "WAITING")


def test_a_child_whose_parent_was_resumed_just_before_a_crash_is_resumed_too(line: Timeline) -> None:
    """Children follow their parent, whatever happens on the way to them."""
    line.tp.execute("p", parent)
    line.settle()
    line.tp.pause("p")
    line.settle()
    line.tp.resume("p")

    reopen(line)

    assert line.tp.get("p/child").status == "WAITING"


def test_updates_of_a_paused_run_are_in_its_code_after_a_restart(line: Timeline) -> None:
    """Each was acknowledged with the handler's result; the next one builds upon it."""
    line.tp.execute("n", noting)
    line.settle()
    line.tp.pause("n")
    assert line.tp.update("n", "note", "first") == 1

    reopen(line)

    assert line.tp.query("n", "notes") == ["first"]
    assert line.tp.update("n", "note", "second") == 2


def test_an_update_of_a_paused_run_stays_before_what_came_while_it_was_paused(line: Timeline) -> None:
    """It was handled before the code was given the outcome: a replay keeps to that."""
    line.tp.execute("n", noting)
    line.settle()
    line.tp.pause("n")
    line.pass_time(RETRY_S + 1)
    line.tp.update("n", "note", "update")
    line.tp.resume("n")
    line.settle()
    assert line.tp.query("n", "notes") == ["update", "activity"]

    reopen(line)

    assert line.tp.query("n", "notes") == ["update", "activity"]
    line.tp.signal("n", "go")
    assert line.tp.get("n").get() == line.tp.replay("n") == ["update", "activity"]
