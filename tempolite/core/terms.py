"""What an activity's options come to, for whoever runs its attempts."""

from __future__ import annotations

import msgspec
from msgspec import structs


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What an activity's options say of each of its attempts; the same object for all of them.

    Attributes:
        timeout_s: limit of one attempt, from its start.
        deadline_s: limit of all attempts, from the start of the first.
        heartbeat_timeout_s: limit of the time between two heartbeats.
        grace_s: seconds from TERM to KILL.
        priority: higher first.
        memory_limit: bytes that it may use beyond what its worker process has.
        once: at most once: it begins only after the run has recorded that it starts.
        alone: nothing else may run in the same worker meanwhile.
        tells_start: the moment matters in which it begins; follows from the limits.
    """

    timeout_s: float | None = None
    deadline_s: float | None = None
    heartbeat_timeout_s: float | None = None
    grace_s: float = 5.0
    priority: int = 0
    memory_limit: int | None = None
    once: bool = False
    alone: bool = False
    tells_start: bool = False

    def __post_init__(self) -> None:
        is_limited = any(
            limit is not None for limit in (self.timeout_s, self.deadline_s, self.heartbeat_timeout_s)
        )
        structs.force_setattr(self, "tells_start", is_limited)


ANY_TERMS = Terms()
"""Of an activity without options."""
