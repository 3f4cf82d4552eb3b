"""A scenario that is killed after each of its commits, one after the other.

::

    run 1   commit 1 ✗    reopened ──▶ everything finishes ──▶ the test looks
    run 2   commit 1, commit 2 ✗    reopened ──▶ …
    …
    run n   commit 1, …, commit n, the end: there is no commit n, so that was all

Commit *n* is the same each time: the engine runs in one thread, in one order, with one turn for each commit.

A kill takes effect between two commits, and what the first of them had set free has happened by then: the
activities that it dispatched have run, and what they returned is lost. So the test sees what a power cut or a
SIGKILL can do at its worst: an activity that runs twice. That a kill comes before such an activity has begun
is the lesser case: it runs once, after the start.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tempolite.actors.messages import Commit
from tempolite.actors.rehearsed_system import Rehearsal
from tempolite.actors.seeded_dispatcher import SeededOrder
from tempolite.errors import Deadlock, EngineCrashed, InvalidArguments, InvalidState, NonDeterminismError
from tempolite.testing.engines import Engines, TestedEngine
from tempolite.testing.message_text import facts_of

COMMITS_MAX = 1_000
"""A scenario that makes more of them would be run for hours, or never ends."""

SEED = 0
"""Of the order that is the same each time; another one where the test has seeded its actors."""

OPEN_MAX = 32
"""So many engines stay open for the test, the latest ones."""

Scenario = Callable[[TestedEngine], Any]


@dataclass(frozen=True)
class CrashedRun:
    """One run of a scenario that was killed, and what became of it.

    Attributes:
        engine: opened on the same file after the kill; everything that could go on has finished.
        commit: number of the last commit before the kill, from 1.
        recorded: what that commit recorded.
    """

    engine: TestedEngine = field(repr=False)
    commit: int
    recorded: str

    def __str__(self) -> str:
        return f"killed after commit {self.commit}: {self.recorded}"


class Commits:
    """Counts the commits of an engine, and has it killed after one of them.

    Args:
        kill_after: number of the commit; 0 for none.
    """

    def __init__(self, kill_after: int) -> None:
        self.recorded: list[str] = []
        self.engine: TestedEngine
        self._kill_after = kill_after

    def on_commit(self, commit: Commit) -> None:
        """Counts one; nobody has heard of it yet."""
        workflow = commit.sender.actor_urn
        facts = ", ".join(facts_of(commit)) or "an index"
        self.recorded.append(f"{facts} of {workflow}")
        if len(self.recorded) == self._kill_after:
            self.engine.kill(f"killed after commit {self._kill_after}: {self.recorded[-1]}")
        elif len(self.recorded) > COMMITS_MAX:
            self.engine.kill(f"more than {COMMITS_MAX} commits: the runs of this scenario never come to rest")


class CrashPoints:
    """Runs scenarios, and kills them.

    Args:
        engines: of the test.
        note: takes a topic and a text for the report of a failed test.
    """

    def __init__(self, engines: Engines, note: Callable[[str, str], None]) -> None:
        self._engines = engines
        self._note = note
        self._open: list[TestedEngine] = []

    def __call__(self, scenario: Scenario) -> Iterator[CrashedRun]:
        """Runs ``scenario(engine)`` once for each commit that it makes, and kills the engine after that one.

        What the scenario's runs commit when it has returned counts, too, until all of them rest. After each
        kill the file is opened again, everything finishes, and the engine is handed out. Calls of the
        scenario that wait when the engine is killed end with ``EngineCrashed``, and so does every call after
        that; nothing has to catch it. At the end the scenario runs once more, to its end.

        Raises:
            NonDeterminismError: the scenario's commits are others in another run.
            Exception: what the scenario raised itself, with a note that names the commit.
        """
        if not callable(scenario) or inspect.iscoroutinefunction(scenario):
            raise InvalidArguments(
                f"a scenario is a function, no coroutine, that takes an engine: {scenario!r}"
            )
        return self._all_of(scenario)

    def _all_of(self, scenario: Scenario) -> Iterator[CrashedRun]:
        before: list[str] = []
        while True:
            number = len(before) + 1
            self._note("crash point", f"tempolite_crash_points: the run up to commit {number}")
            recorded, reopened = self._run(scenario, number)
            _compare(before, recorded, is_whole=reopened is None)
            if reopened is None:
                self._note("crash point", "")
                return
            run = CrashedRun(reopened, number, recorded[-1])
            self._note("crash point", f"tempolite_crash_points: {run}")
            yield run
            before = recorded

    def _run(self, scenario: Scenario, kill_after: int) -> tuple[list[str], TestedEngine | None]:
        """What was recorded until the kill, and the engine after it; or all, and None."""
        rehearsal = self._engines.direction.rehearsal
        order = SeededOrder(SEED if rehearsal is None else rehearsal.order.seed)
        commits, path = Commits(kill_after), self._engines.new_path()
        self._engines.virtual_clock.rewind()
        engine = self._start(path, order, commits)
        try:
            scenario(engine)
            _let_finish(engine)
        except EngineCrashed:
            if len(commits.recorded) != kill_after:
                raise InvalidState(_why_ended(engine, commits)) from None
        except BaseException as error:
            error.add_note(f"in a scenario of tempolite_crash_points, on its way to commit {kill_after}")
            raise
        if len(commits.recorded) < kill_after:
            engine.close()
            return commits.recorded, None
        engine.crash()
        return commits.recorded, self._reopen(engine, path, order)

    def _reopen(self, killed: TestedEngine, path: str, order: SeededOrder) -> TestedEngine:
        commits = Commits(0)
        engine = self._start(path, order, commits, killed)
        try:
            _let_finish(engine)
        except EngineCrashed:
            raise InvalidState(_why_ended(engine, commits)) from None
        self._open.append(engine)
        if len(self._open) > OPEN_MAX:
            self._open.pop(0).close()
        return engine

    def _start(
        self, path: str, order: SeededOrder, commits: Commits, killed: TestedEngine | None = None
    ) -> TestedEngine:
        def prepare(engine: TestedEngine) -> None:
            commits.engine = engine
            if killed is not None:
                engine.take_over_from(killed)

        engines, before = self._engines, self._engines.direction.rehearsal
        known = {} if killed is None else {"codec": killed.codec, "queues": killed.queues_known}
        engines.rehearse(Rehearsal(order, commits.on_commit))
        engines.before_start.append(prepare)
        try:
            return engines.make(path, **known)
        finally:
            engines.before_start.remove(prepare)
            engines.rehearse(before)


def _let_finish(engine: TestedEngine) -> None:
    """Until no run can go on."""
    try:
        engine.wait()
    except Deadlock:
        # What waits for a worker that the queue doesn't have, waits.
        return


def _why_ended(engine: TestedEngine, commits: Commits) -> str:
    return f"the engine ended after {len(commits.recorded)} commits: {engine.failure}"


def _compare(before: list[str], now: list[str], *, is_whole: bool) -> None:
    """Looks whether this run went as the one before it did.

    Raises:
        NonDeterminismError: it did not.
    """
    for number, (one, other) in enumerate(zip(before, now, strict=False), start=1):
        if one != other:
            raise NonDeterminismError(
                f"the scenario is not the same each time: commit {number} recorded {one} in one run, and "
                f"{other} in the next; it must not depend on chance or on what earlier runs left behind"
            )
    if is_whole and len(now) != len(before):
        raise NonDeterminismError(
            f"the scenario is not the same each time: one run made {len(before)} commits before it was "
            f"killed, the next one {len(now)} to its end"
        )
