"""Durable timers: never early, fired once, in the order of their due times, and at no cost until then."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tempolite import Tempolite, WorkflowContext
from tempolite.actors.clock import MICROS_PER_S, SystemClock
from tests.engine.conftest import EngineMaker
from tests.engine.timelines import DAY, HOUR, Timeline
from tests.engine.waiting import wait_until

Home = dict[str, Any]
WAIT_S = 30
LOOK_S = 0.3
SLEEPERS = 1_000


class LaterClock(SystemClock):
    """The system's clocks, some hours later: what a machine shows that was off meanwhile."""

    def __init__(self) -> None:
        self.hours = 0.0

    def now_us(self) -> int:
        return super().now_us() + round(self.hours * HOUR * MICROS_PER_S)


def napping(ctx: WorkflowContext, seconds: float) -> float:
    """How long the nap was."""
    before = ctx.now()
    ctx.sleep("nap", seconds)
    return (ctx.now() - before).total_seconds()


def fired(engine: Tempolite) -> list[str]:
    """Whose timers have fired, in the order of the log."""
    return [event.workflow for event in engine.events() if event.type == "TimerFired"]


def test_what_fell_due_meanwhile_fires_at_the_next_start_in_order(
    make_engine: EngineMaker, on_file: Home
) -> None:
    """Those whose time is still to come do not."""
    clock = LaterClock()
    engine = make_engine(**on_file, clock=clock)
    hours = [5, 1, 9, 3, 2, 8, 4, 7, 6, 100]
    for due in hours:
        engine.execute(f"h{due}", napping, due * HOUR)
    engine._crash()
    clock.hours = 50

    reopened = make_engine(**on_file, clock=clock, workflows=[napping])
    for due in range(1, 10):
        assert reopened.get(f"h{due}").get(timeout=WAIT_S) >= due * HOUR

    assert fired(reopened) == [f"h{due}" for due in range(1, 10)]
    assert reopened.get("h100").status == "WAITING"


@pytest.mark.parametrize("end", [Tempolite._crash, Tempolite.close], ids=["crash", "close"])
def test_timers_fire_once_and_never_early_whatever_ends_the_engine(
    make_engine: EngineMaker, on_file: Home, end: Callable[[Tempolite], None]
) -> None:
    """Sixty naps, four engines one after the other."""
    draw = random.Random(7)
    naps = {f"n{number}": draw.uniform(0, 0.6) for number in range(60)}
    engine = make_engine(**on_file)
    for id, seconds in naps.items():
        engine.execute(id, napping, seconds)
    for share in (12, 24, 36):
        wait_for_ends(engine, share)
        end(engine)
        engine = make_engine(**on_file, workflows=[napping])

    slept = {id: engine.get(id).get(timeout=WAIT_S) for id in naps}

    assert [id for id in naps if slept[id] < naps[id] - 1e-6] == []
    assert sorted(fired(engine)) == sorted(naps)


def test_a_timer_is_as_durable_as_it_is_long(line: Timeline) -> None:
    """A month, with a crash each day: it fires in the microsecond in which it is due, not before."""
    line.tp.execute("a", napping, 30 * DAY)
    line.settle()
    for _ in range(29):
        line.crash(away_s=DAY)
        line.open(napping)
        line.settle()
    line.pass_time(DAY - 0.000_001)
    assert fired(line.tp) == []
    line.pass_time(0.000_001)

    assert line.tp.get("a").get() == 30 * DAY
    assert fired(line.tp) == ["a"]


def test_lengths_are_seconds_or_timedeltas(line: Timeline) -> None:
    """No time at all included; the shortest is over first."""

    def several(ctx: WorkflowContext) -> list[bool]:
        long, none = ctx.timer("long", timedelta(hours=2)), ctx.timer("none", 0)
        none.get()
        first = [none.done, long.done]
        ctx.sleep("hour", timedelta(hours=1))
        long.get()
        return [*first, none.done, long.done]

    line.tp.execute("a", several)
    line.pass_time(HOUR), line.pass_time(HOUR)

    assert line.tp.get("a").get() == [True, False, True, True]


def test_thousands_of_sleeping_runs_cost_no_thread(make_engine: EngineMaker, path: Path) -> None:
    """Not one more than an engine without runs; all of them wake up when their time has come."""
    clock = LaterClock()
    engine = make_engine(path, clock=clock, resident_workflows=100)
    engine.execute("first", napping, 0).get(timeout=WAIT_S)
    threads = threading.active_count()

    def begin(number: int) -> None:
        for one in range(number, SLEEPERS, 8):
            engine.execute(f"n{one}", napping, HOUR)

    starters = [threading.Thread(target=begin, args=(number,)) for number in range(8)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert (engine.count(status="WAITING"), threading.active_count()) == (SLEEPERS, threads)
    engine.close()
    clock.hours = 2

    reopened = make_engine(path, clock=clock, workflows=[napping])
    reopened.wait(timeout=WAIT_S)
    assert reopened.count(status="COMPLETED") == SLEEPERS + 1


def test_an_engine_with_a_far_timer_does_nothing(make_engine: EngineMaker, home: Home) -> None:
    """No commit, and no thread of it is woken up by anything."""
    engine = make_engine(**home)
    for number in range(5):
        engine.execute(f"n{number}", napping, 2 * HOUR)
    wait_until(lambda: engine.count(status="WAITING") == 5)
    wait_until_quiet()
    commits, switches = engine._system.persistence.commits, wake_ups()

    threading.Event().wait(LOOK_S)

    assert (engine._system.persistence.commits, wake_ups()) == (commits, switches)


def wait_for_ends(engine: Tempolite, number: int) -> None:
    """Returns when so many runs have ended."""
    wait_until(lambda: engine.count(status="COMPLETED") >= number)


def wake_ups() -> dict[str, int]:
    """How often each other thread of the process gave up the processor by itself, from its start."""
    found = {}
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.name.startswith("tempolite"):
            status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
            counts = [text.split()[1] for text in status.splitlines() if text.startswith("voluntary")]
            found[thread.name] = int(counts[0])
    assert found, "an engine has a thread"
    return found


def wait_until_quiet() -> None:
    """Returns when no thread of the engine has anything to do any more."""
    before: list[dict[str, int]] = [{}]

    def is_quiet() -> bool:
        before.append(wake_ups())
        return len(before) > 10 and all(one == before[-1] for one in before[-10:])

    wait_until(is_quiet)
