"""Stretches of code that take too long are ended, and nothing else is ever hit."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from tempolite.actors.watchdog import StretchTooLong, Watchdog
from tests.actors.waiting import wait_until
from tests.engine.conftest import hang_guard as hang_guard

LIMIT_S = 0.002
ROUNDS = 400


class Eyes:
    """Sees code of this file as the user's, and nobody at a prompt unless told."""

    def __init__(self, *, hidden: str = "", is_prompting: bool = False) -> None:
        self.hidden = hidden
        self.is_prompting = is_prompting
        self.looks = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def place_of(self, frame: FrameType) -> str | None:
        self.looks += 1
        self.may_go_on.wait(10)
        code = frame.f_code
        return None if code.co_filename != __file__ or code.co_name == self.hidden else "here"

    def line_of(self, frame: FrameType) -> str | None:
        return "here" if frame.f_code.co_filename == __file__ else None

    def is_held(self, frame: FrameType) -> bool:
        self.looks += 1
        return self.is_prompting


Make = Callable[..., Watchdog]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes watchdogs that run; ends them."""
    made: list[Watchdog] = []

    def start(limit_s: float = LIMIT_S, eyes: Eyes | None = None) -> Watchdog:
        made.append(Watchdog(limit_s, eyes or Eyes()))
        made[-1].start()
        return made[-1]

    yield start
    for watchdog in made:
        watchdog.stop()


def live() -> bool:
    return False


def forever() -> None:
    while True:
        pass


def test_a_long_stretch_is_ended(make: Make) -> None:
    """And said to be too long, with the place."""
    assert "turn_limit=0.002 s" in make().run(forever, live)


def test_a_short_stretch_is_left_alone(make: Make) -> None:
    """Its outcome is nothing to speak of."""
    done: list[int] = []

    assert make(limit_s=600.0).run(lambda: done.append(1), live) == ""
    assert done == [1]


def test_what_the_code_raises_comes_out(make: Make) -> None:
    """Errors are its runner's business."""
    with pytest.raises(ZeroDivisionError):
        make().run(lambda: 1 / 0 and None, live)


@pytest.mark.parametrize("has_hook", [False, True])
@pytest.mark.parametrize("catches", [False, True])
def test_nothing_after_a_stretch_is_hit(make: Make, catches: bool, has_hook: bool) -> None:
    """Whatever moment it ends at, around its limit and beyond, with a profile hook and without."""
    watchdog, draw = make(), random.Random(1)
    outcomes: set[bool] = set()

    def code() -> None:
        try:
            count(turns)
        except BaseException:
            if not catches:
                raise
            count(turns)

    if has_hook:
        sys.setprofile(lambda *_: None)
    try:
        for _ in range(ROUNDS):
            turns = round(draw.uniform(0.3, 1.5) * LIMIT_S * COUNTS_PER_S)
            try:
                outcomes.add(bool(watchdog.run(code, live)))
            except StretchTooLong:
                # The code raised it a second time, within its own handler; it must not get out all the same.
                raise AssertionError("it got out") from None
            count(50)
        while True not in outcomes:
            # This machine counts faster than it did when it was measured.
            turns *= 2
            outcomes.add(bool(watchdog.run(code, live)))
    finally:
        sys.setprofile(None)

    assert not threading.Event().wait(2 * LIMIT_S)
    count(1_000)


def test_a_shot_that_was_aimed_too_late_is_not_fired(make: Make) -> None:
    """The stretch ended between the look at it and the shot; it was over its limit all the same."""
    eyes = Eyes()
    eyes.may_go_on.clear()

    def code() -> None:
        while not eyes.looks:
            pass
        eyes.looks = 0

    watchdog = make(eyes=eyes)

    watchdog.run(code, live)
    eyes.may_go_on.set()

    wait_until(lambda: watchdog.is_asleep, "it has fired or not")
    count(1_000)


def test_code_is_not_cut_off_within_what_must_not_be(make: Make) -> None:
    """The next look finds it outside."""
    eyes = Eyes(hidden="hidden")
    reached: list[str] = []

    def hidden() -> None:
        before = eyes.looks
        while eyes.looks < before + 20:
            pass
        reached.append("end of hidden")

    def code() -> None:
        hidden()
        forever()

    assert make(eyes=eyes).run(code, live)
    assert reached == ["end of hidden"]


def test_time_at_a_prompt_does_not_count(make: Make) -> None:
    """A person who looks at the code with a debugger is not hurried."""
    eyes = Eyes(is_prompting=True)

    def code() -> None:
        while eyes.looks < 20:
            pass

    assert make(eyes=eyes).run(code, live) == ""


def test_replayed_code_counts_from_where_it_is_live(make: Make) -> None:
    """Not before, however long that takes."""
    began: list[float] = []
    is_replayed = [True]
    watchdog = make()
    asked: list[bool] = []

    def ask() -> bool:
        asked.append(is_replayed[0])
        return is_replayed[0]

    def code() -> None:
        while len(asked) < 20:
            pass
        is_replayed[0] = False
        began.append(time.monotonic())
        forever()

    assert watchdog.run(code, ask)
    assert len(asked) >= 20
    assert time.monotonic() - began[0] >= LIMIT_S


def test_replayed_code_has_a_limit_too(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop put into code that was run before can't hold an engine for ever."""
    monkeypatch.setattr("tempolite.actors.watchdog.REPLAYED_MIN_S", 5 * LIMIT_S)

    assert make().run(forever, lambda: True)


def test_it_sleeps_while_nothing_runs(make: Make) -> None:
    """Without a time-out; the next stretch wakes it."""
    watchdog = make()

    for _ in range(3):
        wait_until(lambda: watchdog.is_asleep, "it sleeps")
        assert watchdog.run(forever, live)


def count(turns: int) -> None:
    """Uses up time in Python."""
    for _ in range(turns):
        pass


def _counts_per_s() -> float:
    began = time.perf_counter()
    count(1_000_000)
    return 1_000_000 / (time.perf_counter() - began)


COUNTS_PER_S = _counts_per_s()
