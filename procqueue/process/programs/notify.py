"""Where a program with `ready = "notify"` says that it is ready: a datagram socket of its own (sd_notify(3)).

An abstract address: a program that runs as another user reaches it, and nothing is left in the file system.
Everybody on the machine can send to it, so the kernel says who did (SO_PASSCRED), and only the program's own
session, group and descendants are believed: its leader alone would be too few, for shells wrap programs.
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
from array import array
from dataclasses import dataclass
from pathlib import Path

from procqueue.process import kernel

_CREDENTIALS = struct.Struct("iii")  # struct ucred: pid, uid, gid
_MAX = 16_384
_MAX_FDS = 16
_MAX_STATUS = 200
#: How many are read at once, so that a program that talks without end does not hold up the others.
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Notice:
    """What a program said of itself: `ready`, and `status`, None if it said nothing of that."""

    ready: bool = False
    status: str | None = None


class NotifySocket:
    """The master's end for one copy of a program. Never blocks."""

    def __init__(self) -> None:
        """Raises OSError where no socket can be had."""
        self._socket = socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        )
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            name = f"procqueue/{os.getpid()}/{secrets.token_hex(16)}"
            self._socket.bind(f"\0{name}")
        except OSError:
            self._socket.close()
            raise
        #: What the program finds in NOTIFY_SOCKET.
        self.address = f"@{name}"

    def fileno(self) -> int:
        """Return the descriptor, for a selector: readable when `hear` has something to learn."""
        return self._socket.fileno()

    def hear(self, leader: int) -> list[Notice]:
        """Return what the program whose first process is `leader`, not reaped yet, has said since."""
        notices: list[Notice] = []
        for _ in range(_AT_ONCE):
            try:
                data, pid, uid = self._receive()
            except BlockingIOError:
                break
            if _belongs(pid, uid, leader):
                notices.append(_read(data))
        return [notice for notice in notices if notice != Notice()]

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()

    def _receive(self) -> tuple[bytes, int, int]:
        room = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_MAX_FDS * array("i").itemsize)
        data, beside, _, _ = self._socket.recvmsg(_MAX, room, socket.MSG_CMSG_CLOEXEC)
        pid = uid = -1
        for level, kind, value in beside:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                pid, uid, _ = _CREDENTIALS.unpack(value[: _CREDENTIALS.size])
            elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                # To close them is the answer: systemd-notify waits for that (BARRIER=1), and we keep none.
                for fd in array("i", value[: len(value) - len(value) % array("i").itemsize]):
                    os.close(fd)
        return data, pid, uid


def _belongs(pid: int, uid: int, leader: int) -> bool:
    try:
        if pid == leader or os.getsid(pid) == leader or os.getpgid(pid) == leader:
            return True
    except ProcessLookupError:
        # It said its word and left, as systemd-notify does. Who it was nobody can say any more, but whoever
        # runs as the program's user could speak through the program itself.
        return uid == _user_of(leader)
    return pid in kernel.descendants_of(leader)


def _user_of(pid: int) -> int | None:
    try:
        return os.stat(Path("/proc", str(pid))).st_uid
    except OSError:
        return None


def _read(data: bytes) -> Notice:
    """Return what we understand of it; MAINPID and the rest are not for us."""
    said = dict(line.partition("=")[::2] for line in data.decode(errors="replace").split("\n"))
    status = said.get("STATUS")
    return Notice(said.get("READY") == "1", status[:_MAX_STATUS] if status is not None else None)
