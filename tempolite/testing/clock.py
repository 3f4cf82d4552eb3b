"""Time of a test's engines, which the test moves, or which moves to whatever the test waits for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tempolite.actors.clock import MICROS_PER_S, VirtualClock
from tempolite.actors.seeded_dispatcher import SeededOrder
from tempolite.actors.stillness import Stillness
from tempolite.errors import InvalidArguments


class TestClock:
    """Virtual time of every engine of a test.

    It stands still, but for two things:

    - ``advance`` moves it, and everything that falls due meanwhile happens in its order;
    - while the test waits for the engine (``get``, ``wait``, ``await info`` …), every run waits, and no
      activity runs, it moves by itself to what is due next.

    So what a test does between two waits, a signal for instance, never loses a race against a time-out. It
    begins at the start of 2026, the same for every test. Activities are real code and take no virtual time;
    their time-outs count the machine's time as well.
    """

    __test__ = False

    def __init__(self) -> None:
        self.virtual = VirtualClock()
        self.stillness = Stillness(self.virtual)
        self.order: SeededOrder | None = None
        """Runs the engines, where the test has seeded them."""

    def now(self) -> datetime:
        """The time, UTC."""
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=self.virtual.now_us())

    def advance(self, seconds: float | timedelta) -> None:
        """Moves it by seconds or a timedelta; returns when all that fell due was handled.

        Activities that are under way get a second of the machine's time to end; one that takes longer is left
        to run, and the time goes on over it.

        Raises:
            InvalidArguments: time doesn't go back.
            TimeoutError: the engines did not come to rest within a minute.
        """
        span = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        is_number = isinstance(span, (int, float)) and not isinstance(span, bool)
        if not is_number or not 0 <= span < float("inf"):
            raise InvalidArguments(f"advance() got {seconds!r}, expected a timedelta or seconds from 0")
        if self.order is not None:
            self.order.run_for(span, self.virtual)
        else:
            self.stillness.advance(round(span * MICROS_PER_S))
