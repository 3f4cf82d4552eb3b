"""When to try again, and what a policy refuses."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempolite.core.failure import Failure
from tempolite.core.retry import RetryPolicy, RetrySpec, type_name
from tempolite.errors import InvalidArguments

STEADY = RetrySpec(max_attempts=None, jitter=False)

SPECS = st.builds(
    RetrySpec,
    max_attempts=st.none(),
    initial_interval=st.floats(0, 1_000),
    backoff=st.floats(1, 1_000),
    max_interval=st.floats(0, 100_000),
    jitter=st.booleans(),
)
DRAWS = st.floats(0, 1, exclude_max=True)
ATTEMPTS = st.integers(1, 10**7)


class CardDeclined(ValueError):
    """Something of the application's."""


def failure_of(kind: type[BaseException], *, retryable: bool = True) -> Failure:
    lineage = tuple(type_name(base) for base in kind.__mro__ if base is not object)
    return Failure(type_name=lineage[0], message="no", lineage=lineage, retryable=retryable)


# ── how long to wait ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (10, 51.2), (11, 60.0), (500, 60.0)]
)
def test_waits_double_until_the_longest(attempts: int, seconds: float) -> None:
    """The defaults without jitter: 0.1 s, doubled each time, never beyond a minute."""
    assert STEADY.delay_s(attempts, draw=0.5) == pytest.approx(seconds)


def test_a_backoff_of_one_waits_the_same_each_time() -> None:
    """A constant interval is a backoff of 1."""
    spec = msgspec.structs.replace(STEADY, initial_interval=3.0, backoff=1.0)

    assert {spec.delay_s(attempts, draw=0.9) for attempts in (1, 2, 1_000_000)} == {3.0}


def test_the_first_wait_too_is_cut_to_the_longest() -> None:
    """``max_interval`` holds for every wait."""
    spec = msgspec.structs.replace(STEADY, initial_interval=90.0)

    assert spec.delay_s(1, draw=0.0) == 60.0


@pytest.mark.parametrize(("draw", "share"), [(0.0, 0.0), (0.25, 0.25), (0.999, 0.999)])
def test_jitter_draws_from_the_whole_interval(draw: float, share: float) -> None:
    """Full jitter: the wait is uniform from nothing to the backed-off interval."""
    spec = RetrySpec(max_attempts=None, initial_interval=8.0)

    assert spec.delay_s(2, draw=draw) == pytest.approx(16.0 * share)


def test_without_jitter_the_draw_means_nothing() -> None:
    """The same wait whatever is drawn."""
    assert STEADY.delay_s(3, draw=0.0) == STEADY.delay_s(3, draw=0.99)


@settings(deadline=None, max_examples=100)
@given(SPECS, ATTEMPTS, DRAWS)
def test_no_wait_is_negative_or_longer_than_the_longest(spec: RetrySpec, attempts: int, draw: float) -> None:
    """Whatever the policy and however often it was tried."""
    delay = spec.delay_s(attempts, draw)

    assert 0 <= delay <= spec.max_interval


@settings(deadline=None, max_examples=100)
@given(SPECS, ATTEMPTS, DRAWS)
def test_no_wait_is_shorter_than_the_one_before(spec: RetrySpec, attempts: int, draw: float) -> None:
    """For the same draw, waits only grow."""
    assert spec.delay_s(attempts, draw) <= spec.delay_s(attempts + 1, draw)


@pytest.mark.parametrize("backoff", [2.0, 10.0, 1e300])
def test_a_backoff_that_overflows_is_the_longest_wait(backoff: float) -> None:
    """Attempts are unlimited, floats are not."""
    spec = msgspec.structs.replace(STEADY, backoff=backoff)

    assert spec.delay_s(10**9, draw=0.0) == 60.0


@pytest.mark.parametrize("attempts", [1, 400, 10**6])
def test_a_policy_without_waits_never_begins_to_wait(attempts: int) -> None:
    """An initial interval of 0 stays 0, also where the factor overflows."""
    spec = msgspec.structs.replace(STEADY, initial_interval=0.0, backoff=10.0)

    assert spec.delay_s(attempts, draw=0.5) == 0.0


# ── whether to try again ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("attempts_max", "attempts", "may"),
    [(1, 1, False), (3, 1, True), (3, 2, True), (3, 3, False), (3, 4, False), (None, 10**9, True)],
)
def test_all_tries_count_the_first_too(attempts_max: int | None, attempts: int, may: bool) -> None:
    """``max_attempts=3`` is three tries; None is as many as it takes."""
    spec = RetrySpec(max_attempts=attempts_max)

    assert spec.allows(failure_of(CardDeclined), attempts) is may


def test_nothing_is_retried_unless_a_policy_says_so() -> None:
    """The default is one try."""
    assert not RetrySpec().allows(failure_of(OSError), 1)
    assert not RetryPolicy().recorded().allows(failure_of(OSError), 1)


@pytest.mark.parametrize(
    ("kind", "may"),
    [
        (OSError, True),
        (ConnectionResetError, True),
        (FileNotFoundError, False),
        (ValueError, False),
        (KeyboardInterrupt, False),
    ],
)
def test_types_are_matched_with_their_subclasses(kind: type[BaseException], may: bool) -> None:
    """``retry_on`` chooses, ``never_on`` takes out, and both mean subclasses too."""
    policy = RetryPolicy(max_attempts=5, retry_on=(OSError,), never_on=(FileNotFoundError,))

    assert policy.recorded().allows(failure_of(kind), 1) is may


def test_what_is_no_exception_is_not_retried_by_default() -> None:
    """``retry_on`` is Exception unless told: SystemExit is none."""
    assert not RetrySpec(max_attempts=5).allows(failure_of(SystemExit), 1)


def test_an_error_that_says_never_is_not_retried() -> None:
    """``NonRetryable`` stops at once, whatever the policy says."""
    spec = RetrySpec(max_attempts=None)

    assert not spec.allows(failure_of(CardDeclined, retryable=False), 1)


def test_an_error_of_unknown_descent_is_not_retried() -> None:
    """Without a lineage nothing says that ``retry_on`` means it."""
    assert not RetrySpec(max_attempts=5).allows(Failure(type_name="m:E", message="no"), 1)


# ── what a policy is ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_attempts", 0),
        ("max_attempts", -1),
        ("max_attempts", 2.0),
        ("max_attempts", True),
        ("max_attempts", "3"),
        ("initial_interval", -0.1),
        ("initial_interval", math.nan),
        ("initial_interval", "1"),
        ("initial_interval", None),
        ("backoff", 0.5),
        ("backoff", math.inf),
        ("backoff", True),
        ("max_interval", -1),
        ("max_interval", math.inf),
        ("jitter", 1),
        ("jitter", "yes"),
        ("retry_on", (ValueError("an instance"),)),
        ("retry_on", ("ValueError",)),
        ("retry_on", int),
        ("retry_on", None),
        ("never_on", (int,)),
        ("never_on", ValueError("an instance")),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(name: str, value: Any) -> None:
    """Where it is made, with the name of the setting; also a TypeError (P4)."""
    with pytest.raises(InvalidArguments, match=name) as refused:
        RetryPolicy(**{name: value})

    assert isinstance(refused.value, TypeError)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_attempts", None),
        ("initial_interval", 0),
        ("backoff", 1),
        ("max_interval", 0),
        ("max_interval", 9),
    ],
)
def test_the_ends_of_the_ranges_are_accepted(name: str, value: Any) -> None:
    """Unlimited tries, no waits, no growth."""
    assert getattr(RetryPolicy(**{name: value}), name) == value


def test_a_single_type_stands_for_a_tuple_of_one() -> None:
    """``retry_on=OSError`` is what people write."""
    assert RetryPolicy(retry_on=OSError).retry_on == (OSError,)  # type: ignore[arg-type]


def test_a_policy_is_recorded_with_types_by_name() -> None:
    """What is stored needs no code to be read."""
    policy = RetryPolicy(4, 1, 3, 20, jitter=False, retry_on=(CardDeclined, OSError), never_on=(KeyError,))

    spec = policy.recorded()

    assert spec == RetrySpec(
        4, 1.0, 3.0, 20.0, False, (f"{__name__}:CardDeclined", "builtins:OSError"), ("builtins:KeyError",)
    )
    assert msgspec.json.decode(msgspec.json.encode(spec), type=RetrySpec) == spec


def test_the_defaults_of_policy_and_record_are_the_same() -> None:
    """A record without a policy means the default policy."""
    assert RetryPolicy().recorded() == RetrySpec()
