"""What executions need of the engine, handed in: codec, limits, randomness, names of queues."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from tempolite.codec import JsonCodec
from tempolite.core.failure import Failure
from tempolite.core.retry import RetryPolicy
from tempolite.errors import PayloadTooLarge
from tempolite.failures import capture_failure

WORKFLOW_FRAMES = 2
"""Frames of ours between the top of a traceback and the workflow's code."""


class Watch(Protocol):
    """Runs workflow code, and ends what takes too long."""

    def run(self, code: Callable[[], None], is_replayed: Callable[[], bool]) -> str:
        """Runs it to its next wait; returns why it was ended, or nothing."""
        ...


class Unwatched:
    """Lets code take the time that it takes."""

    def run(self, code: Callable[[], None], is_replayed: Callable[[], bool]) -> str:
        code()
        return ""


class Services:
    """Shared by all executions of an engine.

    Attributes:
        guard: entered around workflow code; refuses calls that must not be made there.
        watch: runs workflow code.

    Args:
        codec: makes payloads.
        default_retry: of activities that bring no policy.
        payload_limit: bytes of one payload.
        check_queue: raises ``QueueNotFound`` for an unknown name.
        randomness: for jitter and seeds; given, so that a test decides it.
    """

    def __init__(
        self,
        codec: JsonCodec,
        default_retry: RetryPolicy,
        payload_limit: int,
        check_queue: Callable[[str], None],
        randomness: random.Random,
    ) -> None:
        self.codec = codec
        self.default_retry = default_retry
        self.check_queue = check_queue
        self._payload_limit = payload_limit
        self._randomness = randomness
        self.guard: AbstractContextManager[Any] = nullcontext()
        self.watch: Watch = Unwatched()

    def encode(self, value: Any, path: str) -> bytes:
        """The payload of a value.

        Raises:
            NotStorable, PayloadTooLarge: with its path.
        """
        payload = self.codec.encode(value, path)
        self._check_size(payload, path)
        return payload

    def encode_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """The payload of a call's arguments."""
        payload = self.codec.encode_call(args, kwargs)
        self._check_size(payload, "args")
        return payload

    def capture(self, error: BaseException) -> Failure:
        """An error of workflow code as data."""
        return capture_failure(error, self.codec, skip_frames=WORKFLOW_FRAMES)

    def draw(self) -> float:
        """Uniform in [0, 1)."""
        return self._randomness.random()

    def new_seed(self) -> int:
        """A seed for a run."""
        return self._randomness.getrandbits(62)

    def _check_size(self, payload: bytes, path: str) -> None:
        if len(payload) > self._payload_limit:
            raise PayloadTooLarge(
                f"{path}: {len(payload)} bytes, more than payload_limit={self._payload_limit}; "
                "store it elsewhere and pass where"
            )
