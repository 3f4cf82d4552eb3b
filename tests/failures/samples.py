"""Exceptions of every awkward kind, and how they travel."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec

from tempolite.codec import JsonCodec
from tempolite.core.failure import Failure
from tempolite.failures import (
    capture_failure,
    rebuild_failure,
)

RAN: list[str] = []
CODEC = JsonCodec()


class Declined(Exception):
    """Takes other arguments than it passes on."""

    def __init__(self, order: str, code: int) -> None:
        RAN.append("__init__")
        super().__init__(f"{order} was declined")
        self.order = order
        self.code = code


class Trapped(ValueError):
    """Every hook says that it ran, and fails where it can."""

    __slots__ = ("detail",)

    def __new__(cls, *args: Any) -> Trapped:
        RAN.append("__new__")
        return super().__new__(cls, *args)

    def __init__(self, *args: Any) -> None:
        RAN.append("__init__")
        super().__init__(*args)
        self.detail = 5

    def __setattr__(self, name: str, value: Any) -> None:
        RAN.append("__setattr__")
        super().__setattr__(name, value)

    def __setstate__(self, state: Any) -> None:
        RAN.append("__setstate__")

    def __reduce__(self) -> Any:
        RAN.append("__reduce__")
        return super().__reduce__()

    @property
    def code(self) -> int:
        RAN.append("code")
        return 1

    @code.setter
    def code(self, value: int) -> None:
        RAN.append("code")


class Hostile(Exception):
    """Fails at everything that it can be asked."""

    def __str__(self) -> str:
        raise SystemExit("str")

    __repr__ = __str__

    @property
    def args(self) -> Any:  # type: ignore[override]
        raise KeyboardInterrupt

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise ValueError("dict")

    @property
    def __notes__(self) -> Any:
        raise ValueError("notes")

    @property
    def __class__(self) -> Any:
        raise ValueError("class")

    def __getattr__(self, name: str) -> Any:
        raise ValueError(name)


class PickyFile(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "gone", path)
        self.path = path


class Group(ExceptionGroup[Exception]):
    def __new__(cls, message: str, errors: list[Exception], tag: str = "") -> Group:
        RAN.append("__new__")
        self = super().__new__(cls, message, errors)
        self.tag = tag
        return self


@dataclasses.dataclass
class Coded(Exception):
    code: int


class WithDel(Exception):
    def __del__(self) -> None:
        RAN.append("__del__")


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """The exception with a traceback."""
    try:
        if cause is not None:
            raise error from cause
        raise error
    except BaseException as caught:
        return caught


def travelled(error: BaseException) -> Failure:
    """Captured, sent by msgpack, stored as JSON."""
    failure = capture_failure(error, CODEC)
    failure = msgspec.msgpack.decode(msgspec.msgpack.encode(failure), type=Failure)
    return msgspec.json.decode(msgspec.json.encode(failure), type=Failure)


def rebuilt(error: BaseException, **where: Any) -> Any:
    return rebuild_failure(travelled(raised(error)), CODEC, **where)


def failing(fn: Callable[[], Any]) -> BaseException:
    """What ``fn`` raises."""
    try:
        fn()
    except BaseException as error:
        return error
    raise AssertionError("it was to fail")


def local_error() -> Exception:
    class Local(Exception):
        pass

    return Local("here")
