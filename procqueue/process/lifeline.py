"""The lifeline: a socket pair between the master and one child, which says by its end that the other is gone.

Messages are JSON objects with `"v": 1`, one per datagram (SOCK_SEQPACKET keeps their bounds). Between
master and template descriptors travel beside them. End of file means "it will say no more"; that a child is
dead is known from its pidfd only (law S5).
"""

from __future__ import annotations

import json
import os
import select
import socket
from array import array
from collections.abc import Sequence
from typing import Any

VERSION = 1
#: What a socket buffer of the usual size (net.core.wmem_default) holds in one piece.
_MAX = 192 * 1024


def pair() -> tuple[Lifeline, Lifeline]:
    """Return the two ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Lifeline(ours), Lifeline(theirs)


def from_descriptor(fd: int) -> Lifeline:
    """Return the end that came as a descriptor, and belongs to the caller from now on."""
    return Lifeline(socket.socket(fileno=fd))


class Lifeline:
    """One end of a lifeline. Never blocks."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)  # an application may have set another default
        self._end = end
        self.ended = False
        self.first: dict[str, Any] = {}  # what `wait_first` heard

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._end.fileno()

    def say(self, what: str, *, fds: Sequence[int] = (), **facts: Any) -> bool:
        """Send one message; False if the other end does not read, or is gone, or it is too large.

        `fds`: descriptors of which the other end gets copies.
        """
        message = json.dumps({"v": VERSION, "say": what, **facts}).encode()
        if len(message) > _MAX:
            return False
        try:
            if fds:
                socket.send_fds(self._end, [message], fds)
            else:
                self._end.send(message)
        except OSError:
            return False
        return True

    def hear(self, most_fds: int = 0) -> list[dict[str, Any]]:
        """Return what has come; `ended` is True afterwards if nothing more will.

        `most_fds`: how many descriptors a message may bring; they are its "fds", and the caller's to close.
        Those that come uncalled for are dropped by the kernel.
        """
        heard: list[dict[str, Any]] = []
        while not self.ended and (data := self._receive(most_fds)) is not None:
            message = _read(data[0])
            if message is None:
                for fd in data[1]:
                    os.close(fd)
                continue
            if most_fds:
                message["fds"] = data[1]
            heard.append(message)
        return heard

    def wait_first(self) -> str | None:
        """Wait for one message, however long it takes, and return what it says; None if none will come."""
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        poll.poll()
        data = self._receive(0)
        self.first = (_read(data[0]) if data is not None else None) or {}
        return str(self.first["say"]) if self.first else None

    def _receive(self, most_fds: int) -> tuple[bytes, list[int]] | None:
        """Return one datagram and its descriptors; None if there is none now, or nothing more will come."""
        try:
            if most_fds:
                # Not socket.recv_fds: CPython 3.11 drops its flags, and whom a handler starts would inherit.
                room = socket.CMSG_SPACE(most_fds * array("i").itemsize)
                data, beside, _, _ = self._end.recvmsg(_MAX, room, socket.MSG_CMSG_CLOEXEC)
                fds = _descriptors_in(beside)
            else:
                data, fds = self._end.recv(_MAX), []
        except BlockingIOError:
            return None
        except ConnectionResetError:  # it left unread what we had said; its own last words are still there
            return self._receive(most_fds)
        except OSError:
            data, fds = b"", []
        if not data:
            self.ended = True
            return None
        return data, fds

    def close(self) -> None:
        """Give the descriptor back."""
        self._end.close()

    def detach(self) -> int:
        """Return the descriptor, which belongs to the caller from now on."""
        return self._end.detach()


class NoLifeline(Lifeline):
    """What stands for the lifeline of a program, which has none: it was exec'ed, and is a stranger."""

    def __init__(self) -> None:
        self.ended = True

    def fileno(self) -> int:
        """Return no descriptor."""
        return -1

    def say(self, what: str, *, fds: Sequence[int] = (), **facts: Any) -> bool:  # noqa: ARG002
        """Say nothing."""
        return False

    def close(self) -> None:
        """Nothing is open."""


def _descriptors_in(beside: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array("i")
    for level, kind, data in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _read(data: bytes) -> dict[str, Any] | None:
    """Return the message in a datagram; None if it is none: user code can write to this descriptor too."""
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or message.get("v") != VERSION or "say" not in message:
        return None
    return message
