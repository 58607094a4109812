"""The files of one database: whether the names still stand for what was opened, and what to do if not.

A handler, a backup or a person may remove or replace any of them while it is in use. SQLite does not notice:
commits succeed into files that have no name. So every transaction looks before it begins, and again before
it is answered.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from dataclasses import dataclass

#: A directory that changed so lately may change again without showing it: its time has the kernel's ticks.
_SETTLED_NS = 100_000_000
#: Each name is looked at itself once in so many seconds: a mount over a file leaves no trace there.
_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Names:
    """What each name stands for: device and inode, None if there is nothing. Of an open file it is unique."""

    database: tuple[int, int] | None
    log: tuple[int, int] | None
    index: tuple[int, int] | None
    gate: tuple[int, int] | None

    @classmethod
    def of(cls, path: str) -> Names:
        """Look; nothing is opened, for to close it would drop the locks of this process."""
        return cls(_stands_for(path), _stands_for(f"{path}-wal"), _stands_for(f"{path}-shm"),
                   _stands_for(f"{path}.gate"))  # fmt: skip


class Watch:
    """What the names stood for when the files were opened, and a quick way to know that they still do.

    No name comes, goes or changes without its directory's time: eight looks at files in each transaction
    would cost as much as a fifth of a push. `looks`: how often more was looked at than the directory's time.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._folder = os.path.dirname(path)
        self._unchanged: tuple[int, int, int] | None = None  # the directory, when all was as it was opened
        self._look_at = 0.0
        self.looks = 0
        self.opened = Names.of(path)

    def changed(self) -> Names | None:
        """Return what the names stand for now, None if that is what was opened."""
        try:
            found = os.stat(self._folder)
        except OSError:
            return Names.of(self._path)
        stands = found.st_dev, found.st_ino, found.st_ctime_ns
        if stands == self._unchanged and time.monotonic() < self._look_at:
            return None
        self._unchanged = None
        self.looks += 1
        if (now := Names.of(self._path)) != self.opened:
            return now
        if time.time_ns() - found.st_ctime_ns > _SETTLED_NS:
            self._unchanged, self._look_at = stands, time.monotonic() + _LOOK_SECONDS
        return None


def retire(db: sqlite3.Connection, path: str, opened: Names) -> bool:
    """Save what only the old log has into the old database, wherever that is now; True if that was done.

    To be called under the gate by each who finds the files changed; the first does it, and leaves the log
    empty. The log of a database that has lost its name is removed with its index, or put aside if somebody's
    long read kept it from being emptied: SQLite would else play it into the new one, page by page.
    """
    now = Names.of(path)
    # With a new log, or another index, somebody may have written behind the back of this connection.
    untouched = now.index == opened.index and now.log in (opened.log, None)
    if untouched:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    saved = _is_empty(opened.log)
    if now.database != opened.database:
        with contextlib.suppress(FileNotFoundError):
            if now.log == opened.log:
                os.unlink(f"{path}-wal") if saved else os.replace(f"{path}-wal", _aside(path))
            if now.index == opened.index:
                os.unlink(f"{path}-shm")
    return saved


def gone_sentence(path: str, opened: Names, now: Names, *, saved: bool) -> str:
    """Say what was removed, what became of what was stored, and what to do."""
    if now.database != opened.database:
        what = "the database"
        became = "What was stored in the old file is not in the new one"
        if saved:
            became += ", and the old file is complete, if it still has a name elsewhere"
        elif os.path.exists(_aside(path)):
            became += f"; the rest of it, its log, was put aside as {_aside(path)!r}"
    elif now.log != opened.log:
        what = "its -wal file"
        became = (
            "What stood there was saved into the database: nothing answered is lost"
            if saved
            else "What stood there alone may be lost"
        )
    else:
        what = "its -shm file" if now.index != opened.index else "its .gate file"
        became = "Nothing answered is lost by that"
    return (
        f"{path!r}: {what} was deleted or replaced while in use. {became}. A process that has it open has to "
        "be restarted, which consumers do by themselves; let nothing remove, replace or overwrite these files"
    )


def _aside(path: str) -> str:
    """Return the name under which the log of a database that was moved away is kept for people."""
    return f"{path}.old-wal"


def _is_empty(log: tuple[int, int] | None) -> bool:
    """Return whether the log that SQLite has open, whatever its name is now, holds nothing any more."""
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found = os.stat(f"/proc/self/fd/{fd}")
            if (found.st_dev, found.st_ino) == log:
                return found.st_size == 0
    return False


def _stands_for(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
