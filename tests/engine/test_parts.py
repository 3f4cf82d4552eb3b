"""Parts of a run that are made when they are needed."""

from typing import Any, cast

from tempolite.execution.parts import Parts


class Bare(Parts):
    """Has what a part looks at while it is made."""

    log = steps = services = cast("Any", None)


def test_a_run_makes_no_part_that_nobody_asks_for() -> None:
    """A run that needs none of them pays for none."""
    assert Bare().made == {}


def test_a_part_is_made_once_and_is_known_as_made() -> None:
    """Who asks again gets the same part, and who looks first sees that it is there."""
    run = Bare()

    first = run.signals

    assert run.signals is first
    assert run.made == {"signals": first}


def test_parts_of_one_run_are_not_those_of_another() -> None:
    """What one run made is its own."""
    one, other = Bare(), Bare()

    assert one.handlers is not other.handlers


def test_code_that_begins_anew_finds_the_parts_it_spoke_to_empty() -> None:
    """A handler that the code gave is forgotten, since the code gives it again."""
    run: Any = Bare()
    run.handlers._queries["how"] = print
    run.signals._lines["go"] = []

    run.begin_parts()

    assert (run.handlers._queries, run.signals._lines) == ({}, {})
