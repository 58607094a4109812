"""The lifeline: a socket pair between the master and one child, which says by its end that the other is gone.

Messages are JSON objects with `"v": 1`, one per datagram (SOCK_SEQPACKET keeps
their bounds). End of file means "it will say no more"; that a child is dead is known from its pidfd only
(law S5).
"""

from __future__ import annotations

import json
import socket
from typing import Any

VERSION = 1
#: What a socket buffer of the usual size (net.core.wmem_default) holds in one piece.
_MAX = 192 * 1024


def pair() -> tuple[Lifeline, Lifeline]:
    """Return the two ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setblocking(False)
    return Lifeline(ours), Lifeline(theirs)


class Lifeline:
    """One end of a lifeline. Never blocks."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self.ended = False

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._end.fileno()

    def say(self, what: str, **facts: Any) -> bool:
        """Send one message; False if the other end does not read, or is gone, or it is too large."""
        message = json.dumps({"v": VERSION, "say": what, **facts}).encode()
        if len(message) > _MAX:
            return False
        try:
            self._end.send(message)
        except OSError:
            return False
        return True

    def hear(self) -> list[dict[str, Any]]:
        """Return what has come; `ended` is True afterwards if nothing more will."""
        heard: list[dict[str, Any]] = []
        while not self.ended:
            try:
                data = self._end.recv(_MAX)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.ended = True
                break
            message = _read(data)
            if message is not None:
                heard.append(message)
        return heard

    def close(self) -> None:
        """Give the descriptor back."""
        self._end.close()


def _read(data: bytes) -> dict[str, Any] | None:
    """Return the message in a datagram; None if it is none: user code can write to this descriptor too."""
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or message.get("v") != VERSION or "say" not in message:
        return None
    return message
