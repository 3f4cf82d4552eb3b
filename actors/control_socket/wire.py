"""What the owner of a file and its clients say to each other over the control socket.

A frame is ``length (u32, big-endian) · body``, the body one of the structs below as msgpack. It is read with
its type: what is none of these costs the connection, and nothing in it is ever run or imported. Values of
users travel as the payloads that the client's codec made, and are stored as such.

    client                                    owner
    Hello(version)                  ──▶
                                    ◀──       Welcome(…)    or Refused(why), and the end
    Ask(number, question)           ──▶
    Forget(number)                  ──▶                     nobody waits for it any more
                                    ◀──       Answer(number, …), Failed(number, …) or NotNow(number)

Answers come in any order. Rejected: a time-out in the question; whoever waits knows best when it is over.
"""

from __future__ import annotations

import struct
from typing import Literal

import msgspec

from tempolite.actors.messages import RunEnded
from tempolite.core.due_times import Timing
from tempolite.core.failure import Failure
from tempolite.core.retry import RetrySpec
from tempolite.core.schedule_events import Catchup, Overlap

VERSION = 1
"""Both sides must speak the same."""

HEAD = struct.Struct(">I")

BESIDE_PAYLOAD_BYTES = 2**20
"""A question may be larger than the largest payload by what stands beside that: ids, names, options."""

ANSWER_MAX = 2**30
"""Bytes of an answer; a longer one is refused where it is made."""


class Frame(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """Something said."""


# ── questions ───────────────────────────────────────────────────────────────────────────────────────────


class RunOptions(msgspec.Struct, frozen=True, array_like=True):
    """How a run is to run, where the client holds its function; else the owner's function says so."""

    queue: str
    priority: int
    retry: RetrySpec
    timeout_s: float | None
    deferred: bool
    versions: dict[str, int]


class Start(Frame, frozen=True):
    """Start a run of a function that the owner knows; answered with the run's id."""

    workflow: str
    function: str
    args: bytes
    options: RunOptions | None


RunMessage = Literal["signal", "query", "update", "continue", "pause", "resume", "cancel", "enqueue"]


class Tell(Frame, frozen=True):
    """Hand a message to a run; answered with the handler's result as a payload, or with nothing.

    Attributes:
        workflow: whose latest run.
        kind: which message.
        name: of the signal or handler.
        payload: the value or the arguments, encoded.
        dedup: of a signal.
    """

    workflow: str
    kind: RunMessage
    name: str = ""
    payload: bytes = b""
    dedup: str | None = None


class Outcome(Frame, frozen=True):
    """Wait for a run's outcome; answered with a ``RunEnded``."""

    workflow: str


class Rest(Frame, frozen=True):
    """Wait until no run goes on by itself."""


class NextCommit(Frame, frozen=True):
    """Wait for the next commit; answered with whether there was one."""


class PutSchedule(Frame, frozen=True):
    """Make a schedule, or put it in the place of the one of that name; fields as in ``ScheduleSpec``."""

    name: str
    timing: Timing
    function: str
    args: bytes
    overlap: Overlap
    catchup: Catchup


class ToSchedule(Frame, frozen=True):
    """Tell a schedule to pause, resume, start a run now, or go."""

    name: str
    kind: Literal["pause", "resume", "trigger", "delete"]


class Call(Frame, frozen=True):
    """Call a method of the owner's engine, one of those that may be called from here.

    Attributes:
        name: which.
        args: its arguments, as the plain codec's payload of a call; answered with such a payload.
    """

    name: str
    args: bytes


Question = Start | Tell | Outcome | Rest | NextCommit | PutSchedule | ToSchedule | Call


# ── frames ──────────────────────────────────────────────────────────────────────────────────────────────


class Hello(Frame, frozen=True):
    """The client's first frame."""

    version: int


class Ask(Frame, frozen=True):
    """A question; its number is the client's, and new."""

    number: int
    question: Question


class Forget(Frame, frozen=True):
    """Nobody waits for that answer any more."""

    number: int


class Welcome(Frame, frozen=True):
    """The owner's first frame.

    Attributes:
        version: what it speaks.
        pid: the owner's process.
        payload_limit: bytes of the largest payload that it takes.
    """

    version: int
    pid: int
    payload_limit: int


class Refused(Frame, frozen=True):
    """The last frame to a client that can't be served, and why."""

    reason: str


class Answer(Frame, frozen=True):
    """The answer to a question."""

    number: int
    value: RunEnded | bytes | bool | None


class Named(Frame, frozen=True):
    """The answer is the id or name of what the question made."""

    number: int
    value: str


class Failed(Frame, frozen=True):
    """The question's answer is an error."""

    number: int
    failure: Failure


class NotNow(Frame, frozen=True):
    """The owner ends; it has done nothing of what was asked."""

    number: int


FromClient = Hello | Ask | Forget
FromOwner = Welcome | Refused | Answer | Named | Failed | NotNow

FROM_CLIENT: msgspec.msgpack.Decoder[FromClient] = msgspec.msgpack.Decoder(FromClient)
FROM_OWNER: msgspec.msgpack.Decoder[FromOwner] = msgspec.msgpack.Decoder(FromOwner)
"""Decode a body."""


def answer(number: int, value: RunEnded | str | bytes | bool | None) -> Answer | Named:
    """The frame that says so."""
    return Named(number, value) if isinstance(value, str) else Answer(number, value)


def question_max(welcome: Welcome) -> int:
    """Bytes of the largest question that this owner takes."""
    return welcome.payload_limit + BESIDE_PAYLOAD_BYTES


encode = msgspec.msgpack.Encoder().encode
"""The body of a frame."""
