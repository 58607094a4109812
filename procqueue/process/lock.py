"""The lock of a state directory: one master at a time.

A POSIX record lock, not flock: children do not inherit it, so that a killed master's children cannot keep
the directory occupied. It drops when *any* descriptor of the file is closed by this process: nothing else
may open it.
"""

from __future__ import annotations

import fcntl
import os
import struct

_FLOCK = "hhqqi4x"  # struct flock: type, whence, start, len, pid


class Occupied(Exception):
    """Another process holds the lock; `pid` is its number (0 where the kernel does not say)."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"held by process {pid}")
        self.pid = pid


def take(path: str) -> int:
    """Lock the file and return its descriptor, to be kept open. Raises Occupied; OSError without locks."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES: somebody has it
        holder = _holder(fd)
        os.close(fd)
        raise Occupied(holder) from None
    except OSError:  # a file system that has no locks, such as some over the network
        os.close(fd)
        raise
    return fd


def is_at(path: str, fd: int) -> bool:
    """Return whether the file of a lock that is held still has this name. It is not opened for that."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def holder(path: str) -> int | None:
    """Return the pid of the process that holds the lock, None if nobody does. Not for the holder itself."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return _holder(fd) or None
    finally:
        os.close(fd)


def _holder(fd: int) -> int:
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    answer = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    return 0 if answer[0] == fcntl.F_UNLCK else int(answer[4])
