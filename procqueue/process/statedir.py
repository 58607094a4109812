"""The state directory: everything a master keeps on disk, and the proof that it is the only one.

master.lock   POSIX record lock (lock.py)      boards/       one file per consumer and scheduler (board.py)
master.pid    for people and scripts           control.sock  the control socket (control.py)
host          the identity of this host towards the store; outlives the master, so that the next one
              can reclaim what was owned under it, unless others have declared it dead (law D6)
host@NAME     the same towards the store of [drivers.NAME]: who is dead there lives on elsewhere
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
    named: dict[str, str] = field(default_factory=dict)  # the identities towards drivers with a name

    @property
    def boards(self) -> str:
        """Where the boards lie."""
        return f"{self.path}/boards"

    def host_at(self, driver: str) -> str:
        """Return the identity of this host towards the store of a driver."""
        if not driver:
            return self.host
        if driver not in self.named:
            file = _host_file(self, driver)
            with contextlib.suppress(OSError):
                self.named[driver] = _kept_host(file)
            if not self.named.get(driver):
                self.named[driver] = secrets.token_hex(8)
                with contextlib.suppress(OSError):  # else the next master will be somebody else there
                    _write_host(file, self.named[driver])
        return self.named[driver]

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
    driver: str = ""


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


def let_pass(path: str) -> None:
    """Let others through a directory, to a socket or a database in it; all else in it stays closed.

    Raises OSError.
    """
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & 0o011 != 0o011:
        os.chmod(path, mode | 0o011)


def take_again(state: StateDir) -> None:
    """Make and lock a directory that was removed while its master ran. Raises Occupied, OSError."""
    os.makedirs(state.boards, mode=0o700, exist_ok=True)
    removed, state.lock_fd = state.lock_fd, lock.take(f"{state.path}/master.lock")
    os.close(removed)
    if state.passable:
        let_pass(state.path)
    _write(f"{state.path}/master.pid", f"{os.getpid()}\n")
    for driver in ("", *state.named):
        _write_host(_host_file(state, driver), state.host_at(driver))


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


def renew_host(state: StateDir, driver: str) -> None:
    """Take a new identity towards a store. Raises OSError where it cannot be kept for the next master."""
    host = secrets.token_hex(8)
    if driver:
        state.named[driver] = host
    else:
        state.host = host
    _write_host(_host_file(state, driver), host)


def _host_file(state: StateDir, driver: str) -> str:
    return f"{state.path}/host@{driver}" if driver else f"{state.path}/host"


def _write_host(file: str, host: str) -> None:
    _write(file, f"{host} {_place(os.path.dirname(file))}\n")


def _survivor(path: str) -> Survivor:
    board = View.open(path)
    identity = board.identity
    board.close()
    try:
        pid, started = int(identity["pid"]), int(identity["start_time"])
        same_boot = identity["boot_id"] == kernel.boot_id()
        pidfd = kernel.open_pidfd(pid, started) if same_boot else None
        return Survivor(
            str(identity["consumer"]), str(identity["pool"]), int(identity["index"]), pid, board.queues,
            pidfd, str(identity.get("driver", "")),
        )  # fmt: skip
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
    try:
        if host := _kept_host(path):
            return host
        shutil.rmtree(f"{os.path.dirname(path)}/boards")
        os.mkdir(f"{os.path.dirname(path)}/boards", mode=0o700)
    except FileNotFoundError:
        pass
    host = secrets.token_hex(8)
    _write_host(path, host)
    return host


def _kept_host(path: str) -> str:
    """Return the identity kept in a file, "" if it is that of another place. Raises FileNotFoundError."""
    with open(path, encoding="ascii") as file:
        host, _, kept_at = file.read().strip().partition(" ")
    is_ours = len(host) == 16 and host.isalnum() and kept_at == _place(os.path.dirname(path))
    return host if is_ours else ""


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
