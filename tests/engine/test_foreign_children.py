"""A child belongs to the run that asked for it: others of its id neither get its outcome nor wait for it."""

from __future__ import annotations

import pytest

from tempolite import Tempolite, WorkflowAlreadyExists, WorkflowContext, workflow


def waits(ctx: WorkflowContext) -> str:
    return str(ctx.signal("go").get())


def leaves(ctx: WorkflowContext, detach: bool, stays: bool) -> str:
    """Leaves a child behind, or waits for it."""
    child = ctx.workflow("child", workflow(waits, detach=detach, on_parent_close="abandon"))
    return child.get() if stays else "left"


def asks_twice(ctx: WorkflowContext) -> list[str]:
    """Two steps, one id."""
    named = workflow(waits, id="one")
    children = [ctx.workflow("first", named), ctx.workflow("second", named)]
    found = []
    for child in reversed(children):
        try:
            found.append(child.get())
        except WorkflowAlreadyExists as error:
            found.append(str(error))
    return found


def goes_on(ctx: WorkflowContext) -> str:
    """Each run asks for a child of the same id; the first leaves its own behind."""
    child = ctx.workflow("child", workflow(waits, id="one", on_parent_close="abandon"))
    if ctx.run == 1:
        ctx.signal("next").get()
        ctx.continue_as_new()
    return child.get()


@pytest.mark.parametrize("detach", [False, True], ids=["abandoned", "detached"])
@pytest.mark.parametrize("has_ended", [True, False], ids=["ended", "running"])
def test_a_parent_made_anew_is_not_given_the_child_of_the_one_before(
    engine: Tempolite, detach: bool, has_ended: bool
) -> None:
    """The id is taken, and it is told so; the child that was kept goes on as it is."""
    engine.execute("p", leaves, detach, False).get(timeout=10)
    engine.wait(timeout=10)
    if has_ended:
        engine.signal("p/child", "go", "old")
        assert engine.get("p/child").get(timeout=10) == "old"
    engine.wait(timeout=10)
    assert engine.delete(["p"]) == 1

    again = engine.execute("p", leaves, detach, True)

    with pytest.raises(WorkflowAlreadyExists, match=r"'p/child' exists: .*another run.* of 'p'"):
        again.get(timeout=10)
    if not has_ended:
        engine.signal("p/child", "go", "kept")
        assert engine.get("p/child").get(timeout=10) == "kept"
    assert again.status == "FAILED"
    assert engine.verify().ok


def test_a_parent_made_anew_has_its_own_child_once_the_old_one_is_gone(engine: Tempolite) -> None:
    """Deleting the child that was left is the remedy."""
    engine.execute("p", leaves, False, False).get(timeout=10)
    engine.wait(timeout=10)
    engine.signal("p/child", "go", "old")
    engine.wait(timeout=10)
    assert engine.delete(["p", "p/child"]) == 2

    again = engine.execute("p", leaves, False, True)
    engine.wait(timeout=10)
    engine.signal("p/child", "go", "new")

    assert again.get(timeout=10) == "new"


def test_two_steps_with_one_child_id_do_not_wait_for_ever(engine: Tempolite) -> None:
    """The first has the child, the second is told whose it is."""
    info = engine.execute("p", asks_twice)
    engine.wait(timeout=10)
    engine.signal("one", "go", "here")

    second, first = info.get(timeout=10)
    assert first == "here"
    assert "another step, of 'p'" in second


def test_the_next_run_of_a_workflow_is_not_given_a_child_of_the_run_before(engine: Tempolite) -> None:
    """Each run has children of its own."""
    info = engine.execute("p", goes_on)
    engine.wait(timeout=10)

    engine.signal("p", "next")

    with pytest.raises(WorkflowAlreadyExists, match="another run"):
        info.get(timeout=10)
    assert engine.get("one").status == "WAITING"
