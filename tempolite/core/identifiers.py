"""Names of things, each with a type of its own so that they can't be mixed up."""

from __future__ import annotations

from typing import NewType, TypeGuard

WorkflowId = NewType("WorkflowId", str)
"""What the user calls a workflow; the same through all its runs (continue-as-new)."""

StreamId = NewType("StreamId", int)
"""One run's event stream in the file; increasing, never used again."""

StepKey = NewType("StepKey", str)
"""A step within a run: its name, with ``#n`` for the n-th use of that name (n > 1)."""

OCCURRENCE_MARK = "#"

DRAWN_BYTES = 10
"""Randomness in an id that is made up."""


def is_text(value: object) -> TypeGuard[str]:
    r"""Whether a file can hold this as a text: SQLite's are UTF-8, which has no half surrogates.

    >>> is_text("größe"), is_text("\udcff"), is_text(3)
    (True, False, False)
    """
    return isinstance(value, str) and (value.isascii() or _is_utf8(value))


def is_name(value: object) -> TypeGuard[str]:
    """Whether something can be called that: a text that is not empty."""
    return is_text(value) and value != ""


def idempotency_key(workflow: WorkflowId, run: int, step: StepKey, schedule: int) -> str:
    """The key of all attempts at one scheduling of a step.

    >>> idempotency_key(WorkflowId("order-1"), 2, StepKey("charge"), 7)
    'order-1:2:charge:7'
    """
    return f"{workflow}:{run}:{step}:{schedule}"


def run_of_key(key: str, workflow: str) -> int | None:
    """The run that an idempotency key of a workflow belongs to; None for a text that is none.

    >>> run_of_key("order-1:2:charge:7", "order-1"), run_of_key("a test's", "order-1")
    (2, None)
    """
    run = key.removeprefix(f"{workflow}:").partition(":")[0]
    return int(run) if key.startswith(f"{workflow}:") and run.isdecimal() else None


def step_key(name: str, occurrence: int) -> StepKey:
    """The key of the ``occurrence``-th use (from 1) of a step's name.

    >>> step_key("charge", 1), step_key("charge", 2)
    ('charge', 'charge#2')
    """
    return StepKey(name if occurrence == 1 else f"{name}{OCCURRENCE_MARK}{occurrence}")


def made_up_id(now_us: int, drawn: bytes) -> str:
    """A UUIDv7 (RFC 9562) as hex digits: ids made one after another lie side by side in the index.

    Args:
        now_us: µs since the epoch.
        drawn: :data:`DRAWN_BYTES` random ones.
    """
    number = int.from_bytes(drawn, "big")
    bits = (
        (now_us // 1_000 & (1 << 48) - 1) << 80
        | 7 << 76
        | (number >> 64 & 0xFFF) << 64
        | 2 << 62
        | number & (1 << 62) - 1
    )
    return f"{bits:032x}"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
