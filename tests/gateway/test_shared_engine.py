"""Several share a file: one runs the engine, the others speak to it; when it ends, the next one runs it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tempolite import EngineClosed, InvalidArguments, NotADatabase, NotRegistered, SharedEngine, Tempolite
from tests.embedding.children import in_child
from tests.engine.waiting import wait_until
from tests.gateway.conftest import SharedMaker
from tests.gateway.test_owner_ends import started
from tests.gateway.workflows import KNOWN, double, listening, unknown

WAIT_S = 20

ROOT = Path(__file__).parents[2]

MEMBER = """
import json, sys
from tempolite import Queue, Tempolite
from tests.gateway.workflows import KNOWN, double, listening

with Tempolite.shared(sys.argv[1], workflows=KNOWN, queues=[Queue("default", kind="inline")]) as tp:
    print(json.dumps(tp.is_owner), flush=True)
    for line in sys.stdin:
        print(json.dumps(eval(line)), flush=True)
"""


def owners(*members: SharedEngine) -> list[bool]:
    return [member.is_owner for member in members]


def test_the_first_one_runs_the_engine_and_all_see_the_same(make_shared: SharedMaker) -> None:
    """Whoever asks, and whoever is asked."""
    members = [make_shared() for _ in range(3)]

    for number, member in enumerate(members):
        assert member.execute(f"r{number}", double, number).get(timeout=WAIT_S) == number * 2

    assert owners(*members) == [True, False, False]
    assert [member.count() for member in members] == [3, 3, 3]


def test_a_call_means_the_same_in_every_member(make_shared: SharedMaker) -> None:
    """Also what is refused: the one that runs the engine is no exception."""
    for member in (make_shared(), make_shared()):
        with pytest.raises(NotRegistered):
            member.execute("a", unknown)
        with pytest.raises(InvalidArguments):
            member.execute("a", double)


def test_when_the_owner_closes_another_takes_over(make_shared: SharedMaker) -> None:
    """What waited goes on waiting, and handles are as good as before; one after the other, to the last."""
    members = [make_shared() for _ in range(3)]
    info = members[2].execute("a", listening)
    thread, ends = started(info.get)

    members[0].close()
    wait_until(lambda: any(owners(*members[1:])))
    owner = next(member for member in members[1:] if member.is_owner)
    if owner is not members[2]:
        owner.close()
        wait_until(lambda: members[2].is_owner)
    info.signal("go", 1)

    thread.join(WAIT_S)
    assert ends == [[1]]


def test_standing_by_costs_no_thread_and_no_question(make_shared: SharedMaker) -> None:
    """But for the one that holds the connection: it sleeps until the owner ends."""
    owner, other = make_shared(), make_shared()
    other.count()

    assert other._standby._thread is None
    assert not other._link._actor._questions  # type: ignore[union-attr]
    assert owner._engine._system.gateway._visitors  # type: ignore[union-attr]


def test_a_member_whose_engine_failed_starts_it_anew(make_shared: SharedMaker) -> None:
    """From what is recorded, here or in another member, without anybody's help."""
    owner = make_shared()
    info = owner.execute("a", listening)
    engine = owner._engine
    assert engine is not None

    engine._system._perform(lambda: engine._on_failure(OSError("the disk is gone")))
    wait_until(lambda: owner._engine is not engine and owner.is_owner)

    info.signal("go", 1)
    assert info.get(timeout=WAIT_S) == [1]


def test_a_member_that_loses_its_connection_to_its_own_engine_keeps_the_engine(
    make_shared: SharedMaker,
) -> None:
    """It connects anew; what the engine does goes on."""
    owner = make_shared()
    info = owner.execute("a", listening)
    engine, link = owner._engine, owner._link
    assert engine is not None
    assert link is not None
    gateway = engine._system.gateway
    assert gateway is not None
    before = set(gateway._visitors)

    engine._system._perform(lambda: gateway._refuse(next(iter(before)), "of a test"))
    wait_until(lambda: bool(gateway._visitors - before) and link.is_connected)

    info.signal("go", 1)
    assert info.get(timeout=WAIT_S) == [1]
    assert owner._engine is engine


def test_an_engine_of_its_own_may_have_the_file(make_shared: SharedMaker, path: Path) -> None:
    """A member speaks to whoever owns it, and takes over from it."""
    with Tempolite(path, workflows=KNOWN) as engine:
        member = make_shared()
        assert not member.is_owner
        member.execute("a", double, 4)
        assert engine.get("a").get(timeout=WAIT_S) == 8

    wait_until(lambda: member.is_owner)
    assert member.get("a").get(timeout=WAIT_S) == 8


def test_a_wrong_setting_is_refused_at_once(path: Path) -> None:
    """And not when it is this one's turn to run the engine."""
    with pytest.raises(InvalidArguments):
        Tempolite.shared(path, payload_limit=0)
    with pytest.raises(InvalidArguments, match="on a file"):
        Tempolite.shared(":memory:")
    with pytest.raises(InvalidArguments, match="wait_for_lock"):
        Tempolite.shared(path, wait_for_lock=True)


def test_a_file_that_can_t_be_opened_is_refused_at_start(path: Path) -> None:
    """As by an engine; nothing is left of the try."""
    path.write_text("somebody else's")
    member = Tempolite.shared(path)

    with pytest.raises(NotADatabase):
        member.start()
    with pytest.raises(EngineClosed):
        member.count()


def test_a_member_is_started_once_and_closed_for_good(make_shared: SharedMaker, path: Path) -> None:
    """Calls before and after: ``EngineClosed``; both may be called twice."""
    fresh = Tempolite.shared(path, workflows=KNOWN)
    with pytest.raises(EngineClosed, match="not started"):
        fresh.count()
    member = make_shared()
    assert member.start() is member

    member.close()
    member.close()

    with pytest.raises(EngineClosed, match="make a new one"):
        member.start()
    with pytest.raises(EngineClosed):
        member.count()


def test_a_member_lives_in_an_event_loop(path: Path) -> None:
    """As an async context manager; each call has its twin."""

    async def live() -> Any:
        async with Tempolite.shared(path, workflows=KNOWN) as member:
            return await (await member.aexecute("a", double, 2))

    assert asyncio.run(live()) == 4


def test_a_fork_of_a_member_has_no_part_in_it(make_shared: SharedMaker) -> None:
    """Its calls are refused; its close, which a hook may call at its end, ends nothing and waits for none."""
    owner = make_shared()
    owner.execute("a", double, 2).get(timeout=WAIT_S)

    with owner._owning:
        said = in_child(lambda: forked_life(owner))

    assert said == "['EngineClosed', False]"
    assert owner.is_owner
    assert owner.count() == 1


def forked_life(member: SharedEngine) -> list[Any]:
    """What a fork of a member sees of it."""
    # Another thread's, as it would be.
    member._owning._inside.clear()
    member.close()
    try:
        member.count()
    except EngineClosed as error:
        return [type(error).__name__, member.is_owner]
    return ["served"]


class Member:
    """A process that shares the file."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-c", MEMBER, str(path)]
        self.process = subprocess.Popen(
            command, text=True, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def begin(self, call: str) -> None:
        """Asks it to make a call."""
        assert self.process.stdin is not None
        self.process.stdin.write(call + "\n")
        self.process.stdin.flush()

    def end(self) -> Any:
        """What the call that was begun gave."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, call: str) -> Any:
        """Both."""
        self.begin(call)
        return self.end()


@pytest.fixture
def processes(nothing_left: None, path: Path) -> Iterator[list[Member]]:
    """Three processes that share the file; the one that owns it comes first."""
    members = [Member(path) for _ in range(3)]
    is_owner = {member: member.end() for member in members}
    yield sorted(members, key=lambda member: not is_owner[member])
    for member in members:
        member.process.kill()
        member.process.communicate(timeout=WAIT_S)


def test_when_the_owner_is_killed_nothing_that_was_answered_is_lost(processes: list[Member]) -> None:
    """Another process takes over; what was under way is answered by it, and everybody goes on."""
    killed, *others = processes
    answered = [
        id
        for name, member in zip("abc", processes, strict=True)
        for id in member.ask(f"[tp.execute('{name}' + str(each), double, each).id for each in range(20)]")
    ]
    others[0].ask("tp.execute('long', listening).id")
    others[0].begin("tp.get('long').get()")
    others[1].begin("[tp.execute('during' + str(each), double, each).get() for each in range(200)]")

    killed.process.kill()

    assert others[1].end() == [each * 2 for each in range(200)]
    others[1].ask("tp.signal('long', 'go', 7)")
    assert others[0].end() == [7]
    assert sorted(member.ask("tp.is_owner") for member in others) == [False, True]
    assert others[1].ask(f"[tp.get(id).get() for id in {answered}]") == [each * 2 for each in range(20)] * 3
