"""A queue's settings, and the arithmetic of its rate limit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempolite.core.queues import DEFAULT_QUEUE, Queue, TokenBucket, starts_per_second
from tempolite.errors import InvalidArguments

GAPS_S = st.lists(st.floats(0, 3), min_size=1, max_size=60)
RATES = st.floats(0.05, 200)


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"workers": 0},
        {"workers": 64, "slots": 8, "max_runs": 1},
        {"kind": "thread"},
        {"kind": "inline"},
        {"kind": "ray"},
        {"rate": "100/s"},
    ],
)
def test_a_sensible_queue_is_accepted(settings: dict[str, Any]) -> None:
    """All is kept as it was given."""
    queue = Queue("gpu", **settings)

    assert {name: getattr(queue, name) for name in settings} == settings


def test_a_queue_is_a_pool_of_processes_with_one_slot_each() -> None:
    """The defaults: one activity at once in each of as many processes as there are CPUs, no limits."""
    queue = Queue(DEFAULT_QUEUE)

    assert (queue.kind, queue.workers, queue.slots, queue.max_runs, queue.rate) == (
        "process",
        None,
        1,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"name": 3}, "name"),
        ({"kind": "fork"}, "kind"),
        ({"kind": None}, "kind"),
        ({"kind": []}, "kind"),
        ({"workers": -1}, "workers"),
        ({"workers": 1.0}, "workers"),
        ({"workers": True}, "workers"),
        ({"workers": "4"}, "workers"),
        ({"slots": 0}, "slots"),
        ({"slots": None}, "slots"),
        ({"slots": True}, "slots"),
        ({"max_runs": 0}, "max_runs"),
        ({"max_runs": 0.5}, "max_runs"),
        ({"rate": "often"}, "rate"),
        ({"rate": 100}, "rate"),
    ],
)
def test_a_queue_that_makes_no_sense_is_refused(settings: dict[str, Any], said: str) -> None:
    """With the setting that is wrong (P4)."""
    with pytest.raises(InvalidArguments, match=said):
        Queue(**{"name": "gpu"} | settings)


# ── rates ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rate", "per_second"),
    [
        ("100/s", 100.0),
        ("1/s", 1.0),
        ("0.5/s", 0.5),
        ("30/m", 0.5),
        ("5/h", 5 / 3600),
        ("10/5s", 2.0),
        ("90/1.5m", 1.0),
        (" 7 / s ", 7.0),
        ("1e3/s", 1000.0),
    ],
)
def test_a_rate_is_a_count_in_a_time(rate: str, per_second: float) -> None:
    """Seconds, minutes, hours, or a number of them."""
    assert starts_per_second(rate) == pytest.approx(per_second)


@pytest.mark.parametrize(
    "rate",
    [
        *("", "/", "/s", "100", "100/", "100/d", "100/ms", "100 per s", "0/s", "-1/s", "10/0s", "10/-5s"),
        *("nan/s", "inf/s", "1e400/s", "1/infs", "s/100", "1/2/s"),
    ],
)
def test_a_rate_that_is_none_is_refused_with_examples(rate: str) -> None:
    """Nothing is guessed, and no rate is zero or endless."""
    with pytest.raises(InvalidArguments, match="100/s"):
        starts_per_second(rate)


# ── the token bucket ────────────────────────────────────────────────────────────────────────────────────


def takes(bucket: TokenBucket, now_s: float, tries: int = 1_000) -> int:
    return sum(bucket.try_take(now_s) for _ in range(tries))


def test_the_burst_is_what_flows_in_one_second() -> None:
    """A queue that was idle starts one second's worth at once, and no more."""
    bucket = TokenBucket(10.0, now_s=100.0)

    assert takes(bucket, 100.0) == 10


def test_tokens_flow_in_with_time() -> None:
    """After the burst, each tenth of a second gives one at 10/s."""
    bucket = TokenBucket(10.0, now_s=0.0)
    takes(bucket, 0.0)

    assert [takes(bucket, now) for now in (0.05, 0.1, 0.2, 0.55)] == [0, 1, 1, 3]


def test_idle_time_is_not_saved_up() -> None:
    """A day of silence gives one second's burst."""
    bucket = TokenBucket(10.0, now_s=0.0)
    takes(bucket, 0.0)

    assert takes(bucket, 86_400.0) == 10


def test_a_rate_below_one_a_second_starts_at_all() -> None:
    """The bucket holds one token at least."""
    bucket = TokenBucket(0.5, now_s=0.0)

    assert [takes(bucket, now) for now in (0.0, 1.0, 2.0, 3.9, 4.0)] == [1, 0, 1, 0, 1]


def test_time_that_goes_back_gives_nothing() -> None:
    """And does not count twice when it comes forward again."""
    bucket = TokenBucket(1.0, now_s=10.0)
    takes(bucket, 10.0)

    assert [takes(bucket, now) for now in (5.0, 10.0, 10.9, 11.0)] == [0, 0, 0, 1]


def test_the_wait_is_until_the_next_token() -> None:
    """Neither more nor less."""
    bucket = TokenBucket(4.0, now_s=0.0)
    takes(bucket, 0.0)

    assert bucket.wait_s() == pytest.approx(0.25)
    assert takes(bucket, 0.24) == 0
    assert bucket.wait_s() == pytest.approx(0.01)
    assert takes(bucket, 0.25) == 1


def test_there_is_no_wait_while_there_are_tokens() -> None:
    """A full bucket asks for none."""
    assert TokenBucket(4.0, now_s=0.0).wait_s() == 0.0


@settings(deadline=None, max_examples=60)
@given(RATES, GAPS_S)
def test_no_window_has_more_starts_than_rate_and_burst(rate: float, gaps_s: list[float]) -> None:
    """At most its length times the rate, and the burst, whenever somebody tries."""
    bucket, now, starts = TokenBucket(rate, now_s=0.0), 0.0, []
    for gap in gaps_s:
        now += gap
        starts += [now] * takes(bucket, now, tries=300)

    for first in range(len(starts)):
        allowed = bucket.capacity + (starts[-1] - starts[first]) * rate
        assert len(starts) - first <= allowed + 1e-6


@settings(deadline=None, max_examples=60)
@given(RATES, GAPS_S)
def test_who_waits_as_told_gets_a_token(rate: float, gaps_s: list[float]) -> None:
    """After ``wait_s`` there is one, and well before it there is none."""
    for wait_share, is_there in ((0.9, False), (1.0, True)):
        bucket, now = TokenBucket(rate, now_s=0.0), 0.0
        for gap in gaps_s:
            now += gap
            takes(bucket, now, tries=300)

        assert bucket.try_take(now + bucket.wait_s() * wait_share + 1e-9 * is_there) is is_there


@settings(deadline=None, max_examples=60)
@given(RATES, st.integers(2, 50))
def test_a_queue_with_enough_work_runs_at_its_rate(rate: float, count: int) -> None:
    """Who always waits as told gets a token every ``1 / rate`` seconds."""
    bucket, now, starts = TokenBucket(rate, now_s=0.0), 0.0, []
    takes(bucket, now, tries=300)
    for _ in range(count):
        now += bucket.wait_s() + 1e-9
        assert bucket.try_take(now)
        starts.append(now)

    assert all(after - before == pytest.approx(1 / rate, rel=1e-3) for before, after in pairwise(starts))
