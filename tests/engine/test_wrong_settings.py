"""Settings, options and time-outs of the wrong kind are refused where they are given, and nothing is left."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tempolite import InvalidArguments, Queue, Tempolite, WorkflowContext, activity, workflow
from tests.engine.conftest import EngineMaker

UNDECODABLE = os.fsdecode(b"\xff.db")
"""As Python gives a file's name that is no UTF-8."""


def listening(ctx: WorkflowContext) -> Any:
    return ctx.signal("go").get()


@pytest.mark.parametrize(
    "settings",
    [
        {"default_retry": 3},
        {"codec": "json"},
        {"clock": 3},
        {"database": ""},
        {"database": None},
        {"database": b"a.db"},
        {"database": "a\0b.db"},
        {"database": UNDECODABLE},
    ],
    ids=str,
)
def test_an_engine_is_not_made_with_a_setting_that_is_none(settings: dict[str, Any]) -> None:
    """It is said when the engine is made, and names the setting."""
    (name,) = settings

    with pytest.raises(InvalidArguments, match=f"{name} is "):
        Tempolite(**settings)


@pytest.mark.parametrize(
    "options",
    [
        {"queue": 3},
        {"queue": ""},
        {"name": 3},
        {"id": 3},
        {"aliases": 3},
        {"aliases": ("old", 3)},
        {"defer": "no"},
        {"detach": 1},
        {"versions": 3},
        {"versions": {"change": "2"}},
        {"priority": True},
    ],
    ids=str,
)
def test_an_option_of_a_workflow_that_is_none_is_refused(options: dict[str, Any]) -> None:
    """At the decorator or the call; ``defer="no"`` would have meant yes."""
    (name,) = options

    with pytest.raises(InvalidArguments, match=f"{name} (is|holds) "):
        workflow(listening, **options)


@pytest.mark.parametrize("options", [{"queue": 3}, {"name": ""}, {"once": "no"}, {"aliases": 3}], ids=str)
def test_an_option_of_an_activity_that_is_none_is_refused(options: dict[str, Any]) -> None:
    """Likewise."""
    (name,) = options

    with pytest.raises(InvalidArguments, match=f"{name} is "):
        activity(abs, **options)


@pytest.mark.parametrize("timeout", ["soon", float("nan"), True, [1]], ids=str)
def test_a_time_out_that_is_none_is_refused(make_engine: EngineMaker, timeout: Any) -> None:
    """By every call that waits, done or not, and a close that is refused has closed nothing."""
    engine = make_engine(queues=[Queue("default", kind="inline")])
    info = engine.execute("a", listening)

    for call in (info.get, engine.wait, engine.close):
        with pytest.raises(InvalidArguments, match=r"timeout is .*, expected seconds or a timedelta"):
            call(timeout)
    with pytest.raises(InvalidArguments):
        asyncio.run(info.aget(timeout))

    info.signal("go", 1)
    assert info.get(timeout=10) == 1


def test_a_time_out_is_a_span_of_time_too_and_may_be_longer_than_clocks_count(
    make_engine: EngineMaker,
) -> None:
    """As in a workflow's code; what is negative is over already."""
    engine = make_engine(queues=[Queue("default", kind="inline")])
    info = engine.execute("a", listening)

    with pytest.raises(TimeoutError, match=r"after 0\.01 s"):
        info.get(timedelta(milliseconds=10))
    with pytest.raises(TimeoutError):
        info.get(-1)
    engine.wait(timedelta.max)
    info.signal("go", 1)

    assert info.get(1e300) == 1
    assert asyncio.run(info.aget(timedelta.max)) == 1
    engine.close(timedelta(seconds=5))


def test_a_copy_has_a_path_that_can_be_one(make_engine: EngineMaker, tmp_path: Path) -> None:
    """Names that SQLite can't open are refused before anything is written."""
    engine = make_engine()

    for path in ("", "a\0b.db", tmp_path / UNDECODABLE, 3):
        with pytest.raises(InvalidArguments, match="path is "):
            engine.backup(path)  # type: ignore[arg-type]

    assert not list(tmp_path.glob("*.db"))


@pytest.mark.parametrize(
    "filters",
    [{"status": 3}, {"limit": 2**70}, {"search": UNDECODABLE}, {"parent": UNDECODABLE}],
)
def test_a_listing_of_what_no_file_can_hold_is_refused(
    make_engine: EngineMaker, filters: dict[str, Any]
) -> None:
    """With an error of ours, not one of the database's."""
    engine = make_engine(queues=[Queue("default", kind="inline")])

    with pytest.raises(InvalidArguments):
        engine.workflows(**filters)


def test_ids_that_are_none_are_not_deleted(make_engine: EngineMaker) -> None:
    """A number is no id, nor several."""
    engine = make_engine(queues=[Queue("default", kind="inline")])

    for ids in (3, [3], [UNDECODABLE]):
        with pytest.raises(InvalidArguments, match="ids is "):
            engine.delete(ids)  # type: ignore[arg-type]
