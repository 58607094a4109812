"""Who holds the store up: a process of this host that keeps all others out of it, and does not move.

A stopped process keeps every lock it has. It is continued, so that it leaves the store as it meant to; who
stopped it may stop it again. If that does not help (it is being traced), a consumer of ours is killed, which
frees the store at once. What is not ours is not killed: `status` names it. One that moves is only slow.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping

from procqueue.process import kernel
from procqueue.process.log import Log
from procqueue.process.reclaim import Living

#: From the first time somebody is named; that comes after a wait of 2.5 s for him (the scheduler's timeout).
PATIENCE = 2.5
#: A process that was continued has so long to leave the store.
_AFTER_CONT = 1.0


class HoldUp:
    """The scheduler's side of it. `living`: our consumers."""

    def __init__(self, living: Mapping[str, Living], log: Log) -> None:
        self._living = living
        self._log = log
        self._who: tuple[int, int | None] | None = None  # pid and start time
        self._act_at = 0.0
        self._continued = False

    def saw(self, pid: int) -> None:
        """Note who keeps us out; deal with him if he has done so for long and stands still."""
        now = time.monotonic()
        who = (pid, kernel.start_time_of(pid))
        if who != self._who:
            self._who, self._act_at, self._continued = who, now + PATIENCE, False
        if now < self._act_at or not kernel.is_stopped(pid):
            return
        self._act_at = now + _AFTER_CONT
        if not self._continued:
            self._continued = True
            self._log.warning(
                "continued", pid=pid, why="it was stopped while it kept all others out of the store"
            )
            kernel.send(pid, signal.SIGCONT)
        elif who in ((one.pid, one.start_time) for one in self._living.values()):
            self._log.warning("killed", pid=pid, why="it stands still and keeps all others out of the store")
            kernel.send(pid, signal.SIGKILL)

    def passed(self) -> None:
        """Note that the store lets us in."""
        self._who = None
