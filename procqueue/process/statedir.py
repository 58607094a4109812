"""The state directory: everything a master keeps on disk, and the proof that it is the only one.

master.lock   POSIX record lock (lock.py)      boards/       one file per consumer and scheduler (board.py)
master.pid    for people and scripts           control.sock  the control socket (control.py)
host          the identity of this host towards the store; outlives the master, so that the next one
              can reclaim what was owned under it, unless others have declared it dead (law D6)
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from dataclasses import dataclass, field

from procqueue.process import kernel, lock
from procqueue.process.control import Access
from procqueue.process.view import NoBoard, View


class BadStateDir(Exception):
    """The directory cannot be used; the text says why and what to do."""


@dataclass(slots=True)
class StateDir:
    """An open, locked state directory."""

    path: str
    host: str
    lock_fd: int
    lost: bool = False  # it is another master's by now
    access: Access = field(default_factory=Access)  # to the control socket
    passable: bool = False  # others may go through it to what they may open

    @property
    def boards(self) -> str:
        """Where the boards lie."""
        return f"{self.path}/boards"

    @property
    def socket(self) -> str:
        """Where the control socket lies."""
        return f"{self.path}/control.sock"


@dataclass(slots=True)
class Survivor:
    """A consumer of a former master, as its board tells. `pidfd` is None if it is dead."""

    consumer: str
    pool: str
    index: int
    pid: int
    queues: tuple[str, ...]
    pidfd: int | None


def open_state_dir(path: str) -> StateDir:
    """Make and lock the directory. Raises lock.Occupied, BadStateDir."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        os.makedirs(f"{path}/boards", mode=0o700, exist_ok=True)
        _refuse_foreign(path)
        fd = lock.take(f"{path}/master.lock")
        _write(f"{path}/master.pid", f"{os.getpid()}\n")
        return StateDir(path, _host(f"{path}/host"), fd)
    except OSError as error:
        raise BadStateDir(
            f"state_dir {path!r}: {error.strerror}; make it writable or set [master] state_dir"
        ) from error


def let_pass(state: StateDir) -> None:
    """Let others through the directory, to its socket or a database in it; its own files stay closed to them.

    Raises OSError.
    """
    state.passable = True
    mode = stat.S_IMODE(os.stat(state.path).st_mode)
    if mode & 0o011 != 0o011:
        os.chmod(state.path, mode | 0o011)


def take_again(state: StateDir) -> None:
    """Make and lock a directory that was removed while its master ran. Raises Occupied, OSError."""
    os.makedirs(state.boards, mode=0o700, exist_ok=True)
    removed, state.lock_fd = state.lock_fd, lock.take(f"{state.path}/master.lock")
    os.close(removed)
    if state.passable:
        let_pass(state)
    _write(f"{state.path}/master.pid", f"{os.getpid()}\n")
    _write_host(state)


def leave_state_dir(state: StateDir) -> None:
    """Remove what must not outlive the master. The host's identity and the lock file stay."""
    for name in () if state.lost else ("master.pid", "control.sock"):
        try:
            os.unlink(f"{state.path}/{name}")
        except FileNotFoundError:
            pass
    os.close(state.lock_fd)


def survivors(state: StateDir) -> list[Survivor]:
    """Return the consumers whose boards a former master left behind, with a pidfd of those that live."""
    found: list[Survivor] = []
    for name in sorted(os.listdir(state.boards)):
        path = f"{state.boards}/{name}"
        if name.endswith(".board"):
            try:
                one = _survivor(path)
            except NoBoard:
                pass
            else:
                if not one.pool.startswith("@"):
                    found.append(one)
                    continue
                if one.pidfd is not None and kernel.runs(one.pidfd):
                    continue  # the undertaker of the former master: it leaves by itself
        with contextlib.suppress(FileNotFoundError):  # an old undertaker may be at it too
            os.unlink(path)  # a draft, a dead scheduler's, or nothing that anybody can read
    return found


def renew_host(state: StateDir) -> None:
    """Take a new identity towards the store. Raises OSError where it cannot be kept for the next master."""
    state.host = secrets.token_hex(8)
    _write_host(state)


def _write_host(state: StateDir) -> None:
    _write(f"{state.path}/host", f"{state.host} {_place(state.path)}\n")


def _survivor(path: str) -> Survivor:
    board = View.open(path)
    identity = board.identity
    board.close()
    try:
        pid, started = int(identity["pid"]), int(identity["start_time"])
        same_boot = identity["boot_id"] == kernel.boot_id()
        pidfd = kernel.open_pidfd(pid, started) if same_boot else None
        return Survivor(
            str(identity["consumer"]), str(identity["pool"]), int(identity["index"]), pid, board.queues, pidfd
        )
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise NoBoard(f"{path}: {error}") from error


def _refuse_foreign(path: str) -> None:
    found = os.stat(path)
    if found.st_uid not in (os.geteuid(), 0):
        raise BadStateDir(
            f"state_dir {path!r} belongs to another user (uid {found.st_uid}); choose another one"
        )
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise BadStateDir(f"state_dir {path!r} can be written by others; run: chmod go-w {path}")


def _host(path: str) -> str:
    """Return the identity kept here, or a new one where there is none, or where it is that of another place.

    A copy of the directory (an image of a container, a restored backup) must not take itself for the
    original: it would reclaim what the original's living consumers own.
    """
    place = _place(os.path.dirname(path))
    try:
        with open(path, encoding="ascii") as file:
            host, _, kept_at = file.read().strip().partition(" ")
        if len(host) == 16 and host.isalnum() and kept_at == place:
            return host
        shutil.rmtree(f"{os.path.dirname(path)}/boards")
        os.mkdir(f"{os.path.dirname(path)}/boards", mode=0o700)
    except FileNotFoundError:
        pass
    host = secrets.token_hex(8)
    _write(path, f"{host} {place}\n")
    return host


def _place(folder: str) -> str:
    """Return what a copy of the directory would not have: the machine and the inode."""
    try:
        with open("/etc/machine-id", encoding="ascii") as file:
            machine = file.read().strip()
    except OSError:
        machine = ""
    return f"{machine or 'machine'}:{os.stat(folder).st_ino}"


def _write(path: str, text: str) -> None:
    draft = f"{path}.draft"
    with open(draft, "w", encoding="ascii", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
        file.write(text)
    os.rename(draft, path)
