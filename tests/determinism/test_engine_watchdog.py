"""The watchdog of an engine: there while it lives, and asleep while nothing runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tempolite import InvalidArguments, Tempolite, WorkflowContext, WorkflowStuck
from tests.actors.waiting import wait_until
from tests.determinism.blocking import close_amid, quick
from tests.engine.conftest import EngineMaker


def spin() -> None:
    while True:
        pass


def forever(ctx: WorkflowContext) -> None:
    spin()


@pytest.mark.parametrize("limit", [0, -1, float("inf"), float("nan"), True, "2", [2]])
def test_a_wrong_limit_is_refused(limit: Any) -> None:
    """Seconds above 0, or None."""
    with pytest.raises(InvalidArguments, match="turn_limit"):
        Tempolite(turn_limit=limit)


def test_no_limit_makes_no_watchdog(make_engine: EngineMaker) -> None:
    """``turn_limit=None``: code may take the time that it takes."""
    engine = make_engine(turn_limit=None)

    assert engine.execute("a", quick).get(timeout=10) == 7
    assert "tempolite-watchdog" not in names_of_threads()


def test_the_watchdog_ends_with_its_engine(make_engine: EngineMaker) -> None:
    """Closed or dropped."""
    for end in (Tempolite.close, Tempolite._crash):
        engine = make_engine()
        assert "tempolite-watchdog" in names_of_threads()
        end(engine)
        assert "tempolite-watchdog" not in names_of_threads()


def test_an_idle_engine_wakes_nobody(make_limited: Callable[..., Tempolite]) -> None:
    """The watchdog sleeps without a time-out until the next stretch, and is there for it."""
    engine = make_limited()
    watchdog = engine._watchdog
    assert watchdog is not None
    wait_until(lambda: watchdog.is_asleep, "it sleeps before the first run")

    for name in ("a", "b"):
        assert engine.execute(name, quick).get(timeout=10) == 7
        wait_until(lambda: watchdog.is_asleep, "it sleeps after a run")
    with pytest.raises(WorkflowStuck):
        engine.execute("c", forever).get(timeout=20)


def test_an_engine_is_closed_while_code_runs_forever(make_limited: Callable[..., Tempolite]) -> None:
    """The stretch is ended first; nobody waits for it for ever."""
    close_amid(make_limited(), spin)


def names_of_threads() -> list[str]:
    """All that live."""
    return [thread.name for thread in threading.enumerate()]
