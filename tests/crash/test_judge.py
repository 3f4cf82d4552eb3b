"""The judge finds what must not be: each rule is broken once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.crash.judge import Verdict, judge, stages
from tests.crash.logs import Effect

PLAN = stages(["a 1", "b 1"], ["token 1"], ["c 1"], ["c 2"])
RUN = "run"


def effect(text: str, life: int = 1) -> Effect:
    """``begin a 1`` and the like; a step's key is its name, the token's value is ``drawn``."""
    kind, step, attempt = text.split()
    key, value = ("", "drawn") if step == "token" else (f"key of {step}", "")
    return Effect(kind, RUN, step, attempt=int(attempt), key=key, pid=life * 100, life=life, value=value)  # type: ignore[arg-type]


def effects(*texts: str, life: int = 1) -> list[Effect]:
    """Several of one life."""
    return [effect(text, life) for text in texts]


STAGE_1 = effects("begin a 1", "begin b 1", "end b 1", "end a 1")
STAGE_2 = effects("end token 1")
STAGE_3 = effects("begin c 1", "end c 1")
STAGE_4 = effects("begin c 2", "end c 2")
GOOD = STAGE_1 + STAGE_2 + STAGE_3 + STAGE_4


def verdict(log: list[Effect]) -> Verdict:
    """On one run that was acknowledged."""
    return judge(PLAN, [RUN], log)


def test_run_as_planned_has_no_problems() -> None:
    """All of the plan, in its order."""
    found = verdict(GOOD)

    assert (found.problems, found.repeats, found.finished) == ([], [], [RUN])


def test_step_that_was_under_way_at_a_kill_may_run_again() -> None:
    """At least once: its repeat is counted, and is no problem."""
    again = effects("begin a 1", "begin b 1", life=2)

    found = verdict([*effects("begin a 1", "begin b 1"), *again, *GOOD[2:]])

    assert (found.problems, found.repeats) == ([], ["run a 1", "run b 1"])


def test_side_effect_that_was_not_recorded_may_draw_again() -> None:
    """What counts is the value of its last run."""
    again = replace(effect("end token 1", 2), value="drawn anew")
    user = [replace(entry, value="with drawn anew", life=2) for entry in STAGE_3]

    assert not verdict(STAGE_1 + STAGE_2 + [again] + user + STAGE_4).problems


@pytest.mark.parametrize(
    ("log", "problem"),
    [
        (STAGE_1 + STAGE_2 + STAGE_3, "run: 'c 2' never happened"),
        (GOOD[:-1], "run: 'c 2' never happened"),
        ([], "run: 'a 1' never happened"),
        (GOOD + effects("begin d 1"), "run: 'd 1' is not in the plan"),
        (GOOD + effects("begin c 3"), "run: 'c 3' is not in the plan"),
        (STAGE_1[:3] + STAGE_2 + STAGE_3 + STAGE_4, "run: 'token 1' began before 'a 1' had ended"),
        (
            STAGE_1 + STAGE_2 + STAGE_3 + effects("begin b 1", life=2) + STAGE_4,
            "run: 'b 1' ran again after 'c 1', which proves that it was recorded",
        ),
        (
            STAGE_1 + STAGE_2 + STAGE_3 + effects("end token 1", life=2) + STAGE_4,
            "run: 'token 1' ran again after 'c 1', which proves that it was recorded",
        ),
        (
            GOOD + effects("begin c 1", "end c 1", life=2),
            "run: 'c 1' ran again after 'c 2', which proves that it was recorded",
        ),
        (STAGE_1 + GOOD, "run: 'a 1' ran twice in life 1, in which nothing died"),
        (
            effects("begin a 1") + effects("overlap a 1", life=2) + GOOD[1:],
            "run: 'a 1' was still under way in another process when 200 began it",
        ),
        (
            [*GOOD[:5], replace(GOOD[5], value="something else"), *GOOD[6:]],
            "run: 'c 1' worked on 'something else', but 'drawn' was drawn",
        ),
        (
            [*GOOD[:7], replace(GOOD[7], key="another"), *GOOD[8:]],
            "run: attempts of 'c' carry different keys: ['another', 'key of c']",
        ),
        (
            [replace(entry, key="key of b") if entry.step == "a" else entry for entry in GOOD],
            "run: two steps share an idempotency key",
        ),
        ([*GOOD, replace(GOOD[0], run="stranger")], "stranger: it has effects, and was never executed"),
    ],
)
def test_judge_says_which_rule_was_broken(log: list[Effect], problem: str) -> None:
    """One sentence for each thing that must not be."""
    assert problem in verdict(log).problems
