"""When something that comes again and again is due: a cron line in a time zone, or an interval.

A cron line speaks of wall time, which is no straight line where clocks change. As in Debian's cron:

- a line that names its minutes and hours (``30 2 * * *``) is due once for each wall time it names. One that
  does not exist is made up for at the moment at which the clocks jump over it; of one that comes twice the
  first counts.
- a line with ``*`` in minutes or hours (``*/15 * * * *``, ``0 * * * *``) is due at every moment at which the
  clock on the wall matches: both times where it comes twice, never where it does not exist.

``cronsim`` counts on plain wall time only; it is not given the zone, because what it does there at a midnight
that does not exist, or in the second of two equal hours, can lie before the moment that was asked about.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError

MICROS_PER_S = 1_000_000

INTERVAL_MIN_US = 1_000
"""A shorter interval than this could not be kept anyway: each run takes a commit."""

INTERVAL_MAX_US = 100 * 366 * 86_400 * MICROS_PER_S
"""A longer one would lead out of the calendar."""

SEARCH_SPAN_MAX_S = 60 * 366 * 86_400
"""How far back the latest due time is looked for; ``cronsim`` looks 50 years ahead."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


class BadTiming(ValueError):
    """A cron line, a zone or an interval that can't be."""


class Timing(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """When: a cron line in a zone, or an interval.

    Attributes:
        cron: five fields, or six with seconds first; empty where an interval is given.
        timezone: of the cron line, a name of the IANA database.
        every_us: the interval, µs.
        anchor_us: µs since the epoch; an interval is due at the anchor plus once, twice, … the interval.
    """

    cron: str = ""
    timezone: str = "UTC"
    every_us: int = 0
    anchor_us: int = 0

    def check(self) -> None:
        """Refuses what can never be right.

        Raises:
            BadTiming: says what is wrong.
        """
        _zone(self.timezone)
        if self.cron:
            _check_cron(self.cron)
        elif not INTERVAL_MIN_US <= self.every_us <= INTERVAL_MAX_US:
            raise BadTiming(
                f"an interval of {self.every_us} µs, expected {INTERVAL_MIN_US} µs to {INTERVAL_MAX_US} µs"
            )

    def means_the_same(self, other: Timing) -> bool:
        """Whether both say the same, whenever it was that they were said."""
        return (self.cron, self.timezone, self.every_us) == (other.cron, other.timezone, other.every_us)

    def next_after(self, after_us: int) -> int | None:
        """The first due time later than that moment, µs since the epoch; None when there is none."""
        if not self.cron:
            passed = max(0, (after_us - self.anchor_us) // self.every_us)
            return self.anchor_us + (passed + 1) * self.every_us
        zone = _zone(self.timezone)
        try:
            after = _EPOCH + timedelta(seconds=after_us // MICROS_PER_S)
            due = (
                _next_matching(self.cron, zone, after)
                if _has_star(self.cron)
                else _next_named(self.cron, zone, after)
            )
        except OverflowError:  # the end of the calendar
            return None
        return None if due is None else (due - _EPOCH) // _SECOND * MICROS_PER_S

    def latest_until(self, until_us: int) -> int | None:
        """The last due time up to and with that moment; None when there is none within memory of man."""
        if not self.cron:
            passed = (until_us - self.anchor_us) // self.every_us
            return self.anchor_us + passed * self.every_us if passed > 0 else None
        until_s, span_s = until_us // MICROS_PER_S, 60
        while not self._is_due_within(until_s - span_s, until_us):
            span_s *= 2
            if span_s > SEARCH_SPAN_MAX_S:
                return None
        # Looked for: the second after which something is due until then, and one later nothing any more.
        low_s, high_s = until_s - span_s, until_s
        while high_s - low_s > 1:
            middle_s = (low_s + high_s) // 2
            if self._is_due_within(middle_s, until_us):
                low_s = middle_s
            else:
                high_s = middle_s
        return self.next_after(low_s * MICROS_PER_S)

    def _is_due_within(self, after_s: int, until_us: int) -> bool:
        due_us = self.next_after(after_s * MICROS_PER_S)
        return due_us is not None and due_us <= until_us


def iso_of(due_us: int) -> str:
    """A due time as it stands in a run's id: ISO 8601, UTC."""
    return (_EPOCH + timedelta(microseconds=due_us)).isoformat()


def _check_cron(cron: str) -> None:
    try:
        next(CronSim(cron, datetime(2000, 1, 1)))  # noqa: DTZ001 - wall time
    except CronSimError as error:
        raise BadTiming(f"{cron!r} is no cron line: {error}") from None
    except StopIteration:
        raise BadTiming(f"{cron!r} is never due") from None
    except (AssertionError, ValueError, TypeError):
        # What its parser did not expect, such as `L/2`.
        raise BadTiming(f"{cron!r} is no cron line") from None


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        # Known also where no time zone database is installed.
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, TypeError, OSError):
        raise BadTiming(f"no time zone named {name!r}; expected a name such as 'Europe/Paris'") from None


def _has_star(cron: str) -> bool:
    minutes, hours = cron.split()[-5:-3]
    return minutes.startswith("*") or hours.startswith("*")


def _next_wall(cron: str, wall: datetime) -> datetime | None:
    return next(CronSim(cron, wall), None)


def _next_named(cron: str, zone: tzinfo, after: datetime) -> datetime | None:
    wall: datetime | None = after.astimezone(zone).replace(tzinfo=None, fold=0)
    while wall is not None and (wall := _next_wall(cron, wall)) is not None:
        due = _moment_of(wall, zone)
        # In the second of two equal hours the wall times that follow have passed already.
        if due > after:
            return due
    return None


def _moment_of(wall: datetime, zone: tzinfo) -> datetime:
    """The first moment with that wall time; where there is none, that at which the clocks jump over it."""
    moment = wall.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
        return moment
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    change = _next_change(zone, before, moment, _offset_at(zone, before))
    assert change is not None, "a wall time is missing only where the clocks change"
    return change


def _next_matching(cron: str, zone: tzinfo, after: datetime) -> datetime | None:
    offset = _offset_at(zone, after)
    while True:
        wall = _next_wall(cron, (after + offset).replace(tzinfo=None))
        if wall is None:
            return None
        due = wall.replace(tzinfo=UTC) - offset
        change = _next_change(zone, after, due, offset)
        if change is None:
            return due
        # On the way there the clocks change: from then on it is another time on the wall.
        after, offset = change - _SECOND, _offset_at(zone, change)


def _next_change(zone: tzinfo, after: datetime, until: datetime, offset: timedelta) -> datetime | None:
    """The first moment later than ``after``, up to ``until``, that has another offset than this one."""
    low = after
    while low < until:
        high = min(low + _DAY, until)
        if _offset_at(zone, high) != offset:
            while high - low > _SECOND:
                middle = low + (high - low) // _SECOND // 2 * _SECOND
                low, high = (low, middle) if _offset_at(zone, middle) != offset else (middle, high)
            return high
        low = high
    return None


def _offset_at(zone: tzinfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)
