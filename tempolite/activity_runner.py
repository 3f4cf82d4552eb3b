"""Runs an activity: decodes its arguments, calls it, encodes what comes back.

A worker process imports this module and nothing of the engine; the engine's own threads use it as well.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tempolite.activity_context import ActivityContext
from tempolite.codec import JsonCodec, load_callable, resolve_name
from tempolite.core.failure import Failure
from tempolite.definitions import ActivityCall
from tempolite.errors import PayloadTooLarge
from tempolite.failures import capture_failure

INTERPRETER = f"{__name__}:ActivityRunner"
OWN_FRAMES = 2
"""Frames of ours between the top of a traceback and the activity."""

Context = tuple[str, str, int, str]


class ActivityRunner:
    """Knows what an activity is; a worker's ``Interpreter``.

    Args:
        settings: ``payload_limit`` in bytes.
        codec: the engine's, where this runs in its process.
    """

    def __init__(self, settings: dict[str, Any], codec: JsonCodec | None = None) -> None:
        self._payload_limit: int = settings["payload_limit"]
        self._codec = codec or JsonCodec()

    def load(self, name: str, code: bytes) -> Callable[..., Any]:
        """The callable that was shipped.

        Raises:
            LookupError: no name leads to it here.
        """
        found = load_callable(code) if code else resolve_name(name, import_module=True)
        call = getattr(found, "fn", found)
        if not callable(call):
            call = call.run
        self._codec.learn(call)
        return call  # type: ignore[no-any-return]

    def is_async(self, call: Callable[..., Any]) -> bool:
        """Whether it must be awaited."""
        return _facts(call)[1]

    def run(self, call: Callable[..., Any], args: bytes, context: Context) -> bytes:
        """Runs it here and now; an ``async def`` on a loop of its own."""
        if self.is_async(call):
            return asyncio.run(self.run_async(call, args, context))
        positional, named = self._arguments(call, args, context)
        return self._encoded(call(*positional, **named))

    async def run_async(self, call: Callable[..., Any], args: bytes, context: Context) -> bytes:
        """Awaits it."""
        positional, named = self._arguments(call, args, context)
        return self._encoded(await call(*positional, **named))

    def capture(self, error: BaseException) -> Failure:
        """An error as data; never raises."""
        return capture_failure(error, self._codec, skip_frames=OWN_FRAMES)

    def _arguments(
        self, call: Callable[..., Any], args: bytes, context: Context
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        positional, named = self._codec.decode_call(args)
        if _facts(call)[0]:
            positional = (ActivityContext(*context), *positional)
        return positional, named

    def _encoded(self, value: Any) -> bytes:
        if inspect.isawaitable(value):
            raise TypeError("the activity returned an awaitable: declare it with `async def`")
        payload = self._codec.encode(value, "result")
        if len(payload) > self._payload_limit:
            raise PayloadTooLarge(
                f"result: {len(payload)} bytes, more than payload_limit={self._payload_limit}; "
                "store it elsewhere and return where"
            )
        return payload


@lru_cache(maxsize=4_096)
def _facts_of_function(call: Callable[..., Any]) -> tuple[bool, bool]:
    looked_at = ActivityCall(call)
    return looked_at.takes_context, looked_at.is_async


def _facts(call: Callable[..., Any]) -> tuple[bool, bool]:
    """Whether it takes a context, and whether it must be awaited."""
    try:
        return _facts_of_function(call)
    except TypeError:  # not hashable
        return _facts_of_function.__wrapped__(call)
