"""Who may open the files of a database beside their owner: what is made gets its group and permissions.

Only what this process has made itself is ever given away, by its descriptor, and no link is followed: the
others of the group may put anything in the place of a file, and the master is often root.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from procqueue.core.errors import DriverError

_FRESH = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Sharing:
    """`mode`: permissions of the files; `group`: by name or number, "" leaves what the system gives."""

    mode: int = 0o600
    group: str = ""

    def make_folder(self, folder: Path) -> None:
        """Make a directory and what is missing above it: for this user alone, or for him and the group.

        What is above it may be passed by others then, and not listed. Raises OSError, DriverError.
        """
        if folder.exists():
            return
        self._make_above(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            if self.group:
                os.chown(folder, -1, self._gid())
                # Who may write the files writes here too: SQLite makes two more, which inherit the group.
                folder.chmod(stat.S_ISGID | self.mode | (self.mode & 0o444) >> 2)

    def make(self, path: str) -> int:
        """Make a file and return its descriptor. Raises FileExistsError, OSError, DriverError."""
        fd = os.open(path, _FRESH, 0o600)
        self._give(fd)
        return fd

    def make_fifo(self, path: str) -> None:
        """Make a FIFO if nothing has that name. Raises OSError, DriverError."""
        try:
            os.mkfifo(path, self.mode)
        except FileExistsError:
            return
        if self.group:
            fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if stat.S_ISFIFO(os.fstat(fd).st_mode):
                    self._give(fd)
            finally:
                os.close(fd)

    def real_path(self, path: str) -> str:
        """Return the one name of a database: two of them must not have two gates.

        Where others may replace it, it may not be a link itself. Raises DriverError.
        """
        if not self.group:
            return os.path.realpath(path)
        if os.path.islink(path):
            raise DriverError(
                f"{path!r} is a link, which [driver] group does not allow: name what it leads to"
            )
        return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))

    def _make_above(self, folder: Path) -> None:
        if not folder.exists():
            self._make_above(folder.parent)
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                if self.group:
                    folder.chmod(0o711)

    def _give(self, fd: int) -> None:
        if self.group:
            os.fchown(fd, -1, self._gid())
        os.fchmod(fd, self.mode)  # whatever the umask is

    def _gid(self) -> int:
        import grp  # not on every system that only pushes

        if self.group.isdecimal():
            return int(self.group)
        try:
            return grp.getgrnam(self.group).gr_gid
        except KeyError:
            raise DriverError(
                f"[driver] group {self.group!r}: no such group; make it, or name another one"
            ) from None
