"""How the master lives with what started it: the service manager hears how it stands, and that it lives.

Looked at once in each pass of the loop, after the plan has come to rest; nothing here waits.
Next to read: systemd.py (the words), signals.py (what comes from outside).
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Protocol

from procqueue.core.book import Book
from procqueue.core.wanted import Phase
from procqueue.process.intent import Intent
from procqueue.process.reloads import Reloads
from procqueue.process.systemd import Systemd

#: The line that `systemctl status` shows changes at most once in so many seconds.
_STATUS_EVERY = 1.0
#: While a stop lasts, more time is asked for so often, and so much beyond the last hard kill.
_EXTEND_EVERY = 5.0
_EXTEND_BEYOND = 30.0


class Master(Protocol):
    """What is told of the master."""

    intent: Intent
    book: Book
    reloads: Reloads
    was_ready: bool

    def ready_of(self, pool: str) -> int:
        """Return how many children of a pool can work."""


class Surroundings:
    """Tells the service manager of one master. Takes its variables out of `environ` (before any fork)."""

    def __init__(self, master: Master, environ: MutableMapping[str, str]) -> None:
        self._master = master
        self._systemd = Systemd(environ)
        self._is_ready = False
        self._reloads = 0  # that the manager has heard of
        self._reloading = False
        self._stopping = False
        self._line = ""
        self._line_at = float("-inf")  # when the line may change again
        self._changed = False  # there was a pass since the line was made
        self._alive_at = 0.0 if self._systemd.watchdog else float("inf")
        self._extend_at = float("inf")

    def next_moment(self) -> float:
        """Return when the manager is to hear something though nothing happens (monotonic; inf if never)."""
        line_at = self._line_at if self._changed else float("inf")
        return min(self._alive_at, self._extend_at, line_at)

    def tick(self, now: float) -> None:
        """Tell what has changed. To be called after a whole pass, for that is what the watchdog is told."""
        if not self._systemd.is_heard:
            return
        if self._master.intent.phase is not Phase.RUN:
            self._stop(now)
        elif self._master.was_ready:
            self._be_ready()
        self._show(now)
        if now >= self._alive_at:
            self._systemd.alive()
            self._alive_at = now + self._systemd.watchdog

    def end(self) -> None:
        """The master leaves."""
        if not self._stopping:
            self._systemd.stopping()
        self._systemd.flush()
        self._systemd.close()

    def _be_ready(self) -> None:
        """Tell of the first time, of a reload, and of its end: nothing is left to be compared."""
        reloads = self._master.reloads
        if self._is_ready and reloads.begun > self._reloads:
            self._reloading = True
            self._systemd.reloading()
        self._reloads = reloads.begun
        if not self._is_ready or (self._reloading and not reloads.code.looks):
            self._is_ready, self._reloading = True, False
            self._systemd.ready(self._say_how_it_stands())

    def _stop(self, now: float) -> None:
        if not self._stopping:
            self._stopping = True
            self._systemd.stopping("stopping")
            self._extend_at = now
        if now >= self._extend_at:
            self._extend_at = now + _EXTEND_EVERY
            # A bound, so that what the kernel does not let die holds up no shutdown for ever.
            until = max((c.stop_by for c in self._master.book.children.values() if c.stop_by), default=now)
            if (seconds := until + _EXTEND_BEYOND - now) > 0:
                self._systemd.extend(seconds)

    def _show(self, now: float) -> None:
        self._changed = True
        if now < self._line_at:
            return
        self._changed = False
        self._line_at = now + _STATUS_EVERY
        if (line := self._say_how_it_stands()) != self._line:
            self._line = line
            self._systemd.status(line)

    def _say_how_it_stands(self) -> str:
        """Return one line, as "3/3 consumers, 1/2 programs ready"."""
        master, intent = self._master, self._master.intent
        copies = [copy for program in intent.programs.values() for copy in intent.copies(program)]
        parts = []
        if queues := intent.queues:
            wanted = sum(intent.count(name) for name in queues)
            parts.append(f"{sum(master.ready_of(name) for name in queues)}/{wanted} consumers")
        if copies:
            parts.append(f"{sum(master.ready_of(copy) for copy in copies)}/{len(copies)} programs")
        how = "ready" if intent.phase is Phase.RUN else "left: stopping"
        return f"{', '.join(parts)} {how}"
