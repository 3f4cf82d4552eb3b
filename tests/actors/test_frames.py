"""Frames: what is put into one comes out of it, and nothing else does."""

from __future__ import annotations

import struct

import pytest

from tempolite.actors import frames
from tempolite.actors.frames import PAYLOAD_LIMIT_MAX, BrokenFrame, FrameBuffer

OVERHEAD = 1_000_000
"""More than the other fields of a frame take."""


def head_of(length: int) -> bytes:
    """The beginning of a frame whose body has that many bytes."""
    whole = frames.pack(frames.Ready())
    mark = int.from_bytes(whole[4:8], "little") ^ int.from_bytes(whole[:4], "little")
    return struct.pack("<III", length, length ^ mark, 0)


def test_a_frame_comes_out_when_its_last_byte_is_there() -> None:
    """Not before, and only once."""
    buffer, whole = FrameBuffer(), frames.pack(frames.Done(1, b'"a"'))

    buffer.feed(whole[:-1])
    before = list(buffer.bodies())
    buffer.feed(whole[-1:])

    assert before == []
    assert [frames.FROM_WORKER.decode(body) for body in buffer.bodies()] == [[frames.Done(1, b'"a"')]]
    assert list(buffer.bodies()) == []


def test_the_largest_payload_that_an_engine_may_allow_fits_in_a_frame() -> None:
    """A reader waits for the rest of it, as of any other."""
    buffer = FrameBuffer()
    buffer.feed(head_of(PAYLOAD_LIMIT_MAX + OVERHEAD))

    assert list(buffer.bodies()) == []


def test_a_length_that_no_frame_has_breaks_the_line() -> None:
    """Nobody waits for what can't be."""
    buffer = FrameBuffer()
    buffer.feed(head_of(2**32 - 1))

    with pytest.raises(BrokenFrame):
        list(buffer.bodies())
