"""Running alone: a message that was suspected of a death runs beside no other of its consumer (law D7).

Nor beside another suspect of this host: whatever ends a whole container at once then has one suspect among
the dead, and it is that one that pays. A record lock on one file of the state directory says who runs one: it
goes with its process, and no child of a handler inherits it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from enum import Enum, auto

from procqueue.core.verdict import Kind, Verdict


class Admission(Enum):
    """Whether a message may begin."""

    NOW = auto()
    WAIT = auto()  # until nothing else runs here
    LATER = auto()  # it may not begin here for a while


#: What becomes of a suspect while another one of this host runs: it comes back in a second, uncharged.
LATER = Verdict(Kind.RELEASE, delay_ms=1000)


class Alone:
    """The right of this consumer to run a suspect. Without the file (another user) it always has it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self.is_on = False

    def take(self) -> bool:
        """Take it, until `release`; False if another consumer of this host has it."""
        if self._fd == -1:
            try:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except OSError:
                self.is_on = True
                return True
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if isinstance(error, (BlockingIOError, PermissionError)):
                return False
        self.is_on = True
        return True

    def release(self) -> None:
        """Give it back."""
        if self.is_on:
            self.is_on = False
            with contextlib.suppress(OSError):
                if self._fd != -1:
                    fcntl.lockf(self._fd, fcntl.LOCK_UN)
