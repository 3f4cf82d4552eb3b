"""What an old engine's workers are doing has ended before the new engine's workers do it again (P8)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.crash import long_steps
from tests.crash.killing import Kill, life
from tests.crash.logs import Effect, read_effects

LINES = 100
"""The first life is killed after so many: each activity is well under way by then."""


@dataclass(frozen=True)
class Story:
    """What was left behind."""

    kill: Kill
    effects: list[Effect]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Killed once, and started again at the same moment."""
    folder = tmp_path_factory.mktemp("overlap")
    with life(long_steps.__name__, folder, 1) as first:
        kill = first.kill_after(LINES, until=all_kinds_are_under_way)
        with life(long_steps.__name__, folder, 2) as second:
            second.ends_well()
    return Story(kill, read_effects(folder / "effects"))


def all_kinds_are_under_way(effects: list[Effect]) -> bool:
    """Each has left two lines at least."""
    runs = [effect.run for effect in effects]
    return all(runs.count(kind) > 1 for kind in long_steps.KINDS)


@pytest.mark.parametrize("kind", long_steps.KINDS)
def test_activity_of_a_killed_engine_has_ended_before_it_runs_again(story: Story, kind: str) -> None:
    """Not one line of the old process comes after the first of the new one."""
    lives = [effect.life for effect in story.effects if effect.run == kind]

    assert lives.count(1) > 1, "it was under way when the engine was killed"
    assert lives == sorted(lives)
    assert lives.count(2) == 1


@pytest.mark.parametrize("kind", long_steps.KINDS)
def test_retry_after_a_crash_has_the_same_attempt_and_key(story: Story, kind: str) -> None:
    """A crash uses up no attempt, and a service outside can tell that it is the same call."""
    seen = {(effect.attempt, effect.key) for effect in story.effects if effect.run == kind}

    assert len(seen) == 1
    assert {attempt for attempt, _ in seen} == {1}


def test_all_workers_end_within_a_second_of_the_kill(story: Story) -> None:
    """Whatever they were doing."""
    assert story.kill.workers == len(long_steps.KINDS)
    assert story.kill.late == 0
