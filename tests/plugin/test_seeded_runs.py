"""Seeded runs: every actor in the test's own thread, in an order that the seed repeats."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    ActivityContext,
    Deadlock,
    EngineCrashed,
    InvalidArguments,
    InvalidState,
    Queue,
    Signal,
    Tempolite,
    WorkflowContext,
    activity,
)
from tempolite.testing.actor_system import TestActorSystem
from tempolite.testing.clock import TestClock
from tempolite.testing.engines import Engines
from tests.plugin.conftest import Project

DAY_S = 86_400.0
Factory = Callable[..., Tempolite]


def double(number: int) -> int:
    """An activity."""
    return 2 * number


def waiting(ctx: WorkflowContext) -> Any:
    """Goes on with a signal."""
    return ctx.signal("go").get()


def sleepy(ctx: WorkflowContext, days: float) -> str:
    """Takes its time, and then works."""
    ctx.sleep("rest", days * DAY_S)
    return f"awake after {ctx.activity('double', double, 1).get()}"


def decide(ctx: WorkflowContext) -> str:
    """Whichever verdict comes first."""
    first = ctx.wait_any(ctx.signal("approved"), ctx.signal("rejected"))
    assert first is not None
    return str(first.get())


def reviewers(tp: Tempolite) -> Callable[[WorkflowContext], None]:
    """A workflow with two children, each of which sends its verdict to the one that waits for it."""

    def tell(verdict: str) -> None:
        tp.get("decision").actor_ref.tell(Signal(verdict, verdict))

    def review(ctx: WorkflowContext, verdict: str) -> None:
        ctx.activity("tell", tell, verdict).get()

    def ask_both(ctx: WorkflowContext) -> None:
        ctx.wait_all(*(ctx.workflow(verdict, review, verdict) for verdict in ("approved", "rejected")))

    return ask_both


def race(seed: int, folder: Path) -> tuple[str, Any]:
    """Two reviewers at once: who was first, and what was said."""
    engines = Engines({}, lambda: str(folder / "race.db"))
    system = TestActorSystem(engines, lambda _topic, _text: None)
    system.seeded(seed)
    tp = engines.make()
    decision = tp.execute("decision", decide)
    tp.execute("reviewers", reviewers(tp))
    outcome = decision.get()
    tp.wait()
    engines.close()
    return outcome, system.messages


@pytest.fixture
def make_seeded(actor_system: TestActorSystem, tempolite_factory: Factory) -> Factory:
    """Makes the engine of a seeded test."""

    def make(seed: int = 1, **settings: Any) -> Tempolite:
        actor_system.seeded(seed)
        return tempolite_factory(**settings)

    return make


# ── the order ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_seed_gives_the_same_messages_each_time(tmp_path: Path) -> None:
    """So a failure that was seen under it is seen again."""
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()

    one, other = (race(17, folder) for folder in folders)

    assert one == other
    assert str(one[1]) == str(other[1])


def test_seeds_explore_both_ends_of_a_race(tmp_path: Path) -> None:
    """Two signals from two runs: either may be first, and a dozen seeds find that out."""
    races = []
    for seed in range(12):
        folder = tmp_path / str(seed)
        folder.mkdir()
        races.append(race(seed, folder))

    assert {outcome for outcome, _ in races} == {"approved", "rejected"}
    assert len({str(messages) for _, messages in races}) > 6


def test_a_seed_means_the_same_in_another_process(tmp_path: Path) -> None:
    """Hashes of texts differ from process to process; the order does not."""
    program = (
        "from pathlib import Path\nfrom tests.plugin.test_seeded_runs import race\nprint(race(5, Path.cwd()))"
    )
    root = Path(__file__).parents[2]
    logs = []
    for hash_seed in ("1", "2"):
        folder = tmp_path / hash_seed
        folder.mkdir()
        environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        logs.append(done.stdout)

    assert logs[0] == logs[1]
    assert "Signal('approved', 'approved')" in logs[0]


def test_ids_and_chance_are_drawn_from_the_seed_as_well(tmp_path: Path) -> None:
    """Ids that are made up, ``ctx.random`` and the jitter of retries."""

    def chance(ctx: WorkflowContext) -> float:
        return ctx.random.random()

    found = []
    for number in range(2):
        engines = Engines({}, lambda number=number: str(tmp_path / f"{number}.db"))  # type: ignore[misc]
        TestActorSystem(engines, lambda _topic, _text: None).seeded(3)
        info = engines.make().execute(None, chance)
        found.append((info.id, info.get()))
        engines.close()

    assert found[0] == found[1]


def test_engines_of_a_test_run_in_one_order(
    actor_system: TestActorSystem, tempolite_factory: Factory
) -> None:
    """Who waits for one of them runs the other one, too; and one may call the other."""
    actor_system.seeded(2)
    first, second = tempolite_factory(":memory:"), tempolite_factory(":memory:")
    second.execute("slow", sleepy, 1)

    def ask_the_other() -> str:
        return second.get("slow").get()

    def outer(ctx: WorkflowContext) -> str:
        return ctx.activity("ask", ask_the_other).get()

    assert first.execute("outer", outer).get() == "awake after 2"


# ── in the test's thread ────────────────────────────────────────────────────────────────────────────────


def test_everything_runs_in_the_thread_of_the_test(make_seeded: Factory) -> None:
    """Activities, whatever the kind of their queue, and side effects; no thread is made."""
    before, seen = threading.enumerate(), list[tuple[str, int, str]]()

    def note_as(step: str) -> None:
        seen.append((step, os.getpid(), threading.current_thread().name))

    def note(ctx: ActivityContext) -> None:
        note_as(ctx.step)

    def noting(ctx: WorkflowContext) -> None:
        for queue in ("default", "threads"):
            ctx.activity(queue, activity(note, queue=queue)).get()
        ctx.side_effect(
            "effect", lambda: seen.append(("effect", os.getpid(), threading.current_thread().name))
        ).get()

    tp = make_seeded(queues=[Queue("threads", kind="thread", workers=2)])
    tp.execute("noting", noting).get()

    here = os.getpid(), threading.current_thread().name
    assert seen == [(step, *here) for step in ("default", "threads", "effect")]
    assert threading.enumerate() == before


def test_thirty_days_pass_while_the_test_waits(make_seeded: Factory) -> None:
    """Time is virtual, with or without ``tempolite_clock``."""
    tp = make_seeded()

    info = tp.execute("sleepy", sleepy, 30)

    assert info.get() == "awake after 2"
    assert info.finished_at is not None
    assert info.finished_at - info.created_at == timedelta(days=30)


def test_a_wait_that_never_ends_is_told_with_what_it_waits_for(make_seeded: Factory) -> None:
    """In place of a hang: nothing goes on, so no signal comes that the test does not send."""
    tp = make_seeded(17)
    info = tp.execute("order-1", waiting)

    with pytest.raises(Deadlock, match=r"under seed 17.*'order-1' is WAITING"):
        info.get()

    info.signal("go", 5)
    assert info.get() == 5


def test_a_wait_with_a_time_out_ends_in_virtual_time(make_seeded: Factory) -> None:
    """Also one of an hour; the run is untouched."""
    tp = make_seeded()
    info = tp.execute("order-1", waiting)

    with pytest.raises(TimeoutError, match="no outcome after 3600 s"):
        info.get(timeout=3_600)

    assert info.status == "WAITING"


def test_looking_again_and_again_brings_things_about(make_seeded: Factory) -> None:
    """A loop that polls, as tests have them, ends, though nothing runs by itself."""
    tp = make_seeded()
    info = tp.execute("order-1", waiting)
    info.actor_ref.tell(Signal("go", 5))

    looks = 0
    while info.status != "COMPLETED":
        looks += 1
        assert looks < 100

    assert info.get() == 5


def test_the_event_loop_runs_the_actors_for_who_awaits(make_seeded: Factory) -> None:
    """Between its other work: two coroutines, of which one waits for what the other sends."""
    tp = make_seeded(4)

    async def both() -> list[Any]:
        info = await tp.aexecute("order-1", waiting)

        async def send() -> str:
            await asyncio.sleep(0)
            await info.asignal("go", 5)
            return await (await tp.aexecute("sleepy", sleepy, 30))

        return await asyncio.gather(info.aget(), send())

    assert asyncio.run(both()) == [5, "awake after 2"]


def test_another_thread_may_tell_and_look_but_not_wait(make_seeded: Factory) -> None:
    """Workflow code can't change threads; the error says so, in place of a hang."""
    tp = make_seeded()
    info = tp.execute("order-1", waiting)
    seen = list[Any]()

    def elsewhere() -> None:
        info.actor_ref.tell(Signal("go", 5))
        seen.append(info.status)
        try:
            info.get()
        except InvalidState as error:
            seen.append(str(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(30)

    assert info.get() == 5
    assert seen[0] in ("RUNNING", "WAITING")
    assert "in the thread that seeded it" in seen[1]


def test_the_clock_moves_seeded_engines_as_well(tempolite_clock: TestClock, make_seeded: Factory) -> None:
    """What falls due meanwhile is done, and not more."""
    tp = make_seeded()
    early, late = tp.execute("early", sleepy, 1), tp.execute("late", sleepy, 3)

    tempolite_clock.advance(2 * DAY_S)

    assert (early.status, late.status) == ("COMPLETED", "WAITING")
    assert early.finished_at is not None
    assert (early.finished_at - early.created_at).days == 1


def test_a_seeded_engine_can_be_killed_and_opened_again(
    actor_system: TestActorSystem, tempolite_factory: Factory
) -> None:
    """Nothing that was under way goes on in the meantime."""
    actor_system.seeded(6)
    calls = list[int]()

    def working(ctx: WorkflowContext) -> int:
        return ctx.activity("work", lambda: calls.append(1) or len(calls)).get()  # type: ignore[func-returns-value]

    first = tempolite_factory(workflows=[working])
    info = first.execute("working", working)
    first.crash()  # type: ignore[attr-defined]

    with pytest.raises(EngineCrashed):
        info.get()
    assert calls == []
    assert tempolite_factory(workflows=[working]).get("working").get() == 1


# ── asked for too late, or with nonsense ────────────────────────────────────────────────────────────────


def test_a_seed_must_come_before_the_first_engine(
    tempolite_engine: Tempolite, actor_system: TestActorSystem
) -> None:
    """The error says what to ask for instead."""
    with pytest.raises(InvalidState, match=r"seeded\(7\) comes too late.*tempolite_factory"):
        actor_system.seeded(7)


@pytest.mark.parametrize("seed", ["7", None, True, 1.5])
def test_a_seed_is_an_int(actor_system: TestActorSystem, seed: Any) -> None:
    """Others would not be printed as they have to be given again."""
    with pytest.raises(InvalidArguments, match="expected an int"):
        actor_system.seeded(seed)


# ── the report ──────────────────────────────────────────────────────────────────────────────────────────

SEEDED_TEST = """
    from tempolite import Signal

    def waiting(ctx):
        return ctx.signal("go").get()

    def test_it(actor_system, tempolite_factory):
        actor_system.seeded(17)
        info = tempolite_factory().execute("order-1", waiting)
        info.signal("go", 5)
        assert info.get() == {expected}
"""


@pytest.mark.parametrize("expected", [5, 6])
def test_a_failed_test_names_its_seed(project: Project, expected: int) -> None:
    """And one that passes keeps quiet."""
    result = project(SEEDED_TEST.format(expected=expected))

    passed = expected == 5
    result.assert_outcomes(passed=int(passed), failed=int(not passed))
    assert ("actor_system was seeded with 17" in result.stdout.str()) is not passed
