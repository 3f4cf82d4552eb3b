"""What a schedule does next: overlaps, absences, triggers, settings."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempolite.core.due_times import Timing
from tempolite.core.schedule import (
    CAUGHT_UP_PER_ROUND,
    QUEUED_MAX,
    ScheduleState,
    Situation,
    apply,
    what_a_resume_does,
    what_a_setting_does,
    what_a_trigger_does,
    what_is_due,
)
from tempolite.core.schedule_events import (
    SCHEDULE_BODIES,
    Catchup,
    Overlap,
    ScheduleBody,
    ScheduleDeleted,
    ScheduleFired,
    ScheduleMissed,
    SchedulePaused,
    ScheduleQueued,
    ScheduleRunStarted,
    ScheduleSet,
    ScheduleSkipped,
    ScheduleSpec,
    decode_schedule_body,
)

EVERY = 1_000_000
BEFORE = "s/1970-01-01T00:00:01+00:00"


def spec(
    overlap: Any = "skip", catchup: Any = "none", every: int = EVERY, args: bytes = b"[]"
) -> ScheduleSpec:
    return ScheduleSpec(
        timing=Timing(every_us=every), function="f", args=msgspec.Raw(args), overlap=overlap, catchup=catchup
    )


def state(overlap: Any = "skip", catchup: Any = "none", **fields: Any) -> ScheduleState:
    """A schedule of every second that started its run of second 1; due next at second 2."""
    fields = {"next_due": 2 * EVERY, "last_due": EVERY, "last_workflow": BEFORE, **fields}
    return ScheduleState(name="s", spec=spec(overlap, catchup), **fields)


def after(begin: ScheduleState | None, facts: list[ScheduleBody]) -> ScheduleState:
    for fact in facts:
        begin = apply(begin, fact)
    assert begin is not None
    return begin


def at(seconds: float, **fields: Any) -> Situation:
    return Situation(now=round(seconds * EVERY), **fields)


# ── due ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_happens_before_it_is_due() -> None:
    """A wall clock that was set back changes nothing but the wait."""
    assert what_is_due(state(), at(1.999999)) == []
    assert what_is_due(state(), at(-100)) == []


@pytest.mark.parametrize("overlap", get_args(Overlap))
def test_a_due_time_fires_with_the_id_of_its_run(overlap: Overlap) -> None:
    """The id is made of name and due time, however late it is noticed."""
    facts = what_is_due(state(overlap), at(2.7))

    assert facts == [ScheduleFired(2 * EVERY, "s/1970-01-01T00:00:02+00:00", 3 * EVERY)]
    assert after(state(overlap), facts).unstarted == (2 * EVERY,)


def test_a_paused_schedule_does_nothing() -> None:
    """Neither what is due, nor what waits."""
    assert what_is_due(state(is_paused=True, queued=(1,)), at(5)) == []


@pytest.mark.parametrize("busy", [{"is_running": True}, {}])
def test_skip_leaves_out_what_falls_due_while_the_run_before_is_unfinished(busy: dict[str, Any]) -> None:
    """Also while it has fired and is not known to have started."""
    begin = state() if busy else state(unstarted=(EVERY,))

    facts = what_is_due(begin, at(2, **busy))

    assert facts == [ScheduleSkipped(2 * EVERY, "overlap", 3 * EVERY)]
    assert after(begin, facts).next_due == 3 * EVERY


def test_queue_keeps_due_times_in_order_until_the_run_before_ends() -> None:
    """Then the first of them fires."""
    begin = state("queue")
    for second in (2, 3):
        begin = after(begin, what_is_due(begin, at(second, is_running=True)))

    waiting = what_is_due(begin, at(3.5, is_running=True))
    facts = what_is_due(begin, at(3.5))

    assert begin.queued == (2 * EVERY, 3 * EVERY)
    assert waiting == []
    assert [type(fact) for fact in facts] == [ScheduleFired]
    assert after(begin, facts).queued == (3 * EVERY,)
    assert after(begin, facts).next_due == 4 * EVERY


def test_a_full_queue_skips() -> None:
    """A run that never ends doesn't fill the memory."""
    begin = state("queue", queued=tuple(range(QUEUED_MAX)))

    assert what_is_due(begin, at(2, is_running=True)) == [ScheduleSkipped(2 * EVERY, "full", 3 * EVERY)]


def test_cancel_puts_the_latest_due_time_in_the_place_of_what_runs() -> None:
    """What waited for the same end before is given up; the new one fires when the end has come."""
    begin = after(state("cancel"), what_is_due(state("cancel"), at(2, is_running=True)))
    begin = after(begin, what_is_due(begin, at(3, is_running=True)))

    assert begin.is_cancelling
    assert begin.queued == (3 * EVERY,)
    fired = after(begin, what_is_due(begin, at(3.1)))
    assert (fired.last_due, fired.is_cancelling, fired.queued) == (3 * EVERY, False, ())


# ── absences and clock jumps ────────────────────────────────────────────────────────────────────────────


def drained(begin: ScheduleState, now: float, away: float = 0.0) -> tuple[list[int], ScheduleState]:
    """Everything that is to do at that moment, runs taking no time: due times that fired, and the state."""
    fired: list[int] = []
    while facts := what_is_due(begin, at(now, away_until=round(away * EVERY))):
        begin = after(begin, facts)
        for due in begin.unstarted:
            fired.append(due // EVERY)
            begin = after(begin, [ScheduleRunStarted(due)])
    return fired, begin


@pytest.mark.parametrize(
    ("catchup", "fired"), [("none", []), ("one", [9]), ("all", [2, 3, 4, 5, 6, 7, 8, 9])]
)
@pytest.mark.parametrize("overlap", get_args(Overlap))
def test_after_an_absence_catchup_says_what_is_made_up_for(
    overlap: Overlap, catchup: Catchup, fired: list[int]
) -> None:
    """Nothing, the last, or all in order; then it goes on with the next."""
    found, end = drained(state(overlap, catchup), now=9.5, away=9.5)

    assert found == fired
    assert end.next_due == 10 * EVERY


@pytest.mark.parametrize(
    ("catchup", "fired"), [("none", [9]), ("one", [9]), ("all", [2, 3, 4, 5, 6, 7, 8, 9])]
)
def test_when_the_clock_jumps_forward_the_latest_due_time_is_due(catchup: Catchup, fired: list[int]) -> None:
    """Somebody is there: those before it were missed."""
    found, end = drained(state("skip", catchup), now=9.5)

    assert found == fired
    assert end.next_due == 10 * EVERY


def test_what_is_left_out_is_recorded() -> None:
    """From the first that was missed to the next one that is not."""
    assert what_is_due(state(), at(9.5, away_until=9_500_000)) == [ScheduleMissed(2 * EVERY, 10 * EVERY)]
    assert what_is_due(state(), at(9.5))[0] == ScheduleMissed(2 * EVERY, 9 * EVERY)


def test_missed_due_times_wait_for_an_unfinished_run_though_overlap_says_skip() -> None:
    """Making up for all means all."""
    begin = state("skip", "all")

    begin = after(begin, what_is_due(begin, at(4, is_running=True, away_until=4 * EVERY)))

    assert begin.queued == (2 * EVERY, 3 * EVERY, 4 * EVERY)
    assert what_is_due(begin, at(4, is_running=True)) == []


def test_a_due_time_on_time_is_skipped_while_missed_ones_are_made_up_for() -> None:
    """It falls due as ever, and a run is unfinished."""
    begin = state("skip", "all", queued=(EVERY,), behind_until=EVERY)

    assert what_is_due(begin, at(2, is_running=True)) == [ScheduleSkipped(2 * EVERY, "overlap", 3 * EVERY)]


@pytest.mark.parametrize("missed", [99, 100, 101, 201, 350])
@pytest.mark.parametrize("away", [True, False])
def test_a_long_absence_is_made_up_for_in_rounds(missed: int, away: bool) -> None:
    """A bounded number waits at any time, and none is forgotten at the seams of the rounds."""
    now, begin, most, fired = missed + 1.5, state("skip", "all"), 0, list[int]()
    away_until = round(now * EVERY) if away else 0
    while facts := what_is_due(begin, at(now, away_until=away_until)):
        begin = after(begin, facts)
        most = max(most, len(begin.queued))
        for due in begin.unstarted:
            fired.append(due // EVERY)
            # Meanwhile nobody is away any more, and the first of them is unfinished.
            begin = after(begin, what_is_due(begin, at(now, is_running=True)))
            begin = after(begin, [ScheduleRunStarted(due)])

    assert fired == list(range(2, missed + 2))
    assert most < 2 * CAUGHT_UP_PER_ROUND


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["wait", "jump", "end", "away", "trigger"]), st.integers(1, 30)), max_size=40
)


@settings(deadline=None, max_examples=150)
@given(ACTIONS, st.sampled_from(get_args(Overlap)), st.sampled_from(get_args(Catchup)))
def test_no_due_time_ever_fires_twice_and_no_two_runs_overlap(
    actions: list[tuple[str, int]], overlap: Overlap, catchup: Catchup
) -> None:
    """Whatever happens in whatever order."""
    current = ScheduleState(name="s", spec=spec(overlap, catchup), next_due=EVERY)
    now, away_until, is_running, fired = 0, 0, False, list[int]()
    for action, amount in actions:
        now += amount * EVERY // (4 if action == "wait" else 1)
        is_running = is_running and action != "end"
        away_until = now if action == "away" else away_until
        place = Situation(now=now, is_running=is_running, away_until=away_until)
        facts = what_a_trigger_does(current, place) if action == "trigger" else []
        while facts := facts or what_is_due(current, place):
            current = after(current, facts)
            for due in current.unstarted:
                assert not is_running, "two runs at once"
                fired.append(due)
                is_running = True
                current = after(current, [ScheduleRunStarted(due)])
            place = Situation(now=now, is_running=is_running, away_until=away_until)
            facts = []
        assert current.next_due is not None
        assert current.next_due > now or current.queued

    assert len(fired) == len(set(fired))


# ── asked for ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_trigger_fires_now_and_leaves_the_next_due_time_alone() -> None:
    """Its due time is the moment at which it was asked for; paused or not."""
    for paused in (False, True):
        (fact,) = what_a_trigger_does(state(is_paused=paused), at(1.25))

        assert fact == ScheduleFired(1_250_000, "s/1970-01-01T00:00:01.250000+00:00", 2 * EVERY)


def test_a_second_trigger_of_the_same_moment_changes_nothing() -> None:
    """That moment has its run."""
    begin = after(state(), what_a_trigger_does(state(), at(1.25)))

    assert what_a_trigger_does(begin, at(1.25)) == []


def test_a_trigger_at_a_due_time_stands_for_it() -> None:
    """One run for each due time."""
    begin = after(state(), what_a_trigger_does(state(), at(2)))

    assert begin.next_due == 3 * EVERY
    assert what_is_due(begin, at(2)) == []


@pytest.mark.parametrize("catchup", get_args(Catchup))
def test_a_due_time_that_was_triggered_before_it_was_noticed_does_not_fire_again(catchup: Catchup) -> None:
    """The trigger was quicker; the due times before it are treated as ever."""
    begin = state("queue", catchup)
    begin = after(begin, what_a_trigger_does(begin, at(4)))
    begin = after(begin, [ScheduleRunStarted(4 * EVERY)])

    fired, end = drained(begin, now=4)

    assert fired == ([2, 3] if catchup == "all" else [])
    assert end.next_due == 5 * EVERY


@pytest.mark.parametrize(
    ("overlap", "kind"), [("skip", ScheduleSkipped), ("queue", ScheduleQueued), ("cancel", ScheduleQueued)]
)
def test_a_trigger_meets_an_unfinished_run_like_any_due_time(overlap: Overlap, kind: type) -> None:
    """And the next due time stays."""
    (fact,) = what_a_trigger_does(state(overlap), at(1.5, is_running=True))

    assert isinstance(fact, kind)
    assert after(state(overlap), [fact]).next_due == 2 * EVERY


def test_a_resumed_schedule_goes_on_with_the_next_due_time() -> None:
    """What passed while it was paused is left out, whatever ``catchup`` says."""
    paused = after(state("skip", "all"), [SchedulePaused()])

    resumed = after(paused, what_a_resume_does(paused, at(7.5)))

    assert (resumed.is_paused, resumed.next_due) == (False, 8 * EVERY)
    assert what_a_resume_does(resumed, at(7.5)) == []


def test_setting_the_same_again_changes_nothing() -> None:
    """Programs set their schedules at each start: pauses, intervals and what was missed stay."""
    same = ScheduleSpec(timing=Timing(every_us=EVERY, anchor_us=777), function="f", args=msgspec.Raw(b"[]"))

    assert what_a_setting_does(state(), "s", same, at(9)) == []
    assert what_a_setting_does(state(is_paused=True), "s", same, at(9)) == []


def test_setting_other_arguments_keeps_the_times() -> None:
    """What is due next, what waits, and what runs."""
    begin = state("queue", queued=(EVERY,))

    changed = after(begin, what_a_setting_does(begin, "s", spec("queue", args=b"[1]"), at(9)))

    assert bytes(changed.spec.args) == b"[1]"
    assert (changed.next_due, changed.queued, changed.last_workflow) == (2 * EVERY, (EVERY,), BEFORE)


def test_setting_other_times_begins_anew() -> None:
    """What waited for the old ones is given up; the run before still counts."""
    begin = state("queue", queued=(EVERY,), is_paused=True)

    changed = after(begin, what_a_setting_does(begin, "s", spec("queue", every=5 * EVERY), at(9)))

    assert (changed.next_due, changed.queued, changed.is_paused) == (10 * EVERY, (), False)
    assert changed.last_workflow == BEFORE


def test_a_deleted_schedule_is_gone() -> None:
    """Its state is none."""
    assert apply(state(), ScheduleDeleted()) is None


@pytest.mark.parametrize(
    "body",
    [
        ScheduleSet("s", spec("queue", "all"), 5),
        ScheduleFired(1, BEFORE, None),
        ScheduleQueued((1, 2), 3, cancels=True, behind_until=4),
        ScheduleSkipped(1, "taken", 2),
        ScheduleMissed(1, None),
        SchedulePaused(),
    ],
)
def test_facts_come_out_of_the_file_as_they_went_in(body: ScheduleBody) -> None:
    """By the name of their class and their fields as JSON."""
    payload = msgspec.json.encode(body)

    assert msgspec.json.encode(decode_schedule_body(type(body).__name__, payload)) == payload
    assert SCHEDULE_BODIES[type(body).__name__] is type(body)
