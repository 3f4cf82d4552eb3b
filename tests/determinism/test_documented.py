"""The page on determinism says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from tempolite.determinism.forbidden import TABLE, Group

PAGE = Path(__file__).parents[2] / "docs" / "determinism.md"


def test_the_documented_table_is_that_of_the_code() -> None:
    """Every call that is noticed, with its remedy, in the same order."""
    lines = PAGE.read_text("utf-8").splitlines()
    documented = lines[lines.index("|---|---|---|") + 1 :][: len(TABLE)]

    assert documented == [row(group) for group in TABLE], "\n".join(row(group) for group in TABLE)


def row(group: Group) -> str:
    """How a group of calls is shown: names of the same module together."""
    by_owner: dict[str, list[str]] = {}
    for name in group.names:
        owner, _, last = name.rpartition(".")
        by_owner.setdefault(owner, []).append(last)
    texts = [
        f"`{owner}`: {', '.join(names)}" if owner else ", ".join(f"`{name}`" for name in names)
        for owner, names in by_owner.items()
    ]
    instead = re.sub(r"(ctx\.\w+(\([^)]*\))?)", r"`\1`", group.instead)
    return f"| {group.topic} | {'; '.join(texts)} | {instead} |"
