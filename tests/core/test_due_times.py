"""When a cron line or an interval is due, where clocks are changed and where they are not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempolite.core.due_times import MICROS_PER_S, BadTiming, Timing, iso_of

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # changes by half an hour
    "America/Havana",  # changes at midnight
    "Asia/Kathmandu",
    "Africa/Casablanca",  # changes around Ramadan
    "Pacific/Apia",
]
MINUTE = timedelta(minutes=1)


def us(at: datetime) -> int:
    return round(at.timestamp()) * MICROS_PER_S


def at(*parts: int) -> int:
    return us(datetime(*parts, tzinfo=UTC))  # type: ignore[misc,arg-type]


def dues(timing: Timing, after_us: int, count: int) -> list[str]:
    """The next due times, in the zone."""
    zone, found, due = ZoneInfo(timing.timezone), list[str](), after_us
    for _ in range(count):
        due = timing.next_after(due) or 0
        found.append(datetime.fromtimestamp(due / MICROS_PER_S, zone).isoformat())
    return found


# ── cron lines ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_cron_line_is_read_in_its_zone() -> None:
    """Three at night is another moment in every zone."""
    timing = Timing(cron="0 3 * * *", timezone="Asia/Tokyo")

    assert iso_of(timing.next_after(at(2026, 11, 21, 12)) or 0) == "2026-11-21T18:00:00+00:00"


def test_the_moment_itself_is_not_after_it() -> None:
    """Asking with a due time gives the next one."""
    timing = Timing(cron="0 3 * * *")

    assert timing.next_after(at(2026, 1, 1, 3)) == at(2026, 1, 2, 3)
    assert timing.next_after(at(2026, 1, 1, 3) - 1) == at(2026, 1, 1, 3)


def test_six_fields_begin_with_seconds() -> None:
    """As ``cronsim`` reads them."""
    timing = Timing(cron="*/20 * * * * *")

    assert dues(timing, at(2026, 1, 1), 3) == [f"2026-01-01T00:0{t}+00:00" for t in ("0:20", "0:40", "1:00")]


def test_a_time_that_does_not_exist_is_due_when_the_clocks_jump() -> None:
    """Half past two in the night of the change in spring: once, at three, and the next day as ever."""
    timing = Timing(cron="30 2 * * *", timezone="Europe/Berlin")

    assert dues(timing, at(2026, 3, 28, 12), 2) == ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]


def test_times_that_fall_together_are_due_once() -> None:
    """Two, half past two and three are one moment that night."""
    timing = Timing(cron="0,30 2,3 * * *", timezone="Europe/Berlin")

    assert dues(timing, at(2026, 3, 28, 12), 3) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-29T03:30:00+02:00",
        "2026-03-30T02:00:00+02:00",
    ]


def test_a_time_that_comes_twice_is_due_the_first_time() -> None:
    """Half past two in the night of the change in autumn."""
    timing = Timing(cron="30 2 * * *", timezone="Europe/Berlin")

    assert dues(timing, at(2026, 10, 24, 12), 2) == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]


def test_asking_in_the_second_of_two_equal_hours_gives_the_next_day() -> None:
    """The first one has passed, though the wall says that it is still to come."""
    timing = Timing(cron="30 2 * * *", timezone="Europe/Berlin")

    assert timing.next_after(at(2026, 10, 25, 1, 15)) == at(2026, 10, 26, 1, 30)


def test_an_hourly_line_is_due_every_hour_that_passes() -> None:
    """Twice at two where it comes twice; not at two where there is none."""
    timing = Timing(cron="0 * * * *", timezone="Europe/Berlin")

    autumn = dues(timing, at(2026, 10, 24, 23, 30), 4)
    spring = dues(timing, at(2026, 3, 28, 23, 30), 3)

    assert [each[11:] for each in autumn] == [
        "02:00:00+02:00",
        "02:00:00+01:00",
        "03:00:00+01:00",
        "04:00:00+01:00",
    ]
    assert [each[11:] for each in spring] == ["01:00:00+01:00", "03:00:00+02:00", "04:00:00+02:00"]


def test_a_midnight_that_does_not_exist_is_due_at_one() -> None:
    """Havana changes its clocks at midnight."""
    timing = Timing(cron="0 0 * * *", timezone="America/Havana")

    assert dues(timing, at(2026, 3, 7, 12), 2) == ["2026-03-08T01:00:00-04:00", "2026-03-09T00:00:00-04:00"]


FIELDS = st.one_of(
    st.just("*"),
    st.sampled_from(["*/2", "*/7", "*/15"]),
    st.lists(st.integers(0, 23), min_size=1, max_size=3, unique=True).map(lambda n: ",".join(map(str, n))),
)
CHANGES = st.sampled_from(
    [
        datetime(2026, 3, 8, tzinfo=UTC),
        datetime(2026, 3, 29, tzinfo=UTC),
        datetime(2026, 4, 4, 12, tzinfo=UTC),
        datetime(2026, 10, 3, 12, tzinfo=UTC),
        datetime(2026, 10, 25, tzinfo=UTC),
        datetime(2026, 11, 1, tzinfo=UTC),
        datetime(2026, 2, 15, tzinfo=UTC),
        datetime(2026, 7, 1, tzinfo=UTC),
    ]
)

MOMENTS = st.integers(at(2020, 1, 1), at(2030, 1, 1))
"""With fractions of seconds."""


def matches(field: str, value: int) -> bool:
    """A field of a cron line, read by hand."""
    if field == "*":
        return True
    if field.startswith("*/"):
        return value % int(field[2:]) == 0
    return str(value) in field.split(",")


def by_hand(minute: str, hour: str, zone: ZoneInfo, begin: datetime, days: int) -> list[datetime]:
    """Every due time between, found by looking at each minute and at the wall clock there."""
    # From two days before: only so is it known which wall times were there already.
    moments = [begin + n * MINUTE for n in range(-2 * 1440, days * 1440)]
    walls = [moment.astimezone(zone).replace(tzinfo=None, fold=0) for moment in moments]
    found, latest = list[datetime](), walls[0]
    by_wall = minute.startswith("*") or hour.startswith("*")
    for moment, wall in zip(moments, walls, strict=True):
        new = [wall] if by_wall else [latest + n * MINUTE for n in range(1, (wall - latest) // MINUTE + 1)]
        if any(matches(minute, each.minute) and matches(hour, each.hour) for each in new):
            found.append(moment)
        latest = max(latest, wall)
    return [moment for moment in found if moment > begin]


@settings(deadline=None, max_examples=40)
@given(FIELDS, FIELDS, st.sampled_from(ZONES), CHANGES)
def test_due_times_are_those_that_a_look_at_every_minute_finds(
    minute: str, hour: str, zone: str, around: datetime
) -> None:
    """In the days around changes of the clocks, none forgotten, none twice, none that isn't there."""
    timing, begin = Timing(cron=f"{minute} {hour} * * *", timezone=zone), around - timedelta(days=1)
    expected = by_hand(minute, hour, ZoneInfo(zone), begin, days=3)

    found, due = list[int](), us(begin)
    for _ in expected:
        due = timing.next_after(due) or 0
        found.append(due)

    assert [iso_of(each) for each in found] == [iso_of(us(each)) for each in expected]


@settings(deadline=None)
@given(FIELDS, FIELDS, st.sampled_from(ZONES), MOMENTS)
def test_the_next_due_time_is_always_later(minute: str, hour: str, zone: str, begin: int) -> None:
    """Whatever moment is asked about, and however often: strictly increasing."""
    timing, due = Timing(cron=f"{minute} {hour} * * *", timezone=zone), begin

    for _ in range(20):
        following = timing.next_after(due)
        assert following is not None
        assert following > due
        due = following


@settings(deadline=None, max_examples=50)
@given(FIELDS, FIELDS, st.sampled_from(ZONES), MOMENTS)
def test_the_latest_due_time_is_the_one_that_no_other_follows(
    minute: str, hour: str, zone: str, moment: int
) -> None:
    """It is a due time, it has come, and the next one has not."""
    timing, now = Timing(cron=f"{minute} {hour} * * *", timezone=zone), moment

    latest = timing.latest_until(now)

    assert latest is not None
    assert latest <= now < (timing.next_after(latest) or 0)
    assert timing.next_after(latest - 1) == latest


def test_a_rare_due_time_is_found_in_both_directions() -> None:
    """The 29th of February, years away."""
    timing = Timing(cron="0 12 29 2 *", timezone="Europe/Berlin")

    assert timing.next_after(at(2025, 1, 1)) == at(2028, 2, 29, 11)
    assert timing.latest_until(at(2027, 12, 31)) == at(2024, 2, 29, 11)


@pytest.mark.parametrize(
    "cron",
    [
        "",
        " ",
        "x",
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "0 0 30 2 *",
        "* * * * * * *",
        "@soon",
        "1-0 * * * *",
    ],
)
def test_a_bad_cron_line_is_refused(cron: str) -> None:
    """With the line and what is wrong."""
    with pytest.raises(BadTiming):
        Timing(cron=cron).check()


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe", "\0"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    """Whatever the database of zones makes of it."""
    with pytest.raises(BadTiming, match="zone"):
        Timing(cron="* * * * *", timezone=zone).check()


# ── intervals ───────────────────────────────────────────────────────────────────────────────────────────


@given(st.integers(1_000, 10**13), st.integers(0, 2 * 10**15), st.integers(0, 2 * 10**15))
def test_an_interval_is_due_at_multiples_from_its_anchor(every: int, anchor: int, after: int) -> None:
    """The first is one interval after the anchor; late or early starts of runs don't move the others."""
    due = Timing(every_us=every, anchor_us=anchor).next_after(after)

    assert due is not None
    assert due > max(after, anchor)
    assert (due - anchor) % every == 0
    assert due - every <= max(after, anchor)


def test_the_latest_due_time_of_an_interval_is_not_before_its_first() -> None:
    """At its anchor nothing was due yet."""
    timing = Timing(every_us=10_000, anchor_us=1_000_000)

    assert timing.latest_until(1_009_999) is None
    assert timing.latest_until(1_010_000) == 1_010_000
    assert timing.latest_until(1_029_999) == 1_020_000


@pytest.mark.parametrize("every", [-1_000_000, 0, 999, 10**19])
def test_an_interval_out_of_range_is_refused(every: int) -> None:
    """None, backwards, shorter than a commit, or longer than the calendar."""
    with pytest.raises(BadTiming, match="interval"):
        Timing(every_us=every).check()
