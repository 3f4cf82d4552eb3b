"""What the engine and a worker process say to each other, and how it is packed.

A packet is ``length (u32) · its check (u32) · CRC-32 of the body (u32) · body``, and its body is a list of
frames (msgpack): what is said together costs one check and one pass of the decoder. A check that fails means
that somebody else wrote into the socket: the worker is given up. The length has a check of its own, so that
nobody waits for the rest of a packet that never was one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from tempolite.core.failure import Failure

PACKET_BYTES = 2**20
"""What is waiting to be said goes into a packet of its own beyond this size."""
FRAME_MAX = 2**30
"""Bytes of a body. Whatever can be stored can travel: SQLite holds no row of more than 10**9 bytes."""
PAYLOAD_LIMIT_MAX = 900_000_000
"""The largest payload that an engine may allow: with the rest of its row, and of its frame, it fits both."""
_HEAD = struct.Struct("<III")
_HEAD_SIZE = _HEAD.size
_LENGTH_MARK = 0x7465_6D70
"""Makes the check of a length differ from the length, of 0 too."""


class Frame(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """One thing said."""


# ── to the worker ───────────────────────────────────────────────────────────────────────────────────────


class Hello(Frame, frozen=True):
    """The first frame: how to be a worker of this engine.

    Attributes:
        interpreter: ``module:class`` of what runs activities; imported by the worker.
        settings: handed to it.
        sys_path, folder, argv: those of the engine's process; as the system has them, which need not be text.
        slots: activities at once.
        lock_path: file to hold a shared lock on; empty for none.
        marks_path: file in which it marks what it runs, see ``running_marks.py``; empty for none.
        log_levels: from where on its log records are wanted, see ``worker_logs.py``.
    """

    interpreter: str
    settings: dict[str, int | str | None]
    sys_path: list[bytes]
    folder: bytes
    argv: list[bytes]
    slots: int
    lock_path: str
    marks_path: str = ""
    log_levels: tuple[int, int] = (30, 30)


class LogLevels(Frame, frozen=True):
    """The host wants other log records than before."""

    levels: tuple[int, int]


class Ship(Frame, frozen=True):
    """A callable, once per worker: by name, or by value where no name leads to it."""

    callable_id: int
    name: str
    code: bytes


class About(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an activity may know of itself.

    Attributes:
        workflow, step, attempt, idempotency_key: which.
        heartbeat: details of the last heartbeat before this attempt, as the codec's JSON; empty for none.
    """

    workflow: str
    step: str
    attempt: int
    idempotency_key: str
    heartbeat: bytes = b""


class Run(Frame, frozen=True):
    """Run this.

    Attributes:
        tells_start: say when it begins, which is when its time begins; loading its code is not its own time.
        mark: which mark says that it runs; negative for none.
        memory_limit: bytes that it may use beyond what the worker has.
    """

    job_id: int
    callable_id: int
    args: bytes
    about: About
    tells_start: bool = False
    mark: int = -1
    memory_limit: int | None = None


class Revoke(Frame, frozen=True):
    """Give this back if it has not begun."""

    job_id: int


class Forget(Frame, frozen=True):
    """This callable will not be asked for again."""

    callable_id: int


# ── from the worker ─────────────────────────────────────────────────────────────────────────────────────


class Ready(Frame, frozen=True):
    """It can run activities now."""


class Started(Frame, frozen=True):
    """It begins."""

    job_id: int


class Done(Frame, frozen=True):
    """It returned; ``result`` is the codec's JSON, ``took_s`` how long it ran."""

    job_id: int
    result: bytes
    took_s: float = 0.0


class Failed(Frame, frozen=True):
    """It raised, after it had run for ``took_s``."""

    job_id: int
    failure: Failure
    took_s: float = 0.0


class Beat(Frame, frozen=True):
    """It lives; ``details`` is the codec's JSON, empty for none, ``progress`` how far it is of how much."""

    job_id: int
    details: bytes = b""
    progress: tuple[float, float | None] | None = None


class Exhausted(Frame, frozen=True):
    """It came to its memory limit; the worker ends."""

    job_id: int


class Unknown(Frame, frozen=True):
    """No name led to that callable in the worker: it must be shipped by value. Nothing was run."""

    job_id: int
    callable_id: int
    reason: str


class Revoked(Frame, frozen=True):
    """It had not begun, and will not."""

    job_id: int


class Logged(Frame, frozen=True):
    """Something was logged; the attributes of its record, as far as they are plain data."""

    record: dict[str, str | int | float | bool | None]


class Shipping(msgspec.Struct, frozen=True):
    """A callable on its way to a worker.

    Attributes:
        identity: equal for callables that are interchangeable, and for no others.
        name: ``module:qualname``; empty where no name leads to it.
        code: it by value, where the name is empty.
    """

    identity: Any
    name: str
    code: bytes = b""


ToWorker = Hello | Ship | Run | Revoke | Forget | LogLevels
FromWorker = Ready | Started | Beat | Done | Failed | Exhausted | Unknown | Revoked | Logged

_ENCODER = msgspec.msgpack.Encoder()
TO_WORKER: msgspec.msgpack.Decoder[list[ToWorker]] = msgspec.msgpack.Decoder(list[ToWorker])
FROM_WORKER: msgspec.msgpack.Decoder[list[FromWorker]] = msgspec.msgpack.Decoder(list[FromWorker])
"""Decode the body of a packet."""


class BrokenFrame(Exception):
    """The bytes are not what one of us wrote."""


def pack(*said: ToWorker | FromWorker) -> bytes:
    """Frames as one packet."""
    return pack_all(said)


def pack_all(said: Sequence[ToWorker | FromWorker]) -> bytes:
    """A list of frames as one packet."""
    body = _ENCODER.encode(said)
    return _HEAD.pack(len(body), len(body) ^ _LENGTH_MARK, zlib.crc32(body)) + body


class FrameBuffer:
    """Puts packets together from what a socket gives."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        """Adds what was read."""
        self._bytes += data

    def bodies(self) -> Iterator[bytes]:
        """Takes out the body of every packet that is complete.

        Raises:
            BrokenFrame: a packet is too long, or its check fails.
        """
        data, at, end = self._bytes, 0, len(self._bytes)
        try:
            while end - at >= _HEAD_SIZE:
                length, length_check, check = _HEAD.unpack_from(data, at)
                if length > FRAME_MAX or length ^ _LENGTH_MARK != length_check:
                    raise BrokenFrame(f"a packet of {length} bytes")
                begin = at + _HEAD_SIZE
                if end < begin + length:
                    return
                at = begin + length
                body = bytes(data[begin:at])
                if zlib.crc32(body) != check:
                    raise BrokenFrame("the check of a packet fails")
                yield body
        finally:
            if at:
                del data[:at]
