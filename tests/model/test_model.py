"""The public API, driven at random, does what a small model of it says.

``TEMPOLITE_MODEL_EXAMPLES=5000`` looks further, at other examples each time;
``TEMPOLITE_TESTS=always-replay`` looks at engines that keep nothing in memory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tempolite import WorkflowAlreadyExists
from tests.model.machine import SideBySide
from tests.model.model import CLEANUP
from tests.model.workflows import OUTSIDE, other

MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""A crash here loses what was not committed; what a disk loses is tested elsewhere."""

ROOTS = ("a", "b", "c")
NAMES = st.sampled_from(("red", "blue"))
SECONDS = st.sampled_from((5, 10, 15, 40))
WHO = st.integers(0, 11)
CONTROLS = st.sampled_from(("pause", "resume", "cancel", "enqueue"))

PLAIN = st.one_of(
    st.tuples(st.just("take"), NAMES),
    st.tuples(st.just("any"), NAMES, SECONDS),
    st.tuples(st.just("sleep"), SECONDS),
    st.tuples(st.just("act"), st.integers(0, 3)),
    st.tuples(st.just("until"), st.integers(1, 2)),
    st.tuples(st.just("until"), st.integers(1, 2), SECONDS),
    st.just(("version",)),
)
INNER = st.lists(PLAIN, max_size=2).map(tuple)
CHILD = st.tuples(st.just("child"), st.sampled_from(("wait", "defer", "drop", "leave", "detach")), INNER)
STEPS = st.lists(st.one_of(PLAIN, PLAIN, CHILD), max_size=4)
CLEANING = STEPS.map(lambda steps: (CLEANUP, *steps))
RENEWED = st.lists(st.one_of(PLAIN, CHILD, st.just(("new",))), max_size=5).map(tuple)
SCRIPTS = st.one_of(STEPS.map(tuple), CLEANING, RENEWED)


class Users(RuleBasedStateMachine):
    """Users of one file, who do whatever comes to their minds, while its engine comes and goes."""

    settings: ClassVar[dict[str, Any]] = {}

    @initialize(seed=st.integers(0, 1_000_000), script=SCRIPTS, is_async=st.booleans())
    def begin(self, seed: int, script: Any, is_async: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="model", dir=MEMORY))
        self.both = SideBySide(self.folder / "runs.db", seed, self.settings)
        self.values = 0
        self.both.start("a", script, is_async=is_async)

    def who(self, number: int) -> str:
        ids = self.both.ids()
        return ids[number % len(ids)]

    # ── calls ───────────────────────────────────────────────────────────────────────────────────────────

    @rule(root=st.sampled_from(ROOTS), script=SCRIPTS, is_async=st.booleans())
    def start(self, root: str, script: Any, is_async: bool) -> None:
        self.both.start(root, script, is_async=is_async)

    @rule()
    def start_another_function(self) -> None:
        try:
            self.both.tp.execute("a", other)
        except WorkflowAlreadyExists:
            return
        raise AssertionError("the id is taken")

    @rule(who=WHO, name=NAMES, dedup=st.sampled_from((None, None, "1", "2")))
    def signal(self, who: int, name: str, dedup: str | None) -> None:
        id, value = self.who(who), self.values
        self.values += 1
        call = lambda: self.both.tp.signal(id, name, value, dedup=dedup)  # noqa: E731
        self.both.ask(id, call, lambda f, r: self.both.rules.signal(f, r, name, value, dedup))

    @rule(who=WHO, amount=st.sampled_from((1, 1, -1)))
    def update(self, who: int, amount: int) -> None:
        id = self.who(who)
        if not self.both.may_be(id, has_not_begun):
            call = lambda: self.both.tp.update(id, "add", amount)  # noqa: E731
            self.both.ask(id, call, lambda f, r: self.both.rules.add(f, r, amount))

    @rule(who=WHO)
    def query(self, who: int) -> None:
        id = self.who(who)
        if not self.both.may_be(id, has_not_begun):
            self.both.look(id)

    @rule(who=WHO, what=CONTROLS)
    def control(self, who: int, what: str) -> None:
        id = self.who(who)
        self.both.ask(id, lambda: getattr(self.both.tp, what)(id), getattr(self.both.rules, what))

    @rule(who=WHO, script=SCRIPTS)
    def continue_as_new(self, who: int, script: Any) -> None:
        id = self.who(who)
        if not self.both.may_be(id, may_not_go_on):
            self.both.renew(id, script)

    # ── time, and what the engine does with it ──────────────────────────────────────────────────────────

    @rule(count=st.integers(1, 25))
    def work_a_little(self, count: int) -> None:
        self.both.step(count)

    @rule()
    def settle(self) -> None:
        self.both.settle()

    @rule(seconds=SECONDS)
    def pass_time(self, seconds: int) -> None:
        self.both.pass_time(seconds)

    @rule()
    def wait(self) -> None:
        self.both.wait()

    @rule(is_clean=st.sampled_from((False, False, True)), has_new_code=st.booleans())
    def end_and_open(self, is_clean: bool, has_new_code: bool) -> None:
        if has_new_code:
            self.both.settle()
            OUTSIDE.newest += 1
            self.both.rules.newest = OUTSIDE.newest
        if is_clean:
            self.both.close_and_open()
        else:
            self.both.crash()

    # ── what must hold ──────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "both"):
            self.both.compare()

    def teardown(self) -> None:
        if hasattr(self, "both"):
            try:
                self.both.settle()
                self.both.compare()
                self.both.compare_outcomes()
            finally:
                self.both.tp._crash()
                shutil.rmtree(self.folder)


def has_not_begun(run: Any) -> bool:
    """A query of such a run is answered when it has."""
    return run.state in ("UNBORN", "PENDING")


def may_not_go_on(run: Any) -> bool:
    """The next run of a paused one begins paused, before its first step; that is looked at elsewhere."""
    return run.state == "UNBORN" or run.paused or "pause" in run.inbox


class UsersOfPutAwayRuns(Users):
    """No run that only waits stays in memory."""

    settings: ClassVar = {"resident_workflows": 0}


IS_BIG = "TEMPOLITE_MODEL_EXAMPLES" in os.environ
PROFILE = settings(
    max_examples=int(os.environ.get("TEMPOLITE_MODEL_EXAMPLES", 60)),
    stateful_step_count=60 if IS_BIG else 30,
    derandomize=not IS_BIG,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestUsers = Users.TestCase
TestUsers.settings = PROFILE
TestUsersOfPutAwayRuns = UsersOfPutAwayRuns.TestCase
TestUsersOfPutAwayRuns.settings = PROFILE
