"""What a user may expect of runs, in plain Python: nothing here knows how the engine does it.

A run follows a script (see ``workflows``). A *family* is a root run with all that it leads to; families
have nothing to do with each other. The engine does things in its own time, so what is known of a family is a
set of worlds: every command leads on from each world that the engine can have come to by itself, and what is
seen of the engine rules worlds out. When none is left, the engine has done what it must not.

Where the contract is silent, this is what is expected:

- a paused or pending run that is cancelled is cancelled at once, where its code has nothing to clean up;
- an update is accepted by a paused run; what waits for it goes on after the resume;
- an activity under way in a paused run has its retries, too;
- a new attempt waits anew for what had timed out;
- a sleep that a cancel had cut short ends when it would have;
- a child that is cancelled with its parent before it exists may never come to be;
- continue-as-new closes a run: its children are cancelled unless they were to be left alone;
- a deferred run that is paused is not pending, and can't be enqueued;
- what a child was told after its parent stands, also after a restart;
- who asks a run that was cancelled before it began is told what its code has at its first wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

ATTEMPTS_MAX = 3
RETRY_S = 10
FINISHED = ("COMPLETED", "FAILED", "CANCELLED")
CLEANUP, END = ("cleanup",), ("end",)

Op = tuple[Any, ...]


class Refused(Exception):
    """The call is refused; the text is the name of the error."""


@dataclass(frozen=True)
class Run:
    """One workflow: where its script is, and what it has."""

    id: str
    script: tuple[Op, ...]
    parent: str = ""
    mode: str = ""
    of: int = 1
    """Number of the parent's run that asked for it."""
    state: str = "UNBORN"
    paused: bool = False
    at: int = 0
    base: tuple[Any, ...] = ()
    got: tuple[Any, ...] = ()
    recorded: frozenset[tuple[int, Any]] = frozenset()
    """Successes that stand in a new attempt, by their place in the script."""
    timers: frozenset[tuple[int, float]] = frozenset()
    """When its sleeps end, by their place."""
    told: tuple[str, Any] | None = None
    """What has become of the step that the code waits for, and was not given to it yet."""
    tries: int = 0
    due: float | None = None
    unread: tuple[tuple[str, Any], ...] = ()
    dedups: frozenset[tuple[str, str]] = frozenset()
    added: int = 0
    ending: str = ""
    """How it will end once it has cleaned up."""
    is_cancelling: bool = False
    error: str = ""
    version: int = 0
    run: int = 1
    inbox: tuple[str, ...] = ()
    """What its parent wants of it."""

    @property
    def op(self) -> Op:
        if self.ending:
            return ("act", 0)
        return self.script[self.at] if self.at < len(self.script) else END

    @property
    def shown(self) -> tuple[Any, ...]:
        """What the code says that it has: that of a finished run is run for it, to its end or first wait."""
        never_began = self.state == "CANCELLED" and self.op == CLEANUP
        return (*self.got, "cleanup") if never_began else self.got

    @property
    def status(self) -> str:
        if self.state == "LIVE" or (self.state == "PENDING" and self.paused):
            working = self.op[0] == "act" and self.told is None
            return "PAUSED" if self.paused else "RUNNING" if working else "WAITING"
        return self.state

    @property
    def sleeps(self) -> bool:
        """Whether it goes on by itself when time goes by."""
        if self.state != "LIVE" or self.due is None or self.told is not None:
            return False
        return self.op[0] == "act" or not self.paused


Family = frozenset[Run]


def find(family: Family, id: str) -> Run:
    for run in family:
        if run.id == id and run.state != "UNBORN":
            return run
    raise Refused("WorkflowNotFound")


def put(family: Family, *changed: Run) -> Family:
    ids = {run.id for run in changed}
    return frozenset(run for run in family if run.id not in ids).union(changed)


def children(family: Family, run: Run) -> list[Run]:
    return [child for child in family if child.parent == run.id and child.of == run.run]


def tell_children(family: Family, run: Run, what: str, wanted: Callable[[Run], bool]) -> Family:
    told = [replace(c, inbox=(*c.inbox, what)) for c in children(family, run) if wanted(c)]
    return put(family, *told)


def is_open(child: Run) -> bool:
    return child.state not in FINISHED


def follows_parent(child: Run) -> bool:
    return is_open(child) and child.mode != "detach"


def hangs_on_parent(child: Run) -> bool:
    return follows_parent(child) and child.mode != "leave"


class Rules:
    """What follows from what, at one moment.

    Args:
        now: seconds.
        newest: what ``get_version`` gives a run that meets the change for the first time.
    """

    def __init__(self, now: float = 0.0, newest: int = 1) -> None:
        self.now, self.newest = now, newest

    # ── what the engine does by itself ──────────────────────────────────────────────────────────────────

    def reachable(self, families: Iterable[Family]) -> set[Family]:
        """Wherever the engine can have come by now."""
        found, todo = set(families), list(families)
        while todo:
            for family in self.moves(todo.pop()):
                if family not in found:
                    found.add(family)
                    todo.append(family)
        return found

    def settled(self, families: Iterable[Family]) -> set[Family]:
        """Where it has come when it has nothing to do at this moment."""
        return {family for family in self.reachable(families) if next(self.moves(family), None) is None}

    def moves(self, family: Family) -> Iterator[Family]:
        for run in family:
            if run.state == "UNBORN":
                born = replace(run, state="PENDING" if run.mode == "defer" else "LIVE")
                yield self.enter(family, born) if born.state == "LIVE" else put(family, born)
                if "cancel" in run.inbox:
                    yield family - {run}
            elif run.inbox:
                yield self.obey(family, replace(run, inbox=run.inbox[1:]), run.inbox[0])
            if run.state == "LIVE":
                if run.told is None:
                    yield from (put(family, after) for after in self.happens(family, run))
                if not run.paused:
                    yield from self.goes_on(family, run)

    def happens(self, family: Family, run: Run) -> Iterator[Run]:
        """What is recorded whether the run is paused or not."""
        kind, is_due = run.op[0], run.due is not None and run.due <= self.now
        if kind == "act" and (run.tries == 0 or is_due):
            if run.op[1] <= run.tries:
                yield replace(run, told=("value", "did"))
            elif run.tries + 1 == ATTEMPTS_MAX:
                yield replace(run, told=("error", "OSError"))
            else:
                yield replace(run, tries=run.tries + 1, due=self.now + RETRY_S)
        elif kind == "sleep" and is_due:
            yield replace(run, told=("value", "slept"))
        elif kind in ("any", "until") and is_due:
            yield replace(run, told=("late", None))
        elif kind == "child" and run.op[1] in ("wait", "defer"):
            child = next(c for c in family if c.id == f"{run.id}/{len(run.got)}")
            if not is_open(child) and "again" not in child.inbox:
                value = ("value", child.got) if child.state == "COMPLETED" else ("error", child.error)
                yield replace(run, told=value)

    def goes_on(self, family: Family, run: Run) -> Iterator[Family]:
        """What the code is given, or decides."""
        kind = run.op[0]
        if run.told is not None:
            yield self.deliver(family, run)
        elif kind in ("take", "any"):
            place = next((n for n, (name, _) in enumerate(run.unread) if name == run.op[1]), None)
            if place is not None:
                rest = run.unread[:place] + run.unread[place + 1 :]
                yield put(family, replace(run, unread=rest, told=("value", run.unread[place][1])))
        elif kind == "until" and run.added >= run.op[1]:
            yield put(family, replace(run, told=("value", True)))
        elif kind == "version":
            version = run.version or self.newest
            yield put(family, replace(run, version=version, told=("value", version)))
        elif kind == "child" and run.op[1] not in ("wait", "defer"):
            yield put(family, replace(run, told=("value", f"{run.id}/{len(run.got)}")))
        elif kind == "cleanup":
            yield put(family, replace(run, told=("value", "cleanup")))
        elif kind == "new":
            yield self.begin_next(family, run, run.script[run.at + 1 :], (*run.got, "new"))
        elif kind == "end":
            yield self.end(family, run, "COMPLETED")

    def begin_next(self, family: Family, run: Run, script: tuple[Op, ...], got: tuple[Any, ...]) -> Family:
        """The run is closed, and the next one begins; both in one moment."""
        closed = tell_children(family, run, "cancel", hangs_on_parent)
        following = replace(
            run, script=script, at=0, base=got, got=got, run=run.run + 1, told=None, ending=""
        )
        following = replace(following, recorded=frozenset(), timers=frozenset(), error="")
        return put(closed, following) if run.state == "PENDING" else self.enter(closed, following)

    def deliver(self, family: Family, run: Run) -> Family:
        assert run.told is not None
        kind, value = run.told
        if run.ending:
            return self.finish(family, replace(run, recorded=run.recorded | {(-1, "cleaned")}), run.ending)
        if kind == "error":
            return self.end(family, replace(run, error=value), "FAILED")
        if kind == "value":
            run = replace(run, recorded=run.recorded | {(run.at, value)})
        elif run.op[0] == "until":
            value = run.added >= run.op[1]
        return self.enter(family, replace(run, got=(*run.got, value), at=run.at + 1))

    def enter(self, family: Family, run: Run) -> Family:
        """The code comes to its next step, which begins at once."""
        known = dict(run.recorded)
        run = replace(run, tries=0, due=None, told=("value", known[run.at]) if run.at in known else None)
        op = run.op
        if op[0] == "sleep":
            due = dict(run.timers).get(run.at, self.now + op[1])
            run = replace(run, due=due, timers=run.timers | {(run.at, due)})
        elif len(op) == 3 and op[0] in ("any", "until"):
            run = replace(run, due=self.now + op[-1])
        if op[0] == "child" and run.told is None:
            id = f"{run.id}/{len(run.got)}"
            if not any(other.id == id for other in family):
                family = put(family, Run(id, op[2], run.id, op[1], run.run))
        return put(family, run)

    def end(self, family: Family, run: Run, state: str) -> Family:
        """The body is over: what is in ``finally`` comes next."""
        if CLEANUP in run.script and (-1, "cleaned") not in run.recorded and run.at > 0:
            return put(family, replace(run, ending=state, told=None, tries=0, due=None))
        return self.finish(family, run, state)

    def finish(self, family: Family, run: Run, state: str) -> Family:
        error = "WorkflowCancelled" if state == "CANCELLED" else run.error
        run = replace(run, state=state, error=error, ending="", told=None, tries=0, due=None, paused=False)
        return tell_children(put(family, run), run, "cancel", hangs_on_parent)

    def obey(self, family: Family, run: Run, what: str) -> Family:
        """A child follows its parent, where there is something to follow."""
        family = put(family, run)
        try:
            if what == "again":
                return self.try_again(family, run) if run.state in ("FAILED", "CANCELLED") else family
            if what == "resume" and not run.paused:
                return family
            return getattr(self, what)(family, run)
        except Refused:
            return family

    # ── what is asked of it ─────────────────────────────────────────────────────────────────────────────

    def signal(self, family: Family, run: Run, name: str, value: Any, dedup: str | None) -> Family:
        check_unfinished(run)
        if dedup is not None and (name, dedup) in run.dedups:
            return family
        dedups = run.dedups if dedup is None else run.dedups | {(name, dedup)}
        return put(family, replace(run, unread=(*run.unread, (name, value)), dedups=dedups))

    def add(self, family: Family, run: Run, amount: int) -> Family:
        check_unfinished(run)
        if amount < 0:
            raise Refused("ValueError")
        return put(family, replace(run, added=run.added + amount))

    def look(self, family: Family, run: Run) -> Family:
        return family

    def pause(self, family: Family, run: Run) -> Family:
        check_unfinished(run)
        if run.paused:
            return family
        return tell_children(put(family, replace(run, paused=True)), run, "pause", follows_parent)

    def resume(self, family: Family, run: Run) -> Family:
        if run.state in ("FAILED", "CANCELLED"):
            return self.try_again(family, run)
        if not run.paused:
            raise Refused("InvalidState")
        return tell_children(put(family, replace(run, paused=False)), run, "resume", follows_parent)

    def try_again(self, family: Family, run: Run) -> Family:
        """A new attempt: successes stand, what had failed, timed out or was cancelled is done again."""
        has_ended = ("FAILED", "CANCELLED")
        family = tell_children(family, run, "again", lambda c: c.state in has_ended)
        again = replace(run, state="LIVE", at=0, got=run.base, error="", is_cancelling=False)
        return self.enter(family, again)

    def cancel(self, family: Family, run: Run) -> Family:
        check_unfinished(run)
        if run.is_cancelling:
            return family
        begun = run.state == "LIVE"
        run = replace(run, paused=False, is_cancelling=begun, told=None)
        family = tell_children(put(family, run), run, "cancel", hangs_on_parent)
        if not begun or run.ending:
            return self.finish(family, run, "CANCELLED")
        return self.end(family, run, "CANCELLED")

    def renew(self, family: Family, run: Run, script: tuple[Op, ...], got: tuple[Any, ...]) -> Family:
        """Somebody else has it continue as new."""
        check_unfinished(run)
        if run.is_cancelling:
            raise Refused("InvalidState")
        return self.begin_next(family, replace(run, added=0), script, got)

    def enqueue(self, family: Family, run: Run) -> Family:
        if run.status != "PENDING":
            raise Refused("InvalidState")
        return self.enter(family, replace(run, state="LIVE"))


def check_unfinished(run: Run) -> None:
    if run.state in FINISHED:
        raise Refused("WorkflowFinished")
