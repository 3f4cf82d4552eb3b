"""Versions: a run keeps to the side of a change on which it was when it came there first."""

from __future__ import annotations

from typing import Any

import pytest

from tempolite import InvalidArguments, Tempolite, VersionNotSupported, WorkflowContext, workflow
from tests.engine.conftest import EngineMaker

Home = dict[str, Any]


def versioned(ctx: WorkflowContext, maximum: int) -> list[int]:
    before = ctx.get_version("change", 1, LIMITS.get("maximum", maximum))
    ctx.signal("go").get()
    return [before, ctx.get_version("change", 1, LIMITS.get("maximum", maximum))]


LIMITS: dict[str, int] = {}


@pytest.fixture(autouse=True)
def no_limits() -> None:
    """Each test deploys its own code."""
    LIMITS.clear()


def test_a_new_run_gets_the_maximum_and_keeps_it(make_engine: EngineMaker, on_file: Home) -> None:
    """New code is deployed while it waits: it stays where it was; a new run gets the new one."""
    engine = make_engine(**on_file)
    engine.execute("a", versioned, 2)
    engine.wait(timeout=10)
    engine._crash()
    LIMITS["maximum"] = 3

    reopened = make_engine(**on_file, workflows=[versioned])
    later = reopened.execute("b", versioned, 2)
    reopened.signal("a", "go"), reopened.signal("b", "go")

    assert reopened.get("a").get(timeout=10) == [2, 2]
    assert later.get(timeout=10) == [3, 3]
    assert reopened.replay("a") == [2, 2]


def test_a_version_that_the_code_left_behind_is_refused(make_engine: EngineMaker, home: Home) -> None:
    """``VersionNotSupported`` in the code, with the numbers."""
    engine = make_engine(**home)

    def modern(ctx: WorkflowContext) -> int:
        return ctx.get_version("change", 3, 4)

    for id, version in (("old", 2), ("new", 5)):
        info = engine.execute(id, workflow(modern, versions={"change": version}))
        with pytest.raises(VersionNotSupported, match=str(version)):
            info.get(timeout=10)
    assert engine.execute("fits", workflow(modern, versions={"change": 3})).get(timeout=10) == 3


def test_versions_in_the_options_hold_for_children_that_have_them(
    make_engine: EngineMaker, home: Home
) -> None:
    """A child's own options say its versions."""
    engine = make_engine(**home)

    def child(ctx: WorkflowContext) -> int:
        return ctx.get_version("change", 1, 9)

    def parent(ctx: WorkflowContext) -> list[int]:
        given = ctx.workflow("given", workflow(child, versions={"change": 2}))
        return [given.get(), ctx.workflow("free", child).get()]

    assert engine.execute("p", parent).get(timeout=10) == [2, 9]


def test_a_change_may_be_added_and_taken_out_of_runs_in_flight(
    make_engine: EngineMaker, on_file: Home
) -> None:
    """Steps are matched by name: a version that is no longer asked for is in nobody's way (P1)."""
    code = {"versions": ["a"]}

    def changing(ctx: WorkflowContext) -> list[int]:
        first = [ctx.get_version(change, 1, 2) for change in code["versions"]]
        ctx.signal("go").get()
        return first

    engine = make_engine(**on_file)
    engine.execute("x", changing)
    engine.wait(timeout=10)
    engine._crash()
    code["versions"] = ["b"]

    reopened = make_engine(**on_file, workflows=[changing])
    reopened.signal("x", "go")

    assert reopened.get("x").get(timeout=10) == [2]


@pytest.mark.parametrize("given", [("", 1, 2), ("c", 2, 1), ("c", "1", 2), (None, 1, 2)])
def test_wrong_ranges_are_refused(engine: Tempolite, given: tuple[Any, Any, Any]) -> None:
    """Where the call is made (P4)."""

    def wrong(ctx: WorkflowContext) -> str:
        try:
            ctx.get_version(*given)
        except InvalidArguments:
            return "refused"
        return "taken"

    assert engine.execute("a", wrong).get(timeout=10) == "refused"
