"""A queue's rate limit at work: lets an attempt start, or calls back when the next one may."""

from __future__ import annotations

from collections.abc import Callable

from tempolite.actors.dispatcher import Dispatcher, TimerHandle
from tempolite.core.queues import TokenBucket, starts_per_second


class RateGate:
    """Starts as fast as a rate allows; without one, always.

    Args:
        rate: such as ``"100/s"``, or None.
        on_open: called when it opens again.

    Attributes:
        is_limited: there is a rate; else every one may start, and nobody need ask.
    """

    def __init__(self, rate: str | None, on_open: Callable[[], None]) -> None:
        self._rate = rate
        self.is_limited = rate is not None
        self._on_open = on_open
        self._bucket: TokenBucket | None = None
        self._timer: TimerHandle | None = None

    def may_start(self, dispatcher: Dispatcher) -> bool:
        """Whether one may start now, which then counts as started."""
        if self._rate is None:
            return True
        now_s = dispatcher.clock.monotonic_s()
        if self._bucket is None:
            self._bucket = TokenBucket(starts_per_second(self._rate), now_s)
        if self._bucket.try_take(now_s):
            return True
        if self._timer is None:
            self._timer = dispatcher.call_at(now_s + self._bucket.wait_s(), self._open)
        return False

    def close(self) -> None:
        """Nothing starts any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _open(self) -> None:
        self._timer = None
        self._on_open()
