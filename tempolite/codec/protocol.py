"""What the engine asks of a codec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

C = TypeVar("C", bound=type)


class Codec(Protocol):
    """Turns values into payloads and back: equal, and of the same type, or refused."""

    def encode(self, value: Any, path: str = "value") -> bytes:
        """The payload of a value; ``path`` names it in errors."""
        ...

    def decode(self, payload: bytes | str) -> Any:
        """The value of a payload."""
        ...

    def encode_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """The payload of a call's arguments."""
        ...

    def decode_call(self, payload: bytes | str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a call."""
        ...

    def register(self, cls: C) -> C:
        """Let values of a type be read although it is not found by its name."""
        ...

    def learn(self, fn: Callable[..., Any]) -> None:
        """Register the types that a function's annotations mention."""
        ...

    def payload_types(self, payload: bytes | str) -> set[type]:
        """The types that a payload names and that are known here."""
        ...
