"""What log records say of the run that they belong to; names, and nothing of the logging itself."""

from __future__ import annotations

FIELDS = ("workflow_id", "run", "step", "attempt")
"""Attributes of each record of ``ctx.logger``; those that mean nothing for it are None."""


def log_fields(
    workflow: str, run: int | None = None, step: str | None = None, attempt: int | None = None
) -> dict[str, object]:
    """The fields, for ``extra=``.

    >>> log_fields("order-1", run=2)
    {'workflow_id': 'order-1', 'run': 2, 'step': None, 'attempt': None}
    """
    return dict(zip(FIELDS, (workflow, run, step, attempt), strict=True))
