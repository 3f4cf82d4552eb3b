"""A look at a workflow function's code: calls that belong elsewhere, found before it ever runs.

Names are followed through the function's globals, closure, imports and local aliases, so that
``from time import sleep as nap`` is known for what it is. Only calls count: a function that is handed on,
as in ``ctx.side_effect("id", uuid.uuid4)``, is what we want. The same goes for lambdas and inner functions
that are only ever handed to an activity, a side effect or a child. Nothing of the user's is run or imported.
"""

from __future__ import annotations

import builtins
import dis
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

from tempolite.determinism.forbidden import METHODS, NAMED, Forbidden, Index, index

HANDING_ON = frozenset({"activity", "side_effect", "workflow", "saga", "on_query", "add"})
"""Calls whose arguments run elsewhere; ``add`` is a saga's."""

_NO_EFFECT = frozenset(
    {
        *("CACHE", "EXTENDED_ARG", "NOP", "PUSH_NULL", "PRECALL", "SWAP", "POP_TOP", "COPY"),
        "SET_FUNCTION_ATTRIBUTE",
    }
)
_GLOBAL_LOADS = ("LOAD_GLOBAL", "LOAD_NAME")
_LOCAL_LOADS = ("LOAD_FAST", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR")

_STORES = ("STORE_FAST", "STORE_DEREF", "STORE_NAME", "STORE_GLOBAL")

Position = tuple[int, int]


@dataclass(frozen=True)
class Found:
    """A call that belongs elsewhere.

    Attributes:
        file, line: where it stands.
        name: of what is called.
        instead: what to use in its place.
    """

    file: str
    line: int
    name: str
    instead: str


def look_at(function: Any) -> list[Found]:
    """The calls in a function's code that belong elsewhere, in the order of their lines."""
    function = inspect.unwrap(getattr(function, "__func__", function))
    if not isinstance(function, FunctionType):
        return []
    code = function.__code__
    look = _Look({**vars(builtins), **function.__globals__})
    cells = zip(code.co_freevars, function.__closure__ or (), strict=False)
    look.at(code, {name: cell.cell_contents for name, cell in cells if _is_filled(cell)})
    return sorted(set(look.found), key=lambda found: (found.file, found.line, found.name))


@dataclass(frozen=True)
class _Named:
    """Something of which the name is all there is: its module is not imported, or a class has it."""

    name: str


@dataclass(eq=False)
class _Inner:
    """A function made by the code that is looked at."""

    code: CodeType
    outer: dict[str, Any]
    is_looked_at: bool = False

    @property
    def is_part(self) -> bool:
        """Whether it runs where it stands: a comprehension."""
        return self.code.co_name.startswith("<") and self.code.co_name != "<lambda>"

    def cells(self) -> dict[str, Any]:
        """What its code takes from around it."""
        return {name: self.outer[name] for name in self.code.co_freevars if name in self.outer}


@dataclass(frozen=True)
class _Load:
    """An expression ``a.b.c`` that the code loads, or a function that it makes.

    Attributes:
        value: what that is, as far as is known.
        name: the last name.
        starts: where it starts, and where its last part starts, for calls over several lines.
        end: where it ends.
    """

    value: Any
    name: str
    starts: tuple[Position, Position]
    end: Position


class _Look:
    """Goes through a function's code, and through that of the functions which it runs itself."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names
        self._table = index()
        self.found: list[Found] = []

    def at(self, code: CodeType, cells: dict[str, Any]) -> None:
        """Looks at one code object."""
        scan = _Scan(code, self._names, cells, self._table)
        elsewhere = [span for load in scan.loads if load.name in HANDING_ON and (span := scan.call_of(load))]
        for load in scan.loads:
            if isinstance(load.value, _Inner):
                is_handed_on = any(start <= load.starts[0] and load.end <= end for start, end in elsewhere)
                if load.value.is_part or not is_handed_on:
                    self._look_into(load.value)
            elif (entry := self._entry(load)) is not None and scan.call_of(load) is not None:
                self.found.append(Found(code.co_filename, load.starts[0][0], entry.name, entry.instead))

    def _look_into(self, inner: _Inner) -> None:
        if not inner.is_looked_at:
            inner.is_looked_at = True
            self.at(inner.code, inner.cells())

    def _entry(self, load: _Load) -> Forbidden | None:
        if isinstance(load.value, _Named):
            return NAMED.get(load.value.name)
        return METHODS.get(load.name) if load.value is None else self._table.find(load.value)


@dataclass
class _Scan:
    """What one code object loads and calls, in the order of its instructions; branches are not told apart."""

    code: CodeType
    names: Mapping[str, Any]
    bound: dict[str, Any]
    table: Index
    loads: list[_Load] = field(default_factory=list)
    calls: list[tuple[Position, Position]] = field(default_factory=list)
    value: Any = None
    _load: _Load | None = None
    _constant: Any = None
    _module: Any = None

    def __post_init__(self) -> None:
        self._code_constant: CodeType = self.code
        for step in dis.get_instructions(self.code):
            if step.opname not in _NO_EFFECT:
                self._take(step)

    def call_of(self, load: _Load) -> tuple[Position, Position] | None:
        """The call whose function this is."""
        spans = [span for span in self.calls if span[0] in load.starts and span[1] > load.end]
        return min(spans, key=lambda span: span[1], default=None)

    def _take(self, step: dis.Instruction) -> None:
        operation, argument = step.opname, step.argval
        before, self._load = self._load, None
        if operation in ("LOAD_ATTR", "LOAD_METHOD"):
            self._extend(step, before)
        elif operation.startswith(_GLOBAL_LOADS):
            self._add_load(step, argument, self.names.get(argument))
        elif operation.startswith(_LOCAL_LOADS):
            # Some versions load two at once: only the last can be part of a longer expression.
            name = argument[-1] if isinstance(argument, tuple) else argument
            self._add_local(step, name)
        elif operation.startswith(_STORES):
            # Some versions store and load at once.
            self._bind(argument[0] if isinstance(argument, tuple) else argument)
            if operation.endswith("LOAD_FAST"):
                self._add_local(step, argument[1])
        elif operation.startswith("CALL") and "INTRINSIC" not in operation:
            self.calls.append(_span(step))
            if not isinstance(self.value, _Inner) or self.value.code.co_name == "<lambda>":
                # Of a def that is left as it is: the call is its decorator's.
                self.value = None
        elif operation == "MAKE_FUNCTION":
            self._add_load(step, "", _Inner(self._code_constant, self.bound))
        else:
            self._take_constant_or_import(operation, argument)

    def _take_constant_or_import(self, operation: str, argument: Any) -> None:
        self.value = None
        if operation == "LOAD_CONST":
            self._constant = argument
            if isinstance(argument, CodeType):
                self._code_constant = argument
        elif operation == "IMPORT_NAME":
            # Without a list of names it gives the package, from which each part of the name is taken.
            whole = argument if self._constant else argument.partition(".")[0]
            self.value = self._module = sys.modules.get(whole, _Named(whole))
        elif operation == "IMPORT_FROM":
            self.value = self._attribute(self._module, argument)
            if not self._constant:
                self._module = self.value

    def _add_load(self, step: dis.Instruction, name: str, value: Any) -> None:
        start, end = _span(step)
        self.value = value
        self._load = _Load(value, name, (start, start), end)
        self.loads.append(self._load)

    def _add_local(self, step: dis.Instruction, name: str) -> None:
        value = self.bound.get(name)
        (line, column), (end_line, end_column) = _span(step)
        if isinstance(value, _Inner) and (line != end_line or end_column - column > len(name)):
            # Taken into the closure of another function, which is no use of it yet.
            self.value = None
        else:
            self._add_load(step, name, value)

    def _extend(self, step: dis.Instruction, before: _Load | None) -> None:
        """The expression goes on: what was loaded is a part of it."""
        value = self._attribute(self.value, step.argval)
        start, end = _span(step)
        if before is not None:
            self.loads.remove(before)
        self.value = value
        self._load = _Load(value, step.argval, (before.starts[0] if before else start, start), end)
        self.loads.append(self._load)

    def _bind(self, name: str) -> None:
        if isinstance(self.value, _Inner) and self.loads and self.loads[-1].value is self.value:
            # It was made to get this name: only uses of the name count.
            self.loads.pop()
        self.bound[name], self.value = self.value, None

    def _attribute(self, value: Any, name: str) -> Any:
        if isinstance(value, _Named):
            return _Named(f"{value.name}.{name}")
        if isinstance(value, ModuleType):
            whole = f"{value.__name__}.{name}"
            # Not getattr: a module may have one of its own, which would run.
            return vars(value).get(name, sys.modules.get(whole, _Named(whole)))
        if isinstance(value, type):
            entry = self.table.find_member(value, name)
            return None if entry is None else _Named(entry.name)
        return None


def _span(step: dis.Instruction) -> tuple[Position, Position]:
    """Where an instruction's source starts and ends; offsets stand in for columns that were not kept."""
    positions = step.positions
    if positions is None or positions.col_offset is None or positions.end_col_offset is None:
        line = (positions and positions.lineno) or 0
        return (line, 0), (line, step.offset)
    return (positions.lineno or 0, positions.col_offset), (
        positions.end_lineno or 0,
        positions.end_col_offset,
    )


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False
