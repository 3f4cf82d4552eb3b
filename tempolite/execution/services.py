"""What executions need of the engine, handed in: codec, limits, randomness, names of queues."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import msgspec

from tempolite.codec import JsonCodec
from tempolite.core.failure import Failure
from tempolite.core.identifiers import StreamId
from tempolite.core.retry import RetryPolicy
from tempolite.errors import PayloadTooLarge, QueueNotFound
from tempolite.failures import capture_failure

SIGNAL_LIMIT = 100_000


class Limits(msgspec.Struct, frozen=True):
    """What users may give.

    Attributes:
        payload: bytes of one payload.
        signals: unread signals of one workflow.
    """

    payload: int
    signals: int = SIGNAL_LIMIT


class Watch(Protocol):
    """Runs workflow code, and ends what takes too long."""

    def run(self, code: Callable[[], None], is_replayed: Callable[[], bool], owner: Any) -> str:
        """Runs it; returns why it was ended, or nothing."""
        ...


class Unwatched:
    """Lets code take the time that it takes."""

    def run(self, code: Callable[[], None], is_replayed: Callable[[], bool], owner: Any) -> str:
        code()
        return ""


class Services:
    """Shared by all executions of an engine.

    Attributes:
    Args:
        codec: makes payloads.
        default_retry: of activities that bring no policy.
        limits: of what users give.
        check_queue: raises ``QueueNotFound`` for an unknown name.
        randomness: for jitter and seeds; given, so that a test decides it.

    Attributes:
        randomness: as given; a test may put another in its place before the engine starts.
        new_stream: gives a stream that was never used.
        is_known_signal: whether a workflow has had a signal of that name and ``dedup``.
        guard: entered around workflow code; refuses calls that must not be made there.
        watch: runs workflow code.
        continued: streams that a run went on in just now; what their code does first is no replay.
        is_forgetful: the code is run through its history again at every turn; for tests of replay.
    """

    is_forgetful = False

    new_stream: Callable[[], StreamId]
    is_known_signal: Callable[[str, str, str], bool]

    def __init__(
        self,
        codec: JsonCodec,
        default_retry: RetryPolicy,
        limits: Limits,
        check_queue: Callable[[str], None],
        randomness: random.Random,
    ) -> None:
        self.codec = codec
        self.default_retry = default_retry
        self.check_queue = check_queue
        self.limits = limits
        self.randomness = randomness
        self.continued: set[StreamId] = set()
        self.guard: AbstractContextManager[Any] = nullcontext()
        self.watch: Watch = Unwatched()

    def for_debugging(self) -> Services:
        """The same for code that is run to be looked at: it takes its time, and nobody watches it."""
        other = copy.copy(self)
        other.guard, other.watch = nullcontext(), Unwatched()
        return other

    def encode(self, value: Any, path: str) -> bytes:
        """The payload of a value.

        Raises:
            NotStorable, PayloadTooLarge: with its path.
        """
        payload = self.codec.encode(value, path)
        self.check_size(payload, path)
        return payload

    def encode_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """The payload of a call's arguments."""
        payload = self.codec.encode_call(args, kwargs)
        self.check_size(payload, "args")
        return payload

    def capture(self, error: BaseException) -> Failure:
        """An error of workflow code as data."""
        return capture_failure(error, self.codec)

    def why_stranded(self, queue: str) -> str:
        """Why a stored run of that queue can't go on here, and the remedy; nothing where it can."""
        try:
            self.check_queue(queue)
        except QueueNotFound as error:
            return f"{error}; give it to Tempolite(queues=[...]), or call tp.create_queue"
        return ""

    def draw(self) -> float:
        """Uniform in [0, 1)."""
        return self.randomness.random()

    def new_seed(self) -> int:
        """A seed for a run."""
        return self.randomness.getrandbits(62)

    def check_size(self, payload: bytes, path: str) -> None:
        """Refuses a payload that is too large.

        Raises:
            PayloadTooLarge: it is.
        """
        if len(payload) > self.limits.payload:
            raise PayloadTooLarge(
                f"{path}: {len(payload)} bytes, more than payload_limit={self.limits.payload}; "
                "store it elsewhere and pass where"
            )
