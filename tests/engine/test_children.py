"""Child workflows: runs of their own, whose outcome is a step of their parent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    AsyncWorkflowContext,
    Queue,
    QueueNotFound,
    Tempolite,
    WorkflowAlreadyExists,
    WorkflowContext,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Effects, Gate, note, pass_gate


def double(ctx: WorkflowContext, number: int) -> int:
    return ctx.activity("double", lambda n: n * 2, number).get()


async def double_async(ctx: AsyncWorkflowContext, number: int) -> int:
    return await ctx.activity("double", lambda n: n * 2, number)


def broken(ctx: WorkflowContext, text: str) -> None:
    raise KeyError(text)


def held(ctx: WorkflowContext, gate: str, effects: str) -> str:
    passed = ctx.activity("hold", pass_gate, gate).get()
    return ctx.activity("note", note, effects, passed).get()


def family(ctx: WorkflowContext, number: int) -> int:
    return ctx.workflow("child", double, number).get() + 1


async def async_family(ctx: AsyncWorkflowContext, number: int) -> int:
    return await ctx.workflow("child", double_async, number) + 1


@pytest.mark.parametrize("fn", [family, async_family], ids=lambda fn: fn.__name__)
def test_a_child_gives_its_result_to_its_parent(engine: Tempolite, fn: Any) -> None:
    """Both kinds of function; the child is a run with its parent's id in its own."""
    assert engine.execute("p", fn, 4).get(timeout=10) == 9

    child = engine.get("p/child")
    assert (child.parent, child.get(timeout=1), child.status) == ("p", 8, "COMPLETED")
    assert child.run_group == engine.get("p").run_group


def test_children_of_one_name_are_numbered(engine: Tempolite) -> None:
    """Occurrences, as with every step."""

    def several(ctx: WorkflowContext) -> list[int]:
        infos = [ctx.workflow("child", double, number) for number in range(3)]
        return [info.get() for info in infos]

    assert engine.execute("p", several).get(timeout=10) == [0, 2, 4]
    assert engine.count(parent="p") == 3


def test_children_run_in_parallel(make_engine: EngineMaker, gate: Gate, effects: Effects) -> None:
    """All are under way before the first is waited for."""
    engine = make_engine(queues=[Queue("default", kind="thread", workers=3)])

    def several(ctx: WorkflowContext) -> list[str]:
        infos = [ctx.workflow("child", held, gate.path, effects.path) for _ in range(3)]
        return [info.get() for info in infos]

    info = engine.execute("p", several)
    gate.wait_until_reached(3)
    gate.release(3)

    assert info.get(timeout=10) == ["passed"] * 3


def test_children_may_have_children_of_their_own(engine: Tempolite) -> None:
    """To any depth; ids say where they belong."""

    def nested(ctx: WorkflowContext, depth: int) -> int:
        return depth if depth == 0 else ctx.workflow("c", nested, depth - 1).get() + depth

    assert engine.execute("p", nested, 6).get(timeout=10) == 21
    assert engine.get("p/c/c/c/c/c/c").get(timeout=1) == 0


def test_a_childs_error_reaches_its_parent_as_it_was(engine: Tempolite) -> None:
    """P5: the same type, with the step in its notes and where it was raised as its cause."""
    seen: list[KeyError] = []

    def catching(ctx: WorkflowContext) -> str:
        try:
            ctx.workflow("child", broken, "no lamp").get()
        except KeyError as error:
            seen.append(error)
        return "caught"

    assert engine.execute("p", catching).get(timeout=10) == "caught"
    assert seen[0].args == ("no lamp",)
    assert "child" in "".join(seen[0].__notes__)
    assert "in broken" in str(seen[0].__cause__)
    assert engine.get("p/child").status == "FAILED"


def test_a_childs_error_that_nobody_catches_is_the_parents(engine: Tempolite) -> None:
    """It comes out of ``get`` of both."""

    def careless(ctx: WorkflowContext) -> None:
        ctx.workflow("child", broken, "no lamp").get()

    engine.execute("p", careless)
    engine.wait(timeout=10)

    for handle in (engine.get("p"), engine.get("p/child")):
        with pytest.raises(KeyError, match="no lamp"):
            handle.get(timeout=10)


def test_a_child_takes_an_id_that_is_given(engine: Tempolite) -> None:
    """``id=`` in the options stands where ``parent/step`` would."""

    def naming(ctx: WorkflowContext) -> int:
        return ctx.workflow("child", workflow(double, id="my-child"), 2).get()

    assert engine.execute("p", naming).get(timeout=10) == 4
    assert engine.get("my-child").parent == "p"


def test_a_child_whose_id_is_taken_is_an_error_of_that_step(engine: Tempolite) -> None:
    """The parent sees ``WorkflowAlreadyExists``, the run that has the id is untouched."""
    engine.execute("taken", double, 1).get(timeout=10)

    def naming(ctx: WorkflowContext) -> str:
        try:
            ctx.workflow("child", workflow(family, id="taken"), 2).get()
        except WorkflowAlreadyExists:
            return "refused"
        return "taken over"

    assert engine.execute("p", naming).get(timeout=10) == "refused"
    assert engine.get("taken").get(timeout=1) == 2


def test_a_child_is_on_its_parents_queue_unless_told(make_engine: EngineMaker, database: str) -> None:
    """Activities and children inherit; options say otherwise."""
    queues = [Queue(name, kind="inline") for name in ("default", "mine", "other")]
    engine = make_engine(database, queues=queues)

    def two(ctx: WorkflowContext) -> int:
        same = ctx.workflow("same", double, 1).get()
        return same + ctx.workflow("other", workflow(double, queue="other"), 1).get()

    engine.execute("p", workflow(two, queue="mine")).get(timeout=10)

    assert [engine.get(id).queue for id in ("p", "p/same", "p/other")] == ["mine", "mine", "other"]


def test_a_childs_unknown_queue_is_refused_at_the_call(engine: Tempolite) -> None:
    """``QueueNotFound`` in the parent's code; nothing is recorded."""

    def flow(ctx: WorkflowContext) -> str:
        with pytest.raises(QueueNotFound, match="nowhere"):
            ctx.workflow("child", workflow(double, queue="nowhere"), 1)
        return "refused"

    assert engine.execute("p", flow).get(timeout=10) == "refused"
    assert engine.count() == 1


def test_a_child_that_finished_before_a_crash_is_not_run_again(
    make_engine: EngineMaker, path: Path, gate: Gate, effects: Effects
) -> None:
    """Its outcome is a step of the parent like others."""
    queues = [Queue("default", kind="thread", workers=2)]

    def noting(ctx: WorkflowContext, line: str) -> str:
        return ctx.activity("note", note, effects.path, line).get()

    def two(ctx: WorkflowContext) -> list[str]:
        first = ctx.workflow("first", noting, "first").get()
        held = ctx.activity("hold", pass_gate, gate.path).get()
        return [first, held, ctx.workflow("second", noting, "second").get()]

    engine = make_engine(path, queues=queues)
    engine.execute("p", two)
    gate.wait_until_reached()
    engine._crash()

    reopened = make_engine(path, queues=queues, workflows=[two, noting])
    gate.wait_until_reached()
    gate.release(2)

    assert reopened.get("p").get(timeout=10) == ["first", "passed", "second"]
    assert effects.lines() == ["first", "second"]


def test_a_child_in_the_middle_goes_on_after_a_crash(
    make_engine: EngineMaker, path: Path, gate: Gate, effects: Effects
) -> None:
    """Parent and child both go on; only the parent's function brings the child's."""
    queues = [Queue("default", kind="thread", workers=1)]

    def parent(ctx: WorkflowContext) -> str:
        return ctx.workflow("child", held, gate.path, effects.path).get()

    engine = make_engine(path, queues=queues)
    engine.execute("p", parent)
    gate.wait_until_reached()
    engine._crash()

    reopened = make_engine(path, queues=queues, workflows=[parent, held])
    gate.wait_until_reached()
    gate.release(2)

    assert reopened.get("p").get(timeout=10) == "passed"
    assert effects.lines() == ["passed"]


def test_a_detached_child_is_a_group_of_its_own(engine: Tempolite) -> None:
    """The parent need not wait for it."""

    def letting_go(ctx: WorkflowContext) -> str:
        ctx.workflow("child", workflow(double, detach=True), 2)
        return "gone"

    assert engine.execute("p", letting_go).get(timeout=10) == "gone"
    engine.wait(timeout=10)

    child = engine.get("p/child")
    assert child.get(timeout=5) == 4
    assert child.run_group != engine.get("p").run_group


def test_many_children_of_many_parents_all_come_back(engine: Tempolite) -> None:
    """Twenty times ten."""

    def many(ctx: WorkflowContext) -> int:
        infos = [ctx.workflow("child", double, number) for number in range(10)]
        return sum(info.get() for info in infos)

    runs = [engine.execute(f"p{number}", many) for number in range(20)]

    assert [run.get(timeout=20) for run in runs] == [90] * 20
    assert engine.count(status="COMPLETED") == 220


def test_a_child_may_be_started_as_a_root_by_the_same_id(engine: Tempolite) -> None:
    """``execute`` with a child's id and function is that child."""
    engine.execute("p", family, 4).get(timeout=10)

    assert engine.execute("p/child", double, 1000).get(timeout=10) == 8
