"""When the owner ends: what can be asked twice waits for the next one, everything else has a definite end."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tempolite import Client, ConnectionLost, EngineClosed, Event, Tempolite, WorkflowInfo
from tempolite.actors import forking
from tempolite.actors.control_socket import socket_file, wire
from tests.engine.conftest import EngineMaker
from tests.engine.waiting import wait_until
from tests.gateway.conftest import ClientMaker
from tests.gateway.workflows import KNOWN, double, listening

WAIT_S = 20


def started(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Makes a call in a thread; its result, or its error, will be in the list."""
    ends: list[Any] = []

    def run() -> None:
        try:
            ends.append(call())
        except Exception as error:
            ends.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, ends


def is_asked(owner: Tempolite) -> bool:
    """Whether a client waits for this owner."""
    gateway = owner._system.gateway
    assert gateway is not None
    return any(visitor.questions or visitor.calls for visitor in gateway._visitors)


def is_kept(client: Client) -> bool:
    """Whether a question of a client waits for the next owner."""
    assert client._link is not None
    actor = client._link._actor
    return actor.welcome is not None and any(not each.is_sent for each in actor._questions.values())


class Opening(NamedTuple):
    """An owner of the file, a client of it, and a run of the client's that waits for a signal."""

    owner: Tempolite
    client: Client
    info: WorkflowInfo[Any]

    def waiting(self) -> tuple[threading.Thread, list[Any]]:
        """A ``get`` of the client, once the owner has been asked; as ``started`` gives it."""
        call = started(self.info.get)
        wait_until(lambda: is_asked(self.owner))
        return call


MakeOpening = Callable[..., Opening]


@pytest.fixture
def opening(make_engine: EngineMaker, make_client: ClientMaker, path: Path) -> MakeOpening:
    """Makes it; the client's patience with the next owner is given."""

    def make(*, patience: float = WAIT_S) -> Opening:
        owner = make_engine(path, workflows=KNOWN)
        client = make_client(patience=patience)
        return Opening(owner, client, client.execute("a", listening))

    return make


END: dict[str, Callable[[Tempolite], None]] = {"closed": Tempolite.close, "killed": Tempolite._crash}


@pytest.mark.parametrize("how", END)
def test_who_waits_is_told_by_the_next_owner(
    opening: MakeOpening, make_engine: EngineMaker, path: Path, how: str
) -> None:
    """A ``get`` begun with one owner ends with the outcome that comes about under the next."""
    at_first = opening()
    thread, ends = at_first.waiting()

    END[how](at_first.owner)
    make_engine(path, workflows=KNOWN).signal("a", "go", 5)

    thread.join(WAIT_S)
    assert ends == [[5]]


@pytest.mark.parametrize("how", END)
def test_calls_go_on_with_the_next_owner(
    opening: MakeOpening, make_engine: EngineMaker, path: Path, how: str
) -> None:
    """A client that had nothing under way notices nothing; its handles are as good as before."""
    owner, _, info = opening()

    END[how](owner)
    make_engine(path, workflows=KNOWN)

    info.signal("go", 1)
    assert info.get(timeout=WAIT_S) == [1]


def test_without_a_next_owner_calls_end_after_the_patience(
    opening: MakeOpening, make_engine: EngineMaker, path: Path
) -> None:
    """Those under way and those that come later: ``EngineClosed``. Then an owner comes, and all is well."""
    at_first = opening(patience=0.1)
    thread, ends = at_first.waiting()

    at_first.owner.close()
    thread.join(WAIT_S)

    assert [type(end) for end in ends] == [EngineClosed]
    with pytest.raises(EngineClosed, match="no engine can be reached"):
        at_first.client.count()
    make_engine(path, workflows=KNOWN)
    assert at_first.client.count() == 1


class Deaf:
    """An owner that takes questions and never answers; then it is gone."""

    def __init__(self, owner: Tempolite, monkeypatch: pytest.MonkeyPatch) -> None:
        self.heard: list[wire.Question] = []
        gateway = owner._system.gateway
        assert gateway is not None
        monkeypatch.setattr(gateway, "_take", lambda _visitor, _number, question: self.heard.append(question))

    def asked(self, call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
        """A call, once it has been heard; as ``started`` gives it."""
        begun = started(call)
        wait_until(lambda: bool(self.heard))
        return begun


UNREPEATABLE: dict[str, Callable[[Client], Any]] = {
    "signal": lambda client: client.signal("a", "go", 1),
    "update": lambda client: client.update("a", "add", 1),
    "pause": lambda client: client.pause("a"),
    "cancel": lambda client: client.cancel("a"),
    "retry": lambda client: client.retry("a", "b"),
    "delete": lambda client: client.delete(["a"]),
}


@pytest.mark.parametrize("what", UNREPEATABLE)
def test_a_call_that_can_t_be_made_twice_says_that_its_outcome_is_unknown(
    opening: MakeOpening, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """``ConnectionLost``, at once, and it names the process that is gone."""
    owner, client, _ = opening()
    thread, ends = Deaf(owner, monkeypatch).asked(lambda: UNREPEATABLE[what](client))

    owner._crash()
    thread.join(WAIT_S)

    assert [type(end) for end in ends] == [ConnectionLost]
    assert f"(process {os.getpid()}) is gone" in str(ends[0])
    assert isinstance(ends[0], EngineClosed)


REPEATABLE: dict[str, tuple[Callable[[Client], Any], Any]] = {
    "execute": (lambda client: client.execute("b", double, 2).id, "b"),
    "signal with dedup": (lambda client: client.signal("a", "go", 1, dedup="once"), None),
    "query": (lambda client: client.query("a", "got"), []),
    "count": (lambda client: client.count(status="WAITING"), 1),
    "schedule": (lambda client: client.schedule("s", "0 3 * * *", double, 1).name, "s"),
}


@pytest.mark.parametrize("what", REPEATABLE)
def test_a_call_that_can_be_made_twice_is_made_again(
    opening: MakeOpening, make_engine: EngineMaker, path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """By the next owner, and the caller sees nothing of it."""
    owner, client, _ = opening()
    call, expected = REPEATABLE[what]
    thread, ends = Deaf(owner, monkeypatch).asked(lambda: call(client))

    owner._crash()
    make_engine(path, workflows=KNOWN)
    thread.join(WAIT_S)

    assert ends == [expected]


def test_what_is_asked_while_the_owner_closes_is_for_the_next_one(
    opening: MakeOpening, make_engine: EngineMaker, path: Path
) -> None:
    """Also what can't be made twice: the owner says that it has done nothing of it."""
    owner, client, _ = opening()
    gateway = owner._system.gateway
    assert gateway is not None
    owner._system._perform(gateway.end_visits)

    thread, ends = started(lambda: client.signal("a", "go", 1))
    wait_until(lambda: is_kept(client))
    owner.close()
    second = make_engine(path, workflows=KNOWN)
    thread.join(WAIT_S)

    assert ends == [None]
    assert second.get("a").get(timeout=WAIT_S) == [1]


def test_a_closing_owner_answers_the_calls_that_it_has_begun(
    make_engine: EngineMaker, make_client: ClientMaker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as there is time: they run in threads of its own, and none of these may be left."""
    owner = make_engine(path, workflows=KNOWN)
    client = make_client(patience=WAIT_S)
    begun, going_on, real = threading.Event(), threading.Event(), owner._file.copy_to

    def copy_to(to: str) -> None:
        begun.set()
        going_on.wait(WAIT_S)
        real(to)

    monkeypatch.setattr(owner._file, "copy_to", copy_to)
    calling, ends = started(lambda: client.backup(path.with_name("copy.db")))
    begun.wait(WAIT_S)
    closing, _ = started(lambda: owner.close(WAIT_S))
    gateway = owner._system.gateway
    assert gateway is not None
    wait_until(lambda: gateway._threads._is_ending)
    going_on.set()
    closing.join(WAIT_S)

    assert not [each for each in threading.enumerate() if each.name == "tempolite-gateway"]
    calling.join(WAIT_S)
    assert ends == [None]
    assert path.with_name("copy.db").exists()


def test_a_log_is_followed_from_one_owner_to_the_next(
    make_engine: EngineMaker, make_client: ClientMaker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event is missed or told twice, also of those that came about while the client was between two."""
    owner = make_engine(path, workflows=KNOWN)
    client = make_client(patience=WAIT_S)
    seen: list[int] = []
    pages: list[int] = []
    read = owner.events_page

    def count(after: int) -> list[Event]:
        page = read(after)
        pages.append(len(page))
        return page

    monkeypatch.setattr(owner, "events_page", count)
    thread, _ends = started(lambda: seen.extend(event.seq for event in client.events(follow=True)))
    wait_until(lambda: is_asked(owner))
    owner.execute("a", double, 1).get(timeout=WAIT_S)
    wait_until(lambda: len(seen) == 2 and pages[-1] == 0 and only_waits_for_commits(client))

    with monkeypatch.context() as patch:
        patch.setattr(socket_file, "connect", nobody)
        owner._crash()
        second = make_engine(path, workflows=KNOWN)
        second.execute("b", double, 1).get(timeout=WAIT_S)

    expected = [event.seq for event in second.events()]
    wait_until(lambda: len(seen) >= len(expected))
    client.close()
    thread.join(WAIT_S)
    assert seen == expected


def only_waits_for_commits(client: Client) -> bool:
    """Whether a client's follower has read everything, and sleeps."""
    assert client._link is not None
    questions = list(client._link._actor._questions.values())
    return bool(questions) and all(isinstance(each.question, wire.NextCommit) for each in questions)


def nobody(_database: str) -> Any:
    """Nobody can be reached yet."""
    raise ConnectionRefusedError


def test_a_failed_engine_sends_its_clients_away(opening: MakeOpening) -> None:
    """It can serve nobody any more; its clients look for another one."""
    at_first = opening(patience=0.1)
    thread, ends = at_first.waiting()
    owner = at_first.owner

    owner._system._perform(lambda: owner._on_failure(OSError("the disk is gone")))
    thread.join(WAIT_S)

    assert [type(end) for end in ends] == [EngineClosed]


def test_an_awaited_call_ends_like_a_blocking_one(
    opening: MakeOpening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``ConnectionLost`` in the coroutine that waits."""
    owner, client, _ = opening(patience=0.1)
    deaf = Deaf(owner, monkeypatch)

    async def update() -> None:
        waiting = asyncio.ensure_future(client.aupdate("a", "add", 1))
        await asyncio.to_thread(wait_until, lambda: bool(deaf.heard))
        owner._crash()
        with pytest.raises(ConnectionLost):
            await waiting

    asyncio.run(update())


def test_a_client_is_refused_in_a_fork_of_its_process(client: Client) -> None:
    """Its thread and its connection are the parent's, who goes on with them."""
    client.execute("a", double, 2).get(timeout=WAIT_S)

    child = os.fork()
    if child == 0:  # no assertion may leave this branch
        try:
            client.count()
        except EngineClosed as error:
            os._exit(0 if "fork" in str(error) else 2)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert client.count() == 1


def test_no_fork_comes_between_a_connection_and_its_mark(
    make_engine: EngineMaker, make_client: ClientMaker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy that a child of either process then had would hide the owner's end from those who stand by."""
    meanwhile: dict[str, bool] = {}

    def watch(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def look(*args: Any) -> Any:
            meanwhile[name] = forking._no_fork_meanwhile.locked()
            return real(*args)

        monkeypatch.setattr(owner, name, look)

    watch(socket_file, "listen")
    watch(socket_file, "connect")
    watch(socket.socket, "accept")
    make_engine(path)

    assert make_client().count() == 0
    assert meanwhile == {"listen": True, "connect": True, "accept": True}


def test_a_fork_of_the_owner_keeps_no_client_waiting(
    make_engine: EngineMaker, make_client: ClientMaker, path: Path
) -> None:
    """A child of the host that lives on has no end of a connection: that the owner ended is heard at once."""
    owner = make_engine(path, workflows=KNOWN)
    client = make_client(patience=0.1)
    client.count()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)

    owner._crash()

    with pytest.raises(EngineClosed):
        client.count()
    os.close(write)
    os.waitpid(child, 0)
