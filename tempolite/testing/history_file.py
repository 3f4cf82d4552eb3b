"""A file of histories: a line that says what it is, a line for each run, and a last line that counts them.

Every line is JSON. Values of users are in it as the engine that recorded them stored them, so a file needs
the same codec, and the same care, as the database that it comes from.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tempolite.core.events import Entry, decode_body
from tempolite.core.history import RunState, fold
from tempolite.core.identifiers import StepKey
from tempolite.errors import InvalidArguments

FORMAT = 1

RecordedEvent = tuple[str, str, int, int, msgspec.Raw]
"""Type, step, attempt, µs since the epoch, and the fields as JSON."""


class Head(msgspec.Struct, frozen=True, kw_only=True, tag="head", forbid_unknown_fields=True):
    """The first line."""

    tempolite: str
    format: int


class RecordedRun(msgspec.Struct, frozen=True, kw_only=True, tag="run", forbid_unknown_fields=True):
    """A run as it was recorded.

    Attributes:
        workflow, run: which.
        function: name of its function.
        status: what its row said.
        events: its whole history.
    """

    workflow: str
    run: int
    function: str
    status: str
    events: list[RecordedEvent]

    def state(self) -> RunState:
        """What the history adds up to.

        Raises:
            InvalidArguments: it is none.
        """
        try:
            return fold(self._entries())
        except (AssertionError, KeyError, ValueError, msgspec.DecodeError) as error:
            what = f"an event of type {error}" if isinstance(error, KeyError) else str(error)
            raise InvalidArguments(
                f"workflow {self.workflow!r}: its history can't be read: {what}"
            ) from error

    def _entries(self) -> Iterator[Entry]:
        for seq, (type_name, step, attempt, at, payload) in enumerate(self.events, start=1):
            yield Entry(seq, at, decode_body(type_name, bytes(payload)), StepKey(step), attempt)


class Tail(msgspec.Struct, frozen=True, kw_only=True, tag="end", forbid_unknown_fields=True):
    """The last line: without it, something is missing."""

    runs: int


_HEAD = Head(tempolite="histories", format=FORMAT)
_LINE: msgspec.json.Decoder[Head | RecordedRun | Tail] = msgspec.json.Decoder(Head | RecordedRun | Tail)


def write_histories(path: str, runs: Iterable[RecordedRun]) -> int:
    """Writes a file that only its owner can read; says how many runs it holds.

    Raises:
        InvalidArguments: something lies there; untouched.
    """
    count, part = 0, f"{path}.part"
    if os.path.exists(path):
        raise InvalidArguments(f"{path} exists; an export is never written over a file")
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(_line(_HEAD))
            for run in runs:
                file.write(_line(run))
                count += 1
            file.write(_line(Tail(runs=count)))
        # As a whole or not at all: half a file would prove half of an upgrade.
        os.rename(part, path)
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise
    return count


def read_histories(path: str) -> Iterator[RecordedRun]:
    """The runs of a file, one by one.

    Raises:
        InvalidArguments: it is no such file, is cut off, or has a line that can't be read, which is named.
    """
    count, last = 0, None
    with open(path, "rb") as file:
        for number, text in enumerate(file, start=1):
            line = _read(path, number, text)
            if (number == 1) is not isinstance(line, Head) or isinstance(last, Tail):
                raise InvalidArguments(f"{path}, line {number}: a {_kind(line)} line has no place there")
            if isinstance(line, RecordedRun):
                count += 1
                yield line
            last = line
    if last is None:
        raise InvalidArguments(f"{path} is empty, and no export of histories")
    if not isinstance(last, Tail) or last.runs != count:
        raise InvalidArguments(f"{path} is cut off: it ends after line {count + 1}, with {count} runs")


def _line(line: Head | RecordedRun | Tail) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def _read(path: str, number: int, text: bytes) -> Head | RecordedRun | Tail:
    try:
        line: Any = _LINE.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if number == 1:
            raise InvalidArguments(f"{path} is no export of histories: {error}") from error
        raise InvalidArguments(f"{path}, line {number} can't be read: {error}") from error
    if isinstance(line, Head) and line.format > FORMAT:
        raise InvalidArguments(
            f"{path} has format {line.format}, this Tempolite knows {FORMAT}; use a newer one"
        )
    return line  # type: ignore[no-any-return]


def _kind(line: Head | RecordedRun | Tail) -> str:
    return str(type(line).__struct_config__.tag)
