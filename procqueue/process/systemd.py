"""Speaking to the service manager that started the master: sd_notify(3), for `Type=notify-reload`.

Nothing here blocks or fails: a manager that is away, or slow, must not stop supervision. What it cannot take
now is kept and sent at the next word or `flush`. Without NOTIFY_SOCKET every word is none.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping

#: What is taken out of the environment, so that no child speaks for the master or takes its sockets.
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
#: More than this waits for no manager that will ever listen again.
_MOST_UNSENT = 32


class Systemd:
    """The way to the service manager, taken from the environment, which loses it.

    `watchdog`: how often `alive` must be said, in seconds; 0 if nobody waits for it.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        taken = {name: environ.pop(name, "") for name in _VARIABLES}
        self._address = _address_of(taken["NOTIFY_SOCKET"])
        self._socket: socket.socket | None = None
        self._unsent: list[bytes] = []
        self.watchdog = 0.0
        if self._address is None:
            return
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        try:
            self._socket = socket.socket(socket.AF_UNIX, kind)
        except OSError:
            return
        usec, pid = taken["WATCHDOG_USEC"], taken["WATCHDOG_PID"]
        if usec.isdecimal() and pid in ("", str(os.getpid())):
            self.watchdog = int(usec) / 2e6  # half of it, as sd_watchdog_enabled(3) advises

    @property
    def is_heard(self) -> bool:
        """True if there is a manager."""
        return self._socket is not None

    def ready(self, status: str = "") -> None:
        """Everything wanted runs; also the end of a reload."""
        self._say("READY=1", *([_status(status)] if status else []))

    def reloading(self) -> None:
        """A reload begins. The moment belongs to it: systemd compares it with its own request."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> None:
        """The master ends, for whatever reason."""
        self._say("STOPPING=1", *([_status(status)] if status else []))

    def status(self, text: str) -> None:
        """Let `systemctl status` show one line. What cannot be sent now is old by the time that it could."""
        if self.flush():
            self._say(_status(text))

    def extend(self, seconds: float) -> None:
        """Ask for so much more time, counted from now, for the start, reload or stop that is going on."""
        self._say(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def alive(self) -> None:
        """Feed the watchdog, if there is one; to be said after a whole pass of the plan."""
        if self.watchdog and self.flush():
            self._say("WATCHDOG=1")

    def flush(self) -> bool:
        """Send what could not be sent; True if nothing is left."""
        while self._unsent and self._socket is not None:
            try:
                self._socket.sendto(self._unsent[0], self._address or "")
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                pass  # nobody is there: it will not be told later either
            del self._unsent[0]
        return True

    def close(self) -> None:
        """Give the descriptor back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, *lines: str) -> None:
        if self._socket is not None and len(self._unsent) < _MOST_UNSENT:
            self._unsent.append("\n".join(lines).encode())
            self.flush()


def _address_of(name: str) -> str | None:
    """Return what a socket takes; None for no address, or one of a kind that is not for processes (vsock)."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split())
