"""A program that is an engine and nothing else: it runs until a signal ends it, and drains.

The engine itself installs no signal handlers; a program of its own may, and this is one.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from tempolite.engine.engine import Tempolite

logger = logging.getLogger("tempolite")

DRAIN_S = 30.0
"""What running activities get at the end, unless told."""

_ENDED = b"\0"


def run(
    engine: Tempolite,
    *,
    drain: float = DRAIN_S,
    signals: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
) -> signal.Signals:
    """Starts the engine, unless it is, and runs it until one of these signals comes; then closes it.

    Running activities get ``drain`` seconds to finish; everything else goes on at the next start. A second
    signal meanwhile does what it would have done without this call: by default it ends the process at once,
    which costs nothing but the drain. Only in the main thread, and the handlers are put back.

    Returns:
        The signal that came.

    Raises:
        StorageFailed: the engine can't go on, so there is nothing to wait for.
        EngineClosed: somebody else closed it.
    """
    with engine:
        with _one_of(tuple(signals), engine) as reader:
            logger.info("running until a signal comes")
            came = os.read(reader, 1)
        if came == _ENDED:
            # Says why: a failure, or that it was closed.
            engine.count()
        number = signal.Signals(came[0])
        logger.info("%s: running activities get %g s", number.name, drain)
        engine.close(drain)
    return number


@contextmanager
def _one_of(signals: tuple[signal.Signals, ...], engine: Tempolite) -> Iterator[int]:
    """A pipe that says which signal came first, or that the engine has ended."""
    # A pipe, and no lock: a handler runs in the middle of whatever the main thread does.
    reader, writer = os.pipe2(os.O_CLOEXEC)

    def tell(number: int, _frame: Any) -> None:
        os.write(writer, bytes([number]))

    with ExitStack() as undoing:
        undoing.callback(os.close, reader)
        undoing.callback(os.close, writer)
        for number in signals:
            before = signal.signal(number, tell)
            # None: it was installed from C, and can't be put back.
            undoing.callback(signal.signal, number, signal.SIG_DFL if before is None else before)
        # An end of its own, as the engine may end after this one was closed.
        own = os.dup(writer)
        engine.when_ended(lambda: _tell_end(own))
        yield reader


def _tell_end(fd: int) -> None:
    with suppress(BrokenPipeError):
        os.write(fd, _ENDED)
    os.close(fd)
