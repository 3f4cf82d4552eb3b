"""How long a file is, how long, deep and wide a function, and whether it says what it is for."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator

from tests.tidy.sources import FUNCTIONS, Finding, Function, Source, statements_in

FILE_LINES_MAX = 400
BODY_LINES_MAX = 50
NESTING_MAX = 3
PARAMETERS_MAX = 6
TEST_WORDS_MIN = 4
VAGUE_NAMES = frozenset({"utils", "util", "common", "helpers", "helper", "misc", "base", "manager"})

_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)


def long_files(source: Source) -> Iterator[Finding]:
    """Files of more lines than a reader takes in."""
    if len(source.lines) > FILE_LINES_MAX:
        yield Finding(
            source.path, 1, f"{len(source.lines)} lines, at most {FILE_LINES_MAX}: split by meaning"
        )


def long_bodies(source: Source) -> Iterator[Finding]:
    """Functions whose body, without its docstring, is too long."""
    for name, function in source.functions:
        body = function.body[1:] if ast.get_docstring(function) is not None else function.body
        length = body[-1].end_lineno - body[0].lineno + 1 if body else 0  # type: ignore[operator]
        if length > BODY_LINES_MAX:
            problem = f"the body of {name} has {length} lines, at most {BODY_LINES_MAX}"
            yield Finding(source.path, function.lineno, problem, name)


def deep_nesting(source: Source) -> Iterator[Finding]:
    """Functions with blocks in blocks in blocks in blocks."""
    for name, function in source.functions:
        depth = max(_depth(statement, 0) for statement in function.body)
        if depth > NESTING_MAX:
            problem = f"{name} is nested {depth} deep, at most {NESTING_MAX}"
            yield Finding(source.path, function.lineno, problem, name)


def many_parameters(source: Source) -> Iterator[Finding]:
    """Functions that take too much; the instance does not count."""
    for name, function in source.functions:
        arguments = function.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        count = len([argument for argument in named if argument.arg not in ("self", "cls")])
        if count > PARAMETERS_MAX and not _is_overload(function):
            problem = f"{name} has {count} parameters, at most {PARAMETERS_MAX}"
            yield Finding(source.path, function.lineno, problem, name)


def vague_names(source: Source) -> Iterator[Finding]:
    """Modules and packages that are called by what they are not."""
    for part in source.path.removesuffix(".py").split("/"):
        if part in VAGUE_NAMES:
            yield Finding(source.path, 1, f"{part!r} says nothing: name the thing")


def undocumented(source: Source) -> Iterator[Finding]:
    """Public modules, classes, functions and methods without a docstring.

    What implements a documented method of a class in the same file, or of the standard library's, has its
    promise from there.
    """
    if ast.get_docstring(source.tree) is None:
        yield Finding(source.path, 1, "the module has no docstring")
    promised = _promised_methods(source.tree)
    for name, node in _public(source.tree, ""):
        if ast.get_docstring(node) is None and not (node.name in promised and "." in name):
            yield Finding(source.path, node.lineno, f"{name} has no docstring", name)


def unspoken_tests(source: Source) -> Iterator[Finding]:
    """Tests whose name is no sentence, or that don't say what they promise."""
    if ast.get_docstring(source.tree) is None:
        yield Finding(source.path, 1, "the module has no docstring")
    for name, function in source.functions:
        if not function.name.startswith("test_") or not _is_test_file(source):
            continue
        if len(function.name.split("_")) - 1 < TEST_WORDS_MIN:
            problem = f"{name} is no sentence: at least {TEST_WORDS_MIN} words"
            yield Finding(source.path, function.lineno, problem, name)
        if ast.get_docstring(function) is None:
            yield Finding(source.path, function.lineno, f"{name} has no docstring: what is promised?", name)


def _is_test_file(source: Source) -> bool:
    return source.path.rsplit("/", 1)[-1].startswith("test_")


def _depth(node: ast.AST, above: int) -> int:
    """The deepest block within a statement; functions in it count for themselves, ``elif`` is no level."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
        return above
    here = above + isinstance(node, _BLOCKS)
    inner = [_depth(child, above if _is_elif(node, child) else here) for child in statements_in(node)]
    return max([here, *inner])


def _is_elif(node: ast.AST, child: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]


def _public(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    for child in node.body:
        if not isinstance(child, (*FUNCTIONS, ast.ClassDef)) or child.name.startswith("_"):
            continue
        if isinstance(child, ast.ClassDef):
            yield prefix + child.name, child
            yield from _public(child, f"{prefix}{child.name}.")
        elif not _is_overload(child):
            yield prefix + child.name, child


def _promised_methods(tree: ast.Module) -> set[str]:
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    methods = [method for each in classes for method in each.body if isinstance(method, FUNCTIONS)]
    documented = {method.name for method in methods if ast.get_docstring(method) is not None}
    bases = {ast.unparse(base) for each in classes for base in each.bases}
    return documented.union(*(_names_of_standard_class(base) for base in bases))


def _names_of_standard_class(name: str) -> set[str]:
    """Attributes of ``module.Class`` where that is of the standard library."""
    module, _, inner = name.partition(".")
    if module not in sys.stdlib_module_names or not inner.isidentifier():
        return set()
    return set(dir(getattr(importlib.import_module(module), inner, None)))


def _is_overload(function: Function) -> bool:
    return any(isinstance(mark, ast.Name) and mark.id == "overload" for mark in function.decorator_list)
