"""The files of the project, and what a rule finds in one."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGINE_FOLDERS = ("actors", "tempolite")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_IN_BLOCKS = (ast.stmt, ast.excepthandler, ast.match_case)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """A file of text, named by its path from the top of the project."""

    path: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        """Its lines, without their ends."""
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        """The module, parsed."""
        return ast.parse(self.text, self.path)

    @cached_property
    def functions(self) -> list[tuple[str, Function]]:
        """Every function with its qualified name, inner ones too."""
        return list(_functions(self.tree, ""))


@dataclass(frozen=True)
class Finding:
    """Where a rule is broken, and how."""

    path: str
    line: int
    problem: str
    name: str = ""

    @property
    def place(self) -> str:
        """What a table of exceptions calls it."""
        return f"{self.path}:{self.name}" if self.name else self.path

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.problem}"


Rule = Callable[[Source], Iterable[Finding]]


def broken(rule: Rule, sources: Iterable[Source], exceptions: Iterable[str] = ()) -> list[str]:
    """What a rule finds, and exceptions that nothing needs any more; empty when all is well."""
    findings = [finding for source in sources for finding in rule(source)]
    places = {finding.place for finding in findings}
    unneeded = [
        f"{place}: the exception is not needed any more" for place in exceptions if place not in places
    ]
    return [str(finding) for finding in findings if finding.place not in exceptions] + unneeded


@cache
def project_files() -> list[str]:
    """Paths of all files that are tracked, or would be with the next ``git add``."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in sorted(set(listed.split("\0"))) if path and (ROOT / path).is_file()]


@cache
def texts() -> list[Source]:
    """Every file of the project that is text."""
    found = []
    for path in project_files():
        try:
            found.append(Source(path, (ROOT / path).read_text("utf-8")))
        except UnicodeDecodeError:
            continue
    return found


def engine_modules() -> list[Source]:
    """The engine's modules; ``tempolite/actors`` is a link, so each of ``actors/`` comes once."""
    return [source for source in modules() if source.path.split("/")[0] in ENGINE_FOLDERS]


def modules_of_tests() -> list[Source]:
    """Tests and what supports them."""
    return [source for source in modules() if source.path.startswith("tests/")]


def modules() -> list[Source]:
    """Every Python file."""
    return [source for source in texts() if source.path.endswith(".py")]


def statements_in(node: ast.AST) -> Iterator[ast.AST]:
    """What stands in the blocks of a node: no expression holds a block."""
    return (child for child in ast.iter_child_nodes(node) if isinstance(child, _IN_BLOCKS))


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    for child in statements_in(node):
        if isinstance(child, FUNCTIONS):
            yield prefix + child.name, child
        inner = f"{prefix}{child.name}." if isinstance(child, (*FUNCTIONS, ast.ClassDef)) else prefix
        yield from _functions(child, inner)
