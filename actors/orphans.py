"""Workers of an engine that was killed: nothing runs again before the last of them is gone."""

from __future__ import annotations

import fcntl
import os
import threading

from tempolite.errors import EngineLocked

ORPHANS_S = 30.0
"""How long a start waits for workers of an engine that was killed; they end within a second."""


def wait_for_orphans(path: str | None) -> None:
    """Waits until the last worker of an earlier engine is gone: no retry may overlap it.

    Raises:
        EngineLocked: one of them doesn't end.
    """
    if path is None:
        return
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # flock can't be given a deadline; a thread that waits for it can be left behind.
        waiter = threading.Thread(target=fcntl.flock, args=(fd, fcntl.LOCK_EX), daemon=True)
        waiter.start()
        waiter.join(ORPHANS_S)
        if waiter.is_alive():
            raise EngineLocked(f"workers of an earlier engine still run, see the locks on {path}")
        fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)
