"""What SQLite says when it fails, as procqueue's errors: what, where, and what to do."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from procqueue.core.errors import DriverError, DriverUnavailable, Full

_AGAIN_LATER = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOMEM,
}

_ADVICE = {
    sqlite3.SQLITE_CORRUPT: "the file is damaged: stop what uses it, then restore a backup or try .recover",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database: name another file, or move this one away",
    sqlite3.SQLITE_READONLY: "the file, or its directory, is not writable for this user",
    sqlite3.SQLITE_PERM: "the file is not accessible for this user",
}

#: The byte of the -shm file that a writer has locked (wal.c: WALINDEX_LOCK_OFFSET).
_WRITER_BYTE = "120"


def translation(error: Exception, path: str, *, growing: bool) -> DriverError:
    """Return the error to raise. `growing`: a full disk is Full, else something to wait for."""
    code = code_of(error)
    if code == sqlite3.SQLITE_FULL:
        kind = Full if growing else DriverUnavailable
        return kind(f"the disk of {path!r} is full: {error} (make room there; what is stored is not lost)")
    if isinstance(error, IsADirectoryError):
        return DriverError(f"{path!r} is a directory: name a file in [driver] url")
    if code in _AGAIN_LATER or isinstance(error, OSError):
        return DriverUnavailable(f"{path!r}: {error}")
    advice = _ADVICE.get(code)
    return DriverError(f"{path!r}: {error} ({advice})" if advice else f"{path!r}: {error}")


def code_of(error: Exception) -> int:
    """Return SQLite's code without the extension, 0 for what is not SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def wants_room(error: BaseException) -> bool:
    """Return whether a transaction failed because the disk, or a limit on file sizes, is reached, perhaps."""
    cause = error.__cause__ if isinstance(error, DriverError) else error
    return isinstance(cause, sqlite3.Error) and code_of(cause) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def locked_out(error: sqlite3.Error, path: str) -> DriverUnavailable:
    """Return the error for a write transaction that another program does not end."""
    writer = _writer_of(path)
    who = f"pid {writer}" if writer else "another program"
    failure = DriverUnavailable(f"{path!r}: {error}: {who} has a write transaction open; let it end that")
    failure.holder = writer
    return failure


def _writer_of(path: str) -> int:
    """Return the pid of the process in a write transaction, 0 if the kernel does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        inode = os.stat(f"{path}-shm").st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()  # 1: POSIX ADVISORY WRITE 4711 fe:00:5678 120 120
            its = fields[5].endswith(f":{inode}") and fields[6] == _WRITER_BYTE
            if its and fields[1:4] == ["POSIX", "ADVISORY", "WRITE"] and int(fields[4]) != os.getpid():
                return max(0, int(fields[4]))
    return 0
