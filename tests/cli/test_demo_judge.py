"""The judge of the demo as a sceptic would try to fool him, and the effect log that he reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tempolite.cli.demo.effects import Effect, EffectTail, Kill, append, read_effects
from tempolite.cli.demo.judge import Verdict, judge
from tempolite.cli.demo.plan import Unit, plan_for

LINE = {
    "number": "T-1",
    "customer": "a@example.com",
    "country": "DE",
    "items": [{"sku": "TIN-CEDAR", "quantity": 2}],
}
GOOD = json.dumps(LINE)
FLAKY = GOOD.replace("T-1", "T-10441")
TO_ANTARCTICA = GOOD.replace("DE", "AQ")
OUT_OF_STOCK = GOOD.replace("TIN-CEDAR", "POT-IRON-1200")
INVALID = GOOD.replace(": 2", ": -2")


# ── the judge ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("line", [GOOD, FLAKY, TO_ANTARCTICA, OUT_OF_STOCK, INVALID])
def test_order_that_goes_by_its_plan_is_found_good(line: str) -> None:
    """Every kind of order can end well."""
    verdict = judged(line, log_of(line))

    assert verdict == Verdict(problems=[], repeats=[], ended=["order-001"])


def test_missing_order_is_found_out() -> None:
    """An order without any effect did not end as it must."""
    verdict = judged(GOOD, [])

    assert "order-001: 'validate' never ran; the order must end as delivered" in verdict.problems
    assert verdict.ended == []


def test_order_that_stopped_halfway_is_found_out() -> None:
    """The last step is as necessary as the first."""
    verdict = judged(GOOD, log_of(GOOD)[:-1])

    assert verdict.problems == ["order-001: 'notify' never ran; the order must end as delivered"]


def test_recorded_step_that_ran_again_is_found_out_even_after_a_kill() -> None:
    """A later step proves that an earlier one is on record; no kill excuses doing that again."""
    log = log_of(GOOD)
    again = effect("invoice", engine=2, pid=20)

    verdict = judged(GOOD, [*log[:-1], engine_kill(), again, log[-1]])

    assert verdict.problems == [
        "order-001: 'invoice' ran again after 'hand over', which proves that it was recorded"
    ]
    assert verdict.ended == []


def test_failed_attempt_that_ran_again_after_the_next_is_found_out() -> None:
    """Failures are recorded as well as successes."""
    log = log_of(FLAKY)

    verdict = judged(FLAKY, [*log[:-1], engine_kill(), effect("book carrier", engine=2), log[-1]])

    assert verdict.problems == [
        "order-001: 'book carrier' ran again after 'hand over', which proves that it was recorded"
    ]


def test_last_step_that_ran_twice_without_a_kill_is_found_out() -> None:
    """Nothing comes after it to prove its record, but nobody was killed either."""
    log = log_of(GOOD)

    verdict = judged(GOOD, [*log, log[-1]])

    assert verdict.problems == [
        "order-001: 'notify' ran twice, though process 10, which ran it first, was not killed"
    ]


def test_step_in_flight_when_the_engine_died_may_run_again() -> None:
    """At least once: the repeat is counted, and it is no problem."""
    log = log_of(GOOD)

    verdict = judged(GOOD, [*log, engine_kill(), effect("notify", engine=2, pid=20)])

    assert verdict.problems == []
    assert [repeat.unit for repeat in verdict.repeats] == [Unit("notify")]


def test_step_in_flight_when_its_worker_died_may_run_again() -> None:
    """The kill of a worker excuses what that worker was doing."""
    log = log_of(GOOD)
    kill = Kill(process="worker", pid=10, engine=1, at=0.0)

    verdict = judged(GOOD, [*log, kill, effect("notify", pid=11)])

    assert verdict.problems == []
    assert len(verdict.repeats) == 1


def test_death_of_one_worker_does_not_excuse_another() -> None:
    """A step that ran twice in workers that were alive ran once too often."""
    kill = Kill(process="worker", pid=99, engine=1, at=0.0)

    verdict = judged(GOOD, [*log_of(GOOD), kill, effect("notify", pid=11)])

    assert len(verdict.problems) == 1


def test_death_of_a_worker_does_not_excuse_what_it_had_done_twice_by_then() -> None:
    """Who repeats after a death is another process."""
    kill = Kill(process="worker", pid=10, engine=1, at=0.0)

    verdict = judged(GOOD, [*log_of(GOOD), effect("notify", pid=10), kill])

    assert len(verdict.problems) == 1


def test_death_of_the_engine_does_not_excuse_a_repeat_within_it() -> None:
    """Twice in the first engine is twice, whatever became of it later."""
    verdict = judged(GOOD, [*log_of(GOOD), effect("notify", pid=11), engine_kill()])

    assert len(verdict.problems) == 1


@pytest.mark.parametrize("line", [INVALID, OUT_OF_STOCK])
def test_order_that_was_processed_though_it_must_be_rejected_is_found_out(line: str) -> None:
    """A rejected order has no use for a carrier."""
    verdict = judged(line, [*log_of(line), effect("book carrier")])

    assert verdict.problems == [
        "order-001: 'book carrier' ran, which an order that must end as rejected has no use for"
    ]


def test_good_order_that_was_rejected_is_found_out() -> None:
    """Both what happened and what did not are named."""
    verdict = judged(GOOD, [effect("validate"), effect("reject")])

    assert (
        "order-001: 'reject' ran, which an order that must end as delivered has no use for"
        in verdict.problems
    )
    assert "order-001: 'notify' never ran; the order must end as delivered" in verdict.problems


def test_step_that_did_not_wait_for_its_inputs_is_found_out() -> None:
    """The invoice needs all look-ups, not some."""
    log = log_of(GOOD)
    stock = next(entry for entry in log if entry.step == "stock TIN-CEDAR")

    verdict = judged(GOOD, [log[0], *(entry for entry in log[1:] if entry is not stock), stock])

    assert "order-001: 'invoice' ran before 'stock TIN-CEDAR', which it builds upon" in verdict.problems


def test_tracking_number_that_changed_is_found_out() -> None:
    """A recorded side effect never runs again: an order keeps its number."""
    log = log_of(GOOD)

    verdict = judged(GOOD, [*log[:-1], effect("notify", tracking="TP-2")])

    assert verdict.problems == ["order-001: the tracking number changed: TP-1, TP-2"]


def test_idempotency_key_that_changed_between_attempts_is_found_out() -> None:
    """Who deduplicates by the key must see the same in each attempt."""
    log = [
        effect(entry.step, attempt=entry.attempt, key=f"{entry.step}-{entry.attempt}")
        for entry in log_of(FLAKY)
    ]

    assert judged(FLAKY, log).problems == [
        "order-001: the attempts of a step carry different idempotency keys"
    ]


def test_idempotency_key_that_two_steps_share_is_found_out() -> None:
    """A key that says nothing protects nothing."""
    log = [effect(entry.step, attempt=entry.attempt, key="same") for entry in log_of(GOOD)]

    assert judged(GOOD, log).problems == ["order-001: two steps share an idempotency key"]


def test_effect_of_an_order_that_nobody_placed_is_found_out() -> None:
    """What is not in the batch must not happen."""
    verdict = judge({}, log_of(GOOD))

    assert verdict.problems == ["order-001: no such order in the batch"]


# ── the effect log ──────────────────────────────────────────────────────────────────────────────────────


def test_effect_log_gives_back_what_was_appended(tmp_path: Path) -> None:
    """One line each, in order."""
    log = tmp_path / "effects.jsonl"
    entries: list[Effect | Kill] = [effect("validate"), engine_kill(), effect("notify", tracking="TP-1")]

    for entry in entries:
        append(log, entry)

    assert read_effects(log) == entries


def test_line_that_is_not_whole_yet_is_left_for_the_next_look(tmp_path: Path) -> None:
    """A reader that comes in the midst of a write takes nothing in halves and loses nothing."""
    log = tmp_path / "effects.jsonl"
    append(log, effect("validate"))
    line = log.read_bytes()
    log.write_bytes(line[:-5])
    tail = EffectTail(log)

    halfway = tail.read_new()
    log.write_bytes(line)

    assert halfway == []
    assert tail.read_new() == [effect("validate")]


# ── how the tests say it ───────────────────────────────────────────────────────────────────────────────


def judged(line: str, entries: Sequence[Effect | Kill]) -> Verdict:
    """The verdict on a batch of one line."""
    return judge({"order-001": plan_for(line)}, entries)


def log_of(line: str) -> list[Effect]:
    """The effects of an order that goes by its plan, all in one worker."""
    tracked = ("book carrier", "hand over", "notify")
    return [
        effect(unit.step, attempt=unit.attempt, tracking="TP-1" if unit.step in tracked else "")
        for stage in plan_for(line).stages
        for unit in sorted(stage)
    ]


def effect(
    step: str, *, attempt: int = 1, engine: int = 1, pid: int = 10, key: str = "", tracking: str = ""
) -> Effect:
    """An effect of order-001."""
    return Effect(
        order="order-001",
        step=step,
        attempt=attempt,
        key=key or step,
        pid=pid,
        engine=engine,
        tracking=tracking,
    )


def engine_kill() -> Kill:
    """The first engine dies."""
    return Kill(process="engine", pid=1, engine=1, at=0.0)
