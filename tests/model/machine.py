"""The engine and the model side by side: what is done to one is done to the other, and both are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tempolite import ContinueAsNew, Queue, Tempolite, TempoliteError
from tempolite.actors.clock import VirtualClock
from tempolite.actors.futures import Reply
from tempolite.actors.messages import AwaitIdle
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tests.model.model import FINISHED, Family, Op, Refused, Rules, Run, find
from tests.model.workflows import OUTSIDE, other, scripted, scripted_async

KNOWN = [scripted, scripted_async, other]

NEVER_SO_MANY = 20
"""Steps that no run has, so that children have ids of their own."""

STEPS_MAX = 20_000
"""More for one wait is a run that goes round in circles."""

WORLDS_MAX = 50
"""With more of them the engine settles first: all that could still happen takes long to find."""


class SideBySide:
    """One file with its engines, and the worlds that they can be in.

    Attributes:
        worlds: by root, every family that agrees with all that was seen.
    """

    def __init__(self, path: Path, seed: int, settings: dict[str, Any]) -> None:
        OUTSIDE.effects.clear()
        OUTSIDE.newest = 1
        self.worlds: dict[str, set[Family]] = {}
        self.clock = VirtualClock()
        self.rules = Rules()
        self._path, self._seed, self._settings = path, seed, settings
        self._recorded: Counter[tuple[str, int, str]] = Counter()
        self._crashes = 0
        self._attempts: Counter[str] = Counter()
        self._seen = self._renewals = 0
        self._kinds: dict[str, Any] = {}
        self._is_settled = True
        self.open()

    # ── life ────────────────────────────────────────────────────────────────────────────────────────────

    def open(self) -> None:
        """Starts an engine on the file."""
        queues = [Queue("default", kind="inline")]
        self.tp = Tempolite(self._path, queues=queues, clock=self.clock, workflows=KNOWN, **self._settings)
        self.tp._seed = self._seed
        self._seed += 1
        self.tp.start()
        self._is_settled = False

    def crash(self) -> None:
        """Kills the engine; whatever it had not committed is lost, and nothing else."""
        self.tp._crash()
        self._crashes += 1
        self.open()

    def close_and_open(self) -> None:
        """An engine comes after the other."""
        self.tp.close()
        self.open()

    # ── the engine's own time ───────────────────────────────────────────────────────────────────────────

    @property
    def _dispatcher(self) -> SeededDispatcher:
        dispatcher = self.tp._system._dispatcher
        assert isinstance(dispatcher, SeededDispatcher)
        return dispatcher

    def step(self, count: int) -> None:
        """The engine does a little of what there is to do at this moment."""
        self._is_settled = False
        for _ in range(count):
            if not self._dispatcher.step(advance_time=False):
                return

    def settle(self) -> None:
        """The engine does all that there is to do at this moment."""
        self._dispatcher.run_until_idle(advance_time=False)
        self.worlds = {root: self.rules.settled(worlds) for root, worlds in self.worlds.items()}
        self._is_settled = True

    def pass_time(self, seconds: float) -> None:
        """Time goes by, and nobody has noticed yet."""
        self._let_be()
        self.clock.advance(seconds)
        self._tell_time()

    def wait(self) -> None:
        """``tp.wait()``, step by step: it returns when no run goes on by itself, and never early."""
        reply: Reply[Any] = self.tp._system.ask_nowait(AwaitIdle())
        for _ in range(STEPS_MAX):
            if reply.is_set:
                break
            if not self._dispatcher.step(advance_time=False):
                # Only where nothing else is to be done does time go on.
                self.settle()
                assert self._dispatcher.step(), "wait() does not return, and nothing goes on"
                self._tell_time()
        assert reply.is_set, "wait() does not return"
        self._is_settled = True
        for root, worlds in self.worlds.items():
            settled = self.rules.settled(worlds)
            self.worlds[root] = {w for w in settled if not any(run.sleeps for run in w)}
            assert self.worlds[root], f"wait() returned, and these go on: {settled}"

    def _let_be(self) -> None:
        if sum(map(len, self.worlds.values())) > WORLDS_MAX:
            self.settle()
        self.worlds = {root: self.rules.reachable(worlds) for root, worlds in self.worlds.items()}

    def _tell_time(self) -> None:
        self.rules.now = self.clock.monotonic_s()
        self._is_settled = False

    # ── calls ───────────────────────────────────────────────────────────────────────────────────────────

    def start(self, root: str, script: tuple[Op, ...], *, is_async: bool) -> None:
        """Starts a run of either kind; the same id again starts nothing."""
        kind = self._kinds.setdefault(root, scripted_async if is_async else scripted)
        self.tp.execute(root, kind, script)
        if root not in self.worlds:
            run = Run(root, script, state="LIVE")
            self.worlds[root] = {self.rules.enter(frozenset(), run)}
        self._is_settled = False

    def ask(self, id: str, call: Callable[[], Any], expect: Callable[[Family, Run], Family]) -> Any:
        """A call that speaks to a run: what it came to, error or not, must be what some world expects."""
        root, value, error = id.split("/")[0], None, ""
        if len(self.worlds[root]) > WORLDS_MAX:
            self.settle()
        try:
            value = call()
        except (TempoliteError, ValueError) as refusal:
            error = type(refusal).__name__
        after: set[Family] = set()
        answers: set[str] = set()
        for family in self.rules.reachable(self.worlds[root]):
            answer = ""
            try:
                family = expect(family, find(family, id))
            except Refused as refusal:
                answer = str(refusal)
            answers.add(answer)
            if answer == error:
                after.add(family)
        assert after, f"{id}: the answer is {error or 'no error'}, expected {answers}"
        self.worlds[root] = after
        self._is_settled = False
        return value

    def renew(self, id: str, script: tuple[Op, ...]) -> None:
        """Somebody else has a run continue as new; ids of its children are not those of any before."""
        self._renewals += 1
        got = ("over",) * NEVER_SO_MANY * self._renewals
        message = ContinueAsNew((script, got))
        self.ask(
            id,
            lambda: self.tp.get(id).actor_ref.ask(message),
            lambda f, r: self.rules.renew(f, r, script, got),
        )

    def look(self, id: str) -> None:
        """A query tells what the code has by now."""
        got = self.ask(id, lambda: self.tp.query(id, "look"), self.rules.look)
        if got is not None:
            self._keep(id, lambda run: (run.shown, run.added) == got, f"the code has {got}")

    def ids(self) -> list[str]:
        """Every run that there may be."""
        return sorted({run.id for worlds in self.worlds.values() for family in worlds for run in family})

    def may_be(self, id: str, is_so: Callable[[Run], bool]) -> bool:
        """Whether some world has the run like that."""
        reachable = self.rules.reachable(self.worlds[id.split("/")[0]])
        return any(is_so(run) for family in reachable for run in family if run.id == id)

    # ── what must agree ─────────────────────────────────────────────────────────────────────────────────

    def compare(self) -> None:
        """What the engine shows must be what some world has."""
        if not self._is_settled:
            self._let_be()
        listed = {info.id: info for info in self.tp.workflows(limit=1_000)}
        for id in self.ids():
            status = listed[id].status.value if id in listed else "UNBORN"
            self._keep(id, lambda run, status=status: self._agrees(run, status), f"the engine says {status}")
        assert set(listed) <= set(self.ids()), "there are runs that nobody asked for"
        self._compare_effects()

    def compare_outcomes(self) -> None:
        """Outcomes are what they should be; running finished code again gives the same."""
        for info in self.tp.workflows(limit=1_000):
            if info.status in FINISHED:
                outcome = _outcome(info.get)
                self._keep(info.id, lambda run, o=outcome: _expected(run) == o, f"the outcome is {outcome}")
                assert _outcome(lambda info=info: self.tp.replay(info.id)) == outcome
        assert self.tp.count() == sum(
            self.tp.count(status=s) for s in {i.status for i in self.tp.workflows(limit=1_000)}
        )
        report = self.tp.verify()
        assert report.ok, report.problems

    def _agrees(self, run: Run, status: str) -> bool:
        active = ("RUNNING", "WAITING")
        return run.status == status or (not self._is_settled and run.status in active and status in active)

    def _keep(self, id: str, agrees: Callable[[Run], bool], seen: str) -> None:
        root = id.split("/")[0]
        worlds = self.worlds[root]
        kept = {f for f in worlds if any(agrees(r) for r in f if r.id == id) or _lacks(f, id, seen)}
        assert kept, f"{id}: {seen}, expected one of {[r for f in worlds for r in f if r.id == id]}"
        self.worlds[root] = kept

    def _compare_effects(self) -> None:
        """An effect on record has happened, and happens no more."""
        for event in self.tp.events(after=self._seen):
            self._seen = event.seq
            if event.type == "AttemptBegan":
                self._attempts[event.workflow] += 1
            elif event.type == "ActivityCompleted":
                key = (event.workflow, event.run, event.step)
                assert key not in self._recorded, f"{key} was recorded twice"
                count = self._recorded[key] = OUTSIDE.effects[key]
                tries_max = 1 + self._crashes + self._attempts[event.workflow]
                assert 1 <= count <= tries_max, f"{key} had {count} effects"
        for key, count in self._recorded.items():
            assert OUTSIDE.effects[key] == count, f"{key} ran again after it was recorded"


def _lacks(family: Family, id: str, seen: str) -> bool:
    return seen.endswith("UNBORN") and not any(run.id == id for run in family)


def _outcome(get: Callable[[], Any]) -> Any:
    try:
        return get()
    except (TempoliteError, OSError) as error:
        return type(error).__name__


def _expected(run: Run) -> Any:
    return run.got if run.state == "COMPLETED" else run.error
