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
from collections.abc import Iterator
from pathlib import Path

from procqueue.core.errors import DriverUnavailable

#: How often a waiter with a deadline looks. The kernel has no flock with a deadline.
LOOK_SECONDS = 0.001

#: Who comes to the gate when its holder is stopped waits so long before it says so.
_BEHIND_A_STOPPED_ONE = 1.0


class Gate:
    """One process's descriptor of the gate file; a context manager that holds it.

    `patience`: seconds after which a waiter gives up with DriverUnavailable, None to wait in the kernel's
    line, which is fair and much faster. Nobody joins the line behind a holder that is stopped; who stands in
    it when that happens waits until the scheduler, which has patience, deals with it (process/holdup.py).
    """

    def __init__(self, path: str, mode: int, patience: float | None = None) -> None:
        self._path = path
        self._patience = patience
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)

    def __enter__(self) -> None:
        self._enter(self._patience)

    def __exit__(self, *_: object) -> None:
        # Never by closing: a child forked by another thread a moment ago still has the descriptor.
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def held(self, patience: float | None) -> contextlib.AbstractContextManager[None]:
        """Hold it, but wait no longer than `patience`, if that is less than the gate's own."""
        return self if patience is None else self._held(patience)

    @contextlib.contextmanager
    def _held(self, patience: float) -> Iterator[None]:
        self._enter(patience if self._patience is None else min(patience, self._patience))
        try:
            yield
        finally:
            self.__exit__()

    def holder(self) -> int | None:
        """Return the pid of the process that holds the gate, else of the one that held it last.

        Who holds it has written its pid. If that one is dead, and a child that it left behind keeps the gate,
        the child is found in /proc.
        """
        named = self._named()
        inode = os.fstat(self._fd).st_ino
        if _keeps(named, inode):
            return named
        pids = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
        return next((pid for pid in pids if _keeps(pid, inode)), named or None)

    def close(self) -> None:
        """Give the descriptor back; in a forked child this leaves the parent's hold as it is."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _enter(self, patience: float | None) -> None:
        if patience is not None or not self._join_the_line():
            patience = _BEHIND_A_STOPPED_ONE if patience is None else patience
            self._wait_until(time.monotonic() + patience, patience)
        with contextlib.suppress(OSError):  # only a diagnosis: a full disk must not stop settlements
            os.pwrite(self._fd, b"%-10d\n" % os.getpid(), 0)

    def _join_the_line(self) -> bool:
        """Wait as long as it takes; False, without having waited, if the holder is stopped."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _is_stopped(self._named()):
                return False
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        return True

    def _named(self) -> int:
        """Return the pid in the file, 0 if there is none."""
        try:
            return int(os.pread(self._fd, 32, 0))
        except (OSError, ValueError):
            return 0

    def _wait_until(self, deadline: float, patience: float) -> None:
        while True:
            try:
                return fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    holder = self.holder()
                    failure = DriverUnavailable(
                        f"{self._path!r} has been held for {patience:g} s, now by pid {holder}; "
                        "if that process is stopped, continue it or end it"
                    )
                    failure.holder = holder or 0
                    raise failure from None
            time.sleep(LOOK_SECONDS)


def _is_stopped(pid: int) -> bool:
    with contextlib.suppress(OSError, ValueError):
        text = Path(f"/proc/{pid}/stat").read_text()
        return text[text.rindex(")") + 2] in "Tt"
    return False


def _keeps(pid: int, inode: int) -> bool:
    """Return whether a descriptor of the process stands for the open file that has the flock of `inode`."""
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
            with contextlib.suppress(OSError):
                for line in entry.read_text().splitlines():
                    if line.startswith("lock:") and " FLOCK " in line and f":{inode} " in line:
                        return True
    return False
