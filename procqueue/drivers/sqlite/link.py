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

from procqueue.core.errors import DriverError, DriverUnavailable, Newer, Stale
from procqueue.drivers.contract import LAYOUT
from procqueue.drivers.sqlite import faults
from procqueue.drivers.sqlite.disk import refuse_network_disk
from procqueue.drivers.sqlite.files import Watch, gone_sentence, retire
from procqueue.drivers.sqlite.gate import Gate
from procqueue.drivers.sqlite.sharing import Sharing

#: What the write-ahead log is cut to when it begins anew; longer only while somebody reads and reads.
JOURNAL_LIMIT = 64 << 20

#: The bytes of the file on which SQLite's readers hold a shared lock (os.h: SHARED_FIRST, SHARED_SIZE).
_SHARED_BYTES = (0x40000002, 510)

#: No wait is begun anew if it has so little of its time left; and who finds the files gone waits so long.
_LITTLE_SECONDS = 0.25


class Link:
    """One open connection of one process. `keeper`: it waits for the gate with a deadline (gate.py)."""

    def __init__(self, path: str, synchronous: str, sharing: Sharing, timeout: float, keeper: bool) -> None:
        if synchronous not in ("full", "normal"):
            raise ValueError(f"synchronous is 'full' or 'normal', not {synchronous!r}")
        self.path = path = sharing.real_path(path)
        self._synchronous = synchronous
        self._sharing = sharing
        self._timeout = timeout
        self._db: sqlite3.Connection | None = None
        self._fd = -1
        self._files: Watch | None = None
        with self._translated():
            refuse_network_disk(os.path.dirname(path))
            sharing.make_folder(Path(path).parent)
            with contextlib.suppress(FileExistsError):
                os.close(sharing.make(f"{path}.gate"))
            self.gate = Gate(f"{path}.gate", sharing.mode, timeout if keeper else None)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    @property
    def server(self) -> str:
        """What stands for the store: another file under the same name is another one."""
        return str(self._files.opened.database) if self._files else ""

    def looks(self) -> int:
        """Return a number that is another one whenever a name beside the database may have changed."""
        return self._files.looks if self._files else -1

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for reads that need no transaction of their own."""
        with self._translated():
            db = self._checked(gated=False)
            _check_layout(db, self.path)
            yield db

    @contextlib.contextmanager
    def writing(
        self, *, growing: bool = False, lasting: bool = True, patience: float | None = None
    ) -> Iterator[sqlite3.Connection]:
        """Give the connection inside one write transaction: committed at the end, or nothing happened.

        `growing`: a full disk raises Full instead of DriverUnavailable. `lasting`: False for what may be lost
        at a power cut, so that the disk is not waited for. `patience`: seconds for what is not worth the
        usual wait. Whoever waits for others waits `timeout` in all, however many stand in line: what is left
        of it behind the gate is for SQLite's own lock, which only foreign programs hold.
        """
        deadline = time.monotonic() + (self._timeout if patience is None else patience)
        with self._translated(growing), self.gate_of_this_process().held(patience):
            db = self._checked(gated=True)
            with contextlib.nullcontext() if lasting else self._not_waiting_for_the_disk(db):
                self._begin(db, deadline)
                try:
                    _check_layout(db, self.path)
                    yield db
                    self._commit(db)
                except BaseException as error:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    if faults.wants_room(error):
                        _make_room(db)
                    raise
            self._checked(gated=True)  # a commit into files that were removed meanwhile is not answered

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

    def complaint(self) -> str:
        """Return what is wrong with the log, "" if nothing is."""
        size = 0
        with contextlib.suppress(OSError):
            size = os.stat(f"{self.path}-wal").st_size
        if size <= JOURNAL_LIMIT:
            return ""
        return (
            f"'{self.path}-wal' has grown to {size >> 20} MiB: some program keeps a read transaction open; "
            "until it ends that, the log can only grow (fuser -v names who has the file open)"
        )

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
        with self._translated(), self.gate.held(self._timeout):
            self._fd = _open_file(self.path, self._sharing)
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
            db.execute(f"PRAGMA journal_size_limit = {JOURNAL_LIMIT}")
            _check_layout(db, self.path, create=True)
            _hold_shared(self._fd)
            self._files = Watch(self.path)

    def _checked(self, *, gated: bool) -> sqlite3.Connection:
        """Return the connection if its files still have their names. `gated`: the gate is held."""
        self.gate_of_this_process()
        assert self._db is not None and self._files is not None
        now = self._files.changed()
        if now is None:
            return self._db
        # Commits would go into deleted files. A second connection would share the deleted index with this
        # one (SQLite keeps one per process and file), so only a new process can go on.
        saved = False
        with contextlib.suppress(sqlite3.Error, OSError, DriverUnavailable), contextlib.ExitStack() as stack:
            if not gated:
                stack.enter_context(self.gate.held(_LITTLE_SECONDS))
            saved = retire(self._db, self.path, self._files.opened)
        raise Stale(gone_sentence(self.path, self._files.opened, now, saved=saved))

    def _begin(self, db: sqlite3.Connection, deadline: float) -> None:
        """Begin a write transaction, and wait for a foreign one until `deadline`."""
        left = max(0.0, deadline - time.monotonic())
        hurried = left < self._timeout - _LITTLE_SECONDS
        if hurried:
            db.execute(f"PRAGMA busy_timeout = {round(left * 1000)}")
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if faults.code_of(error) == sqlite3.SQLITE_BUSY:
                raise faults.locked_out(error, self.path) from error
            raise
        finally:
            if hurried:
                db.execute(f"PRAGMA busy_timeout = {round(self._timeout * 1000)}")

    @contextlib.contextmanager
    def _not_waiting_for_the_disk(self, db: sqlite3.Connection) -> Iterator[None]:
        db.execute("PRAGMA synchronous = normal")
        try:
            yield
        finally:
            db.execute(f"PRAGMA synchronous = {self._synchronous}")

    def _commit(self, db: sqlite3.Connection) -> None:
        try:
            db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            failure = faults.translation(error, self.path, growing=False)
            if isinstance(failure, DriverUnavailable) and faults.code_of(error) == sqlite3.SQLITE_IOERR:
                failure.sent = True  # written, but not known to be on the disk: it may be there after a crash
                raise failure from error
            raise

    def _close(self, db: sqlite3.Connection) -> None:
        with self.gate.held(self._timeout):
            if self._files is not None and self._files.changed() is not None:
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
            raise faults.translation(error, self.path, growing=growing) from error


def _check_layout(db: sqlite3.Connection, path: str, *, create: bool = False) -> None:
    if create and db.execute("SELECT 1 FROM sqlite_master WHERE name = 'layout'").fetchone() is None:
        _create_layout(db)
    (version,) = db.execute("SELECT version FROM layout").fetchone()
    if create and db.execute("SELECT 1 FROM sqlite_master WHERE name = 'gates'").fetchone() is None:
        raise DriverError(
            f"{path!r} was made by a procqueue of before the first release, whose layout was another one: "
            "empty its queues with that procqueue, then remove the file"
        )
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


def _open_file(path: str, sharing: Sharing) -> int:
    try:
        return sharing.make(path)  # SQLite gives -wal and -shm the same permissions
    except FileExistsError:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def _hold_shared(fd: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # not Linux: the keeper must do
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_RDLCK))


def _let_go(fd: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_UNLCK))


def _flock(kind: int) -> bytes:
    return struct.pack("hhqqi", kind, os.SEEK_SET, *_SHARED_BYTES, 0)


def _make_room(db: sqlite3.Connection) -> None:
    """Let the log begin anew: then what is in hand can be settled also where no file may grow."""
    with contextlib.suppress(sqlite3.Error):
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _leak(db: sqlite3.Connection | None) -> None:
    if db is not None:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(db))  # so that it is never closed, not at exit either


def now_ms() -> int:
    """Return the driver's clock (law D9): the host's wall clock, in ms since 1970 UTC."""
    return time.time_ns() // 1_000_000
