"""The lifeline: a socket pair between the master and one child, which says by its end that the other is gone.

Messages are JSON objects with a version byte's worth of `"v": 1`, one per datagram (SOCK_SEQPACKET keeps
their bounds). End of file means "it will say no more"; that a child is dead is known from its pidfd only
(law S5).
"""

from __future__ import annotations

import json
import socket
from typing import Any

VERSION = 1
_MAX = 128 * 1024


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
        """Send one message; False if the other end does not read, or is gone."""
        try:
            self._end.send(json.dumps({"v": VERSION, "say": what, **facts}).encode())
        except (BlockingIOError, OSError):
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
            message = json.loads(data)
            if message.get("v") == VERSION:
                heard.append(message)
        return heard

    def close(self) -> None:
        """Give the descriptor back."""
        self._end.close()
