"""Names of steps: the second use of a name is another step."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempolite.core.identifiers import step_key

NAMES = st.text(st.characters(exclude_characters="#", exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize(
    ("name", "occurrence", "key"),
    [
        ("charge", 1, "charge"),
        ("charge", 2, "charge#2"),
        ("charge", 10, "charge#10"),
        ("Größe 5", 3, "Größe 5#3"),
        ("a#b", 1, "a#b"),
    ],
)
def test_a_step_is_called_by_its_name_and_which_use_of_it(name: str, occurrence: int, key: str) -> None:
    """The first use has the bare name, so that histories stay readable (P1)."""
    assert step_key(name, occurrence) == key


@settings(deadline=None, max_examples=100)
@given(NAMES, NAMES, st.integers(1, 10_000), st.integers(1, 10_000))
def test_two_uses_never_share_a_key(first: str, second: str, one: int, other: int) -> None:
    """Equal keys mean the same name and the same occurrence."""
    is_same = (first, one) == (second, other)

    assert (step_key(first, one) == step_key(second, other)) is is_same
