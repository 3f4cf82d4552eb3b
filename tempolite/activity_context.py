"""What an activity can ask of its surroundings."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ActivityContext:
    """Optional first parameter of an activity: ``def charge(ctx: ActivityContext, order): ...``.

    Attributes:
        workflow_id: id of the run that asked for it.
        step: its step there.
        attempt: from 1.
        idempotency_key: the same across retries and crashes, so that a service outside can tell a second
            try from a second order; a new one when a recorded outcome is run again.
        logger: has the fields above in every record.
    """

    workflow_id: str
    step: str
    attempt: int
    idempotency_key: str
    logger: logging.LoggerAdapter[logging.Logger] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        extra = {"workflow_id": self.workflow_id, "step": self.step, "attempt": self.attempt}
        adapter = logging.LoggerAdapter(logging.getLogger("tempolite.activity"), extra)
        object.__setattr__(self, "logger", adapter)
