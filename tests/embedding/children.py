"""A forked child of the test: it does one thing, says what came of it, and is gone."""

from __future__ import annotations

import os
import select
import signal
import traceback
import warnings
from collections.abc import Callable
from typing import Any

CHILD_S = 15
"""A child that hangs is killed after that."""


def in_child(action: Callable[[], Any]) -> str:
    """What ``action`` gives in a fork of this process, as text; an error as its type and its text."""
    said, says = os.pipe()
    with warnings.catch_warnings():
        # Later Pythons warn of forks beside threads, which is what this is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.write(says, _outcome(action).encode())
        os._exit(0)
    os.close(says)
    try:
        return _read(said)
    finally:
        os.close(said)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _outcome(action: Callable[[], Any]) -> str:
    # The guard against hangs is the parent's.
    signal.alarm(0)
    try:
        return str(action())
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"


def _read(fd: int) -> str:
    text = b""
    while select.select([fd], [], [], CHILD_S)[0]:
        if not (read := os.read(fd, 65_536)):
            return text.decode()
        text += read
    return "it hangs"
