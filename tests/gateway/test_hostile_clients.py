"""Whatever comes through the control socket costs at most the connection that it came by."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tempolite import Client, EngineClosed, Tempolite
from tempolite.actors.control_socket import gateway, socket_file, wire
from tempolite.core.due_times import Timing
from tests.engine.conftest import EngineMaker
from tests.engine.waiting import wait_until
from tests.gateway.conftest import ClientMaker
from tests.gateway.workflows import KNOWN, double, echo, listening

WAIT_S = 20

HELLO = wire.Hello(wire.VERSION)


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


class Stranger:
    """Speaks to an owner without the client's manners."""

    def __init__(self, path: Path) -> None:
        self.socket = socket_file.connect(str(path))
        self.socket.settimeout(WAIT_S)

    def send(self, *frames: Any) -> None:
        self.socket.sendall(b"".join(framed(wire.encode(frame)) for frame in frames))

    def receive(self) -> Any:
        """The next frame; None where the connection has ended."""
        head = self._take(4)
        return wire.FROM_OWNER.decode(self._take(*struct.unpack(">I", head))) if head else None

    def is_dropped(self) -> bool:
        """Whether the owner ends the connection, after what it may have to say."""
        while (frame := self.receive()) is not None:
            assert not isinstance(frame, wire.Answer)
        return True

    def _take(self, count: int) -> bytes:
        data = b""
        try:
            while len(data) < count and (more := self.socket.recv(count - len(data))):
                data += more
        except ConnectionResetError:
            return b""
        return data


@contextmanager
def stranger_at(path: Path) -> Iterator[Stranger]:
    stranger = Stranger(path)
    try:
        yield stranger
    finally:
        stranger.socket.close()


def visitors(owner: Tempolite) -> set[gateway.Visitor]:
    assert owner._system.gateway is not None
    return owner._system.gateway._visitors


GARBAGE: dict[str, bytes] = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "zeros": bytes(64),
    "an empty frame": framed(b""),
    "a frame of 4 GB": b"\xff\xff\xff\xff",
    "a frame that is too large": struct.pack(">I", 20_000_000) + b"x" * 1_000,
    "no msgpack": framed(b"\xc1\xc1\xc1"),
    "another kind of value": framed(msgspec.msgpack.encode({"a": 1})),
    "an unknown frame": framed(msgspec.msgpack.encode(["Format", 1])),
    "wrong types": framed(msgspec.msgpack.encode(["Hello", "one"])),
    "a pickle": framed(b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94."),
    "deep nesting": framed(b"\x91" * 100_000),
    "no text": framed(b"\x92\xa5Hel\xff\xfe\x01"),
    "another version": framed(wire.encode(wire.Hello(99))),
    "no hello": framed(wire.encode(wire.Ask(1, wire.Rest()))),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_costs_only_its_connection(
    owner: Tempolite, client: Client, path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """It ends, and not only for being silent; other clients and the engine notice nothing."""
    monkeypatch.setattr(gateway, "HELLO_S", 3_600)
    with stranger_at(path) as stranger:
        stranger.socket.sendall(GARBAGE[what])

        assert stranger.is_dropped()

    assert client.execute("a", double, 2).get(timeout=WAIT_S) == 4
    wait_until(lambda: len(visitors(owner)) == 1)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(greets=st.booleans(), data=st.binary(max_size=200))
def test_no_bytes_hurt_anybody_else(
    owner: Tempolite, client: Client, path: Path, greets: bool, data: bytes
) -> None:
    """Any at all, framed or not, before and after the greeting."""
    with stranger_at(path) as stranger:
        if greets:
            stranger.send(HELLO)
        stranger.socket.sendall(framed(data) + data)

    assert client.count() == 0


def queue_of(fields: str) -> bytes:
    """A call with a queue that no constructor has looked at."""
    return f'{{"args":[{{"$":"tempolite.core.queues:Queue","v":{fields}}}]}}'.encode()


KNOWN_FRAMES = [
    wire.Ask(1, wire.Start("w", "tests.gateway.workflows:double", b"no payload", None)),
    wire.Ask(1, wire.Start("w", "tests.gateway.workflows:double", b'{"args":[{"$":"os:system"}]}', None)),
    wire.Ask(1, wire.Start("", "tests.gateway.workflows:double", b'{"args":[1]}', None)),
    wire.Ask(1, wire.Tell("nobody", "signal", "go", b"1")),
    wire.Ask(1, wire.Tell("a", "signal", "go", b"no payload")),
    wire.Ask(1, wire.Tell("a", "signal", "", b"1")),
    wire.Ask(1, wire.Tell("a", "query", "got", b"no payload")),
    wire.Ask(1, wire.Tell("a", "update", "add", b"[1]")),
    wire.Ask(1, wire.Tell("", "continue", "", b"\xff")),
    wire.Ask(1, wire.Call("_crash", b'{"args":[]}')),
    wire.Ask(1, wire.Call("close", b'{"args":[]}')),
    wire.Ask(1, wire.Call("__class__", b'{"args":[]}')),
    wire.Ask(1, wire.Call("count", b"no payload")),
    wire.Ask(1, wire.Call("count", b'{"args":[1,2,3]}')),
    wire.Ask(1, wire.Call("get_row", b'{"args":[{}]}')),
    wire.Ask(1, wire.Call("delete", b'{"args":[5]}')),
    wire.Ask(1, wire.Call("create_queue", b'{"args":["x"]}')),
    wire.Ask(1, wire.Call("create_queue", queue_of('{"name":"x","workers":-5}'))),
    wire.Ask(1, wire.Call("create_queue", queue_of('{"name":5,"kind":"inline"}'))),
    wire.Ask(1, wire.ToSchedule("nothing", "trigger")),
    *(
        wire.Ask(1, wire.PutSchedule("s", timing, "orders.double", b'{"args":[1]}', "skip", "none"))
        for timing in (Timing(every_us=-5), Timing(every_us=0), Timing(cron="x"), Timing(cron="0 0 30 2 *"))
    ),
]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(frame=st.sampled_from(KNOWN_FRAMES), place=st.integers(0, 200), value=st.none() | st.integers(0, 255))
def test_a_frame_that_was_damaged_hurts_nobody_else(
    owner: Tempolite, client: Client, path: Path, frame: wire.Ask, place: int, value: int | None
) -> None:
    """One byte is another, or it is missing with the rest."""
    body = bytearray(wire.encode(frame))
    place %= len(body)
    body[place:] = b"" if value is None else bytes([value]) + body[place + 1 :]
    with stranger_at(path) as stranger:
        stranger.send(HELLO)
        stranger.socket.sendall(framed(bytes(body)) + framed(wire.encode(wire.Ask(2, wire.Rest()))))
        assert isinstance(stranger.receive(), wire.Welcome)

        stranger.receive()

    client.wait(WAIT_S)


@pytest.mark.parametrize("frame", KNOWN_FRAMES, ids=lambda frame: type(frame.question).__name__)
def test_a_question_that_makes_no_sense_is_answered_with_an_error(
    owner: Tempolite, path: Path, frame: wire.Ask
) -> None:
    """Nothing is run, imported or recorded, and the same connection asks on."""
    owner.execute("a", listening)
    with stranger_at(path) as stranger:
        stranger.send(HELLO, frame)
        assert isinstance(stranger.receive(), wire.Welcome)
        assert isinstance(stranger.receive(), wire.Failed)
        stranger.send(wire.Ask(2, wire.Rest()))

        assert stranger.receive() == wire.Answer(2, None)

    assert [event.type for event in owner.history("a")] == ["RunCreated"]
    assert owner.count() == 1


def test_only_the_calls_of_the_table_can_be_made(owner: Tempolite, path: Path) -> None:
    """What is not in it can't be reached, whatever its name."""
    with stranger_at(path) as stranger:
        stranger.send(HELLO, wire.Ask(1, wire.Call("_crash", b'{"args":[]}')))
        stranger.receive()
        failed = stranger.receive()

    assert failed.failure.type_name == "tempolite.errors:InvalidArguments"
    assert failed.failure.message == "'_crash' can't be called from another process"


def test_half_a_frame_is_waited_for(owner: Tempolite, path: Path) -> None:
    """A frame may come in pieces of any size; the rest of the world goes on meanwhile."""
    with stranger_at(path) as stranger:
        data = framed(wire.encode(HELLO)) + framed(wire.encode(wire.Ask(1, wire.Rest())))
        for byte in data[:-1]:
            stranger.socket.sendall(bytes([byte]))
        assert isinstance(stranger.receive(), wire.Welcome)
        assert owner.execute("a", double, 2).get(timeout=WAIT_S) == 4
        stranger.socket.sendall(data[-1:])

        assert stranger.receive() == wire.Answer(1, None)


@pytest.mark.parametrize("sent", [b"", framed(wire.encode(HELLO))[:-1]])
def test_who_says_nothing_is_sent_away(
    make_engine: EngineMaker, path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """After a while, so that nobody holds a place that he doesn't use."""
    monkeypatch.setattr(gateway, "HELLO_S", 0.05)
    make_engine(path)
    with stranger_at(path) as stranger:
        stranger.socket.sendall(sent)

        assert stranger.receive() == wire.Refused("it said nothing")


def test_more_clients_than_there_is_room_for_are_told_so(
    make_engine: EngineMaker, make_client: ClientMaker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who are in are served; a place that is given free can be had."""
    monkeypatch.setattr(gateway, "CLIENTS_MAX", 2)
    owner = make_engine(path, workflows=KNOWN)
    first, second = make_client(), make_client()
    with stranger_at(path) as stranger:
        assert stranger.receive() == wire.Refused("2 clients are the most")
    second.close()
    wait_until(lambda: len(visitors(owner)) == 1)

    assert make_client().count() == first.count() == 0


def test_who_vanishes_in_the_middle_of_a_question_is_forgotten(owner: Tempolite, path: Path) -> None:
    """With everything that it waited for; what it had asked for is done."""
    with stranger_at(path) as stranger:
        start = wire.Start("a", "tests.gateway.workflows:listening", b'{"args":[]}', None)
        stranger.send(HELLO, wire.Ask(1, start))
        assert isinstance(stranger.receive(), wire.Welcome)
        assert stranger.receive() == wire.Named(1, "a")
        stranger.send(wire.Ask(2, wire.Outcome("a")), wire.Ask(3, wire.NextCommit()))

    wait_until(lambda: not visitors(owner))
    wait_until(lambda: not owner._system.directory._waiters._of_outcomes)
    assert owner.get("a").status == "WAITING"


def test_more_questions_than_a_client_may_have_are_refused(
    make_engine: EngineMaker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are answered; and so are more, once these are."""
    monkeypatch.setattr(gateway, "QUESTIONS_MAX", 2)
    owner = make_engine(path, workflows=KNOWN)
    owner.execute("a", listening)
    with stranger_at(path) as stranger:
        asks = [wire.Ask(number, wire.Outcome("a")) for number in range(3)]
        stranger.send(HELLO, *asks)
        assert isinstance(stranger.receive(), wire.Welcome)

        refused = stranger.receive()
        owner.signal("a", "go")

        assert (refused.number, refused.failure.type_name) == (2, "tempolite.errors:Busy")
        assert {stranger.receive().number, stranger.receive().number} == {0, 1}


def test_who_does_not_read_its_answers_is_given_up(
    make_engine: EngineMaker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They lie in the owner's memory, and may do so only as long as some are taken."""
    monkeypatch.setattr(gateway, "UNREAD_S", 0.05)
    owner = make_engine(path, workflows=KNOWN)
    owner.execute("a", echo, "x" * 2**20).get(timeout=WAIT_S)
    with stranger_at(path) as stranger:
        stranger.send(HELLO, *(wire.Ask(number, wire.Outcome("a")) for number in range(8)))

        wait_until(lambda: not visitors(owner))

    assert owner.count() == 1


def test_answers_that_wait_for_their_reader_are_not_made_yet(owner: Tempolite, path: Path) -> None:
    """However many it asked for at once, and however large: it gets all of them, one after the other."""
    owner.execute("a", echo, "x" * 2**20).get(timeout=WAIT_S)
    with stranger_at(path) as stranger:
        stranger.send(HELLO, *(wire.Ask(number, wire.Outcome("a")) for number in range(30)))
        assert isinstance(stranger.receive(), wire.Welcome)
        wait_until(lambda: all(not visitor.questions for visitor in visitors(owner)))

        lying = max(len(visitor.socket._unsent) for visitor in visitors(owner))

        assert lying < 4 * 2**20
        assert {stranger.receive().number for _ in range(30)} == set(range(30))


def test_a_slow_reader_holds_nobody_up(owner: Tempolite, client: Client, path: Path) -> None:
    """What it does not take waits, and nothing more is read from it; it gets everything in the end."""
    owner.execute("a", echo, "x" * 2**20).get(timeout=WAIT_S)
    with stranger_at(path) as stranger:
        stranger.send(HELLO, *(wire.Ask(number, wire.Outcome("a")) for number in range(4)))
        assert isinstance(stranger.receive(), wire.Welcome)

        assert client.execute("b", double, 2).get(timeout=WAIT_S) == 4

        assert {stranger.receive().number for _ in range(4)} == {0, 1, 2, 3}


def test_more_calls_at_once_than_there_are_threads_are_made_one_after_another(
    make_engine: EngineMaker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that asks for more than its share waits for itself."""
    monkeypatch.setattr(gateway, "CALLS_MAX", 2)
    make_engine(path)
    with stranger_at(path) as stranger:
        stranger.send(HELLO, *(wire.Ask(number, wire.Call("count", b'{"args":[]}')) for number in range(50)))
        assert isinstance(stranger.receive(), wire.Welcome)

        assert {stranger.receive().number for _ in range(50)} == set(range(50))


def test_too_many_open_files_stop_nobody_who_is_in(
    owner: Tempolite, client: Client, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes in then waits before the door, which is looked at again after a while."""
    monkeypatch.setattr(gateway, "ACCEPT_AGAIN_S", 3_600)
    refused: list[str] = []

    def accept(_: socket.socket) -> Any:
        refused.append(os.strerror(errno.EMFILE))
        raise OSError(errno.EMFILE, refused[-1])

    door = owner._system.gateway
    assert door is not None
    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "accept", accept)
        stranger = Stranger(path)
        wait_until(lambda: bool(refused))
        assert [client.count() for _ in range(5)] == [0] * 5
    assert len(refused) == 1, "the door keeps the actors' thread busy"
    owner._system._perform(door._watch_door)
    stranger.send(HELLO)

    assert isinstance(stranger.receive(), wire.Welcome)
    stranger.socket.close()


def test_an_owner_that_speaks_nonsense_is_left(path: Path, tmp_path: Path) -> None:
    """A client that hears no frame ends the connection, and says that there is no engine."""
    listener = socket_file.listen(str(path))
    listener.setblocking(True)

    def babble() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(framed(b"\xc1"))

    babbler = threading.Thread(target=babble)
    babbler.start()

    with pytest.raises(EngineClosed, match="no engine can be reached"):
        Tempolite.connect(path)

    babbler.join(WAIT_S)
    listener.close()
