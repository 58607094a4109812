"""Where a child is: it writes the stacks of all its threads into a file of its own when SIGUSR2 comes.

The handler is C code (faulthandler), so it also answers in the middle of a library or of an endless loop.
The master asks one child after the other, reads the file once it grows no more, and never waits.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from procqueue.process import kernel
from procqueue.process.log import Log
from procqueue.process.nursery import Kept

Document = dict[str, Any]

#: A file that is as long as so many seconds ago is whole; nobody tells where it ends.
_LOOK_EVERY = 0.05
#: Who has written nothing for so long stands still, or sits in the kernel.
_PATIENCE = 3.0
_MOST_BYTES = 64 * 1024
#: So many lines go to the log at once, so that they find room in its pipe.
_LINES = 100


def folder_of(state_dir: str) -> str:
    """Return where the files lie: one for each that listens, named by its pid, or its id (handed.py)."""
    return f"{state_dir}/stacks"


def open_file(folder: str) -> int:
    """Return the descriptor of this process's file, -1 if there can be none."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(f"{folder}/{os.getpid()}", flags, 0o600)
    except OSError:
        return -1  # somebody has removed the directory, or no descriptor is free: it works without


def listen(fd: int) -> None:
    """From now on SIGUSR2 writes the stacks there, unless the application has it for itself; -1: nowhere."""
    if fd < 0:
        return
    if callable(signal.getsignal(signal.SIGUSR2)):
        os.close(fd)  # so that the master sees that it does not listen
    else:
        faulthandler.register(signal.SIGUSR2, file=fd, all_threads=True)


class Master(Protocol):
    """What is needed of the master."""

    log: Log


@dataclass(slots=True)
class _Request:
    """Somebody who wants to see stacks. `told` gets a document for each child."""

    left: deque[Kept]
    told: Callable[[list[Document]], None]
    found: list[Document] = field(default_factory=list)


class Stacks:
    """The master's side: asks the children, and reads what they write."""

    def __init__(self, master: Master, state_dir: str) -> None:
        self._master = master
        self._folder = folder_of(state_dir)
        self._requests: deque[_Request] = deque()
        self._asked: Kept | None = None
        self._give_up_at = 0.0
        self._size = 0
        self._look_at = float("inf")
        self._lines: deque[dict[str, Any]] = deque()
        with contextlib.suppress(OSError):
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
        self._clear()

    def ask(self, children: Iterable[Kept], told: Callable[[list[Document]], None]) -> None:
        """Have `told` called with the stacks of these children: name, pid, text, or why there is none."""
        self._requests.append(_Request(deque(children), told))
        self._look_at = 0.0

    def log(self, children: Iterable[Kept]) -> None:
        """Have the stacks written to the log: of all that listen."""
        self.ask(children, self._write)

    def next_moment(self) -> float:
        """Return when to look again (monotonic; inf if there is nothing to see)."""
        return self._look_at

    def tick(self, now: float) -> None:
        """Look at the file of who was asked, and go on to the next."""
        if now < self._look_at:
            return
        for _ in range(min(_LINES, len(self._lines))):
            self._master.log.info("stack", **self._lines.popleft())
        while self._requests and not self._is_writing(now):
            request = self._requests[0]
            if request.left:
                self._begin(request.left.popleft(), now)
            else:
                self._requests.popleft()
                request.told(request.found)
        self._look_at = now + _LOOK_EVERY if self._requests or self._lines else float("inf")

    def forget(self, kept: Kept) -> None:
        """It is dead."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(kept))

    def end(self) -> None:
        """Leave no file behind."""
        self._clear()
        with contextlib.suppress(OSError):
            os.rmdir(self._folder)

    def _begin(self, kept: Kept, now: float) -> None:
        path = self._path(kept)
        if not _listens(kept.pid, path):
            why = "it does not listen: it is no Python of ours, is just starting, or has closed the file"
            self._note(kept, why=why)
            return
        try:
            os.truncate(path, 0)
        except OSError as error:
            self._note(kept, why=f"{path}: {error.strerror}")
            return
        self._asked, self._size, self._give_up_at = kept, 0, now + _PATIENCE
        kernel.send(kept.pid, signal.SIGUSR2)

    def _is_writing(self, now: float) -> bool:
        """True while somebody was asked who has not written all; what is whole is noted."""
        kept = self._asked
        if kept is None:
            return False
        try:
            size = os.stat(self._path(kept)).st_size
        except OSError:
            size = 0
        grows, self._size = size == 0 or size != self._size, size
        if grows and now < self._give_up_at:
            return True
        self._asked = None
        if size:
            with open(self._path(kept), encoding="utf-8", errors="replace") as file:
                self._note(kept, text=file.read(_MOST_BYTES))
        elif kernel.is_stopped(kept.pid):
            self._note(kept, why="it stands still: somebody has stopped it (SIGSTOP)")
        else:
            self._note(kept, why="it has not answered: it has ended, or is in the kernel")
        return False

    def _note(self, kept: Kept, text: str = "", why: str = "") -> None:
        found = {"name": kept.name, "pid": kept.pid, "text": text, "why": why}
        self._requests[0].found.append(found)

    def _write(self, found: list[Document]) -> None:
        for one in found:
            for line in (one["text"] or one["why"]).splitlines():
                self._lines.append({"name": one["name"], "pid": one["pid"], "text": line.strip()})

    def _path(self, kept: Kept) -> str:
        return f"{self._folder}/{kept.id if kept.handed else kept.pid}"

    def _clear(self) -> None:
        with contextlib.suppress(OSError):
            for name in os.listdir(self._folder):
                os.unlink(f"{self._folder}/{name}")


def _listens(pid: int, path: str) -> bool:
    """True if a process catches SIGUSR2, and still has the file.

    Else the signal would end it, or its words would go into whatever got the number of the descriptor.
    """
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            caught = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt:"))
        if not caught >> (signal.SIGUSR2 - 1) & 1:
            return False
        folder = f"/proc/{pid}/fd"
        file_of = os.stat(path)
        return any(os.path.samestat(os.stat(f"{folder}/{fd}"), file_of) for fd in os.listdir(folder))
    except (OSError, StopIteration):
        return False
