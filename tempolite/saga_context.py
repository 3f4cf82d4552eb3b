"""What a saga's transactions and compensations can ask of their surroundings, and how that gets to them.

A saga's step travels to a worker as any activity does. What makes it one is the envelope around its
arguments, :class:`StepInput`; its result comes back in a :class:`StepOutput`, with what it stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from tempolite.activity_context import ActivityContext
from tempolite.codec import JsonCodec
from tempolite.core.identifiers import is_text
from tempolite.errors import InvalidArguments, PayloadTooLarge

Role = Literal["transaction", "compensation"]


class StepInput(msgspec.Struct):
    """What a saga's step needs.

    Attributes:
        saga: what it is; the first field, by which the envelope is known.
        index: of the step within the saga, from 0.
        call: its arguments, as the codec's JSON of a call.
        stored: what the steps before it stored, each as the codec's JSON.
    """

    saga: Role
    index: int
    call: msgspec.Raw
    stored: dict[str, msgspec.Raw]


class StepOutput(msgspec.Struct):
    """What a saga's step gave: its value and what it stored, as the codec's JSON."""

    result: msgspec.Raw
    stored: dict[str, msgspec.Raw]


_MARK = b'{"saga":'
encode = msgspec.json.Encoder().encode
_decode_input = msgspec.json.Decoder(StepInput).decode
decode_output = msgspec.json.Decoder(StepOutput).decode


class Stored:
    """What the steps of a saga keep for each other.

    Args:
        codec: of the values.
        known: what was stored before, as the codec's JSON.
        value_max: bytes of one value.

    Attributes:
        new: what this step stored.
    """

    def __init__(
        self,
        codec: JsonCodec | None = None,
        known: dict[str, msgspec.Raw] | None = None,
        value_max: float = float("inf"),
    ) -> None:
        self._codec = codec or JsonCodec()
        self._known = known or {}
        self._value_max = value_max
        self.new: dict[str, msgspec.Raw] = {}

    def store(self, key: str, value: Any) -> None:
        """Keeps a value."""
        if not is_text(key):
            raise InvalidArguments(f"key is {key!r}, expected a text")
        payload = self._codec.encode(value, f"stored[{key!r}]")
        if len(payload) > self._value_max:
            raise PayloadTooLarge(
                f"stored[{key!r}]: {len(payload)} bytes, more than payload_limit={self._value_max}; "
                "store it elsewhere and keep where"
            )
        self.new[key] = msgspec.Raw(payload)

    def load(self, key: str) -> Any:
        """Gives a value back, each time a copy of its own."""
        payload = self.new.get(key, self._known.get(key))
        if payload is None:
            there_are = ", ".join(sorted({*self._known, *self.new})) or "none"
            raise KeyError(f"{key!r} was not stored in this saga; there are: {there_are}")
        return self._codec.decode(bytes(payload))


@dataclass(frozen=True)
class SagaContext(ActivityContext):
    """What transactions and compensations have in common, beside all that an activity has.

    Attributes:
        step_index: place of the step within the saga, from 0.
    """

    step_index: int = 0
    stored: Stored = field(default_factory=Stored, compare=False, repr=False)

    def store(self, key: str, value: Any) -> None:
        """Keeps a value for later steps of this saga; recorded together with the result of this one.

        Raises:
            NotStorable, PayloadTooLarge: the codec can't carry it.
        """
        self.stored.store(key, value)

    def load(self, key: str) -> Any:
        """What this step, or one before it, stored under that key.

        Raises:
            KeyError: nothing.
        """
        return self.stored.load(key)


@dataclass(frozen=True)
class TransactionContext(SagaContext):
    """First parameter of a saga's transaction: ``def charge(tx: TransactionContext, order): ...``."""


@dataclass(frozen=True)
class CompensationContext(SagaContext):
    """First parameter of a saga's compensation: ``def refund(tx: CompensationContext, order): ...``."""


def opened(args: bytes) -> StepInput | None:
    """What the arguments of a saga's step hold; None for those of a plain activity."""
    return _decode_input(args) if args.startswith(_MARK) else None


def context_of(step: StepInput, stored: Stored, about: dict[str, Any]) -> SagaContext:
    """The context of a step; ``about`` is what every activity's has."""
    kind = TransactionContext if step.saga == "transaction" else CompensationContext
    return kind(**about, step_index=step.index, stored=stored)
