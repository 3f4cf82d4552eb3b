"""A socket that frames go through, without ever blocking: the same at both ends of the control socket."""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Callable

from tempolite.actors import forking
from tempolite.actors.control_socket.wire import HEAD
from tempolite.actors.dispatcher import Dispatcher

RECEIVE_BYTES = 2**16
"""Read at once; others have their turn in between."""

UNSENT_BYTES = 2**20
"""Nothing more is read from a peer that leaves so much of what it was sent: it must take that first."""


class FramedSocket:
    """Frames in and out, on a dispatcher's thread; made and used in that thread only.

    Args:
        dispatcher: watches the socket.
        connection: connected, by ``forking.open_socket``; owned from now on.
        frame_max: bytes of the largest frame that may come.
        on_body: told of each frame's body.
        on_end: told once why the connection has ended, unless it was closed from here.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        connection: socket.socket,
        frame_max: int,
        on_body: Callable[[bytes], None],
        on_end: Callable[[str], None],
    ) -> None:
        connection.setblocking(False)
        self._dispatcher = dispatcher
        self._socket = connection
        self._fd = connection.fileno()
        self._frame_max = frame_max
        self._on_body = on_body
        self._on_end = on_end
        self._received = bytearray()
        self._unsent = bytearray()
        self._held: deque[Callable[[], bytes]] = deque()
        self._is_paused = False
        self._is_hooked = False
        self._watched = 0
        self.is_open = True
        self.taken_bytes = 0
        """What the peer has taken so far."""
        self._watch()

    @property
    def is_behind(self) -> bool:
        """Whether the peer leaves much of what it was sent."""
        return bool(self._held) or len(self._unsent) > UNSENT_BYTES

    def send_in_turn(self, make_body: Callable[[], bytes]) -> None:
        """Sends a frame, after those before it; it is made only once the peer takes what it was sent."""
        if self.is_behind:
            self._held.append(make_body)
        else:
            self.send(make_body())

    def send(self, body: bytes) -> None:
        """Sends a frame; all of a round go out together."""
        if not self.is_open:
            return
        self._unsent += HEAD.pack(len(body))
        self._unsent += body
        if not self._is_hooked:
            self._is_hooked = True
            self._dispatcher.before_sleep(self.flush)

    def flush(self) -> None:
        """Sends what the socket takes now."""
        self._is_hooked = False
        if not self.is_open:
            return
        if self._unsent:
            try:
                taken = self._socket.send(self._unsent)
                del self._unsent[:taken]
                self.taken_bytes += taken
            except BlockingIOError:
                pass
            except OSError as error:
                self._end(f"it can't be written to: {error}")
                return
        while self._held and len(self._unsent) <= UNSENT_BYTES:
            self.send(self._held.popleft()())
        self._watch()

    def pause(self) -> None:
        """Takes no more frames until it is resumed; the peer's own calls wait."""
        self._is_paused = True
        self._watch()

    def resume(self) -> None:
        """Takes frames again, first those that are here."""
        if self._is_paused:
            self._is_paused = False
            self._dispatcher.before_sleep(self._go_on)

    def close(self) -> None:
        """Ends the connection; what was not sent is lost."""
        if self.is_open:
            self.is_open = False
            if self._watched:
                self._dispatcher.unwatch(self._fd)
            forking.close(self._socket.detach())
            self._received.clear()
            self._unsent.clear()
            self._held.clear()

    def _go_on(self) -> None:
        self._take_frames()
        self._watch()

    def _watch(self) -> None:
        if not self.is_open:
            return
        is_reading = not self._is_paused and len(self._unsent) <= UNSENT_BYTES
        # The end of the peer is reported whatever is watched for.
        events = (select.EPOLLIN if is_reading else 0) | (select.EPOLLOUT if self._unsent else 0)
        events |= select.EPOLLRDHUP
        if events != self._watched:
            self._watched = events
            self._dispatcher.watch(self._fd, events, self._on_ready)

    def _on_ready(self, mask: int) -> None:
        if mask & select.EPOLLOUT:
            self.flush()
        if mask & select.EPOLLIN:
            self._receive()
        elif mask & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP):
            self._end("the other side is gone")

    def _receive(self) -> None:
        if not self.is_open:
            return
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(f"it can't be read: {error}")
            return
        if not data:
            self._end("the other side is gone")
            return
        self._received += data
        self._take_frames()

    def _take_frames(self) -> None:
        received, at = self._received, 0
        try:
            while self.is_open and not self._is_paused and len(received) - at >= HEAD.size:
                (length,) = HEAD.unpack_from(received, at)
                if length > self._frame_max:
                    self._end(f"a frame of {length} bytes, where {self._frame_max} are the most")
                    return
                begin = at + HEAD.size
                if len(received) < begin + length:
                    break
                at = begin + length
                self._on_body(bytes(memoryview(received)[begin:at]))
        finally:
            # Also after an error: what was told is not told again.
            if self.is_open:
                del received[:at]

    def _end(self, reason: str) -> None:
        if self.is_open:
            self.close()
            self._on_end(reason)
