"""The gate: one flock file before every write transaction, checkpoint and close of a database.

SQLite's own busy handler starves (one of eight processes got 1 message, another 8,631); the kernel serves
waiters of a flock fairly, and releases it when the holder is killed. It also keeps checkpoints and commits
apart (the WAL-reset bug of SQLite ≤ 3.51.2), and a second writer out when POSIX locks got lost (link.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time

from procqueue.core.errors import DriverUnavailable

#: How often a waiter with a deadline looks. The kernel has no flock with a deadline.
LOOK_SECONDS = 0.001


class Gate:
    """One process's descriptor of the gate file; a context manager that holds it.

    `patience`: seconds after which a waiter gives up with DriverUnavailable, None to wait in the kernel's
    line, which is fair and much faster, but for ever behind a holder that was stopped.
    """

    def __init__(self, path: str, mode: int, patience: float | None = None) -> None:
        self._path = path
        self._patience = patience
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)

    def __enter__(self) -> None:
        if self._patience is None:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        else:
            self._wait_until(time.monotonic() + self._patience)
        with contextlib.suppress(OSError):  # only a diagnosis: a full disk must not stop settlements
            os.pwrite(self._fd, b"%-10d\n" % os.getpid(), 0)

    def __exit__(self, *_: object) -> None:
        # Never by closing: a child forked by another thread a moment ago still has the descriptor.
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def holder(self) -> int | None:
        """Return the pid of the process that held the gate last (now, if somebody holds it)."""
        try:
            return int(os.pread(self._fd, 32, 0))
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """Give the descriptor back; in a forked child this leaves the parent's hold as it is."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _wait_until(self, deadline: float) -> None:
        while True:
            try:
                return fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise DriverUnavailable(
                        f"{self._path!r} has been held for {self._patience:g} s, now by pid {self.holder()}; "
                        "if that process is stopped, continue it or end it"
                    ) from None
            time.sleep(LOOK_SECONDS)
