"""Our own lines: `time who event key=value …` on the master's stdout.

The master must never wait for its reader (Ctrl-S on a terminal, a full pipe): it writes only when poll says
that there is room, at most 4 KiB at once, and counts what it had to drop. O_NONBLOCK is never set: it would
belong to everyone who shares the terminal. Texts of messages and payloads are escaped, never trusted.
"""

from __future__ import annotations

import json
import os
import select
import time
from typing import Any

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_MAX = 4096


class Log:
    """A writer of lines for one process."""

    def __init__(self, who: str, level: str = "info", *, patient: bool = True, fd: int = 1) -> None:
        self.who = who
        self._least = LEVELS[level]
        self._patient = patient
        self._fd = fd
        self.dropped = 0

    def to(self, fd: int) -> None:
        """Write there from now on."""
        self._fd = fd

    @property
    def is_debugging(self) -> bool:
        """True if what only the curious want to know is written: ask before each message."""
        return self._least <= LEVELS["debug"]

    def debug(self, event: str, **facts: Any) -> None:
        """Write what only the curious want to know."""
        self._write("debug", event, facts)

    def info(self, event: str, **facts: Any) -> None:
        """Write what changed."""
        self._write("info", event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        """Write what somebody should look at, by daylight."""
        self._write("warning", event, facts)

    def error(self, event: str, **facts: Any) -> None:
        """Write what somebody should look at now."""
        self._write("error", event, facts)

    def _write(self, level: str, event: str, facts: dict[str, Any]) -> None:
        if LEVELS[level] < self._least:
            return
        if self.dropped:
            facts = {**facts, "lines_dropped": self.dropped}
        line = line_of(self.who, event if level in ("info", "debug") else f"{level} {event}", facts)
        if not self._patient and not _has_room(self._fd):
            self.dropped += 1
            return
        self.dropped = 0
        try:
            os.write(self._fd, line)
        except OSError:
            # A closed stdout must not stop supervision; there is nobody left to tell.
            self.dropped += 1


def line_of(who: str, event: str, facts: dict[str, Any]) -> bytes:
    """Return the line for an event of this moment, at most 4 KiB; facts that are None are left out."""
    words = [time.strftime("%H:%M:%S"), who, event]
    words += [f"{key}={_word(value)}" for key, value in facts.items() if value is not None]
    return " ".join(words).encode("utf-8", "backslashreplace")[: _MAX - 1] + b"\n"


def _has_room(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return any(events & select.POLLOUT for _, events in poll.poll(0))


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    text = str(value)
    if text and all(c.isprintable() and c not in ' "=' for c in text):
        return text
    # Nothing that comes from a message may forge a line, or turn a terminal's text around.
    return json.dumps(text, ensure_ascii=not text.isprintable())
