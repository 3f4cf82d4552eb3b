"""Packets: what is said together comes out together, in order, and nothing else does."""

from __future__ import annotations

import pytest

from tempolite.actors import frames
from tempolite.actors.frames import BrokenFrame, FrameBuffer

SAID = [frames.Done(1, b'"a"'), frames.Revoked(2), frames.Done(3, b"null")]


def test_frames_of_one_packet_come_out_in_order() -> None:
    """All of them, once the last byte is there, and only once."""
    buffer, packet = FrameBuffer(), frames.pack_all(SAID)

    buffer.feed(packet[:-1])
    early = list(buffer.bodies())
    buffer.feed(packet[-1:])
    bodies = list(buffer.bodies())

    assert early == []
    assert [frames.FROM_WORKER.decode(body) for body in bodies] == [SAID]
    assert list(buffer.bodies()) == []


def test_packets_that_come_together_are_told_apart() -> None:
    """A reading may bring several, and a part of the next."""
    buffer, last = FrameBuffer(), frames.pack(SAID[2])

    buffer.feed(frames.pack(SAID[0]) + frames.pack(SAID[1]) + last[:7])
    first = [frames.FROM_WORKER.decode(body) for body in buffer.bodies()]
    buffer.feed(last[7:])

    assert first == [[SAID[0]], [SAID[1]]]
    assert [frames.FROM_WORKER.decode(body) for body in buffer.bodies()] == [[SAID[2]]]


@pytest.mark.parametrize("at", [0, 4, 8, -1])
def test_a_byte_that_somebody_else_wrote_breaks_the_line(at: int) -> None:
    """In the length, in its check, in the check of the body, or in the body."""
    buffer, packet = FrameBuffer(), bytearray(frames.pack_all(SAID))
    packet[at] ^= 0xFF

    buffer.feed(bytes(packet))

    with pytest.raises(BrokenFrame):
        list(buffer.bodies())
