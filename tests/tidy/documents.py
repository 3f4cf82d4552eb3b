"""What the project's texts say of machines, of each other, and of the promises."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from tests.tidy.sources import Finding, Source

TOP_LEVEL = frozenset(
    {
        "setup.cfg",
        "pyproject.toml",
        "tempolite",
        "actors",
        "tests",
        "examples",
        "docs",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        ".gitignore",
        ".ci",
    }
)
"""Everything that may lie at the top of the project."""

_MACHINE_PATH = re.compile(r"(?<![\w.~*])/(?:root|home|work|mnt|Users)/\w")
_DOCUMENT = re.compile(r"[\w-]+\.md\b")
_PROMISE = re.compile(r"\bP(?:1[0-3]|[1-9])\b")
_STATED_PROMISE = re.compile(r"\*\*P(\d+)\*\*")


def machine_paths(source: Source) -> Iterator[Finding]:
    """Absolute paths that are there on one machine only."""
    for number, line in enumerate(source.lines, start=1):
        if _MACHINE_PATH.search(line):
            yield Finding(source.path, number, f"names a path of one machine: {line.strip()[:60]}")


def missing_documents(source: Source, documents: Collection[str]) -> Iterator[Finding]:
    """Mentions of documents that the project doesn't have; ``documents`` are the names of those it has."""
    for number, line in enumerate(source.lines, start=1):
        for name in _DOCUMENT.findall(line):
            if name not in documents:
                yield Finding(source.path, number, f"speaks of {name}, which is not here")


def unstated_promises(source: Source, promises: Collection[str]) -> Iterator[Finding]:
    """Mentions of a promise, P1 and so on, that no document states."""
    for number, line in enumerate(source.lines, start=1):
        for name in _PROMISE.findall(line):
            if name not in promises:
                yield Finding(source.path, number, f"refers to {name}, which the README doesn't state")


def stated_promises(text: str) -> set[str]:
    """The promises that a text states, each as a bold number."""
    return {f"P{number}" for number in _STATED_PROMISE.findall(text)}
