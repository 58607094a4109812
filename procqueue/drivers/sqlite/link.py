"""The link: one process's connection to the database, its transactions, its errors, its locks, its forks.

What goes wrong with SQLite in a process that runs other people's code stands here. A handler that merely
opens and closes the database file drops all POSIX locks of its process; the next process to close believes
it is the last and deletes the write-ahead log under us. So each link also holds an *open file description*
lock where SQLite looks before it deletes: nobody else's close drops that one.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import sqlite3
import struct
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from procqueue.core.errors import DriverError, DriverUnavailable, Full, Newer, Stale
from procqueue.drivers.contract import LAYOUT
from procqueue.drivers.sqlite.gate import Gate

_JOURNAL_LIMIT = 64 << 20

#: The bytes of the file on which SQLite's readers hold a shared lock (os.h: SHARED_FIRST, SHARED_SIZE).
_SHARED_BYTES = (0x40000002, 510)

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


class Link:
    """One open connection of one process. `keeper`: it waits for the gate with a deadline (gate.py)."""

    def __init__(self, path: str, synchronous: str, mode: int, timeout: float, keeper: bool) -> None:
        if synchronous not in ("full", "normal"):
            raise ValueError(f"synchronous is 'full' or 'normal', not {synchronous!r}")
        self.path = path = os.path.realpath(path)  # two names of one file must not have two gates
        self._synchronous = synchronous
        self._mode = mode
        self._timeout = timeout
        self._db: sqlite3.Connection | None = None
        self._fd = -1
        self._files: tuple[int, int] | None = None  # what the names stood for when they were opened
        with self._translated():
            _make_private(Path(path).parent)
            self.gate = Gate(f"{path}.gate", mode, timeout if keeper else None)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    @property
    def server(self) -> str:
        """What stands for the store: another file under the same name is another one."""
        return str(self._files[0]) if self._files else ""

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for reads that need no transaction of their own."""
        with self._translated():
            db = self._checked()
            _check_layout(db, self.path)
            yield db

    @contextlib.contextmanager
    def writing(self, *, growing: bool = False, lasting: bool = True) -> Iterator[sqlite3.Connection]:
        """Give the connection inside one write transaction: committed at the end, or nothing happened.

        `growing`: a full disk raises Full instead of DriverUnavailable. `lasting`: False for what may be lost
        at a power cut, so that the disk is not waited for.
        """
        with self._translated(growing), self.gate_of_this_process():
            db = self._checked()
            with self._synchronous_at(db, self._synchronous if lasting else "normal"):
                db.execute("BEGIN IMMEDIATE")
                try:
                    _check_layout(db, self.path)
                    yield db
                    self._commit(db)
                except BaseException:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise

    def gate_of_this_process(self) -> Gate:
        """Return the gate. Raises DriverError in a forked child."""
        if os.getpid() != self._pid:
            raise DriverError(
                f"this connection to {self.path!r} was opened by process {self._pid} and must not be used "
                "after a fork: open a new driver in the child"
            )
        if self._db is None:
            raise DriverError(f"this connection to {self.path!r} is closed")
        return self.gate

    def close(self) -> None:
        """Close the connection, under the gate. Never raises; in a forked child it does nothing."""
        db, self._db = self._db, None
        try:
            if db is not None and os.getpid() == self._pid:
                self._close(db)
        except (OSError, sqlite3.Error, DriverError):
            _leak(db)
        finally:
            self._close_descriptors()

    def let_go_in_child(self) -> None:
        """Let go of what a child must not keep, without touching what is the parent's."""
        _leak(self._db)
        self._close_descriptors()

    def _open(self) -> None:
        self._pid = os.getpid()
        with self._translated(), self.gate:
            self._fd = _open_file(self.path, self._mode)
            db = self._db = sqlite3.connect(
                self.path,
                timeout=self._timeout,
                isolation_level=None,  # no transaction but those of writing()
                check_same_thread=False,  # producers guard it with a lock of their own
                cached_statements=256,
            )
            (journal,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
            if journal != "wal":
                raise DriverError(f"{self.path!r} cannot be in WAL mode, only {journal!r}: a network disk?")
            db.execute(f"PRAGMA synchronous = {self._synchronous}")
            db.execute(f"PRAGMA journal_size_limit = {_JOURNAL_LIMIT}")
            _check_layout(db, self.path, create=True)
            _hold_shared(self._fd)
            self._files = self._names()

    def _checked(self) -> sqlite3.Connection:
        self.gate_of_this_process()
        assert self._db is not None
        if self._names() != self._files:
            # Commits would go into deleted files. A second connection would share the deleted index with
            # this one (SQLite keeps one per process and file), so only a new process can go on.
            raise Stale(
                f"{self.path!r} or its -wal file was deleted or replaced while in use: restart this process, "
                "and let nothing remove these files"
            )
        return self._db

    def _names(self) -> tuple[int, int]:
        try:
            return os.stat(self.path).st_ino, os.stat(f"{self.path}-wal").st_ino
        except FileNotFoundError:
            return (0, 0)

    @contextlib.contextmanager
    def _synchronous_at(self, db: sqlite3.Connection, level: str) -> Iterator[None]:
        if level == self._synchronous:
            yield
            return
        db.execute(f"PRAGMA synchronous = {level}")
        try:
            yield
        finally:
            db.execute(f"PRAGMA synchronous = {self._synchronous}")

    def _commit(self, db: sqlite3.Connection) -> None:
        try:
            db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            failure = _translation(error, self.path, growing=False)
            if isinstance(failure, DriverUnavailable) and _code(error) == sqlite3.SQLITE_IOERR:
                failure.sent = True  # written, but not known to be on the disk: it may be there after a crash
                raise failure from error
            raise

    def _close(self, db: sqlite3.Connection) -> None:
        with self.gate:
            if self._files is not None and self._names() != self._files:
                return _leak(db)  # its close would delete, by name, a log that is not its own
            _let_go(self._fd)  # else the last to close could not tidy up behind itself
            db.close()
        return None

    def _close_descriptors(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        self.gate.close()

    @contextlib.contextmanager
    def _translated(self, growing: bool = False) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            raise _translation(error, self.path, growing=growing) from error


def _check_layout(db: sqlite3.Connection, path: str, *, create: bool = False) -> None:
    if create and db.execute("SELECT 1 FROM sqlite_master WHERE name = 'layout'").fetchone() is None:
        _create_layout(db)
    (version,) = db.execute("SELECT version FROM layout").fetchone()
    if version > LAYOUT:
        raise Newer(f"{path!r} has layout {version}, this procqueue knows {LAYOUT}: use the newer procqueue")


def _create_layout(db: sqlite3.Connection) -> None:
    schema = resources.files("procqueue.drivers.sqlite").joinpath("schema.sql").read_text("utf-8")
    try:
        db.executescript(f"BEGIN IMMEDIATE; {schema} INSERT INTO layout VALUES ({LAYOUT}); COMMIT;")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _open_file(path: str, mode: int) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    os.fchmod(fd, mode)  # whatever the umask is; SQLite gives -wal and -shm the same
    return fd


def _hold_shared(fd: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # not Linux: the keeper must do
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_RDLCK))


def _let_go(fd: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_UNLCK))


def _flock(kind: int) -> bytes:
    return struct.pack("hhqqi", kind, os.SEEK_SET, *_SHARED_BYTES, 0)


def _translation(error: Exception, path: str, *, growing: bool) -> DriverError:
    code = _code(error)
    if code == sqlite3.SQLITE_FULL:
        kind = Full if growing else DriverUnavailable
        return kind(f"the disk of {path!r} is full: {error}")
    if code in _AGAIN_LATER or isinstance(error, OSError):
        return DriverUnavailable(f"{path!r}: {error}")
    advice = _ADVICE.get(code)
    return DriverError(f"{path!r}: {error} ({advice})" if advice else f"{path!r}: {error}")


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extension


def _leak(db: sqlite3.Connection | None) -> None:
    if db is not None:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(db))  # so that it is never closed, not at exit either


def _make_private(folder: Path) -> None:
    """Make a directory and what is missing above it for this user alone."""
    if not folder.exists():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def now_ms() -> int:
    """Return the driver's clock (law D9): the host's wall clock, in ms since 1970 UTC."""
    return time.time_ns() // 1_000_000
