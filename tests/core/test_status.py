"""What a run can be, and what may follow: every pair of the table."""

from __future__ import annotations

import pytest

from tempolite.core.status import ALLOWED, FINISHED, Status, is_finished, may_follow

NAMES = ("PENDING", "RUNNING", "WAITING", "PAUSED", "STUCK", "STRANDED", "COMPLETED", "FAILED", "CANCELLED")

EXPECTED = {
    # from            P R W P S S C F C  (in the order of NAMES)
    "PENDING": "y y y y y y y y y",
    "RUNNING": "y y y y y y y y y",
    "WAITING": "- y y y y y y y y",
    "PAUSED": "y y y y y y y y y",
    "STUCK": "y y y y y y y y y",
    "STRANDED": "y y y y y y y y y",
    "COMPLETED": "- - - - - - y - -",
    "FAILED": "y y y - - - - y -",
    "CANCELLED": "y y y - - - - - y",
}

PAIRS = [
    pytest.param(before, after, mark == "y", id=f"{before}-{after}")
    for before, marks in EXPECTED.items()
    for after, mark in zip(NAMES, marks.split(), strict=True)
]


@pytest.mark.parametrize(("before", "after", "is_allowed"), PAIRS)
def test_every_pair_is_allowed_or_refused_as_the_table_says(
    before: str, after: str, is_allowed: bool
) -> None:
    """A run becomes what the table allows, and nothing else; staying the same is no change."""
    assert may_follow(Status(before), Status(after)) is is_allowed


def test_the_table_speaks_of_every_status() -> None:
    """Nobody forgets a row when a status is added."""
    assert set(ALLOWED) == set(Status)
    assert set(NAMES) == set(Status)


@pytest.mark.parametrize("name", NAMES)
def test_only_three_statuses_are_an_outcome(name: str) -> None:
    """Completed, failed and cancelled are recorded outcomes."""
    status = Status(name)

    assert is_finished(status) is (name in ("COMPLETED", "FAILED", "CANCELLED"))
    assert is_finished(status) is (status in FINISHED)


def test_every_unfinished_status_can_end_in_every_way() -> None:
    """No run is left that could never end."""
    for status in set(Status) - FINISHED:
        assert ALLOWED[status] >= FINISHED, status


def test_a_text_is_accepted_for_a_status() -> None:
    """Status is text: callers may write it as such."""
    assert Status("RUNNING") == "RUNNING"
    assert f"{Status.RUNNING}" == "RUNNING"
