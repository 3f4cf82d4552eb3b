"""Runs an activity: decodes its arguments, calls it, encodes what comes back.

A worker process imports this module and nothing of the engine; the engine's own threads use it as well.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from tempolite.activity_context import ActivityContext
from tempolite.actors.frames import About
from tempolite.actors.job_link import JobLink
from tempolite.calls import ActivityCall
from tempolite.codec import JsonCodec, load_shipped, resolve_name
from tempolite.core.failure import Failure
from tempolite.errors import PayloadTooLarge
from tempolite.failures import capture_failure
from tempolite.saga_context import SagaContext, StepInput, StepOutput, Stored, context_of, encode, opened

INTERPRETER = f"{__name__}:ActivityRunner"


class Loaded(NamedTuple):
    """A callable that can be run.

    Attributes:
        function: what is called.
        takes_context: its first parameter is the context.
        is_async: it must be awaited.
        codec: of its arguments and its result.
    """

    function: Callable[..., Any]
    takes_context: bool
    is_async: bool
    codec: JsonCodec


class ActivityRunner:
    """Knows what an activity is; a worker's ``Interpreter``.

    Args:
        settings: ``payload_limit`` in bytes.
        codec: the engine's, where this runs in its process.
    """

    def __init__(self, settings: dict[str, Any], codec: JsonCodec | None = None) -> None:
        self._payload_limit: int = settings["payload_limit"]
        self._codec = codec or JsonCodec()

    def load(self, name: str, code: bytes) -> Loaded:
        """The callable that was shipped.

        Raises:
            LookupError: no name leads to it here.
        """
        if not code:
            return self.prepare(resolve_name(name, import_module=True))
        # By value each callable brings its own copies of the classes of ``__main__``.
        fn, types = load_shipped(code)
        return self.prepare(fn, JsonCodec(types))

    def prepare(self, target: Any, codec: JsonCodec | None = None) -> Loaded:
        """A callable of this process, looked at."""
        call, codec = ActivityCall(target), codec or self._codec
        codec.learn(call.callable)
        return Loaded(call.callable, call.takes_context, call.is_async, codec)

    def is_async(self, loaded: Loaded) -> bool:
        """Whether it must be awaited."""
        return loaded.is_async

    def run(self, loaded: Loaded, args: bytes, about: About, link: JobLink) -> bytes:
        """Runs it here and now; an ``async def`` on a loop of its own."""
        if loaded.is_async:
            import asyncio  # only for these: most workers never load it

            return asyncio.run(self.run_async(loaded, args, about, link))
        if (step := opened(args)) is not None:
            tx, positional = self._saga_step(loaded, step, about, link)
            return self._enclosed(loaded, loaded.function(tx, *positional), tx)
        positional, named = _arguments(loaded, args, about, link)
        return self._encoded(loaded, loaded.function(*positional, **named))

    async def run_async(self, loaded: Loaded, args: bytes, about: About, link: JobLink) -> bytes:
        """Awaits it."""
        if (step := opened(args)) is not None:
            tx, positional = self._saga_step(loaded, step, about, link)
            return self._enclosed(loaded, await loaded.function(tx, *positional), tx)
        positional, named = _arguments(loaded, args, about, link)
        return self._encoded(loaded, await loaded.function(*positional, **named))

    def capture(self, error: BaseException, loaded: Loaded | None = None) -> Failure:
        """An error as data; never raises. What it holds may be of types that came with its callable."""
        codec = self._codec if loaded is None else loaded.codec
        return capture_failure(error, codec)

    def _saga_step(
        self, loaded: Loaded, step: StepInput, about: About, link: JobLink
    ) -> tuple[SagaContext, tuple[Any, ...]]:
        """The context and the arguments of a saga's step."""
        stored = Stored(loaded.codec, step.stored, self._payload_limit)
        positional, _ = loaded.codec.decode_call(bytes(step.call))
        return context_of(step, stored, _about_attempt(loaded, about, link)), positional

    def _enclosed(self, loaded: Loaded, value: Any, tx: SagaContext) -> bytes:
        """What a saga's step gave, and what it stored."""
        result = msgspec.Raw(self._encoded(loaded, value))
        return encode(StepOutput(result, tx.stored.new))

    def _encoded(self, loaded: Loaded, value: Any) -> bytes:
        if inspect.isawaitable(value):
            raise TypeError("the activity returned an awaitable: declare it with `async def`")
        payload = loaded.codec.encode(value, "result")
        if len(payload) > self._payload_limit:
            raise PayloadTooLarge(
                f"result: {len(payload)} bytes, more than payload_limit={self._payload_limit}; "
                "store it elsewhere and return where"
            )
        return payload


class Connected:
    """What a context asks of the worker that its activity runs in.

    Args:
        codec: of heartbeats' details, as of arguments.
        about: what is known of the attempt.
        link: to the engine.
    """

    def __init__(self, codec: JsonCodec, about: About, link: JobLink) -> None:
        self._codec, self._about, self._link = codec, about, link

    def beat(self, details: Any) -> None:
        """The activity lives."""
        self._link.beat(self._codec.encode(details, "heartbeat"))

    def show_progress(self, done: float, total: float | None) -> None:
        """How far it is; a sign of life as well."""
        self._link.beat(b"", (done, total))

    def last_heartbeat(self) -> Any:
        """What the latest attempt with a heartbeat told last."""
        return self._codec.decode(self._about.heartbeat) if self._about.heartbeat else None

    def is_cancelled(self) -> bool:
        """Whether the activity is to end."""
        return self._link.is_cancelled


def _arguments(
    loaded: Loaded, args: bytes, about: About, link: JobLink
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    positional, named = loaded.codec.decode_call(args)
    if loaded.takes_context:
        positional = (ActivityContext(**_about_attempt(loaded, about, link)), *positional)
    return positional, named


def _about_attempt(loaded: Loaded, about: About, link: JobLink) -> dict[str, Any]:
    """What every context has."""
    link.listens = True
    return {
        "workflow_id": about.workflow,
        "step": about.step,
        "attempt": about.attempt,
        "idempotency_key": about.idempotency_key,
        "surroundings": Connected(loaded.codec, about, link),
    }
