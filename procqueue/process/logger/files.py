"""A file that takes lines, and is rotated by its size: name, name.1 … name.N.

A batch goes into one file in one piece, so a reader never finds half a line at the seam. A file that was
moved or deleted is opened anew within a second (or at once, by reopen), and what was written until then is
in the moved one.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from procqueue.process.logger.journal import Growth
from procqueue.process.logger.lines import Batch, batch_at
from procqueue.process.logger.trouble import Tell, Trouble

#: Seconds between two looks whether the name still means this file.
_LOOK = 1.0


class FileTarget:
    """One file. `most`: bytes after which it is rotated, 0 for never; `backups`: old ones that are kept."""

    def __init__(
        self,
        path: str,
        most: int,
        backups: int,
        dress: Callable[[Batch], bytes],
        tell: Tell,
        *,
        mode: int = 0o640,
    ) -> None:
        self.path = path
        self._most = most
        self._backups = backups
        self._dress = dress
        self._mode = mode
        self.trouble = Trouble(path, tell)
        self._rotation = Trouble(f"{path} (rotation)", tell)
        self._fd = -1
        self._inode = 0
        self._size = 0
        self._looked = float("-inf")

    def dress(self, batch: Batch) -> bytes:
        """Return the bytes that a batch is here."""
        return self._dress(batch)

    def room(self) -> int | None:
        """Return how many bytes fit before the next rotation, None if there will be none now."""
        now = time.monotonic()
        if not self._most or self._fd == -1 or self.trouble.forbids(now) or self._rotation.forbids(now):
            return None
        return max(0, self._most - self._size)

    def prepare(self, data: bytes, lines: int) -> list[Growth] | None:
        """Open or rotate, as needed for `data`; None if these lines are dropped, and counted."""
        now = time.monotonic()
        if self.trouble.forbids(now):
            self.trouble.drop(lines)
            return None
        try:
            self._ensure(now)
            if self._most and self._size and self._size + len(data) > self._most:
                self._rotate(now)
        except OSError as error:
            self.trouble.failed(error, lines, now)
            return None
        return [Growth(self.path, self._inode, self._size, len(data) + len(self._notice()))]

    def write(self, data: bytes, lines: int) -> None:
        """Write what was prepared: all of it, or nothing."""
        notice = self._notice()
        try:
            _write_all(self._fd, notice + data, self._size)
        except OSError as error:
            self.trouble.failed(error, lines, time.monotonic())
            return
        self._size += len(notice) + len(data)
        self.trouble.worked(time.monotonic())

    def retry(self, now: float) -> None:
        """Try again to write what is missing, if it is time for that."""
        if self.trouble.due <= now and self.prepare(b"", 0) is not None:
            self.write(b"", 0)

    def reopen(self) -> None:
        """Open the name anew with the next batch: whoever moved the file wants a new one."""
        if self._fd != -1:
            os.close(self._fd)
            self._fd = -1

    def _notice(self) -> bytes:
        if not (text := self.trouble.notice()):
            return b""
        data = text.encode("utf-8", "backslashreplace")
        return self._dress(batch_at(time.time(), "logger", "err", data))

    def _ensure(self, now: float) -> None:
        """Have the file open that the name means."""
        if self._fd != -1:
            found = os.fstat(self._fd)
            moved = not found.st_nlink
            if not moved and now - self._looked >= _LOOK:
                self._looked = now
                moved = not _is_at(self.path, found)
            if moved:
                self.reopen()
            self._size = found.st_size  # somebody may have truncated it
        if self._fd == -1:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            # Not blocking: a FIFO without a reader is an error (ENXIO), not the end of all logging.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
            self._fd = os.open(self.path, flags, self._mode)
            found = os.fstat(self._fd)
            self._inode, self._size = found.st_ino, found.st_size
            self._looked = now

    def _rotate(self, now: float) -> None:
        """Shift the old ones, and begin anew; where that is not allowed, go on in the same file."""
        if self._rotation.forbids(now):
            return
        try:
            if not self._backups:
                os.unlink(self.path)
            for number in range(self._backups, 0, -1):
                older = f"{self.path}.{number - 1}" if number > 1 else self.path
                with contextlib.suppress(FileNotFoundError):
                    os.rename(older, f"{self.path}.{number}")
        except FileNotFoundError:
            pass
        except OSError as error:
            self._rotation.failed(error, 0, now)
            return
        self._rotation.worked(now)
        self.reopen()
        self._ensure(now)


def _is_at(path: str, found: os.stat_result) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    return (there.st_ino, there.st_dev) == (found.st_ino, found.st_dev)


def _write_all(fd: int, data: bytes, size: int) -> None:
    """Append all of `data`, or cut the file back to `size` and raise OSError."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError:
        if len(rest) < len(data):
            with contextlib.suppress(OSError):
                os.ftruncate(fd, size)
        raise
