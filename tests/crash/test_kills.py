"""200 runs in flight, 20 kills: every acknowledged run finishes, and nothing that was recorded runs again."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial

import pytest

from tests.crash import program
from tests.crash.judge import Verdict, judge, stages
from tests.crash.killing import Kill, life
from tests.crash.logs import Effect, kind_of_step, read_acknowledged, read_effects
from tests.crash.orders import PARTS

SEED = 20_250_101
KILLS = 20
EARLY_KILLS = 3
"""The first ones come while runs are still being executed."""

RECORDED_AFTER = 40
"""So many lines behind its end, the outcome of a run's last step is in the file."""

RECENT = 40
"""Kinds of steps among so many last lines come up at the moment."""

PLAN = stages(
    [f"part {part} 1" for part in range(PARTS)],
    ["token 1"],
    ["ship/pack 1"],
    ["ship/send 1"],
    ["carrier 1"],
    ["carrier 2"],
    ["finish 1"],
)


@dataclass(frozen=True)
class Story:
    """Everything that was left behind."""

    kills: list[Kill]
    effects: list[Effect]
    acknowledged: list[str]
    results: dict[str, str]
    verdict: Verdict


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The program, killed 20 times and then left alone: once for all tests that look at it."""
    folder = tmp_path_factory.mktemp("crash")
    kills = []
    for number, lines in enumerate(moments(), start=1):
        with life(program.__name__, folder, number) as killed:
            amid = None if number <= EARLY_KILLS else seldom_struck
            kills.append(killed.kill_after(lines, partial(nothing_would_be_struck_thrice, number), amid))
    with life(program.__name__, folder, KILLS + 1) as last:
        last.ends_well()
    effects = read_effects(folder / "effects")
    acknowledged = read_acknowledged(folder / "acknowledged")
    results = json.loads((folder / "results").read_text())
    return Story(kills, effects, acknowledged, results, judge(PLAN, acknowledged, effects))


def test_no_recorded_step_runs_again_and_every_acknowledged_run_finishes(story: Story) -> None:
    """P2, P3, P6: judged by the effect log alone."""
    assert not story.verdict.problems, "\n".join(["", *story.verdict.problems])
    assert sorted(story.verdict.finished) == sorted(story.acknowledged)


def test_every_run_is_acknowledged_once_and_has_the_right_result(story: Story) -> None:
    """What ``get`` gives after the last start is what the effects add up to."""
    drawn = {effect.run: effect.value for effect in story.effects if effect.is_side_effect}
    expected = {
        run: f"{number}: 30, sent packed {drawn[run]}, attempt 2"
        for number, run in enumerate(sorted(story.acknowledged))
    }

    assert len(story.acknowledged) == len(set(story.acknowledged)) == program.RUNS
    assert story.results == expected


def test_workers_of_every_killed_engine_end_within_a_second(story: Story) -> None:
    """P8: looked at after each of the kills."""
    assert [kill.late for kill in story.kills] == [0] * KILLS
    assert sum(kill.workers for kill in story.kills) > KILLS


def test_the_kills_hit_while_much_was_in_flight(story: Story) -> None:
    """Guard: early kills come between acknowledgements, most others with nearly all runs unfinished."""
    unfinished = [open_runs(story, kill) for kill in story.kills]

    assert story.kills[0].acknowledged < program.RUNS
    assert sum(count >= 150 for count in unfinished) >= 10, unfinished
    assert min(unfinished) > 0


def test_the_kills_interrupted_steps_of_several_kinds(story: Story) -> None:
    """Guard: each but the early ones cut an activity short, and steps of several kinds were done again."""
    cut = {effect.life for effect in interrupted(story.effects)}
    kinds = {kind_of_step(repeat.partition(" ")[2]) for repeat in story.verdict.repeats}

    assert cut >= set(range(EARLY_KILLS + 1, KILLS + 1))
    assert kinds >= {"part", "ship/pack"}, kinds


def test_every_life_got_something_done(story: Story) -> None:
    """Guard: no start was in vain, so each kill found another state of the file."""
    found = [(kill.acknowledged, kill.effects) for kill in story.kills]

    assert found == sorted(set(found))
    assert {effect.life for effect in story.effects} >= set(range(EARLY_KILLS + 1, KILLS + 2))


# ── how the tests say it ────────────────────────────────────────────────────────────────────────────────


def moments() -> list[int]:
    """After how many lines of its own each life is killed."""
    drawn = random.Random(SEED)
    early = [drawn.randint(20, 80) for _ in range(EARLY_KILLS)]
    return early + [drawn.randint(60, 120) for _ in range(KILLS - EARLY_KILLS)]


def nothing_would_be_struck_thrice(life: int, effects: list[Effect]) -> bool:
    """An attempt that runs at three unclean ends is given up: those struck twice are recorded first.

    That they are shows in what comes after them; behind the last step of a run nothing does.
    """
    stage_of = {unit: number for number, units in enumerate(PLAN) for unit in units}
    begun, reached = defaultdict[tuple[str, str], set[int]](set), defaultdict[str, int](int)
    for effect in effects[:-RECORDED_AFTER]:
        if effect.kind == "end" and stage_of[effect.unit] == len(PLAN) - 1:
            reached[effect.run] = len(PLAN)
    for effect in effects:
        reached[effect.run] = max(reached[effect.run], stage_of[effect.unit])
        if effect.kind == "begin" and effect.life < life:
            begun[effect.run, effect.unit].add(effect.life)
    struck_twice = [unit for unit, lives in begun.items() if len(lives) > 1]
    return all(reached[run] > stage_of[unit] for run, unit in struck_twice)


def seldom_struck(effects: list[Effect]) -> str:
    """Of the kinds of steps that come up at the moment, and will again, the one with the fewest strikes."""
    to_do = Counter(kind_of_step(unit) for units in PLAN for unit in units for _ in range(program.RUNS))
    to_do -= Counter(kind_of_step(unit) for _, unit in {(effect.run, effect.unit) for effect in effects})
    del to_do["token"]
    # Towards the end of all runs: what there is most of.
    left = [kind for kind in to_do if to_do[kind] > RECENT] or [max(to_do, key=lambda kind: to_do[kind])]
    coming = {effect.kind_of_step for effect in effects[-RECENT:] if effect.kind == "begin"}
    struck = Counter(effect.kind_of_step for effect in interrupted(effects))
    return min((kind for kind in left if kind in coming), key=lambda kind: struck[kind], default=left[0])


def open_runs(story: Story, kill: Kill) -> int:
    """Runs that were acknowledged, and had not finished, at a kill."""
    before = story.effects[: kill.effects]
    ended = {effect.run for effect in before if effect.step == "finish" and effect.kind == "end"}
    return len(set(story.acknowledged[: kill.acknowledged]) - ended)


def interrupted(effects: list[Effect]) -> list[Effect]:
    """Beginnings without an end in the same process."""
    ended = {(effect.run, effect.unit, effect.pid) for effect in effects if effect.kind == "end"}
    begun = [effect for effect in effects if effect.kind == "begin"]
    return [effect for effect in begun if (effect.run, effect.unit, effect.pid) not in ended]
