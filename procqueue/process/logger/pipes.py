"""Looking into a pipe without taking anything out of it: tee(2).

What a child has written stays in its pipe until it is written where it belongs. So a logger that is killed
loses nothing: its successor finds the same bytes in the same pipe.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import select
import termios
from contextlib import suppress
from functools import cache

#: The most that is looked at once: the size of a pipe, unless its user has too many of them.
MOST = 65536
_SPLICE_F_NONBLOCK = 2


class Glass:
    """Pipes of our own, into which others are copied; one for each size, so that a full one shows as full."""

    def __init__(self) -> None:
        self._copies: dict[int, tuple[int, int, select.poll]] = {}
        self._make(MOST)  # as long as descriptors are free

    def look(self, fd: int) -> tuple[bytes, bool] | None:
        """Return what is in the pipe, at most 64 KiB, and whether it is full.

        b"": it is empty and nobody can write to it any more. None: it is empty.
        """
        size = min(fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ), MOST)
        read, write, poll = self._copies.get(size) or self._make(size)
        copied = _libc().tee(fd, write, MOST, _SPLICE_F_NONBLOCK)
        if copied < 0:
            code = ctypes.get_errno()
            if code == errno.EAGAIN:
                return None
            raise OSError(code, os.strerror(code), "tee")
        if copied == 0:
            return b"", False
        # The copy has as many slots as the pipe, and a slot of the one fills a slot of the other.
        full = not poll.poll(0)
        return os.read(read, MOST), full

    def _make(self, size: int) -> tuple[int, int, select.poll]:
        read, write = os.pipe2(os.O_CLOEXEC)
        with suppress(OSError):  # a smaller copy is full sooner, which only cuts long lines sooner
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, size)
        poll = select.poll()
        poll.register(write, select.POLLOUT)
        self._copies[size] = made = (read, write, poll)
        return made


def waiting_in(fd: int) -> int:
    """Return how many bytes are in a pipe."""
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


def take(fd: int, count: int) -> None:
    """Take `count` bytes, which are there, out of a pipe.

    By read, not by splice to /dev/null: a kill does not interrupt a read of what is there, but may cut a
    splice in the middle of a line.
    """
    while count:
        count -= len(os.read(fd, count))


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.tee.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint)
    libc.tee.restype = ctypes.c_ssize_t
    return libc
