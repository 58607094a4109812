"""Waking consumers: one FIFO per queue, a token in it after the commit that made a message ready.

A token says "look"; however many lie there, the waiter that wakes takes all, and writes the next one if it
leaves messages behind. So one waiter wakes at a time and none is forgotten; what is lost with a killed
waiter, the scheduler's promote writes again. (inotify wakes before the commit; polling costs a core.)
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from procqueue.drivers.sqlite.sharing import Sharing

_ALL = 1 << 16  # a FIFO's size: one read takes every token


class Wake:
    """The FIFOs of one process, beside the database in `directory`.

    `looks`: returns a number that is another one whenever a name in there may have come or gone.
    """

    def __init__(self, directory: Path, sharing: Sharing, looks: Callable[[], int]) -> None:
        self._directory = directory
        self._sharing = sharing
        self._looks = looks
        self._fds: dict[str, int] = {}
        self._found: dict[str, tuple[int, int]] = {}  # where we only send: `looks`, descriptor or -1
        self._paths: dict[str, str] = {}

    def listen(self, queue: str) -> int:
        """Open the queue's FIFO: from now on no token is lost. Returns its descriptor."""
        fd = self._fds.get(queue)
        if fd is None:
            path = self._path(queue)
            self._sharing.make_fifo(path)
            # Both ends: an open without a writer would block or see an end of file.
            fd = self._fds[queue] = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        return fd

    def send(self, queue: str) -> None:
        """Leave a token for one waiter; nothing if nobody ever listened or enough tokens lie there."""
        fd = self._fds.get(queue)
        if fd is None:
            fd = self._find(queue)
        if fd >= 0:
            with contextlib.suppress(BlockingIOError):  # full of tokens
                os.write(fd, b"!")

    def wait(self, queues: Sequence[str], seconds: float, also: Sequence[int]) -> bool:
        """Sleep until a token of `queues` came (True), one of `also` is readable or `seconds` are over."""
        deadline = time.monotonic() + seconds
        fifos = {self.listen(queue) for queue in queues}
        poll = select.poll()
        for fd in (*fifos, *also):
            poll.register(fd, select.POLLIN)
        while True:
            left = max(0.0, deadline - time.monotonic())
            ready = [fd for fd, _ in poll.poll(left * 1000)]
            came = [_take(fd) for fd in ready if fd in fifos]
            if any(came):
                return True
            # Another waiter was quicker with the token: sleep on.
            if len(came) < len(ready) or time.monotonic() >= deadline:
                return False

    def close(self) -> None:
        """Give all descriptors back."""
        fds = [*self._fds.values(), *(fd for _, fd in self._found.values() if fd >= 0)]
        self._fds, self._found = {}, {}
        for fd in fds:
            with contextlib.suppress(OSError):
                os.close(fd)

    def _find(self, queue: str) -> int:
        """Return the FIFO to send into, -1 if there is none; to look for it each time costs 4 % of a push."""
        looks = self._looks()
        last, fd = self._found.get(queue, (-1, -1))
        if last == looks:
            return fd
        if fd >= 0:
            os.close(fd)
            fd = -1
        with contextlib.suppress(OSError):
            # Both ends: a write after the last reader has gone would be a SIGPIPE.
            fd = os.open(self._path(queue), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._found[queue] = looks, fd
        return fd

    def _path(self, queue: str) -> str:
        path = self._paths.get(queue)
        if path is None:
            path = self._paths[queue] = str(self._directory / f"{quote(queue, safe='')}.wake")
        return path


def _take(fd: int) -> bool:
    try:
        return bool(os.read(fd, _ALL))
    except BlockingIOError:
        return False
