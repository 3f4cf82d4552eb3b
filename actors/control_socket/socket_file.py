"""The control socket beside a database file: made, found, and whose it is.

A socket's address holds 107 bytes, a path up to 4,095; so neither end uses the path itself. The owner binds a
short name through a descriptor of the folder, and renames it once it listens: who sees the name can connect,
and what a dead owner left is replaced. A client opens the path and connects through that descriptor.
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
from contextlib import suppress

SOCKET_SUFFIX = "-socket"
BACKLOG = 128
_CREDENTIALS = struct.Struct("3i")


def socket_path(database: str) -> str:
    """Where the control socket of a database file is."""
    return database + SOCKET_SUFFIX


def listen(database: str) -> socket.socket:
    """A listening socket beside the file, for its owner only; who calls this holds the file's lock.

    Raises:
        OSError: the file system has no sockets, or the folder can't be written.
    """
    folder, name = os.path.split(os.path.abspath(socket_path(database)))
    # One name for each file: what a crash between the next lines leaves is removed by the next owner.
    made_as = ".tempolite-" + hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder_fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(FileNotFoundError):
            os.unlink(made_as, dir_fd=folder_fd)
        listener.bind(f"/proc/self/fd/{folder_fd}/{made_as}")
        # Nobody can connect before it listens, so nobody could while its mode was the umask's.
        os.chmod(made_as, 0o600, dir_fd=folder_fd)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        os.rename(made_as, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(folder_fd)
    return listener


def connect(database: str) -> socket.socket:
    """A connection to whoever owns the file.

    Raises:
        OSError: nobody does, or it is not ours.
    """
    found = os.open(socket_path(os.path.realpath(database)), os.O_PATH | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Without a wait: where too many stand in line before us, it is tried again.
        connection.setblocking(False)
        connection.connect(f"/proc/self/fd/{found}")
        if not is_same_user(connection):
            raise PermissionError(f"{socket_path(database)} belongs to another user's process")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(found)
    return connection


def is_same_user(connection: socket.socket) -> bool:
    """Whether the process at the other end runs as the same user."""
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _pid, user, _group = _CREDENTIALS.unpack(told)
    return bool(user == os.geteuid())
