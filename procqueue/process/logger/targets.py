"""Where lines go besides files (files.py): the terminal and syslog. Neither holds up the logger for long.

A terminal may stand still (Ctrl-S, a full pipe): what is for it waits in the journal, and only a child
whose lines no longer fit there is left unread. O_NONBLOCK is never set on what the master has inherited: it
would belong to everyone who shares the terminal; so it is opened once more, and where that cannot be,
written to in small pieces.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from procqueue.process.logger.journal import Growth, Journal
from procqueue.process.logger.lines import Batch
from procqueue.process.logger.trouble import Tell, Trouble

#: What a pipe that is writable takes without blocking (PIPE_BUF).
_SURE = 4096
_MUCH = 65536
#: /dev/log: facility user; severity info for stdout, error for stderr.
_PRIORITY = {"out": 14, "err": 11}
#: Seconds that syslog may make a line wait.
_SYSLOG_PATIENCE = 0.05


class Target(Protocol):
    """Takes batches: first dressed, then prepared, then, when the journal knows, written."""

    trouble: Trouble

    def dress(self, batch: Batch) -> bytes:
        """Return the bytes that a batch is here."""
        ...

    def room(self) -> int | None:
        """Return how many bytes fit well, None for any number."""
        ...

    def prepare(self, data: bytes, lines: int) -> list[Growth] | None:
        """Make ready for `data`; return which files will grow. None: these lines are dropped, and counted."""
        ...

    def write(self, data: bytes, lines: int) -> None:
        """Write it, or count what is lost."""
        ...

    def retry(self, now: float) -> None:
        """Try again, if there was trouble and it is time."""
        ...


class Terminal:
    """The master's stdout or stderr, behind a queue in the journal. `blocked`: `fileno` is not writable."""

    def __init__(
        self, fd: int, journal: Journal, number: int, dress: Callable[[Batch], bytes], name: str, tell: Tell
    ) -> None:
        self._journal = journal
        self._number = number
        self._dress = dress
        self.trouble = Trouble(name, tell)
        self.blocked = False
        self._fd, self._send, self._most = _writer(fd)

    def fileno(self) -> int:
        """Return the descriptor, for epoll."""
        return self._fd

    def dress(self, batch: Batch) -> bytes:
        """Return the bytes that a batch is here."""
        return self._dress(batch)

    def room(self) -> int | None:
        """Return how many bytes the queue takes now."""
        return self._journal.room(self._number)

    @property
    def has_waiting(self) -> bool:
        """True if something has to be written before the whole queue is free."""
        return not self._journal.is_empty(self._number)

    def prepare(self, data: bytes, lines: int) -> list[Growth] | None:
        """Drop the lines while nobody reads them; else the queue has the room, and the journal its end."""
        del data
        if self.trouble.forbids(time.monotonic()):
            self.trouble.drop(lines)
            return None
        return []

    def write(self, data: bytes, lines: int) -> None:
        """Put it into the queue."""
        del lines
        self._journal.enqueue(self._number, data)

    def retry(self, now: float) -> None:
        """Nothing to do: the next line is the next try."""

    def flush(self) -> None:
        """Write what waits, as far as it can be written without waiting."""
        while not self.blocked and not self._journal.is_empty(self._number):
            data = self._journal.waiting(self._number, self._most)
            try:
                written = self._send(data)
            except BlockingIOError:
                self.blocked = True
                return
            except OSError as error:
                # Nobody reads it any more; what waits would be wrong by the time that somebody does.
                self.trouble.failed(error, data.count(b"\n"), time.monotonic())
                self._journal.dequeue(self._number, len(data))
                continue
            self._journal.dequeue(self._number, written)
            self.trouble.worked(time.monotonic())


class Syslog:
    """/dev/log, as the C library writes to it: a datagram for each line."""

    def __init__(self, tell: Tell, path: str = "/dev/log") -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self.trouble = Trouble("syslog", tell)

    def dress(self, batch: Batch) -> bytes:
        """Return one datagram a line, each ended by a newline that is not sent."""
        at = datetime.fromisoformat(batch.moment).astimezone()
        # strftime's %b speaks the locale's language; syslog wants English.
        month = "JanFebMarAprMayJunJulAugSepOctNovDec"[3 * at.month - 3 : 3 * at.month]
        head = f"<{_PRIORITY[batch.stream]}>{month} {at.day:2} {batch.clock} {batch.name}: ".encode()
        body = batch.data.removesuffix(b"\n").replace(b"\0", b"\\0")
        return head + body.replace(b"\n", b"\n" + head)

    def room(self) -> int | None:
        """Return None: it takes what comes."""
        return None

    def prepare(self, data: bytes, lines: int) -> list[Growth] | None:
        """Drop the lines while nobody takes them."""
        del data
        if self.trouble.forbids(time.monotonic()):
            self.trouble.drop(lines)
            return None
        return []

    def write(self, data: bytes, lines: int) -> None:
        """Send each line; with the first that cannot be sent, the rest is lost."""
        del lines
        left = data.split(b"\n")
        try:
            if self._socket is None:
                self._socket = self._connect()
            while left:
                self._socket.send(left[0])
                left.pop(0)
        except OSError as error:
            self.trouble.failed(error, len(left), time.monotonic())
            self.reopen()
            return
        self.trouble.worked(time.monotonic())

    def retry(self, now: float) -> None:
        """Nothing to do: the next line is the next try."""

    def reopen(self) -> None:
        """Connect anew with the next line."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.settimeout(_SYSLOG_PATIENCE)
        try:
            made.connect(self._path)
        except OSError:
            made.close()
            raise
        return made


def _writer(fd: int) -> tuple[int, Callable[[bytes], int], int]:
    """Return a descriptor for epoll, how to write without waiting, and how much at once."""
    try:
        kind = os.fstat(fd).st_mode
    except OSError:
        return fd, lambda data: os.write(fd, data), _MUCH  # closed: each write will say so
    if stat.S_ISSOCK(kind):
        end = socket.socket(fileno=os.dup(fd))
        return end.fileno(), lambda data: end.send(data, socket.MSG_DONTWAIT), _MUCH
    if stat.S_ISFIFO(kind) or os.isatty(fd):
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            own = os.open(f"/proc/self/fd/{fd}", flags)
            return own, lambda data: os.write(own, data), _MUCH
        return fd, lambda data: _write_where_room(fd, data), _SURE
    return fd, lambda data: os.write(fd, data), _MUCH


def _write_where_room(fd: int, data: bytes) -> int:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    if not poll.poll(0):
        raise BlockingIOError
    return os.write(fd, data)
