"""Crash states: the files that a crash would leave, for each point of a recording and each mode."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.crashdisk.disk import Disk, Mode
from tests.crashdisk.ops import Found, Marked, Op


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashState:
    """The disk after a crash right after the first `index` ops; `after` is the last of them.

    `marks` are the labels marked before the crash, in order: what the application had said by then.
    The same ops, index, mode and seed give the same files.
    """

    index: int
    mode: Mode
    seed: int
    after: Op
    files: dict[str, bytes] = field(repr=False)
    marks: tuple[object, ...] = field(repr=False)


def crash_states(
    ops: Sequence[Op],
    *,
    modes: Sequence[Mode] = tuple(Mode),
    seed: int,
    stride: int = 1,
    ignores_sync: Callable[[str], bool] = lambda file: False,
) -> Iterator[CrashState]:
    """All crash states after every `stride`-th op and after the last, in one walk over the ops."""
    for index, disk, marks in _walk(ops, ignores_sync):
        if index % stride == 0 or index == len(ops):
            for mode in modes:
                yield _state(ops, index, disk, marks, mode, seed)


def crash_state(
    ops: Sequence[Op],
    *,
    mode: Mode,
    seed: int,
    index: int | None = None,
    ignores_sync: Callable[[str], bool] = lambda file: False,
) -> CrashState:
    """One crash state, as `crash_states` gives it: after `index` ops, or after all of them."""
    wanted = len(ops) if index is None else index
    for reached, disk, marks in _walk(ops, ignores_sync):
        if reached == wanted:
            return _state(ops, reached, disk, marks, mode, seed)
    raise ValueError(f"no crash point after {wanted} of {len(ops)} ops")


def _walk(
    ops: Sequence[Op], ignores_sync: Callable[[str], bool]
) -> Iterator[tuple[int, Disk, tuple[object, ...]]]:
    disk = Disk(ignores_sync=ignores_sync)
    marks: tuple[object, ...] = ()
    for index, op in enumerate(ops, start=1):
        disk.apply(op)
        if isinstance(op, Marked):
            marks = (*marks, op.label)
        # Among the files found there was no point in time: they were all there before.
        if not isinstance(op, Found) or index == len(ops):
            yield index, disk, marks


def _state(
    ops: Sequence[Op], index: int, disk: Disk, marks: tuple[object, ...], mode: Mode, seed: int
) -> CrashState:
    # Seeded for each state alone, so that one state can be rebuilt without the others.
    rng = random.Random(f"{seed}/{index}/{mode}")
    files = disk.crash(mode, rng)
    return CrashState(index=index, mode=mode, seed=seed, after=ops[index - 1], files=files, marks=marks)
