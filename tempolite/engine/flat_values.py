"""Results of calls on their way to another process: handles by their ids, everything else as it is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tempolite.engine.handle import WorkflowInfo
from tempolite.engine.listing import Node, Page
from tempolite.registry import function_name

if TYPE_CHECKING:
    from tempolite.engine.port import Port


@dataclass(frozen=True, slots=True)
class RunOf:
    """A handle of a run."""

    id: str


@dataclass(frozen=True, slots=True)
class PageOf:
    """A page, with the ids of its runs."""

    ids: list[str]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class TreeOf:
    """Nodes of a tree, parents before their children: id, and place of the parent in this list."""

    nodes: list[tuple[str, int]]


def flat(value: Any) -> Any:
    """What travels for a result."""
    match value:
        case WorkflowInfo():
            return RunOf(value.id)
        case Page():
            return PageOf([info.id for info in value], value.cursor)
        case Node():
            return _flat_tree(value)
        case list():
            return [flat(each) for each in value]
        case _:
            return value


def full(port: Port, value: Any) -> Any:
    """The result again, with handles that ask that port."""
    match value:
        case RunOf(id):
            return WorkflowInfo(port, id)
        case PageOf(ids, cursor):
            return Page([WorkflowInfo[Any](port, id) for id in ids], cursor)
        case TreeOf(nodes):
            return _full_tree(port, nodes)
        case list():
            return [full(port, each) for each in value]
        case _:
            return value


def flat_argument(value: Any) -> Any:
    """What travels for an argument: functions by their names, paths as seen from here, groups as lists."""
    if isinstance(value, (str, bytes)) or value is None:
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if callable(value):
        return function_name(value)
    return list(value) if isinstance(value, Iterable) else value


def _flat_tree(root: Node) -> TreeOf:
    nodes, order = [(root.info.id, -1)], [root]
    for place, node in enumerate(order):
        for child in node.children:
            nodes.append((child.info.id, place))
            order.append(child)
    return TreeOf(nodes)


def _full_tree(port: Port, nodes: list[tuple[str, int]]) -> Node:
    children: list[list[Node]] = [[] for _ in nodes]
    for place in reversed(range(len(nodes))):
        id, parent = nodes[place]
        node = Node(WorkflowInfo(port, id), tuple(reversed(children[place])))
        if parent >= 0:
            children[parent].append(node)
    return node
