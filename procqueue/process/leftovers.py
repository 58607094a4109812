"""What an import leaves behind that a fork must not share: threads, sockets, SQLite files, child processes.

A forked child has none of its parent's threads, but all the locks that they held; two processes that talk
through one socket read each other's answers; SQLite loses its locks, and with them the file.
"""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from procqueue.process import kernel

_SQLITE = b"SQLite format 3\x00"
_SQLITE_NAMES = (".db", ".sqlite", ".sqlite3", "-wal", "-shm", "-journal")
#: A thread that was joined may still be in the kernel's list for a moment.
_PATIENCE = 0.2


def open_files() -> set[tuple[int, int]]:
    """Return what is open: number and inode of each."""
    return {(fd, os.fstat(fd).st_ino) for fd in _descriptors()}


def left_behind(before: set[tuple[int, int]]) -> list[str]:
    """Return in words what has come since `before` and must not be shared; to be asked after a trial fork.

    OpenBLAS and its like end their threads at a fork: counted before, every numpy application had some.
    """
    new = [fd for fd in _descriptors() if (fd, os.fstat(fd).st_ino) not in before]
    return [*threads(), *_sockets(new), *_sqlite_files(new), *_children()]


def threads() -> list[str]:
    """Return the threads beside this one, by name."""
    give_up = time.monotonic() + _PATIENCE
    while (number := kernel.thread_count()) > 1 and time.monotonic() < give_up:
        time.sleep(0.001)
    if number <= 1:
        return []
    named = [f"thread {t.name!r}" for t in threading.enumerate() if t is not threading.main_thread()]
    foreign = number - 1 - len(named)
    return named + ([f"{foreign} threads of C code"] if foreign > 0 else [])


def _sockets(fds: list[int]) -> Iterator[str]:
    for fd in fds:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            yield f"socket {_peer(fd)}"


def _peer(fd: int) -> str:
    end = socket.socket(fileno=os.dup(fd))
    try:
        address = end.getpeername()
        how = "to"
    except OSError:
        address, how = end.getsockname(), "at"
    finally:
        end.close()
    where = f"{address[0]}:{address[1]}" if isinstance(address, tuple) and len(address) > 1 else address
    return f"{how} {where}" if where else "without a name"


def _sqlite_files(fds: list[int]) -> Iterator[str]:
    told: set[str] = set()
    for fd in fds:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            continue
        name = os.readlink(f"/proc/self/fd/{fd}")
        if (name.endswith(_SQLITE_NAMES) or _begins_like_sqlite(fd)) and name not in told:
            told.add(name)
            yield f"SQLite file {name}"


def _begins_like_sqlite(fd: int) -> bool:
    # Through this very descriptor: to open and close another one would drop SQLite's locks.
    try:
        return os.pread(fd, len(_SQLITE), 0) == _SQLITE
    except OSError:
        return False  # open for writing only


def _children() -> Iterator[str]:
    for pid in kernel.children_of(os.getpid()):
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            if not kernel.resident_bytes_of(pid):
                continue  # dead, and only not reaped
        except OSError:
            continue
        yield f"child process {pid} ({name})"


def _descriptors() -> list[int]:
    found: list[int] = []
    for name in os.listdir("/proc/self/fd"):
        try:
            os.fstat(int(name))
        except OSError:
            continue  # the descriptor of this very listing
        found.append(int(name))
    return found
